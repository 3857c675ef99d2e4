#!/usr/bin/env python3
"""Draws docs/gpu-batches.svg, an iteration of batches from 16K to 131K points an item, of what
`compare.py --package --only chart` wrote: charts.py [results/gpu/package.json ...]. Needs
matplotlib."""

import sys
from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402
from table import load  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
LINES = {
    "seed": ("flash-kmeans", "#888888", "s"),
    "flashlib": ("FlashLib", "#d08020", "^"),
    "ours": ("Warpmeans", "#1060c0", "o"),
}


def panel(axes, rows, batch, k):
    """One B and K: milliseconds an iteration over the points of an item."""
    rows = sorted((r for r in rows if (r["batch"], r["k"]) == (batch, k)), key=lambda r: r["n"])
    for name, (label, colour, marker) in LINES.items():
        found = [(r["n"], r[name]["fit20"]["median"] / 20) for r in rows if "fit20" in r[name]]
        if found:
            axes.plot(*zip(*found, strict=True), color=colour, marker=marker, label=label)
    axes.set_xscale("log")
    axes.set_yscale("log", base=2)
    axes.yaxis.set_major_formatter("{x:.3g}")
    axes.set_title(f"B = {batch}, K = {k}")
    axes.set_xticks([r["n"] for r in rows], [f"{r['n'] // 1024}K" for r in rows], minor=False)
    axes.minorticks_off()
    axes.grid(alpha=0.3)


def main():
    run = load(sys.argv[1:] or [ROOT / "benchmarks/results/gpu/package.json"])
    rows = [r for r in run["rows"] if r["kind"] == "chart" and r["batch"] > 1]
    batches, sizes = sorted({r["batch"] for r in rows}), sorted({r["k"] for r in rows})
    plt.rcParams.update({"svg.hashsalt": "warpmeans", "font.size": 9})
    figure, axes = plt.subplots(
        len(batches), len(sizes), figsize=(8, 3 * len(batches)), squeeze=False, layout="constrained"
    )
    for i, batch in enumerate(batches):
        for j, k in enumerate(sizes):
            panel(axes[i][j], rows, batch, k)
        axes[i][0].set_ylabel("ms an iteration")
    for axis in axes[-1]:
        axis.set_xlabel("points an item")
    axes[0][0].legend(frameon=False)
    figure.suptitle(f"{run['machine']['card']}, float16, D = 128, fits of 20 iterations from Python")
    page = ROOT / "docs/gpu-batches.svg"
    figure.savefig(page, metadata={"Date": None})
    print(f"wrote {page}")


if __name__ == "__main__":
    main()
