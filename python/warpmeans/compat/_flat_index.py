"""Exact search among a few vectors: what `faiss.Kmeans.index` is used for after training."""

from __future__ import annotations

from typing import Any

import numpy as np

import warpmeans
from warpmeans.compat._common import as_points, cast, to_numpy

METRIC_INNER_PRODUCT = 0
METRIC_L2 = 1


class FlatIndex:
    """The centroids, for exact search: the part of faiss.IndexFlat that users of Kmeans need."""

    is_trained = True

    def __init__(self, d: int, metric_type: int = METRIC_L2, device: str | None = None):
        self.d = d
        self.metric_type = metric_type
        self._device = device
        self.reset()

    @property
    def ntotal(self) -> int:
        """Number of vectors."""
        return len(self._vectors)

    def reset(self) -> None:
        """Remove all vectors."""
        self._vectors = np.empty((0, self.d), np.float32)

    def add(self, x: Any) -> None:
        """Append (n, d) vectors."""
        vectors = to_numpy(cast(as_points(x, self.d), "float32"))
        self._vectors = np.concatenate([self._vectors, vectors])

    def search(self, x: Any, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The `k` nearest vectors of each point.

        Returns
        -------
        distances : (n, k) float32
            Squared Euclidean, or inner products; nearest first.
        indices : (n, k) int64
            -1 where there are fewer than `k` vectors.
        """
        x = as_points(x, self.d)
        sign = 1 if self.metric_type == METRIC_L2 else -1
        metric = "euclidean" if self.metric_type == METRIC_L2 else "inner_product"
        indices = np.full((len(x), k), -1, np.int64)
        distances = np.full((len(x), k), np.finfo(np.float32).max * sign, np.float32)
        if self.ntotal == 0 or len(x) == 0:
            return distances, indices
        if k == 1:
            labels, values = warpmeans.predict(
                x, self._vectors, metric=metric, distances=True, device=self._device
            )
            indices[:, 0] = to_numpy(labels)
            distances[:, 0] = to_numpy(values) * sign
            return distances, indices
        found = min(k, self.ntotal)
        rows = max(1, 2**24 // self.ntotal)
        for begin in range(0, len(x), rows):
            block = x[begin : begin + rows]
            values = warpmeans.transform(block, self._vectors, metric=metric, device=self._device)
            values = to_numpy(values)
            nearest = np.argsort(values, axis=1, kind="stable")[:, :found]
            values = np.take_along_axis(values, nearest, 1)
            indices[begin : begin + rows, :found] = nearest
            distances[begin : begin + rows, :found] = values**2 if sign == 1 else -values
        return distances, indices
