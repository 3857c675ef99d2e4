"""Choosing k: where inertia bends, and where clusters are apart.

    python choosing_k.py [POINTS.npy]

Without POINTS.npy (n, d), points are drawn around twelve centres.
"""

# %% Points
import sys
from importlib.util import find_spec

import numpy as np

import warpmeans


def drawn(n=6000, d=10, centres=12):
    rng = np.random.default_rng(4)
    rows = 4 * rng.standard_normal((centres, d))
    return (rows[rng.integers(centres, size=n)] + rng.standard_normal((n, d))).astype(np.float32)


points = np.load(sys.argv[1]) if len(sys.argv) > 1 else drawn()
print(f"{len(points):,} points of {points.shape[1]} features")


# %% Two figures for each k
# Inertia always falls; it falls slowly once all clusters are found. The silhouette has a maximum
# there: 1 where each point is much nearer to its own cluster than to the next. This is the
# simplified one (Hruschka and others 2004), of distances to centroids instead of points.
def silhouette(points, centroids):
    distances = np.partition(warpmeans.transform(points, centroids), 1, axis=1)
    own, next_ = distances[:, 0], distances[:, 1]
    return float(np.mean((next_ - own) / np.maximum(next_, np.finfo(np.float32).tiny)))


ks = range(2, 25)
results = {k: warpmeans.kmeans(points, k, n_init=5, seed=0) for k in ks}
scores = {k: silhouette(points, results[k].centroids) for k in ks}
for k in ks:
    bar = "#" * round(40 * max(scores[k], 0))
    print(f"k {k:2}  inertia {results[k].inertia:12.6g}  silhouette {scores[k]:.3f} {bar}")
best = max(scores, key=scores.get)
print(f"the silhouette says {best}")

# %% The same, to look at
if find_spec("matplotlib"):
    import matplotlib.pyplot as plt

    from warpmeans import plot

    fig, axes = plt.subplots(1, 3, figsize=(15, 4), layout="constrained")
    plot.elbow(points, ks, n_init=5, ax=axes[0])
    axes[1].plot(list(scores), list(scores.values()), "o-", color="#0072B2")
    axes[1].axvline(best, color="#B45309", linestyle="--")
    axes[1].set(xlabel="clusters k", ylabel="simplified silhouette")
    plot.projection(points, results[best], ax=axes[2])
    fig.savefig("choosing_k.png", dpi=80)
    print("wrote choosing_k.png")
