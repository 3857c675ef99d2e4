"""``warpmeans report``: a model and points as one self-contained HTML page.

The page asks nothing of the network and runs no script: SVG, CSS and PNG are inside. It needs
NumPy only, and holds no more of the points than a chunk and a sample.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np

from warpmeans import __version__, _charts
from warpmeans._files import (
    Model,
    Points,
    open_labels,
    open_points,
    read_history,
    read_model,
    write_aside,
)
from warpmeans._pictures import DISTANCE, number
from warpmeans._survey import Survey, survey

SAMPLE = 5000
_TABLE_ROWS = 1000
_FEW_SAMPLED = 20

PathLike = str | os.PathLike[str]


def make_report(
    model: PathLike,
    data: PathLike,
    *,
    report: PathLike | None = None,
    truth: PathLike | None = None,
    sample: int = SAMPLE,
    image: tuple[int, ...] | None = None,
) -> str:
    """The page as HTML.

    Parameters
    ----------
    model : path of a ``.safetensors`` file that ``warpmeans fit --model`` wrote
    data : path of points (n, d): ``.npy`` (memory-mapped) or IDX (also gzipped)
    report : path of the JSON that ``warpmeans fit --report`` wrote, for inertia per iteration
    truth : path of n whole numbers, the true classes
    sample : number of points in the projection and in the silhouette
    image : (rows, columns) or (rows, columns, 3) of a point, to show centroids as pictures. IDX
        images and points of 784 features are taken for images without it.

    Raises
    ------
    ValueError
        Where files are broken or do not fit each other. OSError where they cannot be read.
    """
    if sample < 2:
        raise ValueError(f"sample is {sample}; expected 2 or more")
    fitted, points = read_model(model), open_points(data)
    n, d = points.array.shape
    if fitted.centroids.shape[1] != d:
        raise ValueError(
            f"{model} has centroids of {fitted.centroids.shape[1]} features; {data} has points of "
            f"{d}"
        )
    classes = None if truth is None else open_labels(truth)
    if classes is not None and len(classes) != n:
        raise ValueError(f"{truth}: has {len(classes)} labels; {data} has {n} points")
    history = None if report is None else read_history(report, points, fitted)
    image = _image_shape(image, points)
    found = survey(points.array, fitted, sample=sample, truth=classes)
    plane = _charts.Plane.of(found, fitted)
    sections = [
        _summary(fitted, points, found),
        '<div class="charts">',
        _charts.projection(found, plane, tall=bool(history)),
        _charts.sizes(found),
        _charts.inertia(history, fitted.metric) if history else "",
        "</div>",
        _charts.centroids(found, fitted, points, image) if image else "",
        _table(found, fitted, plane.colours),
    ]
    return _page(Path(data).name, Path(model).name, found, sections)


def _page(data: str, model: str, found: Survey, sections: Sequence[str]) -> str:
    style = Path(__file__).with_name("report.css").read_text(encoding="utf-8")
    k = f"{len(found.sizes):,}"
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">"
        f"<title>{escape(data)}: {k} clusters</title><style>\n{style}</style></head>\n"
        f"<body><header><h1>{escape(data)}</h1><p>{found.n:,} points in {k} clusters, model "
        f"{escape(model)}</p></header>\n<main>"
        + "\n".join(section for section in sections if section)
        + f"</main>\n<footer>Warpmeans {escape(__version__)}</footer></body></html>\n"
    )


def _image_shape(given: tuple[int, ...] | None, points: Points) -> tuple[int, ...] | None:
    d = points.array.shape[1]
    if given is not None:
        if len(given) not in (2, 3) or given[2:] not in ((), (3,)) or min(given) < 1:
            raise ValueError(f"image is {given}; expected (rows, columns) or (rows, columns, 3)")
        if int(np.prod(given)) != d:
            raise ValueError(
                f"image {'x'.join(map(str, given))} is not of the points' {d} features"
            )
        return given
    if points.image_shape and len(points.image_shape) == 2:
        return points.image_shape
    return (28, 28) if d == 784 else None


def _summary(model: Model, points: Points, found: Survey) -> str:
    said = model.metadata
    n, d = points.array.shape
    facts = [
        ("points", f"{n:,} × {d:,}", str(points.array.dtype)),
        ("clusters", f"{len(found.sizes):,}", _nonempty(found.sizes)),
        ("metric", model.metric.replace("_", " "), ""),
        ("inertia of these points", number(found.inertia), _at_the_fit(said, found.inertia)),
        ("iterations", said.get("n_iter", "–"), _converged(said)),
        ("seed", said.get("seed", "–"), said.get("init", "")),
        ("Warpmeans", said.get("version", "–"), "at the fit"),
    ]
    if np.isfinite(found.silhouette):
        m, k = len(found.sample), len(found.sizes)
        few = f": {m / k:.0f} a cluster is few" if m < min(n, _FEW_SAMPLED * k) else ""
        facts.append(("silhouette", f"{found.silhouette:.3f}", f"{m:,} points sampled{few}"))
    if found.agreement:
        facts += [
            ("purity", f"{found.agreement.purity:.3f}", "share in the class of its cluster"),
            ("NMI", f"{found.agreement.nmi:.3f}", "with the true classes"),
            ("ARI", f"{found.agreement.ari:.3f}", "with the true classes"),
        ]
    items = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd>"
        f"<dd class='note'>{escape(note)}</dd></div>"
        for name, value, note in facts
    )
    return f'<section id="summary"><dl>{items}</dl></section>'


def _nonempty(sizes: np.ndarray) -> str:
    empty = int((sizes == 0).sum())
    return f"{empty:,} without points" if empty else "all with points"


def _at_the_fit(said: dict[str, str], inertia: float) -> str:
    try:
        fitted = float(said["inertia"])
    except (KeyError, ValueError):
        return ""
    if said.get("weighted") == "true":
        return f"{number(fitted)} at the fit, weighted"
    if abs(fitted - inertia) <= 1e-9 * abs(fitted):
        return "as at the fit"
    return f"{number(fitted)} at the fit: other points"


def _converged(said: dict[str, str]) -> str:
    return {"true": "converged", "false": "not converged"}.get(said.get("converged", ""), "")


def _table(found: Survey, model: Model, colours: list[str]) -> str:
    k = len(found.sizes)
    order = np.argsort(-found.sizes, kind="stable")[:_TABLE_ROWS]
    unit = DISTANCE[model.metric]
    heads = ["cluster", "points", "share", f"mean {unit}", f"greatest {unit}", "at row"]
    heads += ["nearest cluster", f"its {unit}"]
    heads += ["silhouette"] if np.isfinite(found.silhouette) else []
    heads += ["commonest class", "its share"] if found.agreement else []
    rows = "".join(_row(found, int(cluster), colours) for cluster in order)
    shown = f"The {len(order):,} largest of {k:,}. " if len(order) < k else ""
    return (
        f'<section id="clusters"><h2>Clusters</h2><p class="note">{shown}Largest first. '
        "The nearest cluster is that of the nearest other centroid.</p>"
        '<div class="table" tabindex="0"><table><thead><tr>'
        + "".join(f'<th scope="col">{escape(head)}</th>' for head in heads)
        + f"</tr></thead><tbody>{rows}</tbody></table></div></section>"
    )


def _row(found: Survey, cluster: int, colours: list[str]) -> str:
    size, other = int(found.sizes[cluster]), int(found.neighbour[cluster])
    cells = [
        f"{size:,}",
        f"{size / found.n:.1%}",
        number(found.mean_distance[cluster], 4),
        number(found.farthest[cluster], 4),
        f"{found.farthest_row[cluster]}" if size else "–",
        f"{other}" if other >= 0 else "–",
        number(found.neighbour_distance[cluster], 4),
    ]
    if np.isfinite(found.silhouette):
        score = found.cluster_silhouette[cluster]
        cells.append(f"{score:.2f}" if np.isfinite(score) else "–")
    if found.agreement:
        share = found.agreement.majority_share[cluster]
        known = np.isfinite(share)
        cells.append(str(found.agreement.majority[cluster]) if known else "–")
        cells.append(f"{share:.0%}" if known else "–")
    chip = f'<i class="{colours[cluster]}"></i>' if colours else ""
    inside = "".join(f"<td>{cell}</td>" for cell in cells)
    return f'<tr><th scope="row">{chip}{cluster}</th>{inside}</tr>'


def _image_argument(text: str) -> tuple[int, ...]:
    if not re.fullmatch(r"[0-9]+x[0-9]+(x3)?", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not HxW or HxWx3, such as 28x28")
    return tuple(int(part) for part in text.split("x"))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="warpmeans report",
        description="Show a model and its points as one self-contained HTML page.",
        epilog="example: warpmeans report model.safetensors points.npy -o report.html",
    )
    add = parser.add_argument
    add("model", help=".safetensors file of `warpmeans fit --model`")
    add("data", help="points: .npy, or IDX (also .gz)")
    add("-o", "--output", required=True, metavar="FILE", help="the page, e.g. report.html")
    add(
        "--report",
        metavar="FILE",
        help="what `warpmeans fit --report` wrote: adds inertia by iteration",
    )
    add("--truth", metavar="FILE", help="true classes, .npy or IDX: adds purity, NMI, ARI")
    add(
        "--sample",
        type=int,
        default=SAMPLE,
        metavar="N",
        help="points in the projection and the silhouette (default %(default)s)",
    )
    add("--image", type=_image_argument, metavar="HxW[x3]", help="points are images of this size")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """The command. Exit codes are those of the program: 0 done, 1 failed, 2 wrong usage, 3 bad
    input, 4 no resources, 130 interrupted."""
    args = _parser().parse_args(argv)
    try:
        _check_output(args)
        page = make_report(
            args.model,
            args.data,
            report=args.report,
            truth=args.truth,
            sample=args.sample,
            image=args.image,
        )
    except (ValueError, TypeError, OSError) as error:
        return _fail(error, 3)
    except MemoryError as error:
        return _fail(error, 4)
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    try:
        write_aside(args.output, page)
    except OSError as error:
        return _fail(error, 4)
    print(f"wrote {args.output}")
    return 0


def _check_output(args: argparse.Namespace) -> None:
    """Before any work: whether the page can be where it is wanted."""
    output = Path(args.output).resolve()
    if not output.parent.is_dir():
        raise ValueError(f"{args.output}: there is no folder {output.parent}")
    if output.is_dir():
        raise ValueError(f"{args.output}: is a folder")
    for given in (args.model, args.data, args.report, args.truth):
        if given is not None and Path(given).resolve() == output:
            raise ValueError(f"{args.output}: is read by the report, which cannot be written there")


def _fail(error: object, code: int) -> int:
    print(f"warpmeans report: {error}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
