"""The interface of fastkmeans 0.5 without torch or Triton; points may be NumPy's or torch's.

The same seed draws the same initial centroids, and the same subsample, as fastkmeans. What differs:

- An empty cluster moves to the point farthest from its centroid; fastkmeans draws a point.
- Iterations end when nothing changes any more, also with ``tol=-1``.
- `tol` bounds a sum that is never less than fastkmeans' sum of shifts.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import warpmeans
from warpmeans.compat._common import (
    as_points,
    below_squared,
    cast,
    cuda_works,
    seeded,
    shuffled_rows,
    to_numpy,
)

__version__ = "0.5.0"
__all__ = ["FastKMeans"]


class FastKMeans:
    """K-means with the methods of faiss and of scikit-learn.

    Parameters
    ----------
    d, k : int
        Features; clusters.
    niter : int
        Iterations at most.
    tol : float
        Stop when the centroids together move less.
    gpu : bool
        True: run on a GPU if there is one. False: on the CPU.
    seed : int
        Of the initial centroids (distinct points) and the subsample.
    max_points_per_centroid : int or None
        If there are more than `k` times as many points, train on that many, drawn.
    device : str, int or torch.device, optional
        Where to run; an int is a GPU's number.
    verbose : bool
        Show progress.
    nredo : int
        Must be 1, as in fastkmeans.
    chunk_size_data, chunk_size_centroids, dtype, pin_gpu_memory, use_triton
        Without meaning here: points are read exactly, where they are.

    Attributes
    ----------
    centroids : (k, d) NumPy float32, or None before `train`

    Examples
    --------
    >>> import numpy as np
    >>> from warpmeans.compat.fastkmeans import FastKMeans
    >>> x = np.array([[0, 0], [0, 1], [10, 10], [10, 11]], np.float32)
    >>> kmeans = FastKMeans(d=2, k=2, gpu=False)
    >>> labels = kmeans.fit_predict(x)
    >>> kmeans.centroids[labels][:, 1]
    array([ 0.5,  0.5, 10.5, 10.5], dtype=float32)
    """

    def __init__(
        self,
        d: int,
        k: int,
        niter: int = 25,
        tol: float = 1e-8,
        gpu: bool = True,
        seed: int = 0,
        max_points_per_centroid: int | None = 1_000_000_000,
        chunk_size_data: int = 51_200,
        chunk_size_centroids: int = 10_240,
        device: Any = None,
        dtype: Any = None,
        pin_gpu_memory: bool = True,
        verbose: bool = False,
        nredo: int = 1,
        use_triton: bool | None = None,
    ):
        if nredo != 1:
            raise ValueError(f"nredo is {nredo}; it must be 1")
        self.d = d
        self.k = k
        self.niter = niter
        self.tol = tol
        self.seed = seed
        self.max_points_per_centroid = max_points_per_centroid
        self.chunk_size_data = chunk_size_data
        self.chunk_size_centroids = chunk_size_centroids
        self.device = _device(gpu, device)
        self.centroids = None
        self.dtype = dtype
        self.pin_gpu_memory = pin_gpu_memory
        self.verbose = verbose
        self.use_triton = use_triton

    def train(self, data: Any) -> None:
        """Cluster (n, d) points and set `centroids`.

        Raises
        ------
        ValueError
            For wrong shapes, NaN or Inf, or fewer points than clusters.
        """
        x = as_points(data, self.d)
        generator = seeded(self.seed)
        n, limit = len(x), self.max_points_per_centroid
        if limit is not None and n > self.k * limit:
            x = x[shuffled_rows(n, self.k * limit, generator)]
            # torch has drawn the whole permutation before it goes on to the next
            generator.randint(0, 2**32, size=n - 1 - len(x), dtype=np.uint32)
            n = len(x)
        if n < self.k:
            raise ValueError(f"Number of training points ({n}) is less than k ({self.k}).")
        result = warpmeans.kmeans(
            x,
            self.k,
            init=x[shuffled_rows(n, self.k, generator)],
            max_iter=self.niter,
            # The sum of k shifts is at most the root of k times the sum of their squares.
            tol=below_squared(self.tol) / self.k,
            absolute_tol=self.tol > 0,
            device=self.device,
            verbose=self.verbose,
        )
        self.centroids = to_numpy(result.centroids)

    def fit(self, data: Any) -> FastKMeans:
        """Cluster, and return self."""
        self.train(data)
        return self

    def predict(self, data: Any) -> np.ndarray:
        """Labels of the nearest centroids, (n,) int64 of NumPy."""
        if self.centroids is None:
            raise RuntimeError("Must call train() or fit() before predict().")
        labels = warpmeans.predict(as_points(data, self.d), self.centroids, device=self.device)
        return cast(to_numpy(labels), "int64")

    def fit_predict(self, data: Any) -> np.ndarray:
        """Cluster; labels of all points, as from `predict`."""
        self.fit(data)
        return self.predict(data)


def _device(gpu: bool, device: Any) -> str | None:
    """What kmeans takes; None is where the points are."""
    if gpu is False:
        return "cpu"
    if device is None or isinstance(device, int):
        index = "" if device is None else f":{device}"
        return f"cuda{index}" if cuda_works() else None
    return str(device)
