"""The interface of flash-kmeans 0.3.1, without torch's or Triton's help, also on a CPU.

Tensors may be torch's, or arrays NumPy's; answers are of the same kind and where the points are.
The same torch seed draws the same initial centroids as flash-kmeans. What differs:

- Labels belong to the returned centroids; flash-kmeans' are one update older, unless it stopped by
  `tol`.
- Iterations end when nothing changes any more, also with ``tol=0``; `n_iters` counts those run. On
  CUDA tensors ``tol=0`` runs all of them, as flash-kmeans does, and waits for nothing.
- `tol` bounds the root of the summed squared shifts, never less than flash-kmeans' largest shift.
  In a batch every item stops by itself.
- 16-bit points are read exactly. On a CPU labels belong to float32 centroids, which are rounded to
  16 bits once, at the end; on CUDA (`precision` "native") to centroids rounded as flash-kmeans'.
- `n_clusters` may not exceed the number of points.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import warpmeans
from warpmeans.compat._common import below_squared, cast, to_numpy, torch_of

__version__ = "0.3.1"

__all__ = [
    "FlashKMeans",
    "batch_kmeans_Cosine",
    "batch_kmeans_Dot",
    "batch_kmeans_Euclid",
    "kmeans_largeN",
    "kmeans_largeN_assign",
]


def __getattr__(name: str) -> Any:
    raise AttributeError(
        f"warpmeans.compat.flash_kmeans has no {name!r}; of flash_kmeans it has "
        f"{', '.join(__all__)}"
    )


def batch_kmeans_Euclid(
    x: Any,
    n_clusters: int,
    max_iters: int = 100,
    tol: float = 0.0,
    init_centroids: Any = None,
    verbose: bool = False,
    *,
    use_heuristic: bool = True,
) -> tuple[Any, Any, int]:
    """Lloyd's k-means of every item of a batch, Euclidean.

    Parameters
    ----------
    x : (B, N, D) tensor or array
    n_clusters : int
    max_iters : int
        Iterations at most.
    tol : float
        Stop when centroids move less; 0: when nothing changes.
    init_centroids : (B, n_clusters, D), optional
        Default: points drawn with replacement, from the global generator of torch (or NumPy).
    verbose : bool
        Show progress.
    use_heuristic : bool
        Without meaning here: there is no autotuner.

    Returns
    -------
    cluster_ids : (B, N) int32
    centroids : (B, n_clusters, D), in the dtype of `x`
        An empty cluster keeps its centroid.
    n_iters : int
        Iterations of the item that took most; of CUDA tensors with ``tol=0``: `max_iters`.

    Raises
    ------
    ValueError
        For wrong shapes, NaN or Inf, or more clusters than points.

    Examples
    --------
    >>> import numpy as np
    >>> from warpmeans.compat.flash_kmeans import batch_kmeans_Euclid
    >>> x = np.array([[[0, 0], [0, 1], [10, 10], [10, 11]]], np.float32)
    >>> ids, centers, n_iters = batch_kmeans_Euclid(x, 2, init_centroids=x[:, [0, 2]])
    >>> ids
    array([[0, 0, 1, 1]], dtype=int32)
    >>> centers[0, :, 1]
    array([ 0.5, 10.5], dtype=float32)
    """
    centroids = _initial_centroids(x, n_clusters, init_centroids)
    return _lloyd(x, centroids, max_iters, tol, verbose)


def batch_kmeans_Cosine(
    x: Any,
    n_clusters: int,
    max_iters: int = 100,
    tol: float = 0.0,
    init_centroids: Any = None,
    verbose: bool = False,
) -> tuple[Any, Any, int]:
    """Spherical k-means of every item of a batch; see `batch_kmeans_Euclid`.

    Points are taken at unit length, centroids have it.
    """
    centroids = _initial_centroids(x, n_clusters, init_centroids)
    return _lloyd(x, centroids, max_iters, tol, verbose, metric="cosine")


def batch_kmeans_Dot(
    x: Any,
    n_clusters: int,
    max_iters: int = 100,
    tol: float = 0.0,
    init_centroids: Any = None,
    verbose: bool = False,
) -> tuple[Any, Any, int]:
    """K-means by the largest dot product of every item of a batch; see `batch_kmeans_Euclid`.

    As in flash-kmeans a centroid is the mean of its points brought to unit length, and only the
    initial centroids have another: the first iteration is of inner products, the others are
    spherical k-means of points that weigh as much as they are long.
    """
    centroids = _initial_centroids(x, n_clusters, init_centroids)
    _, centroids, done = _lloyd(x, centroids, min(max_iters, 1), 0.0, False, metric="inner_product")
    if _is_enqueued(x, tol, verbose):
        lengths = torch_of(x).linalg.vector_norm(x, dim=-1, dtype=torch_of(x).float64)
    else:  # weights are read on the host
        origin = np.zeros((1, x.shape[-1]), np.float32)
        lengths = to_numpy(warpmeans.transform(x, origin))[..., 0]
    labels, centroids, n_iters = _lloyd(
        x, centroids, max_iters - done, tol, verbose, metric="cosine", weights=lengths
    )
    return labels, centroids, done + n_iters


def kmeans_largeN(
    x: Any,
    n_clusters: int,
    max_iters: int = 100,
    tol: float = 0.0,
    verbose: bool = False,
    BLOCK_N: int = 1048576,
    init_centroids: Any = None,
    device: Any = None,
    dtype: Any = None,
) -> tuple[Any, Any]:
    """Lloyd's k-means of (N, D) points, Euclidean; see `batch_kmeans_Euclid`.

    Parameters
    ----------
    BLOCK_N : int
        Without meaning here: points are read where they are, in blocks of Warpmeans' choice.
    device : torch.device or str, optional
        Where to run. Default: where the points are.
    dtype : torch.dtype, optional
        Of the centroids returned. Points are read exactly in their own.

    Returns
    -------
    cluster_ids : (N,) int32
    centroids : (n_clusters, D)
    """
    x = _batch(x, (2,))
    centroids = _initial_centroids(x, n_clusters, init_centroids)
    labels, centroids, _ = _lloyd(x, centroids, max_iters, tol, verbose, device=device, dtype=dtype)
    return labels[0], centroids[0]


def kmeans_largeN_assign(
    x: Any, centroids: Any, BLOCK_N: int = 1048576, device: Any = None, dtype: Any = None
) -> Any:
    """Labels of the nearest centroids: (N,) int32 for (N, D) points.

    `BLOCK_N` and `dtype` have no meaning here: points are read exactly where they are.
    """
    return warpmeans.predict(x, centroids, device=device)


class FlashKMeans:
    """K-means of (n, d) or (B, n, d) points, Euclidean.

    Parameters
    ----------
    d, k : int
        Features; clusters.
    niter : int
        Iterations at most.
    tol : float
        Stop when centroids move less.
    seed : int
        Of the draw of the initial centroids. Torch's global generator is left alone.
    verbose : bool
        Show progress.
    dtype : torch.dtype, optional
        Of the centroids. Points are read exactly in their own.
    device : torch.device or str, optional
        Where to run. Default: where the points are.
    use_triton, chunk_size_data, chunk_size_centroids, chunk_size_data_cpu
        Without meaning here.

    Attributes
    ----------
    centroids_b : (B, k, d); B is 1 for points (n, d)
    cluster_ids_b : (B, n) int32
    """

    def __init__(
        self,
        d: int,
        k: int,
        niter: int = 25,
        tol: float = 1e-8,
        use_triton: bool = True,
        seed: int = 0,
        chunk_size_data: int = 32768,
        chunk_size_centroids: int = 1024,
        chunk_size_data_cpu: int = 1048576,
        verbose: bool = False,
        dtype: Any = None,
        device: Any = None,
    ):
        self.d = int(d)
        self.k = int(k)
        self.niter = int(niter)
        self.tol = float(tol)
        self.use_triton = bool(use_triton)
        self.seed = int(seed)
        self.chunk_size_data = int(chunk_size_data)
        self.chunk_size_centroids = int(chunk_size_centroids)
        self.chunk_size_data_cpu = int(chunk_size_data_cpu)
        self.verbose = bool(verbose)
        self.dtype = dtype
        self.device = device
        self.centroids_b = None
        self.cluster_ids_b = None
        self._batch_size = None

    def train(self, data: Any) -> None:
        """Cluster (n, d) or (B, n, d) points."""
        x = self._checked(data)
        self._batch_size = data.shape[0] if data.ndim == 3 else None
        self.cluster_ids_b, self.centroids_b, _ = _lloyd(
            x,
            _initial_centroids(x, self.k, None, self.seed),
            self.niter,
            self.tol,
            self.verbose,
            device=self.device,
            dtype=self.dtype,
        )

    def fit(self, data: Any) -> FlashKMeans:
        """Cluster, and return self."""
        self.train(data)
        return self

    def predict(self, data: Any) -> Any:
        """Labels of the nearest centroids: (n,) or (B, n) int32, as the points are."""
        if self.centroids_b is None:
            raise RuntimeError("Model not trained. Call train() or fit() first.")
        x = self._checked(data)
        batch_size = data.shape[0] if data.ndim == 3 else None
        if batch_size != self._batch_size:
            raise ValueError(
                f"trained with batch size B={self._batch_size}, but predict got B={batch_size}"
            )
        labels = warpmeans.predict(x, self.centroids_b, device=self.device)
        return labels[0] if batch_size is None else labels

    def fit_predict(self, data: Any) -> Any:
        """Cluster; the labels as from `predict`."""
        self.train(data)
        return self.cluster_ids_b[0] if self._batch_size is None else self.cluster_ids_b

    def _checked(self, data: Any) -> Any:
        x = _batch(data, (2, 3))
        if x.shape[-1] != self.d:
            raise ValueError(f"points have {x.shape[-1]} features; d is {self.d}")
        return x


def _batch(x: Any, allowed: tuple[int, ...]) -> Any:
    """The points as a batch, of one item if they are (n, d)."""
    if not hasattr(x, "ndim"):
        raise TypeError(f"x is a {type(x).__name__}; it must be a tensor or an array")
    if x.ndim not in allowed:
        shapes = {2: "(n, d)", 3: "(B, n, d)"}
        expected = " or ".join(shapes[ndim] for ndim in allowed)
        raise ValueError(f"x has the shape {tuple(x.shape)}; it must be {expected}")
    return x[None] if x.ndim == 2 else x


def _initial_centroids(x: Any, n_clusters: int, given: Any, seed: int | None = None) -> Any:
    """(B, k, d): the given ones, or points drawn with replacement as flash-kmeans does."""
    b, n, d = _batch(x, (3,)).shape
    if n_clusters > n:
        raise ValueError(f"n_clusters ({n_clusters}) exceeds n_samples ({n})")
    if given is not None:
        if math.prod(given.shape) != b * n_clusters * d:
            raise ValueError(
                f"init_centroids has the shape {tuple(given.shape)}; "
                f"it must be ({b}, {n_clusters}, {d})"
            )
        return given.reshape(b, n_clusters, d)
    torch = torch_of(x)
    if torch is None:
        random = np.random if seed is None else np.random.RandomState(seed)
        return np.take_along_axis(x, random.randint(0, n, (b, n_clusters))[..., None], 1)
    generator = None if seed is None else torch.Generator(x.device).manual_seed(seed)
    rows = torch.randint(0, n, (b, n_clusters), device=x.device, generator=generator)
    return torch.gather(x, 1, rows[..., None].expand(-1, -1, d))


def _lloyd(
    x: Any,
    centroids: Any,
    max_iters: int,
    tol: float,
    verbose: bool,
    *,
    weights: Any = None,
    dtype: Any = None,
    **options: Any,
) -> tuple[Any, Any, int]:
    """Labels, centroids and the number of iterations of a batch, as the functions return them."""
    enqueued = _is_enqueued(x, tol, verbose, options.get("device"))
    narrow = str(x.dtype).endswith(("float16", "bfloat16"))
    result = warpmeans.kmeans(
        x,
        centroids.shape[1],
        init=centroids,
        weights=weights,
        max_iter=max_iters,
        tol=below_squared(tol),
        absolute_tol=tol > 0,
        fixed_iterations=enqueued,
        empty="keep",
        precision="native" if narrow and getattr(x, "is_cuda", False) else "exact",
        verbose=verbose,
        **options,
    )
    centroids = cast(result.centroids, x.dtype if dtype is None else dtype)
    return result.labels, centroids, max_iters if enqueued else int(result.n_iter.max())


def _is_enqueued(x: Any, tol: float, verbose: bool, device: Any = None) -> bool:
    """Whether all iterations are run and none is waited for."""
    on_cuda = getattr(x, "is_cuda", False)
    return on_cuda and tol <= 0 and not verbose and str(device or "cuda").startswith("cuda")
