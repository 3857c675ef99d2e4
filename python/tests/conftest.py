"""What tests share: seeded points, and k-means' definitions in NumPy's float64."""

import numpy as np
import pytest


@pytest.fixture
def points():
    """Blobs (600, 5) float32 around 7 centers."""
    rng = np.random.default_rng(3)
    centers = rng.normal(scale=6, size=(7, 5))
    return (centers[rng.integers(7, size=600)] + rng.normal(size=(600, 5))).astype(np.float32)


@pytest.fixture
def batch():
    """Points (4, 150, 3) float64."""
    return np.random.default_rng(4).normal(size=(4, 150, 3))


def squared_distances(x, centroids):
    """(n, k) float64 of the definition."""
    x, centroids = np.asarray(x, np.float64), np.asarray(centroids, np.float64)
    return ((x[:, None, :] - centroids[None]) ** 2).sum(axis=2)
