"""Pictures of clusters with matplotlib: ``pip install warpmeans[plot]``.

Each function draws into the given Axes, or into those of a new figure, and returns them. Results
are those of `warpmeans.kmeans`, or a fitted `warpmeans.KMeans`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from warpmeans._functional import kmeans
from warpmeans._pictures import (
    FEW_CLUSTERS,
    INERTIA,
    NEUTRAL,
    PALETTE,
    Projection,
    as_compared,
    neighbour_colours,
    sample_rows,
)
from warpmeans._result import KMeansResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["cluster_sizes", "elbow", "inertia", "projection"]

_BARS = 40  # more clusters than this are ranked
_MARKED_ITERATIONS = 40
_LEVEL = "#B45309"


def elbow(x: Any, ks: Iterable[int], *, ax: Axes | None = None, **options: Any) -> Axes:
    """Inertia of a fit for each number of clusters.

    Parameters
    ----------
    x : (n, d) points
    ks : the numbers of clusters, in any order
    ax : Axes to draw into; None: those of a new figure
    options : for `warpmeans.kmeans`, such as ``n_init=3``

    Returns
    -------
    Axes. Its first line has the figures: ``ax.lines[0].get_data()`` is (ks, inertias).

    Raises
    ------
    ValueError
        Where ``ks`` is empty or ``x`` is a batch, or as `warpmeans.kmeans` does.
    """
    ks = sorted(set(ks))
    if not ks:
        raise ValueError("ks is empty; expected numbers of clusters, such as range(2, 11)")
    inertias = []
    for k in ks:
        result = kmeans(x, k, **options)
        _check_single(result.centroids)
        inertias.append(float(result.inertia))
    ax = _axes(ax)
    ax.plot(ks, inertias, "o-", color=PALETTE[0], markersize=5)
    _whole_numbers(ax.xaxis)
    ax.set(xlabel="clusters k", ylabel=INERTIA[options.get("metric", "euclidean")])
    return _finish(ax)


def cluster_sizes(result: Any, *, ax: Axes | None = None) -> Axes:
    """Points of each cluster: bars, or a ranked outline where there are more than 40.

    Parameters
    ----------
    result : of `warpmeans.kmeans`, or a fitted `warpmeans.KMeans`
    ax : Axes to draw into; None: those of a new figure
    """
    labels, centroids, _ = _fitted(result)
    k = len(centroids)
    sizes = np.bincount(labels, minlength=k)
    median = float(np.median(sizes))
    ax = _axes(ax)
    if k <= _BARS:
        ax.bar(np.arange(k), sizes, color=PALETTE[0], width=0.8)
        ax.set_xlabel("cluster")
    else:
        ax.stairs(np.sort(sizes)[::-1], fill=True, color=PALETTE[0])
        ax.set_xlabel("clusters, largest first")
    ax.axhline(median, color=_LEVEL, linestyle="--", linewidth=1)
    ax.annotate(
        f"median {median:,.6g}",
        (1, median),
        xycoords=("axes fraction", "data"),
        xytext=(3, 0),
        textcoords="offset points",
        va="center",
        fontsize="small",
        color=_LEVEL,
    )
    _whole_numbers(ax.xaxis)
    ax.set_ylabel("points")
    ax.margins(x=0.01)
    return _finish(ax)


def projection(x: Any, result: Any, *, ax: Axes | None = None, sample: int = 5000) -> Axes:
    """Points and centroids in two dimensions: the features, or the first principal components.

    Up to 30 clusters are coloured, near ones differently, and their centroids numbered. More are
    shown as circles, as large as they have points.

    Parameters
    ----------
    x : (n, d) points that ``result`` has labels of; only ``sample`` rows of them are read
    result : of `warpmeans.kmeans`, or a fitted `warpmeans.KMeans`
    ax : Axes to draw into; None: those of a new figure
    sample : number of points shown

    Raises
    ------
    ValueError
        Where ``x`` and ``result`` do not fit each other.
    """
    labels, centroids, metric = _fitted(result)
    x = x if hasattr(x, "shape") else np.asarray(x)
    if sample < 2:
        raise ValueError(f"sample is {sample}; expected 2 or more")
    if tuple(x.shape) != (len(labels), centroids.shape[1]):
        raise ValueError(
            f"x has shape {tuple(x.shape)}; the result is of points of shape "
            f"{(len(labels), centroids.shape[1])}"
        )
    rows = sample_rows(len(labels), x.shape[1], sample)
    points = as_compared(np.asarray(x[rows]), metric)
    to_plane = Projection.of(points)
    sizes = np.bincount(labels, minlength=len(centroids))
    ax = _axes(ax)
    _draw_plane(ax, to_plane(points), labels[rows], to_plane(as_compared(centroids, metric)), sizes)
    ax.set(xlabel=to_plane.names[0], ylabel=to_plane.names[1])
    ax.set_aspect("equal", adjustable="datalim")
    return _finish(ax, grid=False)


def _draw_plane(
    ax: Axes, points: np.ndarray, labels: np.ndarray, places: np.ndarray, sizes: np.ndarray
) -> None:
    if len(places) > FEW_CLUSTERS:
        ax.scatter(
            points[:, 0], points[:, 1], s=3, color=NEUTRAL, alpha=0.4, linewidths=0, rasterized=True
        )
        area = 4 + 90 * sizes / max(sizes.max(), 1)
        ax.scatter(
            places[:, 0],
            places[:, 1],
            s=area,
            color=PALETTE[0],
            alpha=0.75,
            edgecolors="white",
            linewidths=0.5,
        )
        return
    colours = np.array(PALETTE)[neighbour_colours(places, sizes)]
    ax.scatter(
        points[:, 0],
        points[:, 1],
        s=5,
        color=colours[labels],
        alpha=0.55,
        linewidths=0,
        rasterized=True,
    )
    ax.scatter(
        places[:, 0],
        places[:, 1],
        s=150,
        color=colours,
        edgecolors="white",
        linewidths=1.2,
        zorder=3,
    )
    outline = _path_effects().withStroke(linewidth=1.5, foreground="#000000A0")
    for cluster, place in enumerate(places):
        ax.annotate(
            str(cluster),
            place,
            ha="center",
            va="center_baseline",
            fontsize=8,
            fontweight="bold",
            color="white",
            path_effects=[outline],
            zorder=4,
        )


def inertia(result: Any, *, ax: Axes | None = None) -> Axes:
    """Inertia of each iteration; of a batch, a line for each item.

    Parameters
    ----------
    result : of `warpmeans.kmeans`, or a fitted `warpmeans.KMeans`
    ax : Axes to draw into; None: those of a new figure
    """
    result = _result(result)
    history = result.history
    single = isinstance(history, np.ndarray)
    ax = _axes(ax)
    for rows in [history] if single else history:
        few = len(rows) <= _MARKED_ITERATIONS
        ax.plot(
            np.arange(1, len(rows) + 1),
            rows["inertia"],
            color=PALETTE[0],
            marker="o" if few else None,
            markersize=4,
            alpha=1 if single else max(0.15, 1 / len(history) ** 0.5),
        )
    _whole_numbers(ax.xaxis)
    ax.set(xlabel="iteration", ylabel=INERTIA[result.metric])
    return _finish(ax)


def _result(result: Any) -> Any:
    """What `warpmeans.kmeans` returned, also of a fitted estimator."""
    result = getattr(result, "result_", result)
    if not isinstance(result, KMeansResult):
        raise TypeError(
            f"a {type(result).__name__} is no result; expected what warpmeans.kmeans returns, or a "
            "fitted warpmeans.KMeans"
        )
    return result


def _fitted(result: Any) -> tuple[np.ndarray, np.ndarray, str]:
    """Labels (n,) and centroids (k, d) in NumPy, and the metric."""
    result = _result(result)
    _check_single(result.centroids)
    return np.asarray(result.labels), np.asarray(result.centroids), result.metric


def _check_single(centroids: Any) -> None:
    if centroids.ndim != 2:
        raise ValueError(
            f"centroids have shape {tuple(centroids.shape)}: a batch; expected one problem's (k, d)"
        )


def _axes(ax: Axes | None) -> Axes:
    if ax is not None:
        return ax
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        raise ImportError("plots need matplotlib: pip install warpmeans[plot]") from None
    return plt.subplots(figsize=(6.4, 4.4), layout="constrained")[1]


def _path_effects() -> Any:
    from matplotlib import patheffects

    return patheffects


def _whole_numbers(axis: Any) -> None:
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def _finish(ax: Axes, *, grid: bool = True) -> Axes:
    ax.spines[["top", "right"]].set_visible(False)
    if grid:
        ax.grid(axis="y", color="#DFE3E8", linewidth=0.8)
        ax.set_axisbelow(True)
    return ax
