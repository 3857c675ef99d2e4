"""Greedy k-means++ alone, and the whole default fit with it, on Fashion-MNIST."""

import sys

import numpy as np

import checks
import data
import harness

# (k, repeats of seeding alone for scikit-learn, bar of seeding, bar of the whole fit)
CASES = [(10, 5, None, 2.0), (100, 3, 5.0, 3.0), (1000, 1, 5.0, 3.5)]


def measure(args):
    path = data.fashion_mnist(args.cache, args.fashion_mnist)
    points = np.load(path)
    names = [n for n in ("warpmeans", "sklearn") if n in args.competitors]
    workers = harness.start(names, args)
    rows = []
    try:
        for worker in workers.values():
            worker.load(path)
        about = harness.about_run(args, workers)
        for case in CASES:
            if args.only and case[0] not in args.only:
                continue
            rows.append(run_case(case, points, workers, args))
            report(rows[-1])
            harness.write_json(args.out, {**about, "regime": "whole calls", "rows": rows})
    finally:
        for worker in workers.values():
            worker.close()


def run_case(case, points, workers, args):
    k, repeats, bar_seeding, bar_fit = case
    seeding = {name: [] for name in workers}
    fits = {name: [] for name in workers}
    for seed in range(args.seeds):
        for name, worker in workers.items():
            # Ours is part of every fit anyway; scikit-learn's is timed alone where it is slow.
            if seed < repeats or name == "warpmeans":
                answer = worker.ask(op="seeding", k=k, seed=seed)
                seeding[name].append(answer["seconds"])
            out = args.cache / f"out_{name}.npy"
            answer = worker.ask(op="default_fit", k=k, seed=seed, centroids=out)
            answer["inertia_judged"] = checks.assign(points, np.load(out))[1]
            fits[name].append(answer)
    row = {"n": len(points), "d": points.shape[1], "k": k, "competitors": {}}
    row |= {"bar_seeding": bar_seeding, "bar_fit": bar_fit}
    for name in workers:
        row["competitors"][name] = {
            "seeding_seconds": harness.summary(seeding[name]),
            "fit_seconds": harness.summary([f["seconds"] for f in fits[name]]),
            "inertia": harness.summary([f["inertia_judged"] for f in fits[name]]),
            "n_iter": [f["n_iter_done"] for f in fits[name]],
        }
    if len(workers) == 2:
        row |= ratios(row["competitors"])
    return row


def ratios(found):
    def of(name, key):
        return found[name][key]["median"]

    def quotient(key):
        return of("sklearn", key) / of("warpmeans", key)

    return {
        "ratio_seeding": quotient("seeding_seconds"),
        "ratio_fit": quotient("fit_seconds"),
        "inertia_relative": 1 / quotient("inertia") - 1,
    }


def report(row):
    print(f"{row['n']} x {row['d']}, k = {row['k']}")
    for name, entry in row["competitors"].items():
        print(
            "  {:10} seeding {:.3f} s, default fit {:.3f} s, inertia {:.6g}".format(
                name,
                *(entry[key]["median"] for key in ("seeding_seconds", "fit_seconds", "inertia")),
            )
        )
    if "ratio_fit" in row:
        bars = [f" (bar {row[key]})" if row[key] else "" for key in ("bar_seeding", "bar_fit")]
        print(
            f"  seeding {row['ratio_seeding']:.2f}x{bars[0]}, default fit"
            f" {row['ratio_fit']:.2f}x{bars[1]}, inertia {row['inertia_relative']:+.2%}"
        )
    sys.stdout.flush()
