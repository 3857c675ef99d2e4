#!/usr/bin/env python3
"""Makes the tables of docs/gpu.md from what compare.py wrote: table.py [results/gpu/compare.json]"""

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BEGIN, END = "<!-- gpu table -->", "<!-- /gpu table -->"


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


def main():
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "benchmarks/results/gpu/compare.json"
    run = json.loads(path.read_text())
    ceilings, machine = run["ceilings"], run["machine"]
    lines = [
        BEGIN,
        f"{machine['card']}, driver {machine['driver']}, commit {run['commit']}, {run['regime']} "
        f"medians in ms, precision native; in the same call cuBLAS 8192³ "
        f"{ceilings['float16']['tflops']:.0f} (fp16) and {ceilings['bfloat16']['tflops']:.0f} (bf16) "
        f"TFLOP/s, copy {ceilings['copy']['tb_per_s']:.2f} TB/s; seed: flash-kmeans "
        f"{run['versions']['flash-kmeans']}.",
        "",
        *steps(run),
        END,
    ]
    page = ROOT / "docs/gpu.md"
    before, rest = page.read_text().split(BEGIN)
    page.write_text(before + "\n".join(lines) + rest.split(END)[1])
    print(f"wrote {page}")


if __name__ == "__main__":
    main()
