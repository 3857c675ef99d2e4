"""Clusters of text embeddings: spherical k-means, what is typical, what is doubled.

    python text_embeddings.py [EMBEDDINGS.npy [TEXTS.txt]]

EMBEDDINGS.npy: (n, d), float16 or float32, as sentence encoders give them
(benchmarks/make_embeddings.py makes some). TEXTS.txt: the n texts, one a line. Without them, rows
are drawn around topics, some of them twice, as in a crawl.
"""

# %% Embeddings: memory-mapped, so that they need not fit into memory
import sys
import time

import numpy as np

import warpmeans


def drawn(n=20_000, d=128, topics=60):
    """Unit rows around topics of different sizes; the last 400 repeat others, all but noise."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((topics, d)) / np.sqrt(d)
    sizes = rng.zipf(1.5, 10 * topics)
    sizes = sizes[sizes < 50][:topics]
    rows = centres[rng.choice(topics, n, p=sizes / sizes.sum())]
    rows = rows + 0.9 * rng.standard_normal((n, d)) / np.sqrt(d)
    rows[-400:] = rows[:400] + 0.01 * rng.standard_normal((400, d)) / np.sqrt(d)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16)


embeddings = np.load(sys.argv[1], mmap_mode="r") if len(sys.argv) > 1 else drawn()
n, d = embeddings.shape
if len(sys.argv) > 2:
    texts = open(sys.argv[2], encoding="utf-8").read().splitlines()
else:
    texts = [f"text {i}" for i in range(n)]
print(f"{n:,} embeddings of {d} features, {embeddings.dtype}")

# %% Cosine is the similarity that encoders are trained for: centroids are unit rows too
k = max(2, round(np.sqrt(n / 8)))
start = time.perf_counter()
result = warpmeans.kmeans(embeddings, k, metric="cosine", max_iter=30, order=True)
print(
    f"{k} clusters in {time.perf_counter() - start:.1f} s: {result.n_iter} iterations, "
    f"mean cosine to the centroid {1 - result.inertia / n:.3f}"
)

# %% What is typical of a cluster: the rows nearest to its centroid
# `order` has the rows of cluster 0, then of cluster 1, ...; `counts` says how many.
labels, distances = warpmeans.predict(embeddings, result.centroids, metric="cosine", distances=True)
starts = np.concatenate([[0], np.cumsum(result.counts)])
for cluster in np.argsort(-result.counts)[:5]:
    rows = result.order[starts[cluster] : starts[cluster + 1]]
    nearest = rows[np.argsort(distances[rows])[:3]]
    print(f"cluster {cluster} ({len(rows):,}): " + " | ".join(texts[row][:60] for row in nearest))

# %% What is doubled: pairs are sought within clusters only, n * n / k instead of n * n
doubled = []
for cluster in range(k):
    rows = result.order[starts[cluster] : starts[cluster + 1]]
    unit = np.asarray(embeddings[np.sort(rows)], np.float32)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    first, second = np.nonzero(np.triu(unit @ unit.T > 0.97, 1))
    doubled += [(np.sort(rows)[i], np.sort(rows)[j]) for i, j in zip(first, second)]
print(f"{len(doubled):,} pairs of a cosine above 0.97")
for i, j in doubled[:3]:
    print(f"  {texts[i][:60]} | {texts[j][:60]}")

# %% What is odd: the farthest from any centroid
for row in np.argsort(-distances)[:3]:
    print(f"far from all: {texts[row][:60]} (cosine {1 - distances[row]:.2f})")
