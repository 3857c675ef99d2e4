"""Warpmeans beside itself: what it chooses against float32's full pass, the plain path, with
skipping off; on data that defeats its screens and bounds, and on a grid of ordinary shapes."""

import statistics
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

import data
import harness

sys.path.append(str(Path(__file__).resolve().parents[1] / "python"))

import cases  # noqa: E402

PLAIN_KERNELS = ("avx512", "avx2", "neon", "portable")  # the first that runs here
TURN_SECONDS = 0.02  # short fits are repeated until a turn takes this long
TOL, MAX_ITER = 1e-4, 300
WORST_ITERATIONS = 12


@dataclass
class Setting:
    """How fits are asked for, and the bar: times as long as with this setting, at most."""

    kernel: str
    skipping: str
    bar: float | None = None
    seconds: list = field(default_factory=list)
    answer: dict = field(default_factory=dict)


def equal_points(rng, n, d, k):
    return np.full((n, d), 3.25), np.full((k, d), 3.25)


def copies_of_a_centroid(rng, n, d, k):
    points = rng.standard_normal((n, d))
    return points, np.repeat(points[:1], k, axis=0)


def no_structure(rng, n, d, k):
    """All distances nearly the same, more so the more features."""
    points = rng.standard_normal((n, d))
    return points, points[:k]


def two_far_groups(distance):
    """Points of a group differ by next to nothing beside the length that all of them share."""

    def make(rng, n, d, k):
        points = rng.standard_normal((n, d))
        points[:, 0] += np.where(np.arange(n) % 2, distance, -distance)
        return points, points[:k]

    return make


# (name, n, d, k, maker)
WORST = [
    ("all points equal", 50_000, 128, 100, equal_points),
    ("k copies of a centroid", 50_000, 128, 100, copies_of_a_centroid),
    ("no structure", 50_000, 512, 100, no_structure),
    ("no structure, few clusters", 50_000, 512, 8, no_structure),
    ("every pair doubtful in bytes", 50_000, 128, 100, two_far_groups(100)),
    ("every pair doubtful in bytes, few clusters", 50_000, 256, 10, two_far_groups(100)),
    ("every pair doubtful in float32", 10_000, 128, 20, two_far_groups(1e6)),
]


def worst_files(cache, name, n, d, k, make):
    stem = f"worst_{name.replace(' ', '_').replace(',', '')}_{n}x{d}x{k}"
    paths = cache / f"{stem}.npy", cache / f"{stem}_init.npy"
    if not all(path.exists() for path in paths):
        for path, array in zip(paths, make(np.random.default_rng([n, d, k]), n, d, k)):
            data.save(path, np.ascontiguousarray(array, dtype=np.float32))
    return paths


def plain_kernel(worker):
    for kernel in PLAIN_KERNELS:
        worker.ask(op="choose", kernel=kernel, skipping="off")
        try:
            worker.ask(op="repeat", n_iter=1, times=1)
            return kernel
        except harness.Failure as failure:
            reason = failure
    raise reason


def measure_case(row, paths, settings, ask, args):
    """Settings take turns. `ask`: the fit."""
    worker = harness.Worker("warpmeans", args)
    try:
        worker.load(*paths)
        plain = plain_kernel(worker)
        for setting in settings:
            setting.kernel = plain if setting.kernel == "plain" else setting.kernel
        start = time.monotonic()
        for turn in range(args.repeats + 1):  # the first is not counted
            if turn > 3 and time.monotonic() - start > args.seconds:
                break
            # Who comes first changes, so that nobody always follows the slowest.
            for setting in settings[turn % len(settings) :] + settings[: turn % len(settings)]:
                worker.ask(op="choose", kernel=setting.kernel, skipping=setting.skipping)
                spent = 0
                while spent < TURN_SECONDS:
                    setting.answer = ask(worker)
                    spent += setting.answer["seconds"]
                    if turn:
                        setting.seconds.append(setting.answer["seconds"])
        about = harness.about_run(args, {"warpmeans": worker})
    finally:
        worker.close()
    return about, row | judged(settings)


def judged(settings):
    chosen, *others = settings
    own = statistics.median(chosen.seconds)
    found = {"kernel": chosen.answer["kernel"], "n_iter": chosen.answer["n_iter_done"]}
    found |= {"seconds": harness.summary(chosen.seconds), "against": []}
    for other in others:
        found["against"].append(
            {
                "kernel": other.answer["kernel"],
                "skipping": other.skipping,
                "seconds": harness.summary(other.seconds),
                "times": own / statistics.median(other.seconds),
                "bar": other.bar,
                "same_inertia": other.answer["inertia"] == chosen.answer["inertia"],
            }
        )
    return found


def report(row):
    print(f"{row['case']}: {1e3 * row['seconds']['median']:.3f} ms, {row['kernel']}")
    for other in row["against"]:
        same = "" if other["same_inertia"] else ", ANOTHER INERTIA"
        print(
            f"  {other['times']:.2f} times {other['kernel']}, skipping {other['skipping']}"
            f" (bar {other['bar']}){same}"
        )
    sys.stdout.flush()


def worst(args):
    def ask(worker):
        return worker.ask(op="fit", n_iter=WORST_ITERATIONS, times=1)["fits"][0]

    for i, (name, n, d, k, make) in enumerate(WORST, 1):
        if args.only and i not in args.only:
            continue
        row = {"case": f"{name}, {n} × {d}, k = {k}", "name": name, "n": n, "d": d, "k": k}
        settings = [Setting("", "automatic"), Setting("plain", "off", 3.0)]
        yield row, worst_files(args.cache, name, n, d, k, make), settings, ask


def skipping(args):
    def ask(worker):
        return worker.ask(op="converge", tol=TOL, max_iter=MAX_ITER)

    for i, case in enumerate((c for c in cases.all_cases() if c.kind == "grid"), 1):
        if args.only and i not in args.only:
            continue
        points = cases.blobs(args.cache, case.n, case.d, case.k)
        paths = points, data.initial_centroids(args.cache, points, case.k)
        row = {"case": f"{case.n} × {case.d}, k = {case.k}", "n": case.n, "d": case.d, "k": case.k}
        settings = [Setting("", "automatic")]
        settings += [Setting("", "off", 1.05), Setting("plain", "off", 1.05)]
        yield row, paths, settings, ask


def measure(args):
    rows = []
    for row, paths, settings, ask in {"worst": worst, "skipping": skipping}[args.what](args):
        about, row = measure_case(row, paths, settings, ask, args)
        rows.append(row)
        report(row)
        harness.write_json(args.out, {**about, "regime": "whole fits, in turns", "rows": rows})
