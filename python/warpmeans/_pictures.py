"""What plots and the report share: samples, two dimensions, colours, words for numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: Six of Okabe and Ito's colours that the colour-blind tell apart, legible on white and on black.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
NEUTRAL = "#7F8C99"

#: With more clusters than this, colours and numbers say nothing: sizes do.
FEW_CLUSTERS = 30

DISTANCE = {
    "euclidean": "distance",
    "cosine": "1 − cosine",
    "inner_product": "−x·c",
}
INERTIA = {
    "euclidean": "inertia (sum of squared distances)",
    "cosine": "inertia (sum of 1 − cosine)",
    "inner_product": "inertia (sum of −x·c)",
}

_AXES_ROWS = 2000  # rows that principal components are taken from: more do not turn the axes
_CHUNK_ROWS = 1 << 20
_SAMPLE_ELEMENTS = 1 << 25  # a sample of wide rows has fewer of them


def sample_rows(n: int, d: int, count: int) -> np.ndarray:
    """At most ``count`` of ``n`` row numbers, ascending, scattered but the same each time.

    The rows are those that ``warpmeans evaluate --silhouette`` takes. Rows of very many features
    are fewer, so that a sample has at most 2^25 elements.
    """
    count = min(count, max(2, _SAMPLE_ELEMENTS // d))
    if count >= n:
        return np.arange(n)
    rows = np.empty(0, np.int64)
    for first in range(0, n, _CHUNK_ROWS):
        more = np.arange(first, min(n, first + _CHUNK_ROWS))
        rows = np.concatenate([rows, more])
        if len(rows) > count:
            rows = rows[np.argpartition(_scatter(rows), count)[:count]]
    return np.sort(rows)


def _scatter(rows: np.ndarray) -> np.ndarray:
    """splitmix64's finaliser: a bijection of the 64-bit integers that scatters neighbours."""
    x = rows.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def as_compared(rows: np.ndarray, metric: str) -> np.ndarray:
    """Rows in float64 as the metric compares them: unit rows for cosine."""
    rows = np.asarray(rows, np.float64)
    if metric != "cosine":
        return rows
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)


@dataclass
class Projection:
    """Two dimensions of d: the axes, what to call them, and points in them."""

    mean: np.ndarray
    axes: np.ndarray  # (2, d)
    names: tuple[str, str]

    @classmethod
    def of(cls, rows: np.ndarray) -> Projection:
        """The first two principal components of rows (m, d) in float64; features where d <= 2."""
        d = rows.shape[1]
        if d <= 2:
            names = ("feature 0", "feature 1" if d == 2 else "")
            return cls(np.zeros(d), np.eye(2)[:, :d], names)
        few = rows[:: -(-len(rows) // _AXES_ROWS)]
        mean = few.mean(0)
        _, lengths, axes = np.linalg.svd(few - mean, full_matrices=False)
        axes = np.vstack([axes, np.zeros_like(axes)])[:2]  # a single row has no second axis
        # The sign of a component means nothing; this makes it the same everywhere.
        largest = np.abs(axes).argmax(1)
        axes *= np.where(axes[[0, 1], largest] < 0, -1.0, 1.0)[:, None]
        shares = lengths**2 / max((lengths**2).sum(), np.finfo(float).tiny)
        first, second = (
            f"principal component {i} ({share:.0%} of the variance)"
            for i, share in enumerate([*shares, 0.0][:2], 1)
        )
        return cls(mean, axes, (first, second))

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        return (rows - self.mean) @ self.axes.T


def neighbour_colours(places: np.ndarray, sizes: np.ndarray) -> list[int]:
    """For each cluster at ``places`` (k, 2) an index into PALETTE, near ones different.

    The largest choose first; each takes the colour whose nearest bearer is farthest away.
    """
    nearest = np.full((len(places), len(PALETTE)), np.inf)
    colours = [0] * len(places)
    for cluster in np.argsort(-np.asarray(sizes), kind="stable"):
        colour = colours[cluster] = int(nearest[cluster].argmax())
        distances = np.linalg.norm(places - places[cluster], axis=1)
        nearest[:, colour] = np.minimum(nearest[:, colour], distances)
    return colours


def number(value: float, digits: int = 6) -> str:
    """For people: 1,234,567 or 0.0123 or 1.23 × 10¹²; a dash for NaN."""
    if value == 0:
        return "0"
    if not np.isfinite(value):
        return "–"
    if float(value).is_integer() and abs(value) < 1e9:
        return f"{int(value):,}".replace("-", "−")
    if 1e-4 <= abs(value) < 1e9:
        decimals = max(0, digits - 1 - int(np.floor(np.log10(abs(value)))))
        text = f"{value:,.{decimals}f}"
        return (text.rstrip("0").rstrip(".") if "." in text else text).replace("-", "−")
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    return f"{mantissa.rstrip('0').rstrip('.')} × 10{superscript(int(exponent))}"


def superscript(power: int) -> str:
    return str(power).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def common_power(low: float, high: float) -> int:
    """The power of ten that an axis from low to high leaves to its name; 0: none."""
    power = int(np.floor(np.log10(max(abs(low), abs(high)))))
    return power if power > 5 or power < -3 else 0
