#!/usr/bin/env python3
"""The Python package beside its peers, as their users call them, initial centroids included.

    estimator-1 .. 8    warpmeans.KMeans(k, random_state=s).fit(x), sklearn.cluster.KMeans the same
    grid-1 .. 30        the same on a grid of shapes
    faiss-1 .. 30       faiss.Kmeans and the drop-in, same initial centroids, 20 iterations
    fastkmeans-1 .. 30  FastKMeans and the drop-in, likewise
    overhead            a call of warpmeans.kmeans beside the C++ call
    import              what `import warpmeans` adds to NumPy's

Competitors are processes of their own that take turns; a turn of one seed is a turn of each. Times
are medians over the seeds. benchmarks/README.md says how to prepare.
"""

import argparse
import sys
import time
from pathlib import Path

import cases
import measure

import harness  # noqa: I001  (cases puts end_to_end on the path)

BENCHMARKS = Path(__file__).resolve().parents[1]


def parse():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--only", nargs="+", metavar="CASE", help="names of cases, or kinds, e.g. grid overhead")
    add(
        "--budget",
        type=float,
        default=3600,
        metavar="SECONDS",
        help="of all; each case starts no further round after its share of what is left, one round "
        "done (default %(default)g)",
    )
    add("--seeds", type=int, default=10, help="rounds of a case at most (default %(default)s)")
    add("--threads", type=int, default=2)
    add("--overhead-rounds", type=int, default=20, metavar="N", help="of 200 calls each")
    add("--import-rounds", type=int, default=15, metavar="N")
    add("--runner", type=Path, default=BENCHMARKS.parent / "build" / "warpmeans_runner")
    add("--cache", type=Path, default=BENCHMARKS / ".cache", help="folder for the data")
    add("--fashion-mnist", type=Path, default="/usr/share/datasets/fashion-mnist", metavar="FOLDER")
    add("--embeddings", type=Path, metavar="FILE", help="what make_embeddings.py wrote")
    add("--out", type=Path, default=BENCHMARKS / "results" / "python.json")
    add("--verbose", action="store_true", help="show what the competitors print")
    args = parser.parse_args()
    if min(args.seeds, args.threads, args.overhead_rounds, args.import_rounds) < 1:
        parser.error("numbers of rounds, seeds and threads must be at least 1")
    args.what = "python"
    return args, parser


def chosen(args, parser):
    """(kind, case) of what is to be measured; the case is None for what stands alone.

    The largest come last: what the others leave of the budget is theirs.
    """
    found = [(kind, None) for kind in cases.ALONE]
    found += [
        (case.kind, case) for case in sorted(cases.all_cases(), key=lambda c: c.n * c.d * c.k)
    ]
    if not args.only:
        return found
    names = [{kind, case.name} if case else {kind} for kind, case in found]
    unknown = set(args.only).difference(*names)
    if unknown:
        parser.error(f"no case {', '.join(sorted(unknown))}; --help lists them")
    return [one for one, called in zip(found, names) if called & set(args.only)]


def line(row):
    verdict = "" if row["meets_bar"] else "  MISSES THE BAR"
    if "ratio" not in row:
        micro = 1e6 * row["seconds"]["median"]
        return f"{row['case']:14} {micro:.1f} us (bar {1e6 * row['bar_seconds']:.0f}){verdict}"
    (ours, mine), (peer, theirs) = row["competitors"].items()
    times = [1e3 * entry["seconds"]["median"] for entry in (mine, theirs)]
    return (
        f"{row['case']:14} {row['n']:>7} x {row['d']:<3} k {row['k']:<4} {row['dtype']}  "
        f"{times[0]:10.3f} ms, {peer} {times[1]:10.3f} ms: {row['ratio']:5.2f}x (bar "
        f"{row['bar']:g}), inertia {row['inertia_relative']:+.3%}, "
        f"{mine['seconds']['samples']} rounds{verdict}"
    )


def main():
    args, parser = parse()
    todo = chosen(args, parser)
    args.cache.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + args.budget
    head, rows = {}, []
    for i, (kind, case) in enumerate(todo):
        if case:
            now = time.monotonic()
            row = measure.pair(case, args, now + max(0, end - now) / (len(todo) - i))
        else:
            row = {"overhead": measure.overhead, "import": measure.importing}[kind](args)
        if row is None:
            continue
        about = row.pop("about")
        head = head or about
        head["competitors"] |= about["competitors"]
        head["versions"] |= about["versions"]
        rows.append(row)
        print(line(row), flush=True)
        result = head | {"threads": args.threads, "dtype": "see rows", "rows": rows}
        result["regime"] = "whole calls, in turns"
        harness.write_json(args.out, result)
    if not rows:
        sys.exit("nothing was measured")
    missed = [row["case"] for row in rows if not row["meets_bar"]]
    print(f"{len(rows) - len(missed)} of {len(rows)} meet their bars; wrote {args.out}")


if __name__ == "__main__":
    main()
