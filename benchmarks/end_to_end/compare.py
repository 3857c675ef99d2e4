#!/usr/bin/env python3
"""Warpmeans beside its peers: one run, one machine, the same data, initial centroids, iterations
and threads, float32. benchmarks/README.md says how to prepare and how to read the results.

    compare.py                         the shapes of shapes.json, an iteration each
    compare.py --what converge         whole fits on them, from given centroids to tol
    compare.py --what init             greedy k-means++ and whole default fits on Fashion-MNIST
    compare.py --what small            small problems and a batch of tiny ones
    compare.py --what settle           the update's cost as labels settle
    compare.py --what stream           a file of 4 GB in 1 GiB of memory; --points N: a smaller one
    compare.py --what worst            data that defeats screens and bounds, beside the plain path
    compare.py --what skipping         30 shapes: what is chosen beside full passes and the plain path
"""

import argparse
from pathlib import Path

import adapters
import measure_converge
import measure_fit
import measure_init
import measure_own
import measure_small
import measure_stream

BENCHMARKS = Path(__file__).resolve().parent.parent
MODES = {
    "fit": measure_fit.measure,
    "converge": measure_converge.measure,
    "init": measure_init.measure,
    "small": measure_small.measure,
    "settle": measure_small.measure,
    "stream": measure_stream.measure,
    "worst": measure_own.measure,
    "skipping": measure_own.measure,
}


def parse():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--what", choices=MODES, default="fit")
    add("--threads", type=int, default=2)
    add(
        "--only",
        type=int,
        nargs="+",
        metavar="I",
        help="ids of shapes (fit, converge), numbers of cases (worst, skipping) or values of k (init)",
    )
    add("--competitors", nargs="+", choices=adapters.NAMES, default=adapters.NAMES)
    add("--repeats", type=int, default=20, help="rounds of a shape at most (fit, worst, skipping; default 20)")
    add(
        "--seconds",
        type=float,
        default=40,
        help="after which a shape starts no further round, three rounds done (fit; default 40)",
    )
    add(
        "--all-rounds",
        action="store_true",
        help="slow peers take part in every round; else, "
        "where time is short, only those within 1.5 times the fastest exact one after the first",
    )
    add(
        "--iterations", type=int, help="iterations between the two fits (fit; default: shapes.json)"
    )
    add("--seeds", type=int, default=5, help="default fits of each k (init; default 5)")
    add("--fits", type=int, default=3, help="fits of a shape (converge; default 3)")
    add("--points", type=int, default=8_000_000, help="of the file (stream; default 8000000)")
    add("--runner", type=Path, default=BENCHMARKS.parent / "build" / "warpmeans_runner")
    add("--cache", type=Path, default=BENCHMARKS / ".cache", help="folder for the data")
    add("--fashion-mnist", type=Path, default="/usr/share/datasets/fashion-mnist", metavar="FOLDER")
    add("--embeddings", type=Path, metavar="FILE", help="what make_embeddings.py wrote")
    add("--out", type=Path, help="default: benchmarks/results/WHAT[-ONLY].json")
    add("--verbose", action="store_true", help="show what the competitors print")
    args = parser.parse_args()
    if args.threads < 1 or args.repeats < 1:
        parser.error("--threads and --repeats must be at least 1")
    if args.out is None:
        name = "-".join([args.what, *(str(i) for i in args.only or [])])
        args.out = BENCHMARKS / "results" / f"{name}.json"
    return args


def main():
    args = parse()
    args.cache.mkdir(parents=True, exist_ok=True)
    MODES[args.what](args)
    print(f"wrote {args.out}")


if __name__ == "__main__":
    main()
