#!/usr/bin/env python3
"""Makes the tables of docs/gpu.md, or with --package's results those of docs/python-gpu.md, from what
compare.py wrote: table.py [results/gpu/compare.json ...]; init.json's are tables of their own."""

import json
import statistics
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def median(adapter, key, divide=1):
    value = adapter.get(key)
    return value["median"] / divide if isinstance(value, dict) and "median" in value else None


def text(value, digits=3):
    return "–" if value is None else f"{value:.{digits}g}"


def cold(ours):
    one, two = median(ours, "fit1"), median(ours, "fit2")
    return None if one is None or two is None else two - one


def steps(run):
    yield "| B,N,D,K | type | seed iteration | ours: assign | share of cuBLAS | iteration | × seed | fit of 20 ÷ 20 | × seed | wrong |"
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for row in run["rows"]:
        ours, seed = row.get("ours", {}), row.get("seed", {})
        if row["kind"] not in ("steps", "small") or "assign" not in ours:
            continue
        flops = 2.0 * row["batch"] * row["n"] * row["d"] * row["k"]
        peak = run["ceilings"][row["dtype"]]["tflops"]
        assign, once = median(ours, "assign"), cold(ours)
        mean, seeds = median(ours, "fit20", 20), median(seed, "fit20", 20)
        first = median(seed, "iteration")
        share = flops / (assign * 1e-3) / 1e12 / peak
        yield "| " + " | ".join([
            f"{row['batch']},{row['n']},{row['d']},{row['k']}",
            "bf16" if row["dtype"] == "bfloat16" else "fp16",
            text(first), text(assign), f"{share:.0%}".replace("%", " %"), text(once),
            text(first / once if first and once else None), text(mean),
            text(seeds / mean if seeds and mean else None),
            str(ours["assign_check"]["wrong"]),
        ]) + " |"


def package(run):
    yield "| B,N,D,K | flash-kmeans | FlashLib | fastkmeans | fast-pytorch | ours | × flash-kmeans | × FlashLib | wrong |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for row in run["rows"]:
        if row["kind"] != "chart":
            continue
        names = ("ours", "seed", "flashlib", "fastkmeans", "fast-pytorch-kmeans")
        ours, seed, lib, *others = (median(row.get(name, {}), "fit20", 20) for name in names)
        yield "| " + " | ".join([
            f"{row['batch']},{row['n']},{row['d']},{row['k']}" + " †" * ("earlier" in row),
            text(seed), text(lib), *map(text, others), text(ours),
            *(text(other / ours if other and ours else None) for other in (seed, lib)),
            str(row["ours"].get("fit_check", {}).get("wrong", "–")),
        ]) + " |"


def calls(run):
    for row in run["rows"]:
        ours = row.get("ours", {})
        if row["kind"] == "call" and "wall" in ours:
            wall, host, kernels = (1e3 * ours[key]["median"] for key in
                                   ("wall", "enqueue", "kernels"))
            yield (
                f"A call for two iterations of {row['n']} × {row['d']}, K = {row['k']}, from given "
                f"centroids, to its result: {wall:.0f} µs, of which the kernels, replayed as a graph, "
                f"are {kernels:.0f}: **{wall - kernels:.0f} µs of overhead**. The host has the call "
                f"behind it after {host:.0f} µs."
            )


def seedings(run):
    """Initial centroids alone."""
    yield "| N,D,K | type | init | ours, ms | in iterations | torch's best, ms | its way | × torch | inertia, ours ÷ torch's |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for row in run["rows"]:
        out, ours = row.get("derived", {}), row.get("ours", {})
        if row["kind"] not in ("init", "parallel") or "init" not in out:
            continue
        way = out.get("torch_way")
        inertia = row["torch"]["ways"][way]["inertia"] if way else None
        yield "| " + " | ".join([
            f"{row['n']},{row['d']},{row['k']}", row["dtype"],
            "k-means++" if row["kind"] == "init" else "k-means‖",
            text(out["init"]), text(out.get("init_in_iterations")),
            text(out.get("torch_init")), way or "–", text(out.get("ratio_init")),
            text(ours["inertia"] / inertia if inertia else None, 5),
        ]) + " |"


def wholes(run):
    """Whole default fits: medians of the seeds."""
    yield "| N,D,K | type | who | ms | iterations | inertia ÷ ours |"
    yield "|---|---|---|---|---|---|"
    for row in run["rows"]:
        if row["kind"] != "whole" or not row.get("ours", {}).get("runs"):
            continue
        ours = statistics.median(r["inertia"] for r in row["ours"]["runs"])
        for name, label in (("ours", "ours, k-means++"), ("torch", "torch, random"),
                            ("seed", "flash-kmeans, random"), ("flashlib", "FlashLib, random"),
                            ("fast-pytorch-kmeans", "fast-pytorch-kmeans, random")):
            runs = row.get(name, {}).get("runs")
            if not runs:
                continue
            done = [r["iterations"] for r in runs if r["iterations"] is not None]
            yield "| " + " | ".join([
                f"{row['n']},{row['d']},{row['k']}", row["dtype"], label,
                text(statistics.median(r["ms"] for r in runs)),
                text(statistics.median(done) if done else None),
                text(statistics.median(r["inertia"] for r in runs) / ours, 5),
            ]) + " |"


def between(page, mark, lines):
    """Puts the lines between the page's marks."""
    begin, end = f"<!-- {mark} -->", f"<!-- /{mark} -->"
    before, rest = page.read_text().split(begin)
    page.write_text("\n".join([before + begin, *lines, end + rest.split(end)[1]]))
    print(f"wrote {page}")


def about(run):
    machine = run["machine"]
    return f"{machine['card']}, driver {machine['driver']}, commit {run['commit']}"


def load(paths):
    """The last run, with rows that only those before it have. All of one kind of card."""
    *before, run = (json.loads(Path(path).read_text()) for path in paths)
    for other in reversed(before):
        if about(other) != about(run):
            sys.exit(f"not the same: {about(other)} and {about(run)}")
        known = {row["id"] for row in run["rows"]}
        for row in other["rows"]:
            if row["id"] not in known:
                row["earlier"] = True
                run["rows"].append(row)
    return run


def main():
    run = load(sys.argv[1:] or [ROOT / "benchmarks/results/gpu/compare.json"])
    versions = run["versions"]
    if any(row["kind"] in ("chart", "call") for row in run["rows"]):
        peers = ", ".join(f"{name} {versions[name]}" for name in ("flash-kmeans", "flashlib", "fastkmeans",
                                                               "fast-pytorch-kmeans")
                          if name in versions)
        head = (
            f"{about(run)}; float16, precision native, ms an iteration of whole fits of 20, do_bench "
            f"medians; {peers}."
            + " † of the run before it." * any("earlier" in row for row in run["rows"])
        )
        between(ROOT / "docs/python-gpu.md", "gpu package table",
                [head, "", *package(run), "", *calls(run)])
        return
    if any(row["kind"] in ("init", "parallel", "whole") for row in run["rows"]):
        head = f"{about(run)}; flash-kmeans {versions.get('flash-kmeans', '–')}, torch {versions['torch']}."
        between(ROOT / "docs/gpu.md", "gpu init table",
                [head, "", *seedings(run), "", *wholes(run)])
        return
    ceilings = run["ceilings"]
    head = (
        f"{about(run)}, {run['regime']} medians in ms, precision native; in the same call cuBLAS 8192³ "
        f"{ceilings['float16']['tflops']:.0f} (fp16) and {ceilings['bfloat16']['tflops']:.0f} (bf16) "
        f"TFLOP/s, copy {ceilings['copy']['tb_per_s']:.2f} TB/s; seed: flash-kmeans "
        f"{versions['flash-kmeans']}."
    )
    between(ROOT / "docs/gpu.md", "gpu table", [head, "", *steps(run)])


if __name__ == "__main__":
    main()
