"""KMeansResult, and how it is made of what the core returns."""

from __future__ import annotations

from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

#: A row of `KMeansResult.history`; the core's struct IterationStats has the same layout.
HISTORY_DTYPE = np.dtype(
    [
        ("inertia", np.float64),
        ("shift", np.float64),
        ("labels_changed", np.int64),
        ("labels_doubtful", np.int64),
        ("scores_skipped", np.int64),
        ("seconds_assign", np.float64),
        ("seconds_update", np.float64),
        ("seconds", np.float64),
    ]
)


class _Fields(NamedTuple):
    labels: Any
    centroids: Any
    inertia: Any
    n_iter: Any
    counts: Any
    order: Any


class KMeansResult(_Fields):
    """What `warpmeans.kmeans` returns: a tuple of six, and more as attributes.

    Arrays are of the caller's kind: NumPy's for NumPy's, torch tensors for torch tensors. After a
    fit that was only enqueued (docs/python-gpu.md) every number is such an array too, of no
    dimensions where there is no batch, and `history`, the seconds and `threads` are None.

    Attributes
    ----------
    labels : (n,) or (batch, n) int32
        Cluster of each point: the float64 argmin of the distances to `centroids`.
    centroids : (k, d) or (batch, k, d) float32, or float64 for float64 points
    inertia : float or (batch,) float64
        Sum of weight x distance of these labels with these centroids.
    n_iter : int or (batch,) int32
        Iterations run.
    counts : (k,) or (batch, k) int64
        Number of points of each cluster.
    order : (n,) or (batch, n) int64, or None
        With ``order=True``: the permutation that sorts the points by label, stable.
    converged : bool or (batch,) bool
        No label changed, or the rule of `tol` was met.
    n_nonempty : int or (batch,) int64
        Clusters that have points.
    bad : bool or (batch,) bool
        Of a fit that was only enqueued: there is no result, because of NaN or Inf in the points,
        or of a centroid beyond float16's reach with ``precision="native"``. Other fits raise.
    history : structured array of `n_iter` rows, or a list with one array for each item
        A row an iteration, with the fields ``inertia``, ``shift``, ``labels_changed``,
        ``labels_doubtful``, ``scores_skipped``, ``seconds_assign``, ``seconds_update`` and
        ``seconds``. The inertia is that of the iteration's labels with the centroids they were
        assigned to.
    work : dict, or a list with one for each item
        What the passes over the points did, in scores of a point with a centroid: ``scores`` that
        full passes take, ``screened``, ``skipped`` by carried bounds, and ``exact`` in float64;
        ``seconds_screen`` and ``seconds_exact`` of all threads together. On a GPU all are 0.
    metric : str
    interrupted : bool
        The callback, or an exception, ended the fit early.
    seconds_init, seconds_iterations : float
        Time taken by the initial centroids and by the iterations.
    kernel : str
        What ran, e.g. ``"cpu/avx512"``.
    threads : int
    """

    converged: Any
    bad: Any = False
    history: Any = None
    work: Any = None
    metric: str
    interrupted: bool = False
    seconds_init: float | None = None
    seconds_iterations: float | None = None
    kernel: str
    threads: int | None = None

    @cached_property
    def n_nonempty(self) -> Any:
        return (self.counts > 0).sum(-1)

    def __repr__(self) -> str:
        batch = "" if self.labels.ndim == 1 else f"batch={self.labels.shape[0]}, "
        return (
            f"KMeansResult({batch}n_samples={self.labels.shape[-1]}, "
            f"n_clusters={self.centroids.shape[-2]}, inertia={self.inertia}, "
            f"n_iter={self.n_iter}, converged={self.converged})"
        )


def make_result(fields, kind, metric):
    """The result of the core's `fields`, in arrays of `kind` (`_arrays.Kind`)."""
    labels = fields["labels"]
    batched = labels.ndim == 2
    answer = kind.answer
    result = KMeansResult(
        answer(labels),
        answer(fields["centroids"]),
        answer(fields["inertia"]),
        answer(fields["n_iter"]),
        # DLPack's 64-bit integers are C's long long.
        answer(fields["counts"].view(np.int64)),
        None if fields["order"] is None else answer(fields["order"].view(np.int64)),
    )
    history = [rows.view(HISTORY_DTYPE) for rows in fields["history"]]
    converged = fields["converged"]
    result.converged = answer(converged.view(np.bool_)) if batched else bool(converged)
    result.n_nonempty = answer(fields["n_nonempty"])
    result.history = history if batched else history[0]
    result.work = fields["work"] if batched else fields["work"][0]
    result.metric = metric
    for name in ("interrupted", "seconds_init", "seconds_iterations", "kernel", "threads"):
        setattr(result, name, fields[name])
    return result
