"""Exact, reproducible k-means: one answer for the same input, on CPUs and CUDA GPUs.

`kmeans` clusters an array, or a batch of them, in one call; `KMeans` is the same as a
scikit-learn estimator; `predict` and `transform` use centroids that are there already.
"""

from warpmeans._core import Progress, __version__
from warpmeans._estimator import ConvergenceWarning, KMeans
from warpmeans._functional import KMeansResult, kmeans, predict, show_config, transform

__all__ = [
    "ConvergenceWarning",
    "KMeans",
    "KMeansResult",
    "Progress",
    "__version__",
    "kmeans",
    "predict",
    "show_config",
    "transform",
]
