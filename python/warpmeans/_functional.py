"""kmeans, predict, transform: one call each, for (n, d) and (batch, n, d)."""

from __future__ import annotations

import operator
import os
import warnings
from collections.abc import Callable
from contextlib import nullcontext, suppress
from typing import Any

import numpy as np

from warpmeans import _core, _device
from warpmeans._arrays import Kind, as_parameter, as_points, in_shared_map
from warpmeans._progress import Reporter
from warpmeans._result import KMeansResult, make_result

_INITS = {"k-means++": "kmeans++", "k-means||": "kmeans_parallel", "random": "random"}
_INT32_MAX = 2**31 - 1


def kmeans(
    x: Any,
    n_clusters: int,
    *,
    init: Any = "k-means++",
    metric: str = "euclidean",
    weights: Any = None,
    n_init: int = 1,
    max_iter: int = 300,
    tol: float = 1e-4,
    absolute_tol: bool = False,
    fixed_iterations: bool = False,
    seed: int = 0,
    empty: str = "relocate",
    precision: str = "exact",
    threads: int | None = None,
    device: Any = None,
    memory: int | str | None = None,
    checkpoint: Any = None,
    checkpoint_every: int | str = "60s",
    resume: bool = False,
    order: bool = False,
    callback: Callable[[_core.Progress], Any] | None = None,
    verbose: bool = False,
) -> KMeansResult:
    """Cluster points into `n_clusters` by Lloyd's k-means, exactly and reproducibly.

    Every label is the float64 argmin of the points as given, on every exit path; the same input,
    options and seed give the same bits, whatever the number of threads.

    Parameters
    ----------
    x : array (n, d), or (batch, n, d)
        Points: float32, float64, float16, bfloat16, uint8 or int8, read as they are. Arrays of
        NumPy (memory maps too) and of whatever has DLPack, ``__array_interface__``,
        ``__cuda_array_interface__`` or the buffer protocol are not copied; rows may lie any
        number of elements apart, the features of a row must be adjacent. Lists and data frames
        are converted, integers among them to float64. Each item of a batch is a problem of its
        own, with the result that it has alone.
    n_clusters : int
    init : {"k-means++", "k-means||", "random"}, array (k, d) or (batch, k, d), or callable
        Initial centroids. A callable gets ``(x, n_clusters, seed)`` and returns them.
    metric : {"euclidean", "cosine", "inner_product"}
        With "cosine" centroids are unit vectors (spherical k-means).
    weights : array (n,) or (batch, n), optional
        Not negative; converted to float64 unless float32.
    n_init : int
        Attempts with different draws; the one of least inertia is returned.
    max_iter : int
        0: the initial centroids, and their labels.
    tol : float
        Stop when the sum of the centroids' squared shifts is at most tol x mean variance of the
        features. 0: only when no label changes.
    absolute_tol : bool
        `tol` is the bound of that sum itself, whatever the variance.
    fixed_iterations : bool
        Run exactly `max_iter` iterations, whatever happens.
    seed : int
    empty : {"relocate", "keep", "error"}
        What becomes of a cluster without points: it goes to the point farthest from its centroid,
        stays where it was, or is an error.
    precision : {"exact", "native", "tf32"}
        The others than "exact" are for CUDA.
    threads : int, optional
        At most so many; None: the machine's cores.
    device : str, optional
        "cpu", "cuda" or "cuda:INDEX"; None: where the points are.
    memory : int or str, optional
        Take at most so much memory beside the points, results included: bytes, or a word such as
        "300M" or "1G". Points of a `numpy.memmap` are then read chunk by chunk, and its pages
        given up after (docs/limits.md). The result is the same. On a CPU.
    checkpoint : path, optional
        Keep in this file where the fit stands, until it is complete: see `resume`. A file that is
        there already is an error without it. On a CPU.
    checkpoint_every : int or str
        So often: N iterations, or "Ns", N seconds.
    resume : bool
        Go on from the checkpoint, if there is one: the same bits as in one go. Points and options
        must be those of then, or the error says what differs.
    order : bool
        Return the permutation that sorts the points by label too.
    callback : callable, optional
        Called after every iteration with a `Progress`: ``iteration``, ``max_iter``,
        ``batch_item``, ``attempt``, ``inertia``, ``shift``, ``labels_changed``. Returning False
        (any false value but None) ends the fit, with labels that belong to the centroids.
    verbose : bool
        Show progress on stderr: a bar if tqdm is installed, else a line an iteration.

    Returns
    -------
    KMeansResult
        A tuple ``(labels, centroids, inertia, n_iter, counts, order)``, and more as attributes.

    Raises
    ------
    ValueError
        NaN or Inf in the points (the message has row and column), ``n_clusters > n``, empty
        arrays, shapes that do not fit, options out of range, an empty cluster with
        ``empty="error"``.
    TypeError
        Something that is no array, or an array of another dtype or byte order.
    MemoryError
        The message has the bytes needed.
    RuntimeError
        This build or machine cannot do it: CUDA, precision; `memory` and `checkpoint` on a GPU.

    Notes
    -----
    With ``fixed_iterations=True``, points in a GPU's memory (torch, CuPy) are clustered on the
    library's current stream and nothing is waited for, unless a callback, `verbose`,
    ``empty="error"``, "k-means||", ``n_init > 1``, a function as `init`, or "random" with weights
    need the host. All numbers of the result are arrays then; `KMeansResult.bad` says where the
    points had NaN or Inf, weights and given centroids are not looked at (docs/python-gpu.md).

    The interpreter's lock is released meanwhile. What ends a fit from outside (KeyboardInterrupt,
    or an exception of the callback) does so within an iteration, and has the best result so far
    as its attribute ``result``. With `checkpoint` it leaves a checkpoint, which goes on from there.
    A checkpoint that cannot be written is a RuntimeWarning at the end; the fit goes on.

    Examples
    --------
    >>> import numpy as np
    >>> import warpmeans
    >>> x = np.array([[0.0, 0.0], [0.0, 1.0], [10.0, 10.0], [10.0, 11.0]])
    >>> result = warpmeans.kmeans(x, 2)
    >>> result.counts
    array([2, 2])
    >>> result.inertia
    1.0
    >>> labels, centroids, inertia, *_ = result
    >>> centroids[labels]
    array([[ 0. ,  0.5],
           [ 0. ,  0.5],
           [10. , 10.5],
           [10. , 10.5]])
    """
    n_init = _integer("n_init", n_init, 1, _INT32_MAX)
    seed = _integer("seed", seed, 0, 2**64 - 1)
    if callable(init) and n_init > 1 and checkpoint is not None:
        raise ValueError(
            f"n_init ({n_init}) must be 1 where a function makes the centroids of a fit with a "
            "checkpoint"
        )
    device_memory = _device.memory_of(x)
    if device_memory is not None:
        plain = not (callback or verbose or absolute_tol or empty == "error")
        plain = plain and memory is None and checkpoint is None and not resume
        start = _INITS.get(init, init) if isinstance(init, str) else init
        if fixed_iterations and plain and device_memory.draws(start, n_init, weights, device):
            return _device.fit(
                device_memory,
                x,
                _integer("n_clusters", n_clusters, 1, 2**63 - 1),
                start,
                metric=_word("metric", metric),
                weights=weights,
                max_iter=_integer("max_iter", max_iter, 0, _INT32_MAX),
                tol=_number("tol", tol),
                seed=seed,
                empty=_word("empty", empty),
                precision=_word("precision", precision),
                order=bool(order),
            )
        device_memory.refuse_capture()
    points = as_points(x)
    reporter = Reporter(callback, np.ndim(points) == 3, n_init) if verbose else None

    def attempt(start, centroids, n_init):
        fields, exception, failure = _core.fit(
            points,
            _integer("n_clusters", n_clusters, 1, 2**63 - 1),
            start,
            centroids,
            _word("metric", metric),
            None if weights is None else as_parameter(weights, "weights"),
            n_init,
            _integer("max_iter", max_iter, 0, _INT32_MAX),
            _number("tol", tol),
            bool(absolute_tol),
            bool(fixed_iterations),
            seed,
            _word("empty", empty),
            _word("precision", precision),
            _threads(threads),
            "" if device is None else str(device),
            _amount("memory", memory),
            in_shared_map(points),
            "" if checkpoint is None else os.fspath(checkpoint),
            _amount("checkpoint_every", checkpoint_every),
            bool(resume),
            bool(order),
            callback if reporter is None else reporter,
        )
        if failure is not None:
            warnings.warn(failure, RuntimeWarning, stacklevel=3)
        return fields, exception

    with reporter or nullcontext():
        if isinstance(init, str):
            if init not in _INITS:
                raise ValueError(
                    f'init is {init!r}; it must be "k-means++", "k-means||", "random", an array '
                    "or a function of (x, n_clusters, seed)"
                )
            fields, exception = attempt(_INITS[init], None, n_init)
        elif callable(init):
            fields, exception = _best_of_callable(attempt, init, x, n_clusters, seed, n_init)
        else:  # every attempt would be the same
            fields, exception = attempt("given", as_parameter(init, "init"), 1)
    result = make_result(fields, Kind(x), metric)
    if exception is not None:
        with suppress(AttributeError):
            exception.result = result
        raise exception
    return result


def _best_of_callable(attempt, init, x, n_clusters, seed, n_init):
    """The attempt of least inertia, each from centroids that `init` made with another seed."""
    best = None
    for i in range(n_init):
        centroids = as_parameter(init(x, n_clusters, seed + i), "init")
        fields, exception = attempt("given", centroids, 1)
        if np.ndim(fields["inertia"]) and n_init > 1:
            raise ValueError(
                f"n_init ({n_init}) must be 1 where a function makes the centroids of a batch"
            )
        if best is None or fields["inertia"] < best["inertia"]:
            best = fields
        if exception is not None or fields["interrupted"]:
            break
    best["interrupted"] = fields["interrupted"]
    return best, exception


def predict(
    x: Any,
    centroids: Any,
    *,
    metric: str = "euclidean",
    weights: Any = None,
    distances: bool = False,
    threads: int | None = None,
    device: Any = None,
    memory: int | str | None = None,
) -> Any:
    """Label points with the nearest of centroids that are there already.

    Parameters
    ----------
    x : array (n, d), or (batch, n, d)
        Points, as `kmeans` takes them.
    centroids : array (k, d), or (batch, k, d)
    metric : {"euclidean", "cosine", "inner_product"}
    weights : array (n,) or (batch, n), optional
        Checked, and of no influence on labels and distances.
    distances : bool
        Return the distance of each point to its centroid too.
    threads, device, memory
        As in `kmeans`.

    Returns
    -------
    labels : (n,) or (batch, n) int32
        The float64 argmin; among equals the lowest.
    distances : (n,) or (batch, n) float64, only with ``distances=True``
        Squared Euclidean, 1 - cosine, or the negative inner product.

    Raises
    ------
    ValueError, TypeError, MemoryError, RuntimeError
        As `kmeans` does.

    Examples
    --------
    >>> import numpy as np
    >>> import warpmeans
    >>> warpmeans.predict(np.array([[1.0], [9.0]]), np.array([[0.0], [10.0]]))
    array([0, 1], dtype=int32)
    """
    kind = Kind(x)
    labels, values, _ = assign(
        x,
        centroids,
        metric=metric,
        weights=weights,
        distances=bool(distances),
        threads=threads,
        device=device,
        memory=memory,
    )
    return (kind.answer(labels), kind.answer(values)) if distances else kind.answer(labels)


def assign(x, centroids, *, metric, weights, threads, device, memory, distances=False):
    """NumPy's labels, distances or None, and inertia: what `predict` and `score` return of."""
    points = as_points(x)
    return _core.predict(
        points,
        as_parameter(centroids, "centroids"),
        _word("metric", metric),
        None if weights is None else as_parameter(weights, "weights"),
        distances,
        _threads(threads),
        "" if device is None else str(device),
        _amount("memory", memory),
        in_shared_map(points),
    )


def transform(
    x: Any,
    centroids: Any,
    *,
    metric: str = "euclidean",
    threads: int | None = None,
    device: Any = None,
) -> Any:
    """Distances of points to every centroid.

    Parameters
    ----------
    x : array (n, d), or (batch, n, d)
        Points, as `kmeans` takes them.
    centroids : array (k, d), or (batch, k, d)
    metric : {"euclidean", "cosine", "inner_product"}
    threads, device
        As in `kmeans`.

    Returns
    -------
    distances : (n, k) or (batch, n, k) float32, or float64 for float64 points
        Euclidean (not squared), 1 - cosine, or the negative inner product.

    Raises
    ------
    ValueError, TypeError, MemoryError, RuntimeError
        As `kmeans` does.

    Examples
    --------
    >>> import numpy as np
    >>> import warpmeans
    >>> warpmeans.transform(np.array([[3.0, 4.0]]), np.array([[0.0, 0.0], [3.0, 0.0]]))
    array([[5., 4.]])
    """
    return Kind(x).answer(
        _core.transform(
            as_points(x),
            as_parameter(centroids, "centroids"),
            _word("metric", metric),
            _threads(threads),
            "" if device is None else str(device),
        )
    )


def show_config() -> None:
    """Print versions, and what this build and machine can run."""
    print(f"warpmeans {_core.version()}")
    print(f"numpy {np.__version__}")
    print(f"kernel {kmeans(np.zeros((1, 1)), 1).kernel}")
    print(f"built with CUDA: {'yes' if _core.has_cuda() else 'no'}")
    print(f"GPUs that can be used: {_core.device_count()}")


def _integer(name, value, lowest, highest):
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, not {value!r}") from None
    if not lowest <= number <= highest:
        raise ValueError(f"{name} ({number}) must be from {lowest} to {highest}")
    return number


def _number(name, value):
    try:
        return float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number, not {value!r}") from None


def _word(name, value):
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string, not {value!r}")
    return value


def _amount(name, value):
    """A number, or a word such as "1G" or "60s", as a word for the core to parse."""
    if value is None or isinstance(value, str):
        return value
    return str(_integer(name, value, 1, 2**63 - 1))


def _threads(value):
    return 0 if value is None else _integer("threads", value, 1, _INT32_MAX)
