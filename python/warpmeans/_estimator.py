"""KMeans, the estimator: scikit-learn's contract on `warpmeans.kmeans`."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from warpmeans._functional import assign, kmeans, predict, transform
from warpmeans._protocol import Estimator
from warpmeans._result import KMeansResult
from warpmeans._validation import (
    ConvergenceWarning,
    as_initial_centers,
    as_sample_weight,
    as_samples,
    check_feature_names,
    check_parameters,
    feature_names_of,
    from_sklearn,
    generator_of,
    in_sklearns_words,
    seed_of,
)


class KMeans(Estimator):
    """K-means clustering with the interface of ``sklearn.cluster.KMeans``.

    Labels are exact and results reproducible (see `warpmeans.kmeans`). Scikit-learn need not be
    installed; where it is, clone, pipelines, searches and ``set_output`` work as with its own
    estimators.

    Parameters
    ----------
    n_clusters : int, default=8
    init : {"k-means++", "k-means||", "random"}, array (n_clusters, n_features) or callable, \
default="k-means++"
        A callable gets ``(X, n_clusters, random_state=RandomState)`` and returns centers.
    n_init : int or "auto", default="auto"
        Attempts, of which the one of least inertia stays. "auto": 10 for "random" and callables,
        else 1.
    max_iter : int, default=300
    tol : float, default=1e-4
        Stop when the sum of the centers' squared shifts is at most tol x mean variance of the
        features. 0: only when no label changes.
    verbose : int, default=0
        Print a line an iteration.
    random_state : int, RandomState or None, default=None
        None: draws from NumPy's global generator. With an int every fit gives the same bits.
    copy_x : bool, default=True
        Of no influence: X is never written to.
    algorithm : {"lloyd", "elkan"}, default="lloyd"
        Of no influence on results: what an exact algorithm may skip is up to the library.
    metric : {"euclidean", "cosine", "inner_product"}, default="euclidean"
    empty : {"relocate", "keep", "error"}, default="relocate"
        What becomes of clusters without points.
    precision : {"exact", "native", "tf32"}, default="exact"
        The others than "exact" are for CUDA.
    threads : int, optional
        At most so many; None: the machine's cores.
    device : str, optional
        "cpu", "cuda" or "cuda:INDEX"; None: where X is.
    memory : int or str, optional
        Of fit, predict and score: as in `warpmeans.kmeans`.
    callback : callable, optional
        As in `warpmeans.kmeans`.

    Attributes
    ----------
    cluster_centers_ : (n_clusters, n_features) float32, or float64 for float64 points
    labels_ : (n_samples,) int32
    inertia_ : float
        Sum of weight x squared distance (or the metric's distance).
    n_iter_ : int
    n_features_in_ : int
    feature_names_in_ : (n_features_in_,) object
        Where X had names that are all strings.
    result_ : KMeansResult
        All that `warpmeans.kmeans` returned: counts, history, converged and others.

    Notes
    -----
    float32, float64, float16, bfloat16, uint8 and int8 are read as they are, without a copy if the
    features of a row are adjacent. Other numbers become float64; sparse matrices become dense, in
    n_samples x n_features elements. Arrays of other libraries (torch, say) are met by DLPack, and
    answered in kind. KeyboardInterrupt, or an exception of the callback, leaves the best
    result so far in the attributes.

    Examples
    --------
    >>> import numpy as np
    >>> from warpmeans import KMeans
    >>> X = np.array([[1.0, 2.0], [1.0, 4.0], [10.0, 2.0], [10.0, 4.0]])
    >>> model = KMeans(n_clusters=2, random_state=0).fit(X)
    >>> model.inertia_
    4.0
    >>> sorted(model.cluster_centers_.tolist())
    [[1.0, 3.0], [10.0, 3.0]]
    >>> bool(model.predict([[0.0, 0.0]])[0] == model.labels_[0])
    True
    """

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        init: Any = "k-means++",
        n_init: int | str = "auto",
        max_iter: int = 300,
        tol: float = 1e-4,
        verbose: int = 0,
        random_state: Any = None,
        copy_x: bool = True,
        algorithm: str = "lloyd",
        metric: str = "euclidean",
        empty: str = "relocate",
        precision: str = "exact",
        threads: int | None = None,
        device: Any = None,
        memory: int | str | None = None,
        callback: Any = None,
    ):
        self.n_clusters = n_clusters
        self.init = init
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.verbose = verbose
        self.random_state = random_state
        self.copy_x = copy_x
        self.algorithm = algorithm
        self.metric = metric
        self.empty = empty
        self.precision = precision
        self.threads = threads
        self.device = device
        self.memory = memory
        self.callback = callback

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> KMeans:
        """Cluster the rows of X.

        Parameters
        ----------
        X : array (n_samples, n_features)
        y : ignored
        sample_weight : array (n_samples,), optional
            Not negative. Weights enter the initial centers too.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError, MemoryError, RuntimeError
            As `warpmeans.kmeans` does, in scikit-learn's words where it has them.
        """
        check_parameters(self)
        names = feature_names_of(X)
        points = as_samples(X, type(self).__name__)
        n_samples, self.n_features_in_ = points.shape
        self._keep_feature_names(names)
        if n_samples < self.n_clusters:
            raise ValueError(f"n_samples={n_samples} should be >= n_clusters={self.n_clusters}.")
        init = self._checked_init()
        try:
            self._keep(
                kmeans(
                    points,
                    self.n_clusters,
                    init=init,
                    metric=self.metric,
                    weights=as_sample_weight(sample_weight, n_samples),
                    n_init=self._n_init,
                    max_iter=self.max_iter,
                    tol=self.tol,
                    seed=0 if callable(init) else seed_of(self.random_state),
                    empty=self.empty,
                    precision=self.precision,
                    threads=self.threads,
                    device=self.device,
                    memory=self.memory,
                    callback=_Printer(self.callback) if self.verbose else self.callback,
                )
            )
        except ValueError as error:
            raise in_sklearns_words(error, type(self).__name__) from None
        except BaseException as error:
            result = getattr(error, "result", None)
            if isinstance(result, KMeansResult):
                self._keep(result)
            raise
        if self.verbose:
            _print_end(self.result_)
        return self

    def _checked_init(self):
        """`init` for `kmeans`; sets `_n_init`."""
        init, name = self.init, type(self).__name__
        given = not isinstance(init, str) and not callable(init)
        self._n_init = self.n_init
        if self.n_init == "auto":
            self._n_init = 10 if callable(init) or isinstance(init, str) and init == "random" else 1
        if given and self._n_init != 1:
            warnings.warn(
                "Explicit initial center position passed: performing only one init in "
                f"{name} instead of n_init={self._n_init}.",
                RuntimeWarning,
                stacklevel=3,
            )
            self._n_init = 1
        if self.algorithm == "elkan" and self.n_clusters == 1:
            warnings.warn(
                "algorithm='elkan' doesn't make sense for a single cluster. Using 'lloyd' instead.",
                RuntimeWarning,
                stacklevel=3,
            )
        if given:
            return as_initial_centers(init, self.n_clusters, self.n_features_in_)
        if not callable(init):
            return str(init)
        generator = generator_of(self.random_state)

        def call(X, n_clusters, seed):
            centers = init(X, n_clusters, random_state=generator)
            return as_initial_centers(centers, n_clusters, self.n_features_in_)

        return call

    def _keep(self, result):
        """Set the fitted attributes."""
        self.result_ = result
        self.cluster_centers_ = result.centroids
        self.labels_ = result.labels
        self.inertia_ = result.inertia
        self.n_iter_ = result.n_iter
        self._n_features_out = self.n_clusters
        if result.n_nonempty < self.n_clusters and not result.interrupted:
            warnings.warn(
                f"Number of distinct clusters ({result.n_nonempty}) found smaller than n_clusters "
                f"({self.n_clusters}). Possibly due to duplicate points in X.",
                from_sklearn("ConvergenceWarning", ConvergenceWarning),
                stacklevel=3,
            )

    def _keep_feature_names(self, names):
        if names is not None:
            self.feature_names_in_ = names
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_

    def _as_seen(self, X):
        """X of predict, transform and score, checked against what was fitted."""
        self._check_is_fitted("cluster_centers_")
        name = type(self).__name__
        names = feature_names_of(X)
        check_feature_names(getattr(self, "feature_names_in_", None), names, name)
        points = as_samples(X, name)
        if points.shape[1] != self.n_features_in_:
            raise ValueError(
                f"X has {points.shape[1]} features, but {name} is expecting "
                f"{self.n_features_in_} features as input."
            )
        return points

    def fit_predict(self, X: Any, y: Any = None, sample_weight: Any = None) -> Any:
        """Fit, and return `labels_`."""
        return self.fit(X, sample_weight=sample_weight).labels_

    def predict(self, X: Any) -> Any:
        """Return the labels (n_samples,) int32 of the nearest centers: the float64 argmin."""
        return self._call(predict, self._as_seen(X), memory=self.memory)

    def fit_transform(self, X: Any, y: Any = None, sample_weight: Any = None) -> Any:
        """Fit, and return `transform` of X."""
        self.fit(X, sample_weight=sample_weight)
        return self._contained(self._call(transform, as_samples(X, type(self).__name__)), X)

    def transform(self, X: Any) -> Any:
        """Return distances (n_samples, n_clusters) to all centers.

        Euclidean (not squared), 1 - cosine, or the negative inner product; float32, or float64 for
        float64 points.
        """
        return self._contained(self._call(transform, self._as_seen(X)), X)

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Return minus the inertia of X with the nearest centers."""
        points = self._as_seen(X)
        weights = as_sample_weight(sample_weight, points.shape[0])
        return -self._call(assign, points, weights=weights, memory=self.memory)[2]

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the names of transform's columns: kmeans0, kmeans1, ..."""
        self._check_is_fitted("cluster_centers_")
        name = type(self).__name__.lower()
        return np.asarray([f"{name}{i}" for i in range(self._n_features_out)], dtype=object)

    def _call(self, function, points, **options):
        """`function` on the points and the fitted centers, with errors in scikit-learn's words."""
        try:
            return function(
                points,
                self.cluster_centers_,
                metric=self.metric,
                threads=self.threads,
                device=self.device,
                **options,
            )
        except ValueError as error:
            raise in_sklearns_words(error, type(self).__name__) from None


class _Printer:
    """Scikit-learn's lines of `verbose`, and then the user's callback."""

    def __init__(self, callback):
        self._callback = callback

    def __call__(self, progress):
        if progress.iteration == 1:
            print("Initialization complete")
        print(f"Iteration {progress.iteration}, inertia {progress.inertia}.")
        return None if self._callback is None else self._callback(progress)


def _print_end(result):
    if not result.converged:
        return
    last = result.history[-1]
    reason = f"center shift {last['shift']} within tolerance"
    if last["labels_changed"] == 0 and last["shift"] == 0:
        reason = "strict convergence"
    print(f"Converged at iteration {result.n_iter}: {reason}.")
