"""An inverted file of faiss' own on centroids from Kmeans; prints the recall."""

import faiss
import numpy as np

x = np.random.default_rng(1).normal(size=(4000, 16)).astype("float32")

kmeans = faiss.Kmeans(x.shape[1], 40, niter=10, max_points_per_centroid=10**6)
kmeans.train(x)

quantizer = faiss.IndexFlatL2(x.shape[1])
quantizer.add(kmeans.centroids)
index = faiss.IndexIVFFlat(quantizer, x.shape[1], 40)
index.train(x)
index.add(x)
index.nprobe = 20
_, found = index.search(x[:100], 1)
print(np.mean(found.ravel() == np.arange(100)))
