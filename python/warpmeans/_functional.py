"""kmeans, predict, transform: one call each, for (n, d) and (batch, n, d)."""

import operator
from collections import namedtuple
from contextlib import suppress

import numpy as np

from warpmeans import _core
from warpmeans._arrays import Kind, as_parameter, as_points

HISTORY_DTYPE = np.dtype(
    [
        ("inertia", np.float64),
        ("shift", np.float64),
        ("labels_changed", np.int64),
        ("labels_doubtful", np.int64),
        ("seconds_assign", np.float64),
        ("seconds_update", np.float64),
        ("seconds", np.float64),
    ]
)

_INITS = {"k-means++": "kmeans++", "k-means||": "kmeans_parallel", "random": "random"}

_Fields = namedtuple("_Fields", ["labels", "centroids", "inertia", "n_iter", "counts", "order"])


class KMeansResult(_Fields):
    """What `kmeans` returns: a tuple of six, with more as attributes.

    Attributes
    ----------
    labels : (n,) or (batch, n) int32
        Cluster of each point: the float64 argmin of the distances to `centroids`.
    centroids : (k, d) or (batch, k, d) float32, float64 for float64 points
    inertia : float or (batch,) float64
        Sum of weight x distance of these labels with these centroids.
    n_iter : int or (batch,) int32
    counts : (k,) or (batch, k) int64
        Number of points of each cluster.
    order : (n,) or (batch, n) int64, or None
        With ``order=True``: the permutation that sorts the points by label, stable.
    converged : bool or (batch,) bool
        No label changed, or the rule of `tol`.
    n_nonempty : int or (batch,) int64
        Clusters that have points.
    history : numpy record array, or a list with one for each item
        A row an iteration: ``inertia``, ``shift``, ``labels_changed``, ``labels_doubtful``,
        ``seconds_assign``, ``seconds_update``, ``seconds``. Columns are ``history["inertia"]``.
    interrupted : bool
        The callback asked to stop.
    seconds_init, seconds_iterations : float
    kernel : str
        What ran, e.g. ``"cpu/avx512"``.
    threads : int
    """

    def __repr__(self):
        batch = "" if self.labels.ndim == 1 else f"batch={self.labels.shape[0]}, "
        return (
            f"KMeansResult({batch}n_samples={self.labels.shape[-1]}, "
            f"n_clusters={self.centroids.shape[-2]}, inertia={self.inertia}, "
            f"n_iter={self.n_iter}, converged={self.converged})"
        )


def kmeans(
    x,
    n_clusters,
    *,
    init="k-means++",
    metric="euclidean",
    weights=None,
    n_init=1,
    max_iter=300,
    tol=1e-4,
    fixed_iterations=False,
    seed=0,
    empty="relocate",
    precision="exact",
    threads=None,
    device=None,
    order=False,
    callback=None,
    verbose=False,
):
    """Lloyd's k-means."""
    points = as_points(x)
    kind = Kind(x)
    start, centroids = "given", None
    if isinstance(init, str):
        start = _INITS.get(init)
        if start is None:
            raise ValueError(
                f"init is {init!r}; it must be 'k-means++', 'k-means||', 'random', an array or a "
                "function of (x, n_clusters, seed)"
            )
    elif callable(init):
        centroids = as_parameter(init(x, n_clusters, seed), "init")
    else:
        centroids = as_parameter(init, "init")
        n_init = 1  # every attempt would be the same
    fields, exception = _core.fit(
        points,
        operator.index(n_clusters),
        start,
        centroids,
        metric,
        None if weights is None else as_parameter(weights, "weights"),
        n_init,
        max_iter,
        tol,
        fixed_iterations,
        seed,
        empty,
        precision,
        0 if threads is None else threads,
        "" if device is None else str(device),
        callback,
    )
    result = _to_result(fields, kind, order)
    if exception is not None:
        with suppress(AttributeError):
            exception.result = result
        raise exception
    return result


def _to_result(fields, kind, order):
    labels, counts = fields.pop("labels"), fields.pop("counts")
    batched = labels.ndim == 2
    permutation = np.argsort(labels, axis=-1, kind="stable") if order else None
    result = KMeansResult(
        kind.answer(labels),
        kind.answer(fields.pop("centroids")),
        kind.answer(fields.pop("inertia")),
        kind.answer(fields.pop("n_iter")),
        kind.answer(counts),
        kind.answer(permutation),
    )
    history = [rows.view(HISTORY_DTYPE) for rows in fields.pop("history")]
    converged = fields.pop("converged")
    result.history = history if batched else history[0]
    result.converged = kind.answer(converged.astype(bool)) if batched else bool(converged)
    result.n_nonempty = kind.answer(fields.pop("n_nonempty"))
    result.__dict__.update(fields)
    return result


def predict(
    x, centroids, *, metric="euclidean", weights=None, distances=False, threads=None, device=None
):
    """Labels of the nearest centroids."""
    kind = Kind(x)
    labels, values, _ = _core.predict(
        as_points(x),
        as_parameter(centroids, "centroids"),
        metric,
        None if weights is None else as_parameter(weights, "weights"),
        distances,
        0 if threads is None else threads,
        "" if device is None else str(device),
    )
    return (kind.answer(labels), kind.answer(values)) if distances else kind.answer(labels)


def transform(x, centroids, *, metric="euclidean", threads=None, device=None):
    """Distances to every centroid."""
    return Kind(x).answer(
        _core.transform(
            as_points(x),
            as_parameter(centroids, "centroids"),
            metric,
            0 if threads is None else threads,
            "" if device is None else str(device),
        )
    )


def show_config():
    """Print versions, and what this build and machine can run."""
    kernel = kmeans(np.zeros((1, 1)), 1).kernel
    print(f"warpmeans {_core.__version__}")
    print(f"numpy {np.__version__}")
    print(f"kernel {kernel}")
    print(f"built with CUDA: {'yes' if _core.has_cuda else 'no'}")
