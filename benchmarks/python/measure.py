"""One row each: a pair of competitors in turns; what a call from Python, and import, cost."""

import argparse
import statistics
import subprocess
import sys
import time

import numpy as np

import cases

import checks  # noqa: I001  (cases puts end_to_end on the path)
import data
import harness
from measure_fit import PAUSE

ITERATIONS = 20  # of fits from given centroids
ENOUGH, MOST = 0.3, 20  # a turn repeats short fits for so many seconds, so many times at most
SAME_INERTIA = {True: 1e-3, False: 1e-4}  # own centroids, median of seeds; the same centroids


def pair(case, args, deadline):
    """The row of a case, or None with a line that says why there is none."""
    files = case.files(args)
    if files is None:
        print(f"{case.name}: skipped, no --embeddings FILE given", file=sys.stderr)
        return None
    names = cases.PAIRS[case.kind]
    workers = harness.start(names, args)
    try:
        if set(workers) != set(names):
            print(f"{case.name}: skipped, see above", file=sys.stderr)
            return None
        for worker in workers.values():
            worker.load(*files)
        turns = rounds(case, files, workers, args, deadline)
        about = harness.about_run(args, workers)
    except harness.Failure as failure:
        print(f"{case.name}: {failure}", file=sys.stderr)
        return None
    finally:
        for worker in workers.values():
            worker.close()
    return {**row_of(case, names, turns), "about": about}


def rounds(case, files, workers, args, deadline):
    """name -> answers, one a seed (from given centroids: one a round). The deadline starts no
    further round."""
    points = np.load(files[0])
    turns = {name: [] for name in workers}
    for seed in range(args.seeds):
        for name, worker in workers.items():
            time.sleep(PAUSE)
            out = args.cache / f"out_{name}.npy"
            answer = turn(case, worker, seed, out)
            answer["inertia"] = checks.assign(points, np.load(out))[1]
            turns[name].append(answer)
        if time.monotonic() > deadline:
            break
    return turns


def turn(case, worker, seed, out):
    """A fit; where it is short, the median of some more, the first left out."""
    if case.draws_centroids:
        command = {"op": "default_fit", "k": case.k, "seed": seed}
        first = worker.ask(**command, centroids=out)
    else:
        command = {"op": "fit", "n_iter": ITERATIONS, "times": 1}
        first = worker.ask(**command, centroids=out)["fits"][0]
    times = min(MOST, int(ENOUGH / first["seconds"]))
    if times < 2:
        return first
    more = [worker.ask(**command) for _ in range(times)]
    seconds = [(answer["fits"][0] if "fits" in answer else answer)["seconds"] for answer in more]
    return first | {"seconds": statistics.median(seconds)}


def row_of(case, names, turns):
    row = {"case": case.name, "kind": case.kind, "n": case.n, "d": case.d, "k": case.k}
    row |= {"dtype": case.dtype, "data": case.data, "bar": case.bar, "competitors": {}}
    for name in names:
        row["competitors"][name] = {
            "seconds": harness.summary([answer["seconds"] for answer in turns[name]]),
            "inertia": harness.summary([answer["inertia"] for answer in turns[name]]),
            "n_iter": [answer["n_iter_done"] for answer in turns[name]],
        }
    ours, peer = (row["competitors"][name] for name in names)
    row["ratio"] = peer["seconds"]["median"] / ours["seconds"]["median"]
    row["inertia_relative"] = ours["inertia"]["median"] / peer["inertia"]["median"] - 1
    row["meets_bar"] = (
        row["ratio"] >= case.bar and row["inertia_relative"] <= SAME_INERTIA[case.draws_centroids]
    )
    return row


def overhead(args):
    """(1000, 16), k = 8, one iteration from given centroids, on one thread so that waking another
    is no part of it: the Python calls beside the C++ call."""
    points = data.gaussian(args.cache, 1000, 16)
    files = points, data.initial_centroids(args.cache, points, 8)
    args = argparse.Namespace(**{**vars(args), "threads": 1})
    names = ("warpmeans", "functional", "estimator")
    workers = harness.start(names, args)
    seconds = {name: [] for name in workers}
    try:
        for worker in workers.values():
            worker.load(*files)
            worker.ask(op="repeat", n_iter=1, times=200)
        for _ in range(args.overhead_rounds):
            for name, worker in workers.items():
                seconds[name].append(
                    statistics.median(worker.ask(op="repeat", n_iter=1, times=200)["seconds"])
                )
        about = harness.about_run(args, workers)
    finally:
        for worker in workers.values():
            worker.close()
    if "functional" not in workers:
        return None
    found = {name: {"seconds": harness.summary(values)} for name, values in seconds.items()}
    difference = [a - b for a, b in zip(seconds["functional"], seconds["warpmeans"])]
    row = {"case": "overhead", "kind": "overhead", "n": 1000, "d": 16, "k": 8, "about": about}
    row |= {"competitors": found, "seconds": harness.summary(difference), "bar_seconds": 30e-6}
    row["meets_bar"] = row["seconds"]["median"] <= row["bar_seconds"]
    return row


def importing(args):
    """Seconds that `import warpmeans` takes where NumPy is imported already: fresh processes."""
    code = (
        "import time, numpy; start = time.perf_counter(); import warpmeans;"
        "print(time.perf_counter() - start)"
    )
    command = [sys.executable, "-c", code]
    times = [
        float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        for _ in range(1 + args.import_rounds)
    ]
    row = {"case": "import", "kind": "import", "seconds": harness.summary(times[1:])}
    row |= {"bar_seconds": 0.05, "about": harness.about_run(args, {}), "competitors": {}}
    row["meets_bar"] = row["seconds"]["median"] <= row["bar_seconds"]
    return row
