"""Train and predict in the two ways that fastkmeans has."""

import json
import sys

import numpy as np
from fastkmeans import FastKMeans

rng = np.random.default_rng(2)
means = rng.normal(scale=10, size=(8, 24))
truth = rng.integers(0, 8, 3000)
data = (means[truth] + rng.normal(size=(3000, 24))).astype(np.float32)

kmeans = FastKMeans(d=24, k=60, niter=30, tol=1e-8, gpu=True, max_points_per_centroid=200)
labels = kmeans.fit_predict(data)

again = FastKMeans(d=24, k=60, niter=30, max_points_per_centroid=200)
again.train(data)

with open(sys.argv[1], "w") as file:
    json.dump(
        {
            "type": f"{type(labels).__module__}.{labels.dtype}",
            "centroids": kmeans.centroids.tolist(),
            "same": bool((again.predict(data) == labels).all()),
            "pure": bool(all(len(set(truth[labels == j])) <= 1 for j in range(60))),
        },
        file,
    )
