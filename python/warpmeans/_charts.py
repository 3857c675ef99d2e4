"""The report's sections that are drawn: sizes, projection, inertia, centroids as pictures."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

import numpy as np

from warpmeans._files import Model, Points
from warpmeans._pictures import (
    FEW_CLUSTERS,
    INERTIA,
    Projection,
    as_compared,
    neighbour_colours,
    number,
)
from warpmeans._survey import Survey
from warpmeans._svg import HEIGHT, Axes, padded, png

_BARS, _NAMED_BARS = 40, 16  # more clusters than this are ranked; than that, not all numbered
_PICTURES = 200
_MARKED_ITERATIONS = 40


def _figure(name: str, title: str, chart: str, note: str = "") -> str:
    caption = f'<p class="note">{escape(note)}</p>' if note else ""
    return f'<section id="{name}"><h2>{escape(title)}</h2>{chart}{caption}</section>'


def sizes(found: Survey) -> str:
    k, most = len(found.sizes), int(found.sizes.max())
    ranked, named = k > _BARS, k <= _NAMED_BARS
    axes = Axes(
        (-0.5, k - 0.5),
        (0, most * 1.05),
        ("clusters, largest first" if ranked else "cluster", "points"),
        title="points in each cluster",
        ticks=not named,
        whole=(True, True),
    )
    if ranked:
        axes.steps(sorted(found.sizes.tolist(), reverse=True))
    else:
        for cluster, size in enumerate(found.sizes.tolist()):
            axes.bar(cluster, size, f"cluster {cluster}: {size:,} points")
            if named:
                axes.text(cluster, 0, str(cluster), "tick middle", down=17)
    median = float(np.median(found.sizes))
    axes.level(median)
    note = (
        f"Smallest {int(found.sizes.min()):,}, median {number(median)} (dashed), largest {most:,}."
    )
    return _figure("sizes", "Cluster sizes", axes.svg(), note)


@dataclass
class Plane:
    """The sample and the centroids in two dimensions, and what to call those."""

    points: np.ndarray
    places: np.ndarray
    names: tuple[str, str]
    colours: list[str]  # a class of the style sheet for each cluster; none where they are many

    @classmethod
    def of(cls, found: Survey, model: Model) -> Plane:
        to_plane = Projection.of(found.sample)
        places = to_plane(as_compared(model.centroids, model.metric))
        few = len(places) <= FEW_CLUSTERS
        colours = [f"c{i}" for i in neighbour_colours(places, found.sizes)] if few else []
        return cls(to_plane(found.sample), places, to_plane.names, colours)


def projection(found: Survey, plane: Plane, tall: bool) -> str:
    """tall: as high as two other charts."""
    points, places, colours = plane.points, plane.places, plane.colours
    shown = np.concatenate([points, places])
    axes = Axes(
        padded(shown[:, 0]),
        padded(shown[:, 1]),
        plane.names,
        title="points in two dimensions",
        height=2 * HEIGHT + 90 if tall else HEIGHT,
    )
    for (x, y), label in zip(points, found.sample_labels, strict=True):
        axes.circle(x, y, 1.6, f"point {colours[label]}" if colours else "point many")
    largest = max(int(found.sizes.max()), 1)
    for cluster in np.argsort(-found.sizes, kind="stable"):
        (x, y), size = places[cluster], int(found.sizes[cluster])
        title = f"cluster {cluster}: {size:,} points"
        if colours:
            axes.circle(x, y, 9, f"centroid {colours[cluster]}", title)
            axes.text(x, y, str(cluster), "number middle")
        else:
            axes.circle(x, y, 1.5 + 5 * (size / largest) ** 0.5, "centroid many", title)
    note = f"{len(points):,} points sampled; centroids are " + (
        "numbered." if colours else "circles, as large as their clusters."
    )
    return _figure("projection", "Projection", axes.svg(), note)


def inertia(history: list[float], metric: str) -> str:
    iterations = range(1, len(history) + 1)
    axes = Axes(
        padded(np.array([1.0, len(history)]), 0.03),
        padded(np.array(history)),
        ("iteration", INERTIA[metric]),
        title="inertia per iteration",
        whole=(True, False),
    )
    axes.line(iterations, history)
    for i, value in zip(iterations, history, strict=True):
        if len(history) <= _MARKED_ITERATIONS or i == len(history):
            axes.circle(i, value, 3, "mark", f"iteration {i}: {number(value)}")
    fall = 1 - history[-1] / history[0] if history[0] > 0 else 0.0
    return _figure(
        "inertia",
        "Inertia per iteration",
        axes.svg(),
        f"From {number(history[0])} to {number(history[-1])}, {fall:.1%} less.",
    )


def centroids(found: Survey, model: Model, points: Points, shape: tuple[int, ...]) -> str:
    order = np.argsort(-found.sizes, kind="stable")[:_PICTURES]
    values = model.centroids[order].astype(np.float64)
    if points.array.dtype == np.uint8:
        low, high = 0.0, 255.0
    else:
        low, high = float(values.min()), float(values.max())
    scaled = (values - low) / ((high - low) or 1.0) * 255
    pixels = np.clip(np.rint(scaled), 0, 255).astype(np.uint8).reshape(-1, *shape)
    pictures = "".join(
        f'<figure><img src="{png(picture)}" alt="centroid {cluster}" width="{shape[1]}" '
        f'height="{shape[0]}"><figcaption>{cluster}<small>{found.sizes[cluster]:,}</small>'
        "</figcaption></figure>"
        for cluster, picture in zip(order, pixels, strict=True)
    )
    k = len(found.sizes)
    shown = f"The {len(order)} largest of {k:,} clusters. " if len(order) < k else ""
    return (
        f'<section id="centroids"><h2>Centroids</h2><p class="note">{shown}Cluster, and its number '
        f'of points.</p><div class="pictures">{pictures}</div></section>'
    )
