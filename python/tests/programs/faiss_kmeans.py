"""Centroids of random vectors, as users of faiss get them; a file of results is its argument."""

import json
import sys

import faiss
import numpy as np

d, ncentroids, niter = 32, 64, 20
x = np.random.default_rng(0).random((5000, d)).astype("float32")

kmeans = faiss.Kmeans(d, ncentroids, niter=niter, verbose=False, gpu=True)
final = kmeans.train(x)

distances, nearest = kmeans.index.search(x, 1)
_, neighbours = kmeans.index.search(kmeans.centroids, 15)
_, assigned = kmeans.assign(x)

with open(sys.argv[1], "w") as file:
    json.dump(
        {
            "centroids": kmeans.centroids.shape,
            "iterations": len(kmeans.iteration_stats),
            "objective": [float(value) for value in kmeans.obj],
            "final": float(final),
            "distances": float(distances.sum()),
            "same": bool((nearest.ravel() == assigned).all()),
            "own": bool((neighbours[:, 0] == np.arange(ncentroids)).all()),
            "ntotal": kmeans.index.ntotal,
        },
        file,
    )
