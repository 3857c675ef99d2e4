"""Exact, reproducible k-means: one answer for the same input, on CPUs and CUDA GPUs.

`kmeans` clusters an array, or a batch of them, in one call; `KMeans` is the same as a
scikit-learn estimator; `predict` and `transform` use centroids that are there already.
"""

from warpmeans._core import Progress
from warpmeans._core import version as _version
from warpmeans._estimator import KMeans
from warpmeans._functional import kmeans, predict, show_config, transform
from warpmeans._result import KMeansResult
from warpmeans._validation import ConvergenceWarning, NotFittedError

__version__ = _version()
__all__ = [
    "ConvergenceWarning",
    "KMeans",
    "KMeansResult",
    "NotFittedError",
    "Progress",
    "__version__",
    "kmeans",
    "predict",
    "show_config",
    "transform",
]
