"""Iterations from given centroids, all competitors round robin, on the shapes of shapes.json."""

import json
import statistics
import sys
import time

import numpy as np

import checks
import data
import harness

# Where --repeats rounds of all would take too long, only those within this factor of the fastest
# exact peer go on after the first.
CONTENDER = 1.5
PAUSE = 0.3  # seconds between turns: idle threads of the one before spin for up to 0.2


def chosen(args):
    shapes = json.loads((harness.HERE / "shapes.json").read_text())
    shapes = [s for s in shapes if not args.only or s["id"] in args.only]
    for shape in shapes:
        if args.iterations:
            first, last = shape["iterations"]
            shape["iterations"] = [first, first + args.iterations]
    return shapes


def run_shape(shape, args):
    paths = data.of_shape(shape, args)
    if paths is None:
        print(f"shape {shape['id']}: skipped, no --embeddings FILE given", file=sys.stderr)
        return None, None
    points = np.load(paths[0], mmap_mode="r")
    shape["n"], shape["d"] = points.shape
    workers = harness.start(args.competitors, args)
    try:
        for worker in workers.values():
            worker.load(*paths)
        peaks = [peak(workers)]
        samples = rounds(shape, workers, args)
        peaks.append(peak(workers))
        about = harness.about_run(args, workers)
    finally:
        for worker in workers.values():
            worker.close()
    return about, row_of(shape, samples, workers, peaks, np.load(paths[0]), args)


def peak(workers):
    return workers["warpmeans"].ask(op="peak")["gflops"] if "warpmeans" in workers else None


def rounds(shape, workers, args):
    """name -> list of answers. Rounds go on until --repeats or --seconds, three at least."""
    samples = {name: [] for name in workers}
    running = [name for name in workers if attempt(shape, workers[name], op="warm_up") is not None]
    start = time.monotonic()
    for turn in range(args.repeats):
        for name in list(running):
            time.sleep(PAUSE)
            out = args.cache / f"out_{name}.npy" if turn == 0 else None
            answer = attempt(
                shape, workers[name], op="run", iterations=shape["iterations"], centroids=out
            )
            if answer is None:
                running.remove(name)
            else:
                samples[name].append(answer)
        spent = time.monotonic() - start
        if turn == 0 and not args.all_rounds and spent * args.repeats > args.seconds:
            running = contenders(running, samples, workers)
        if turn >= 2 and spent > args.seconds:
            break
    return samples


def attempt(shape, worker, **command):
    """The answer, or None with a line on standard error: one that fails leaves the race."""
    try:
        return worker.ask(**command)
    except harness.Failure as failure:
        print(f"shape {shape['id']}: {failure}", file=sys.stderr)
        return None


def contenders(running, samples, workers):
    first = {name: samples[name][0]["seconds_per_iteration"] for name in running}
    exact = [
        first[name]
        for name in running
        if name != "warpmeans" and workers[name].about["exact"] and first[name]
    ]
    limit = CONTENDER * min(exact, default=float("inf"))
    return [name for name in running if name == "warpmeans" or (first[name] or 0) <= limit]


def row_of(shape, samples, workers, peaks, points, args):
    row = {**shape, "competitors": {}}
    mine = few = None
    for name, answers in samples.items():
        if not answers:
            continue
        out = args.cache / f"out_{name}.npy"
        judged = checks.assign(points, np.load(out))
        entry = {
            "seconds_per_iteration": harness.summary([a["seconds_per_iteration"] for a in answers]),
            "seconds_fits": [a["seconds_fits"] for a in answers],
            "n_iter_done": answers[0]["n_iter_done"],
            "inertia": judged[1],
        }
        if name == "warpmeans":
            mine, few = judged, checks.assign(points, np.load(f"{out}.few.npy"))
            entry |= own(answers, shape, peaks)
        elif mine is not None:
            entry["against_warpmeans"] = checks.agreement(mine, judged)
            if workers[name].about["given_init"]:
                judged = checks.assign(points, np.load(f"{out}.few.npy"))
                entry["against_warpmeans_few"] = checks.agreement(few, judged)
        row["competitors"][name] = entry
    row |= ratio(row, workers)
    return row


def own(answers, shape, peaks):
    """What the library itself reports of its iterations, and the roofline."""
    history = [h for answer in answers for h in answer["history"][shape["iterations"][0] :]]

    def median(key):
        return statistics.median(h[key] for h in history)

    flops = 2.0 * shape["n"] * shape["d"] * shape["k"]
    fma = statistics.median(p for p in peaks if p)
    reached = flops / median("seconds_assign") / 1e9
    return {
        "kernel": answers[0]["kernel"],
        "threads": answers[0]["threads"],
        "inertia_reported": answers[0]["inertia"],
        "history_seconds": harness.summary([h["seconds"] for h in history]),
        "seconds_assign": median("seconds_assign"),
        "seconds_update": median("seconds_update"),
        "first_iteration_seconds": statistics.median(a["history"][0]["seconds"] for a in answers),
        "doubtful_share": median("labels_doubtful") / shape["n"],
        "fma_peak_gflops": fma,
        "fma_peak_samples": peaks,
        "assign_gflops": reached,
        "assign_share_of_peak": reached / fma,
    }


def ratio(row, workers):
    """Our whole iteration against the fastest exact peer's, both by the same difference."""
    found = row["competitors"]
    exact = {
        name: entry["seconds_per_iteration"]["median"]
        for name, entry in found.items()
        if name != "warpmeans" and workers[name].about["exact"] and entry["seconds_per_iteration"]
    }
    if "warpmeans" not in found or not exact or not found["warpmeans"]["seconds_per_iteration"]:
        return {}
    fastest = min(exact, key=exact.get)
    times = exact[fastest] / found["warpmeans"]["seconds_per_iteration"]["median"]
    return {"fastest_exact_peer": fastest, "ratio": times, "meets_bar": times >= row["bar"]}


def report(row):
    print(f"{row['n']} x {row['d']}, k = {row['k']} ({row['name']})")
    for name, entry in row["competitors"].items():
        time_ = entry["seconds_per_iteration"]
        line = f"  {name:12}"
        if time_:
            line += " {:9.3f} ms [{:.3f}, {:.3f}] x{}".format(
                *(1e3 * time_[key] for key in ("median", "min", "max")), time_["samples"]
            )
        against = entry.get("against_warpmeans")
        if against:
            line += f"  inertia {against['inertia_relative']:+.1e}"
            line += f", labels equal {against['labels_equal']:.4f}"
        few = entry.get("against_warpmeans_few")
        if few:
            line += " ({:+.1e}, {:.6f} after {})".format(
                few["inertia_relative"], few["labels_equal"], row["iterations"][0]
            )
            line += "" if few["agrees"] else "  DISAGREES"
        if "assign_gflops" in entry:
            line += f"  assign {entry['assign_gflops']:.0f} GFLOP/s,"
            line += (
                f" {100 * entry['assign_share_of_peak']:.0f} % of {entry['fma_peak_gflops']:.0f}"
            )
        print(line)
    if "ratio" in row:
        print(f"  {row['ratio']:.2f}x {row['fastest_exact_peer']} (bar {row['bar']})")
    sys.stdout.flush()


def measure(args):
    result, rows = None, []
    for shape in chosen(args):
        about, row = run_shape(shape, args)
        if row is None:
            continue
        rows.append(row)
        report(row)
        result = {**about, "regime": "difference of two whole fits, round robin", "rows": rows}
        harness.write_json(args.out, result)
    return result
