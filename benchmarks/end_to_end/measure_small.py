"""Small problems, thousands of tiny ones, and how the update gets cheaper as labels settle."""

import statistics
import sys

import numpy as np

import data
import harness


def given_init(args):
    """(1000, 16), k = 8, 20 iterations from given centroids: a whole fit."""
    points = data.gaussian(args.cache, 1000, 16)
    init = data.initial_centroids(args.cache, points, 8)
    row = {"case": "n=1000 d=16 k=8, 20 iterations, given centroids", "bar_seconds": 0.3e-3}
    names = [n for n in args.competitors if n in ("warpmeans", "sklearn", "sklearnex", "faiss_cpu")]

    def fits(worker):
        worker.load(points, init)
        worker.ask(op="fit", n_iter=20, times=10)
        return worker.ask(op="fit", n_iter=20, times=200)["fits"]

    return compared(row, names, fits, args)


def digits(args):
    """The digits of scikit-learn, k = 10, every default, 20 seeds."""
    points = data.digits(args.cache)
    row = {"case": "digits 1797 x 64, k=10, default fit", "bar_seconds": 1e-3}
    names = [n for n in args.competitors if n in ("warpmeans", "sklearn")]

    def fits(worker):
        worker.load(points)
        worker.ask(op="default_fit", k=10, seed=0)
        return [worker.ask(op="default_fit", k=10, seed=s) for s in range(20) for _ in range(5)]

    return compared(row, names, fits, args)


def batch(args):
    """10,000 problems of 256 points in 16 dimensions, k = 4, 10 iterations, in one call."""
    path = args.cache / "batch_10000x256x16.npy"
    init = args.cache / "batch_10000x4x16.npy"
    if not path.exists() or not init.exists():
        points = np.random.default_rng(5).standard_normal((10000, 256, 16), dtype=np.float32)
        data.save(path, points)
        data.save(init, np.ascontiguousarray(points[:, :4]))
    row = {"case": "batch of 10,000 (n=256 d=16 k=4), 10 iterations", "bar_seconds": 0.35}

    def fits(worker):
        worker.load(path, init)
        worker.ask(op="fit", n_iter=10, times=1)
        return worker.ask(op="fit", n_iter=10, times=20)["fits"]

    return compared(row, ["warpmeans"], fits, args)


def settle(args):
    """1,000,000 x 128, k = 1024: the update of iteration 50 against that of iteration 1."""
    points = data.gaussian(args.cache, 1_000_000, 128)
    init = data.initial_centroids(args.cache, points, 1024)
    row = {"case": "update as labels settle, 1000000 x 128, k=1024, 50 iterations"}

    def fits(worker):
        worker.load(points, init)
        return worker.ask(op="fit", n_iter=50, times=1)["fits"]

    row = compared(row, ["warpmeans"], fits, args)
    history = row["fits"].pop("warpmeans")[0]["history"]
    first, last = history[0]["seconds_update"], history[-1]["seconds_update"]
    row |= {"update_first": first, "update_last": last, "share": last / first, "bar_share": 0.1}
    row["history"] = history
    return row


def compared(row, names, fits, args):
    row |= {"competitors": {}, "fits": {}}
    workers = harness.start(names, args)
    try:
        for name, worker in workers.items():
            answers = fits(worker)
            row["competitors"][name] = {
                "seconds": harness.summary([a["seconds"] for a in answers]),
                "n_iter": statistics.median(a["n_iter_done"] for a in answers),
            }
            if answers[0].get("inertia") is not None:
                inertias = [a["inertia"] for a in answers]
                row["competitors"][name]["inertia"] = statistics.median(inertias)
            row["fits"][name] = answers
        row["about"] = harness.about_run(args, workers)
    finally:
        for worker in workers.values():
            worker.close()
    return row


def measure(args):
    cases = {"small": [given_init, digits, batch], "settle": [settle]}[args.what]
    rows, about = [], None
    for case in cases:
        row = case(args)
        row.pop("fits")
        about = about or row["about"]
        about["competitors"] |= row["about"]["competitors"]
        about["versions"] |= row.pop("about")["versions"]
        rows.append(row)
        print(row["case"])
        for name, entry in row["competitors"].items():
            milliseconds = 1e3 * entry["seconds"]["median"]
            print(f"  {name:10} {milliseconds:.3f} ms, {entry['n_iter']} iterations")
        if "share" in row:
            print(f"  last update / first: {row['share']:.1%}")
        sys.stdout.flush()
        harness.write_json(args.out, {**about, "regime": "whole calls", "rows": rows})
