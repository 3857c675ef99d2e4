"""A pytest plugin: scikit-learn's own tests of KMeans, run on warpmeans.KMeans.

    PYTHONPATH=python/tests pytest -p sklearn_plugin --pyargs sklearn.cluster.tests.test_k_means

Tests that exceptions.txt names are skipped with the reason given there; a name that no test has is
an error.
"""

from pathlib import Path

import pytest
import sklearn.cluster
import sklearn.cluster._kmeans

import warpmeans


class KMeans(warpmeans.KMeans):
    """warpmeans.KMeans, and the one private method of scikit-learn's that its tests call."""

    def _init_centroids(
        self, X, x_squared_norms, init, random_state, sample_weight, n_centroids=None
    ):
        return warpmeans.kmeans(
            X,
            n_centroids,
            init=init,
            weights=sample_weight,
            seed=random_state.randint(2**31 - 1),
            max_iter=0,
        ).centroids


sklearn.cluster.KMeans = KMeans
sklearn.cluster._kmeans.KMeans = KMeans


def read_exceptions():
    """The reason of each test named in exceptions.txt."""
    reasons, reason = {}, None
    for line in (Path(__file__).parent / "exceptions.txt").read_text().splitlines():
        if line.startswith("#"):
            reason = line.lstrip("# ")
        elif line.strip():
            reasons[line.strip()] = reason
    return reasons


def pytest_collection_modifyitems(items):
    """Skip what exceptions.txt names, by its full name or that without parameters."""
    reasons = read_exceptions()
    unused = set(reasons)
    for item in items:
        for name in (item.name, getattr(item, "originalname", item.name)):
            if name in reasons:
                unused.discard(name)
                item.add_marker(pytest.mark.skip(reason=reasons[name]))
    if unused and items:
        raise pytest.UsageError(f"exceptions.txt names tests that do not exist: {sorted(unused)}")
