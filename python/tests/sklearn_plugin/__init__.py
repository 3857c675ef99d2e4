"""A pytest plugin: scikit-learn's own tests of KMeans, run on warpmeans.KMeans.

    PYTHONPATH=python/tests pytest -p sklearn_plugin --pyargs sklearn.cluster.tests.test_k_means

All of them pass: there is no list of exceptions.
"""

import sklearn.cluster
import sklearn.cluster._kmeans

import warpmeans
from warpmeans._validation import as_sample_weight


class KMeans(warpmeans.KMeans):
    """warpmeans.KMeans, and the one private method of scikit-learn's that its tests call."""

    def _init_centroids(
        self, X, x_squared_norms, init, random_state, sample_weight, n_centroids=None
    ):
        return warpmeans.kmeans(
            X,
            n_centroids,
            init=init,
            weights=as_sample_weight(sample_weight, len(X)),
            seed=random_state.randint(2**31 - 1),
            max_iter=0,
        ).centroids


sklearn.cluster.KMeans = KMeans
sklearn.cluster._kmeans.KMeans = KMeans
