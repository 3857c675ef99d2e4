"""One judge for every competitor's centroids: labels by NumPy, inertia summed in float64."""

import numpy as np


def assign(points, centroids, chunk=8192):
    """Labels (int32) and inertia (float64) of `points` with `centroids`.

    The nearest centroid is found in float32 on centred data; its distance is taken in float64.
    """
    mean = points[:: max(1, len(points) // 4096)].mean(axis=0, dtype=np.float64)
    exact = centroids.astype(np.float64) - mean
    near = exact.astype(np.float32)
    half_norms = (0.5 * (exact * exact).sum(axis=1)).astype(np.float32)
    labels = np.empty(len(points), np.int32)
    inertia = 0.0
    for first in range(0, len(points), chunk):
        rows = points[first : first + chunk] - mean
        found = (half_norms - rows.astype(np.float32) @ near.T).argmin(axis=1)
        rows -= exact[found]
        inertia += float(np.einsum("if,if->", rows, rows))
        labels[first : first + chunk] = found
    return labels, inertia


def agreement(mine, other):
    """How far another competitor's outcome is from ours, both (labels, inertia) of `assign`.

    After many iterations two correct fits may part: one label between two clusters, decided by
    rounding, is enough to send small clusters elsewhere. So what must agree is the outcome of the
    few first iterations.
    """
    relative = (other[1] - mine[1]) / mine[1]
    return {
        "inertia_relative": relative,
        "labels_equal": float((other[0] == mine[0]).mean()),
        "agrees": abs(relative) <= 1e-4,
    }
