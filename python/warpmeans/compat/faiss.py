"""The interface of faiss.Kmeans (faiss 1.15), without faiss.

The same seed draws the same initial centroids, and the same subsample, as faiss. What differs:

- An empty cluster moves to the point farthest from its centroid; faiss splits a large cluster.
- Labels are exact, sums too; iterations end when nothing changes any more, an iteration before
  faiss sees that its objective does not.
- k-means++ tries several candidates a step; AFK-MC2, its approximation, is k-means++ here.
- `obj` counts weights, where they are given.
- `iteration_stats` have ``nan`` for `imbalance_factor` (but in the last row) and for `nsplit`.
- `index` is a `FlatIndex`: ``search``, ``add``, ``reset``, ``ntotal``, ``d``.
"""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

import warpmeans
from warpmeans.compat._common import (
    as_points,
    cast,
    cuda_works,
    seeded,
    shuffled_rows,
    split_mix,
    to_kind_of,
    to_numpy,
)
from warpmeans.compat._flat_index import METRIC_INNER_PRODUCT, METRIC_L2, FlatIndex

__version__ = "1.15.1"

__all__ = [
    "METRIC_INNER_PRODUCT",
    "METRIC_L2",
    "ClusteringInitMethod_AFK_MC2",
    "ClusteringInitMethod_KMEANS_PLUS_PLUS",
    "ClusteringInitMethod_RANDOM",
    "ClusteringParameters",
    "FlatIndex",
    "Kmeans",
]

ClusteringInitMethod_RANDOM = 0
ClusteringInitMethod_KMEANS_PLUS_PLUS = 1
ClusteringInitMethod_AFK_MC2 = 2


def __getattr__(name: str) -> Any:
    raise AttributeError(
        f"warpmeans.compat.faiss has no {name!r}; of faiss it has only Kmeans, and what belongs to "
        "that: install faiss for the rest"
    )


@dataclass(slots=True)
class ClusteringParameters:
    """The keyword arguments of `Kmeans`; they can be changed as ``kmeans.cp.niter = 10``."""

    niter: int = 25
    nredo: int = 1
    verbose: bool = False
    spherical: bool = False
    int_centroids: bool = False
    update_index: bool = False
    frozen_centroids: bool = False
    min_points_per_centroid: int = 39
    max_points_per_centroid: int = 256
    seed: int = 1234
    decode_block_size: int = 32768
    check_input_data_for_NaNs: bool = True
    use_faster_subsampling: bool = False
    init_method: int = ClusteringInitMethod_RANDOM
    afkmc2_chain_length: int = 50
    early_stop_threshold: float = 0.0
    use_super_kmeans: bool = False


class Kmeans:
    """K-means of float32 points.

    Parameters
    ----------
    d, k : int
        Features; clusters.
    gpu : bool or int
        True or -1: on a GPU if there is one. A number: on a GPU; one does the work.
    niter : int
        Iterations at most, 25.
    nredo : int
        Attempts with other initial centroids; the one of the best objective is kept.
    verbose : bool
        Show progress.
    spherical : bool
        Centroids have unit length, points go to that of the largest inner product.
    int_centroids : bool
        Round centroids to integers after every iteration.
    frozen_centroids : bool
        Do not move the centroids given to `train`. Other clusters that run empty stay, too.
    min_points_per_centroid : int
        With fewer points: a warning.
    max_points_per_centroid : int
        With more points: train on `k` times this many, drawn. Set it to ``10**9`` to use all.
    seed : int
        1234; negative: another every time.
    use_faster_subsampling : bool
        Draw the subsample with replacement.
    init_method : int
        `ClusteringInitMethod_RANDOM`, or one of the two others: k-means++.
    early_stop_threshold : float
        Stop when the objective changes by no more than this share of itself.
    update_index, decode_block_size, afkmc2_chain_length, use_super_kmeans
        Without meaning here.
    check_input_data_for_NaNs : bool
        Without meaning here: they are always looked for.

    Attributes
    ----------
    centroids : (k, d) float32
    obj : (iterations,) float64
        The objective: sum of squared distances, or of inner products if spherical, in each
        iteration of all attempts up to the best.
    iteration_stats : list of dict
        ``obj``, ``time`` and ``time_search`` (seconds so far), ``imbalance_factor``, ``nsplit``.
    index : FlatIndex
        Has the centroids.
    cp : ClusteringParameters

    Raises
    ------
    AttributeError
        For a parameter that faiss does not have.
    NotImplementedError
        For ``progressive_dim_steps``; for ``int_centroids`` with ``spherical``.

    Examples
    --------
    >>> import numpy as np
    >>> from warpmeans.compat.faiss import Kmeans
    >>> x = np.array([[0, 0], [0, 1], [10, 10], [10, 11]], np.float32)
    >>> kmeans = Kmeans(2, 2, niter=5, min_points_per_centroid=1)
    >>> float(kmeans.train(x))
    1.0
    >>> distances, labels = kmeans.index.search(x, 1)
    >>> kmeans.centroids[labels.ravel()][:, 1]
    array([ 0.5,  0.5, 10.5, 10.5], dtype=float32)
    """

    def __init__(self, d: int, k: int, **kwargs: Any):
        if "progressive_dim_steps" in kwargs:
            raise NotImplementedError("progressive_dim_steps is not there: all of d is clustered")
        self.d = d
        self.reset(k)
        self.gpu = False
        self.cp = ClusteringParameters()
        for name, value in kwargs.items():
            if name == "gpu":
                self.gpu = cuda_works() if value is True or value == -1 else value
            else:
                setattr(self.cp, name, value)
        self.set_index()

    def set_index(self) -> None:
        """Make an empty `index` for the metric."""
        metric_type = METRIC_INNER_PRODUCT if self.cp.spherical else METRIC_L2
        self.index = FlatIndex(self.d, metric_type, self._device())

    def reset(self, k: int | None = None) -> None:
        """Forget the result, and take another number of clusters if given."""
        if k is not None:
            self.k = int(k)
        if self.k < 1:
            raise ValueError(f"k is {self.k}; it must be at least 1")
        self.centroids = None
        self.obj = None
        self.iteration_stats = None

    def train(self, x: Any, weights: Any = None, init_centroids: Any = None) -> float:
        """Cluster.

        Parameters
        ----------
        x : (n, d) array
        weights : (n,) array, optional
        init_centroids : (m, d) array with m <= k, optional
            The first initial centroids; points drawn are the others.

        Returns
        -------
        float
            The objective of the last iteration.

        Raises
        ------
        ValueError
            For wrong shapes.
        RuntimeError
            As in faiss, for fewer points than clusters, and for NaN and Inf.
        """
        if self.cp.int_centroids and self.cp.spherical:
            raise NotImplementedError("int_centroids and spherical cannot be combined")
        x = as_points(x, self.d)
        seed = self.cp.seed if self.cp.seed >= 0 else time.time_ns()
        x, weights = self._training_set(x, weights, seed)
        if len(x) == self.k:
            self.centroids = to_numpy(cast(x, "float32")).copy()
            self.iteration_stats = _stats(np.zeros(1), np.zeros(1), np.zeros(1), 1.0)
            self.iteration_stats[0]["nsplit"] = 0
        else:
            try:
                self._train_attempts(x, weights, init_centroids, seed)
            except ValueError as error:
                raise RuntimeError(str(error)) from error
        self.obj = np.array([row["obj"] for row in self.iteration_stats])
        self.index.reset()
        self.index.add(self.centroids)
        return self.obj[-1] if self.obj.size else 0.0

    def assign(self, x: Any) -> tuple[np.ndarray, np.ndarray]:
        """Nearest centroids of (n, d) points: distances (n,) float32, indices (n,) int64."""
        if self.centroids is None:
            raise RuntimeError("train before assigning")
        self.index.reset()
        self.index.add(self.centroids)
        distances, indices = self.index.search(x, 1)
        return distances.ravel(), indices.ravel()

    def _device(self) -> str | None:
        return "cuda" if self.gpu else None

    def _training_set(self, x: Any, weights: Any, seed: int) -> tuple[Any, Any]:
        """The points to train on, and their weights."""
        n, k, cp = len(x), self.k, self.cp
        if cp.max_points_per_centroid < 1:
            raise ValueError(
                f"max_points_per_centroid is {cp.max_points_per_centroid}; it must be at least 1"
            )
        if cp.nredo < 1:
            raise ValueError(f"nredo is {cp.nredo}; it must be at least 1")
        if weights is not None:
            weights = np.asarray(to_numpy(weights))
            if weights.shape != (n,):
                raise ValueError(f"weights have the shape {weights.shape}, not ({n},)")
        if n < k:
            raise RuntimeError(
                f"Number of training points ({n}) should be at least as large as number of "
                f"clusters ({k})"
            )
        if n < k * cp.min_points_per_centroid:
            warnings.warn(
                f"clustering {n} points to {k} centroids: please provide at least "
                f"{k * cp.min_points_per_centroid} training points",
                stacklevel=3,
            )
        size = k * cp.max_points_per_centroid
        if n <= size:
            return x, weights
        if cp.use_faster_subsampling:
            rows = split_mix(seed, size) % np.uint64(n)
        else:
            rows = shuffled_rows(n, size, seeded(seed))
        rows = rows.astype(np.int64)
        return x[rows], None if weights is None else weights[rows]

    def _train_attempts(self, x: Any, weights: Any, given: Any, seed: int) -> None:
        """Set centroids and iteration_stats to those of the best of nredo attempts."""
        options = {
            "weights": weights,
            "empty": "keep" if self.cp.frozen_centroids else "relocate",
            "device": self._device(),
            "verbose": self.cp.verbose,
            "tol": 0.0,
        }
        total = 0.0
        if self.cp.spherical:
            # A mean of points is a mean of unit rows that weigh as much as the points are long.
            origin = np.zeros((1, self.d), np.float32)
            lengths = to_numpy(warpmeans.transform(x, origin, device=self._device()))[:, 0]
            weighted_lengths = lengths if weights is None else lengths * weights
            options["metric"] = "cosine"
            options["weights"] = weighted_lengths
            total = float(weighted_lengths.sum(dtype=np.float64))
        stats, best = [], None
        for attempt in range(self.cp.nredo):
            attempt_seed = seed + 1 + attempt * 15486557
            options["init"] = self._initial_centroids(x, given, attempt_seed)
            options["seed"] = attempt_seed
            centroids, rows = self._iterate(x, 0 if given is None else len(given), total, options)
            stats += rows
            obj = rows[-1]["obj"] if rows else 0.0
            if best is None or (obj > best if self.cp.spherical else obj < best):
                best = obj
                self.centroids = to_numpy(centroids)
                self.iteration_stats = list(stats)

    def _initial_centroids(self, x: Any, given: Any, seed: int) -> Any:
        """An array, or the name of an init."""
        m = 0 if given is None else len(given)
        if m > self.k:
            raise ValueError(f"init_centroids has {m} rows, more than k = {self.k}")
        if self.cp.init_method != ClusteringInitMethod_RANDOM and m == 0:
            return "k-means++"
        if self.cp.init_method != ClusteringInitMethod_RANDOM and m < self.k:
            raise NotImplementedError(f"k-means++ cannot start from {m} given centroids")
        if m:
            given = cast(to_kind_of(x, as_points(given, self.d)), "float32")
        if m == self.k:
            return given
        rows = shuffled_rows(len(x), self.k, seeded(seed))
        centroids = cast(x[rows], "float32")
        if m:
            centroids[:m] = given
        return centroids

    def _iterate(
        self, x: Any, n_given: int, total: float, options: dict[str, Any]
    ) -> tuple[Any, list[dict[str, float]]]:
        """One attempt: its centroids and a row of statistics an iteration."""
        cp = self.cp
        early_stop = _EarlyStop(cp.early_stop_threshold, total)
        frozen = n_given if cp.frozen_centroids else 0
        if not frozen and not cp.int_centroids:
            callback = early_stop if cp.early_stop_threshold > 0 else None
            result = warpmeans.kmeans(x, self.k, max_iter=cp.niter, callback=callback, **options)
            return result.centroids, self._rows([result], total)
        results = [warpmeans.kmeans(x, self.k, max_iter=0, **options)]
        centroids = start = self._rounded(results[0].centroids)
        for _ in range(cp.niter):
            options["init"] = centroids
            results.append(warpmeans.kmeans(x, self.k, max_iter=1, **options))
            centroids = self._rounded(results[-1].centroids)
            centroids[:frozen] = start[:frozen]
            if not early_stop(results[-1].history[0]):
                break
        return centroids, self._rows(results, total)

    def _rounded(self, centroids: Any) -> Any:
        if not self.cp.int_centroids:
            return centroids
        centroids = to_numpy(centroids)
        return np.copysign(np.floor(np.abs(centroids) + 0.5), centroids)

    def _rows(self, results: list[warpmeans.KMeansResult], total: float) -> list[dict[str, float]]:
        def column(name):
            return np.concatenate([result.history[name] for result in results])

        obj = column("inertia")
        counts = to_numpy(results[-1].counts).astype(np.float64)
        return _stats(
            total - obj if self.cp.spherical else obj,
            column("seconds").cumsum(),
            column("seconds_assign").cumsum(),
            self.k * (counts @ counts) / counts.sum() ** 2,
        )


class _EarlyStop:
    """False when the objective changes by no more than a share of itself."""

    def __init__(self, threshold: float, total: float):
        self.threshold = threshold
        self.total = total
        self.previous: float | None = None

    def __call__(self, progress: Any) -> bool:
        inertia = progress["inertia"] if isinstance(progress, np.void) else progress.inertia
        obj = self.total - inertia
        previous, self.previous = self.previous, obj
        return previous is None or abs(previous - obj) > self.threshold * abs(previous)


def _stats(
    obj: np.ndarray, seconds: np.ndarray, seconds_search: np.ndarray, imbalance: float
) -> list[dict[str, float]]:
    """iteration_stats; the imbalance is known of the last iteration."""
    rows = [
        {
            "obj": value,
            "time": so_far,
            "time_search": search,
            "imbalance_factor": np.nan,
            "nsplit": np.nan,
        }
        for value, so_far, search in zip(
            obj.tolist(), seconds.tolist(), seconds_search.tolist(), strict=True
        )
    ]
    if rows:
        rows[-1]["imbalance_factor"] = float(imbalance)
    return rows
