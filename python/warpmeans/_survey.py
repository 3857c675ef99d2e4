"""What a report says of points and clusters, in one pass over points that may be on disk."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from warpmeans._files import Model
from warpmeans._functional import predict
from warpmeans._pictures import as_compared, sample_rows

_CHUNK_BYTES = 1 << 25
_PAIRS = 1 << 22  # distances held at once


@dataclass
class Survey:
    """Figures of ``n`` points in ``k`` clusters. Arrays are (k,); NaN where there is nothing."""

    n: int
    inertia: float
    sizes: np.ndarray
    mean_distance: np.ndarray
    farthest: np.ndarray  # its distance
    farthest_row: np.ndarray  # -1: an empty cluster
    neighbour: np.ndarray  # the nearest other centroid; -1: there is none
    neighbour_distance: np.ndarray
    sample: np.ndarray  # (m, d) float64, as the metric compares them
    sample_labels: np.ndarray
    silhouette: float  # of the sample; NaN where it is not defined
    cluster_silhouette: np.ndarray
    agreement: Agreement | None = None


@dataclass
class Agreement:
    """Clusters against true classes."""

    purity: float
    nmi: float
    ari: float
    majority: np.ndarray  # (k,) the commonest class
    majority_share: np.ndarray  # (k,) of the cluster; NaN: an empty cluster


def survey(
    points: np.ndarray, model: Model, *, sample: int, truth: np.ndarray | None = None
) -> Survey:
    """One pass over ``points`` (n, d), in chunks; memory does not grow with n."""
    (n, d), (k, _) = points.shape, model.centroids.shape
    rows = sample_rows(n, d, sample)
    sums, farthest = np.zeros(k), np.full(k, np.nan)
    sizes, farthest_row = np.zeros(k, np.int64), np.full(k, -1)
    labels_of_sample, inertia = [], 0.0
    pairs: dict[tuple[int, int], int] = {}
    step = max(1, _CHUNK_BYTES // (d * points.dtype.itemsize))
    for first in range(0, n, step):
        chunk = points[first : first + step]
        labels, costs = _predict(chunk, first, model)
        inertia += float(costs.sum())
        distances = np.sqrt(costs) if model.metric == "euclidean" else costs
        sizes += np.bincount(labels, minlength=k)
        sums += np.bincount(labels, distances, minlength=k)
        _keep_farthest(labels, distances, first, farthest, farthest_row)
        inside = rows[(rows >= first) & (rows < first + len(chunk))] - first
        labels_of_sample.append(labels[inside])
        if truth is not None:
            _count_pairs(pairs, labels, truth[first : first + len(chunk)])
    sample_labels = np.concatenate(labels_of_sample)
    taken = as_compared(points[rows], model.metric)
    silhouette, of_clusters = silhouettes(taken, sample_labels, k, model.metric)
    neighbour, neighbour_distance = _neighbours(model)
    with np.errstate(invalid="ignore"):
        mean_distance = sums / np.where(sizes > 0, sizes, np.nan)
    return Survey(
        n=n,
        inertia=inertia,
        sizes=sizes,
        mean_distance=mean_distance,
        farthest=farthest,
        farthest_row=farthest_row,
        neighbour=neighbour,
        neighbour_distance=neighbour_distance,
        sample=taken,
        sample_labels=sample_labels,
        silhouette=silhouette,
        cluster_silhouette=of_clusters,
        agreement=None if truth is None else agreement(pairs, k),
    )


def _predict(chunk: np.ndarray, first: int, model: Model) -> tuple[np.ndarray, np.ndarray]:
    chunk = np.ascontiguousarray(chunk)  # a copy only of what lies in Fortran's order
    try:
        return predict(chunk, model.centroids, metric=model.metric, distances=True)
    except ValueError as error:
        raise ValueError(f"in the rows from {first} on: {error}") from None


def _keep_farthest(labels, distances, first, farthest, farthest_row):
    """Each cluster's farthest point so far, the first among equals."""
    order = np.lexsort((-distances, labels))
    clusters, at = np.unique(labels[order], return_index=True)
    found = order[at]
    better = ~(distances[found] <= farthest[clusters])  # also where there was none: NaN
    farthest[clusters[better]] = distances[found[better]]
    farthest_row[clusters[better]] = found[better] + first


def _neighbours(model: Model) -> tuple[np.ndarray, np.ndarray]:
    rows = as_compared(model.centroids, model.metric)
    k = len(rows)
    nearest, distances = np.full(k, -1), np.full(k, np.nan)
    if k == 1:
        return nearest, distances
    step = max(1, _PAIRS // k)
    for first in range(0, k, step):
        far = _pairwise(rows[first : first + step], rows, model.metric)
        own = np.arange(len(far))
        far[own, first + own] = np.inf
        nearest[first : first + len(far)] = far.argmin(1)
        distances[first : first + len(far)] = far.min(1)
    return nearest, distances


def silhouettes(
    rows: np.ndarray, labels: np.ndarray, k: int, metric: str
) -> tuple[float, np.ndarray]:
    """Mean silhouette (Rousseeuw 1987) of the rows, and of those in each of the k clusters.

    rows: (m, d) float64, unit rows for cosine. A point alone in its cluster counts 0, as usual; the
    mean of a cluster with fewer than two rows is NaN. Not defined for inner_product.
    """
    of_clusters = np.full(k, np.nan)
    order = np.argsort(labels, kind="stable")
    clusters, starts, sizes = np.unique(labels[order], return_index=True, return_counts=True)
    if metric == "inner_product" or len(clusters) < 2:
        return float("nan"), of_clusters
    rows = rows[order]
    own = np.repeat(np.arange(len(clusters)), sizes)
    scores = np.empty(len(rows))
    step = max(1, _PAIRS // len(rows))
    for first in range(0, len(rows), step):
        block = slice(first, min(first + step, len(rows)))
        distances = _pairwise(rows[block], rows, metric)
        at = np.arange(distances.shape[0])
        distances[at, first + at] = 0  # a row and itself
        sums = np.add.reduceat(distances, starts, axis=1)
        mine = own[block]
        with np.errstate(divide="ignore", invalid="ignore"):
            inside = sums[at, mine] / (sizes[mine] - 1)
            outside = sums / sizes
            outside[at, mine] = np.inf
            outside = outside.min(1)
            score = (outside - inside) / np.maximum(inside, outside)
        scores[block] = np.where(sizes[mine] > 1, np.nan_to_num(score), 0)
    sums = np.add.reduceat(scores, starts)
    of_clusters[clusters] = np.where(sizes > 1, sums / sizes, np.nan)
    return float(scores.mean()), of_clusters


def _pairwise(a: np.ndarray, b: np.ndarray, metric: str) -> np.ndarray:
    if metric != "euclidean":
        return (1 if metric == "cosine" else 0) - a @ b.T
    mean = b.mean(0)  # near the origin squares cancel less
    a, b = a - mean, b - mean
    squares = (a * a).sum(1)[:, None] + (b * b).sum(1) - 2 * (a @ b.T)
    return np.sqrt(np.maximum(squares, 0))


def _count_pairs(pairs: dict[tuple[int, int], int], labels: np.ndarray, truth: np.ndarray) -> None:
    both = np.stack([labels.astype(np.int64), truth.astype(np.int64)], axis=1)
    found, counts = np.unique(both, axis=0, return_counts=True)
    for (label, true), count in zip(found.tolist(), counts.tolist(), strict=True):
        pairs[label, true] = pairs.get((label, true), 0) + count


def agreement(pairs: dict[tuple[int, int], int], k: int) -> Agreement:
    """Purity, normalised mutual information (arithmetic mean) and adjusted Rand index from how
    often each (label, class) occurs: the definitions of ``warpmeans evaluate --truth``."""
    labels, classes = (np.array(column) for column in zip(*pairs, strict=True))
    cells = np.array(list(pairs.values()), np.float64)
    class_of = np.unique(classes, return_inverse=True)[1]
    label_counts = np.bincount(labels, cells, minlength=k)
    class_counts = np.bincount(class_of, cells)
    order = np.lexsort((classes, -cells, labels))
    clusters, first = np.unique(labels[order], return_index=True)
    majority, share = np.zeros(k, np.int64), np.full(k, np.nan)
    largest = cells[order[first]]
    majority[clusters] = classes[order[first]]
    share[clusters] = largest / label_counts[clusters]
    n = cells.sum()
    mutual = (cells / n * np.log(cells * n / label_counts[labels] / class_counts[class_of])).sum()
    mean_entropy = (_entropy(label_counts, n) + _entropy(class_counts, n)) / 2
    return Agreement(
        purity=float(largest.sum() / n),
        nmi=float(max(mutual, 0) / mean_entropy) if mean_entropy > 0 else 1.0,
        ari=_adjusted_rand(cells, label_counts, class_counts, n),
        majority=majority,
        majority_share=share,
    )


def _entropy(counts: np.ndarray, n: float) -> float:
    shares = counts[counts > 0] / n
    return float(-(shares * np.log(shares)).sum())


def _adjusted_rand(
    cells: np.ndarray, label_counts: np.ndarray, class_counts: np.ndarray, n: float
) -> float:
    together, same_label, same_class = (
        float((c * (c - 1) / 2).sum()) for c in (cells, label_counts, class_counts)
    )
    if together == same_label == same_class:
        return 1.0
    expected = same_label * (same_class / (n * (n - 1) / 2))
    return (together - expected) / ((same_label + same_class) / 2 - expected)
