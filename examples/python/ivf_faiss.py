"""Centroids for a faiss index: train with Warpmeans, search with faiss.

    python ivf_faiss.py [VECTORS.npy]

VECTORS.npy: (n, d) float32 or float16. Without it, vectors are drawn around centres. Needs
faiss (`pip install faiss-cpu`).
"""

# %% Vectors to search, and queries
import sys
import time

import faiss
import numpy as np

import warpmeans


def drawn(n=50_000, d=64, centres=1000):
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((centres, d))[rng.integers(centres, size=n)]
    return (rows + 1.2 * rng.standard_normal((n, d))).astype(np.float32)


vectors = np.load(sys.argv[1]) if len(sys.argv) > 1 else drawn()
vectors = np.ascontiguousarray(vectors, np.float32)
rng = np.random.default_rng(1)
shuffled = rng.permutation(len(vectors))
queries, vectors = vectors[shuffled[:500]], vectors[shuffled[500:]]
n, d = vectors.shape
n_lists = round(2 * np.sqrt(n))
print(f"{n:,} vectors of {d} features, {n_lists} lists, {len(queries)} queries")

# %% What is right: the ten nearest, by comparing all
exact = faiss.IndexFlatL2(d)
exact.add(vectors)
truth = exact.search(queries, 10)[1]

# %% Two ways to the centroids of an inverted file
# Ten iterations each. faiss starts from random points, and takes a sample where there are more than
# 256 points a list; ours start from k-means++ and take all.
start = time.perf_counter()
result = warpmeans.kmeans(vectors, n_lists, max_iter=10, seed=0)
seconds = {"warpmeans": time.perf_counter() - start}
start = time.perf_counter()
own = faiss.Kmeans(d, n_lists, niter=10, seed=1)
own.train(vectors)
seconds["faiss"] = time.perf_counter() - start
centroids = {"warpmeans": result.centroids, "faiss": own.centroids}

# %% The same index on both: an index that has its centroids is trained
for name, rows in centroids.items():
    quantizer = faiss.IndexFlatL2(d)
    quantizer.add(np.ascontiguousarray(rows))
    index = faiss.IndexIVFFlat(quantizer, d, n_lists)
    index.train(vectors)  # finds its quantizer full, and keeps it
    index.add(vectors)
    lists = index.invlists
    sizes = np.array([lists.list_size(i) for i in range(n_lists)])
    found = []
    for index.nprobe in (1, 4, 16):
        ids = index.search(queries, 10)[1]
        recall = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(ids, truth)])
        found.append(f"{recall:.3f} of {index.nprobe}")
    # A query reads its lists: unequal ones cost. 1 would be equal.
    unequal = n_lists * float((sizes.astype(float) ** 2).sum()) / n**2
    print(
        f"{name:9} {seconds[name]:.2f} s, recall at 10 by lists probed: {', '.join(found)}; "
        f"imbalance {unequal:.2f}"
    )
