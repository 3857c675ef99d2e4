"""The table's lines, what is derived from the measurements, and the results file."""

import json
import os
import tempfile

COLUMNS = [
    ("id", 8), ("B,N,D,K", 24), ("type", 4), ("seed assign", 11), ("update", 8), ("iter", 8),
    ("avg20", 8), ("assign", 8), ("TFLOP/s", 8), ("% cuBLAS", 9), ("update", 8), ("cold", 8),
    ("avg20", 8), ("graph20", 8), ("x cold", 7), ("x avg20", 8), ("wrong", 6), ("rerun", 6),
]  # fmt: skip
OTHERS = ("seed", "flashlib", "torch", "fastkmeans", "fast-pytorch-kmeans", "ours")
SHORT = {"float16": "fp16", "bfloat16": "bf16"}


def median(part, step):
    found = (part or {}).get(step)
    return found["median"] if isinstance(found, dict) and "median" in found else None


def over(a, b):
    return a / b if a is not None and b else None


def operations(row):
    return 2 * row["batch"] * row["n"] * row["d"] * row["k"]


def derive(row, ceilings):
    """Adds row["derived"]."""
    ours, seed = row.get("ours"), row.get("seed")
    rate = ((ceilings or {}).get(row["dtype"]) or {}).get("tflops")
    out = row["derived"] = {}

    def put(name, value):
        if value is not None:
            out[name] = value

    def tflops(milliseconds, iterations=1):
        return over(1e-9 * iterations * operations(row), milliseconds)

    put("assign_tflops", tflops(median(ours, "assign")))
    put("assign_share_of_cublas", over(out.get("assign_tflops"), rate))
    put("seed_assign_tflops", tflops(median(seed, "assign")))
    one, two = median(ours, "fit1"), median(ours, "fit2")
    if one is not None and two is not None:
        out["iteration_cold"] = two - one
    put("iteration_avg20", over(median(ours, "fit20"), 20))
    put("iteration_graph20", over(median(ours, "graph20"), 20))
    put("seed_iteration_avg20", over(median(seed, "fit20"), 20))
    put("ratio_assign", over(median(seed, "assign"), median(ours, "assign")))
    put("ratio_update", over(median(seed, "update"), median(ours, "update")))
    put("ratio_cold", over(median(seed, "iteration"), out.get("iteration_cold")))
    put("ratio_avg20", over(out.get("seed_iteration_avg20"), out.get("iteration_avg20")))
    put("ratio_fit", over(median(seed, "fit"), median(ours, "fit")))
    put("ratio_fit_as_many", over(median(seed, "fit"), median(ours, "fit_as_many")))
    if row["kind"] == "call":
        wall, kernels = median(ours, "wall"), median(ours, "kernels")
        put("overhead_us", None if None in (wall, kernels) else 1e3 * (wall - kernels))
    for name in ("flashlib", "fastkmeans", "fast-pytorch-kmeans", "torch"):
        put(f"ratio_avg20_{name}", over(median(row.get(name), "fit20"), median(ours, "fit20")))
    put("skew", over(median(ours, "update"), median(ours, "update_balanced")))
    put("seed_skew", over(median(seed, "update"), median(seed, "update_balanced")))
    if row["kind"] in ("init", "parallel"):
        derive_init(row, put)
    if row["kind"] == "end_to_end":
        put("fit_tflops", tflops(median(ours, "fit"), row["max_iter"]))
        put("seed_fit_tflops", tflops(median(seed, "fit"), row["max_iter"]))
    return out


def derive_init(row, put):
    """Milliseconds of the initial centroids alone, in iterations, and against torch's best."""
    ours, other = row.get("ours"), row.get("torch") or {}
    given, seeded = median(ours, "given0"), median(ours, "seeded0")
    steps = ("given0", "given1") if row["kind"] == "parallel" else ("fit1", "fit2")
    less, more = (median(ours, step) for step in steps)
    init = None if None in (given, seeded) else seeded - given
    put("init", init)
    if None not in (init, less, more):
        put("init_in_iterations", over(init, more - less))
    ways = {name: found["median"] for name, found in other.get("ways", {}).items()}
    if ways:
        best = min(ways, key=ways.get)
        put("torch_init", ways[best])
        put("torch_way", best)
        put("ratio_init", over(ways[best], init))


def wrong_of(part):
    """Wrong labels of all checks, or None where none was made."""
    found = [part[c]["wrong"] for c in ("assign_check", "fit_check") if c in (part or {})]
    return sum(found) if found else None


def rerun_of(part):
    found = [value for key, value in (part or {}).items() if key.endswith("rerun_equal")]
    return all(found) if found else None


def means_are_right(check):
    if check is None:
        return True
    error = check["max_abs_error"]
    return error is not None and error <= 1e-6 and check["counts_equal"] and check["empty_are_zero"]


def is_good(row):
    """No error of ours, and no check that failed."""
    part = row.get("ours")
    ok = not any(step.split(".")[0] in ("ours", "row", "checks") for step in row["errors"])
    return (
        ok
        and wrong_of(part) in (0, None)
        and rerun_of(part) in (True, None)
        and means_are_right((part or {}).get("update_check"))
    )


def number(value):
    if value is None:
        return "-"
    return f"{value:.0f}" if value >= 1000 else f"{value:.3g}" if value < 100 else f"{value:.1f}"


def header():
    return "  ".join(name.rjust(width) for name, width in COLUMNS)


def line(row):
    """The row, and under it what its kind has that no column shows, and its errors."""
    ours, seed, out = row.get("ours"), row.get("seed"), row.get("derived", {})
    share = out.get("assign_share_of_cublas")
    wrong, rerun = wrong_of(ours), rerun_of(ours)
    cells = [
        row["id"],
        ",".join(str(row[key]) for key in ("batch", "n", "d", "k")),
        SHORT.get(row["dtype"], row["dtype"]),
        *(number(median(seed, step)) for step in ("assign", "update", "iteration")),
        number(out.get("seed_iteration_avg20")),
        number(median(ours, "assign")),
        number(out.get("assign_tflops")),
        "-" if share is None else f"{100 * share:.0f}",
        number(median(ours, "update")),
        *(number(out.get("iteration_" + step)) for step in ("cold", "avg20", "graph20")),
        *(number(out.get("ratio_" + step)) for step in ("cold", "avg20")),
        "-" if wrong is None else str(wrong),
        "-" if rerun is None else "yes" if rerun else "NO",
    ]
    text = "  ".join(c.rjust(width) for c, (_, width) in zip(cells, COLUMNS, strict=True))
    for note in notes(row):
        text += f"\n{'':10}{note}"
    return text


def notes(row):
    ours, seed, baseline = (row.get(name) or {} for name in ("ours", "seed", "torch"))
    out = row.get("derived", {})
    if row["kind"] == "skewed":
        for name, part in (("ours", ours), ("seed", seed), ("torch", baseline)):
            if part:
                before, after = (number(median(part, s)) for s in ("update_balanced", "update"))
                yield f"{name}: update {before} ms balanced, {after} with half in one cluster"
    if row["kind"] == "tolerance":
        for name, part in (("ours", ours), ("seed", seed), ("torch", baseline)):
            if "fit" in part:
                done = part.get("iterations") or [0]
                yield (
                    f"{name}: fit to tol {number(median(part, 'fit'))} ms, {min(done)}-{max(done)} "
                    f"iterations, inertia {part.get('inertia') or 0:.8g}"
                )
        yield (
            f"ours, as many iterations as the seed: {number(median(ours, 'fit_as_many'))} ms; "
            f"x {number(out.get('ratio_fit'))} to tol, x {number(out.get('ratio_fit_as_many'))}"
        )
    if row["kind"] in ("init", "parallel"):
        theirs = (row.get("torch") or {}).get("ways", {})
        yield (
            f"initial centroids: ours {number(out.get('init'))} ms = "
            f"{number(out.get('init_in_iterations'))} iterations, inertia "
            f"{(ours or {}).get('inertia') or 0:.8g}; x {number(out.get('ratio_init'))}"
        )
        for way, found in theirs.items():
            yield f"torch, {way}: {number(found['median'])} ms, inertia {found['inertia']:.8g}"
    if row["kind"] == "whole":
        for name in OTHERS:
            for run in (row.get(name) or {}).get("runs", []):
                done = "?" if run["iterations"] is None else run["iterations"]
                yield f"{name}: {number(run['ms'])} ms, {done} iterations, inertia {run['inertia']:.8g}"
    if row["kind"] == "end_to_end":
        yield (
            f"{row['max_iter']} iterations and labels: ours {number(median(ours, 'fit'))} ms "
            f"({number(out.get('fit_tflops'))} TFLOP/s), seed {number(median(seed, 'fit'))} ms "
            f"({number(out.get('seed_fit_tflops'))}), x {number(out.get('ratio_fit'))}"
        )
    if row["kind"] == "chart":
        times = ((name, median(row.get(name), "fit20")) for name in OTHERS)
        yield "fit of 20, ms: " + ", ".join(f"{n} {number(t)}" for n, t in times if t is not None)
    if row["kind"] == "call":
        steps = (f"{s} {number(1e3 * (median(ours, s) or 0))}" for s in ("wall", "enqueue", "kernels"))
        yield f"ours, us: {', '.join(steps)}, overhead {number(out.get('overhead_us'))}"
        yield f"seed, us: wall {number(1e3 * (median(seed, 'wall') or 0))}"
    if row["kind"] in ("steps", "small") and "assign" in baseline:
        steps = (number(median(baseline, step)) for step in ("assign", "update", "iteration"))
        yield f"torch: {' / '.join(steps)} ms, {wrong_of(baseline)} wrong"
    for name, part in (("ours", ours), ("seed", seed)):
        error = part.get("update_check")
        if error:
            bad = [key for key in ("counts_equal", "empty_are_zero") if not error.get(key, True)]
            text = "".join(f", NOT {key}" for key in bad)
            yield f"{name}: means within {number(error['max_abs_error'])}{text}"
    for step, text in row["errors"].items():
        yield f"ERROR {step}: {text.splitlines()[0] if text else text}"


def write_json(path, value):
    """Aside and renamed: whoever reads it finds a whole one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    with os.fdopen(handle, "w") as file:
        json.dump(value, file, indent=1)
        file.write("\n")
    os.chmod(name, 0o644)
    os.replace(name, path)
