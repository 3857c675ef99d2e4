"""What is measured of initial centroids: k-means++ and k-means|| alone, and whole default fits."""

import math

import checks
import gpu
import torch_init


def init(row):
    """k-means++ alone, both greedy with as many trials. Ours: fits without iterations, from k-means++
    less from given centroids; and how many iterations that is worth. torch: the fastest of its ways.
    How good the seeds are: the inertia with them as centroids."""
    if "torch" in row.loaded:
        trials = 2 + int(math.log(row.row["k"]))
        ways = torch_init.seedings(row.points[0], row.row["k"], trials)
        row.row["torch"]["ways"] = {}
        for way in ways:
            found = row.attempt("torch", way.name, lambda: timed_seeding(row.points[0], way))
            if found is not None:
                row.row["torch"]["ways"][way.name] = found
            way.release()
    ours = row.loaded.get("ours")
    if ours is None:
        return
    row.bench("ours", "given0", lambda: ours.fit(0))
    found = row.attempt("ours", "seeds", lambda: ours.fit(0, init="k-means++"))
    if found is not None:
        row.check_labels("ours", "fit_check", found)
        row.keep("ours", "inertia", lambda: checks.inertia_of(row.points, found[1], found[0]))
    row.check_rerun("ours", "seeded", lambda: ours.fit(0, init="k-means++"))
    row.bench("ours", "seeded0", lambda: ours.fit(0, init="k-means++"))
    for n in (1, 2):
        row.bench("ours", f"fit{n}", lambda: ours.fit(n), 200)


def timed_seeding(points, way):
    """Milliseconds of a seeding and how good it is."""
    found = gpu.bench(way, 200)
    rows = way()
    found["inertia"] = torch_init.inertia_of(points, rows)
    found["distinct"] = len(rows.unique())
    return found


def parallel(row):
    """k-means|| by the call that waits, its results on the host: fits without iterations and with one
    from given centroids, and one without from k-means||; each once."""
    ours = row.loaded["ours"]
    part = row.points[:, : 1 << 16]
    row.attempt("ours", "warm", lambda: ours.adapter.load(part, row.init[:, :100]).fit_and_wait(1))
    for step, iterations, start in (
        ("given0", 0, "given"),
        ("given1", 1, "given"),
        ("seeded0", 0, "k-means||"),
    ):
        results = []
        row.keep(
            "ours",
            step,
            lambda: gpu.wall(lambda: results.append(ours.fit_and_wait(iterations, init=start)), 1),
        )
        if results:
            row.row["ours"]["inertia"] = results[0][0]


def whole(row):
    """Fits with everybody's own defaults, initial centroids included, each from five seeds: time,
    iterations, and how good the result is."""
    for name, problem in row.loaded.items():
        if not hasattr(problem, "default_fit"):
            continue
        runs = []
        row.attempt(name, "warm", lambda: problem.default_fit(0))
        for seed in range(1, 6):
            found = row.attempt(name, "fit", lambda: default_fit(row.points, problem, seed))
            if found is not None:
                runs.append(found)
        row.row[name]["runs"] = runs


def default_fit(points, problem, seed):
    """The final labels, where there are none yet, are not in the time, but in the inertia."""
    results = []
    gpu.sync()
    ms = gpu.once(lambda: results.append(problem.default_fit(seed)))
    centroids, iterations = results[0]
    labels = checks.nearest(points, centroids)
    return {
        "ms": ms,
        "iterations": iterations,
        "inertia": checks.inertia_of(points, centroids, labels),
    }


KINDS = {"init": init, "parallel": parallel, "whole": whole}
