"""Whole fits from given centroids until tol stops them, on the shapes of shapes.json."""

import sys
import time

import numpy as np

import checks
import harness
import measure_fit

TOL, MAX_ITER = 1e-4, 300
NAMES = ("warpmeans", "sklearn")  # the peers that stop by the same rule


def run_shape(shape, args):
    paths = measure_fit.data.of_shape(shape, args)
    if paths is None:
        print(f"shape {shape['id']}: skipped, no --embeddings FILE given", file=sys.stderr)
        return None, None
    points = np.load(paths[0])
    shape["n"], shape["d"] = points.shape
    workers = harness.start([n for n in NAMES if n in args.competitors], args)
    fits = {name: [] for name in workers}
    try:
        for worker in workers.values():
            worker.load(*paths)
            worker.ask(op="warm_up")
        start = time.monotonic()
        for turn in range(args.fits):
            if turn and time.monotonic() - start > args.seconds:
                break
            for name, worker in workers.items():
                time.sleep(measure_fit.PAUSE)
                out = args.cache / f"out_{name}.npy"
                fits[name].append(
                    worker.ask(op="converge", tol=TOL, max_iter=MAX_ITER, centroids=out)
                )
        about = harness.about_run(args, workers)
    finally:
        for worker in workers.values():
            worker.close()
    return about, row_of(shape, fits, points, args)


def row_of(shape, fits, points, args):
    row = {**shape, "tol": TOL, "max_iter": MAX_ITER, "competitors": {}}
    for name, answers in fits.items():
        judged = checks.assign(points, np.load(args.cache / f"out_{name}.npy"))
        row["competitors"][name] = {
            "seconds": harness.summary([a["seconds"] for a in answers]),
            "n_iter": answers[0]["n_iter_done"],
            "inertia": judged[1],
            "work": answers[0].get("work"),
        }
    if len(fits) == len(NAMES):
        ours, theirs = (row["competitors"][name] for name in NAMES)
        row["ratio"] = theirs["seconds"]["median"] / ours["seconds"]["median"]
        row["inertia_relative"] = ours["inertia"] / theirs["inertia"] - 1
        row["meets_bar"] = row["ratio"] >= row["bar_converge"]
    return row


def report(row):
    print(f"{row['n']} x {row['d']}, k = {row['k']} ({row['name']})")
    for name, entry in row["competitors"].items():
        print(
            "  {:12} {:9.3f} s x{}, {} iterations, inertia {:.6g}".format(
                name,
                entry["seconds"]["median"],
                entry["seconds"]["samples"],
                entry["n_iter"],
                entry["inertia"],
            )
        )
    if "ratio" in row:
        print(
            f"  {row['ratio']:.2f}x sklearn (bar {row['bar_converge']}),"
            f" inertia {row['inertia_relative']:+.2e}"
        )
    sys.stdout.flush()


def measure(args):
    rows = []
    for shape in measure_fit.chosen(args):
        about, row = run_shape(shape, args)
        if row is None:
            continue
        rows.append(row)
        report(row)
        harness.write_json(args.out, {**about, "regime": "whole calls, in turns", "rows": rows})
