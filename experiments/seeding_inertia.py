#!/usr/bin/env python3
"""Whether default fits end at another inertia than scikit-learn's: over hundreds of seeds.

A case of benchmarks/python/cases.py at a time: both estimators with random_state = 0 ... --seeds,
one initialisation each. Both draw greedy k-means++ with 2 + log k trials, by different numbers, so
seeds do not pair up. --out keeps all inertias; of a case that is there already, new seeds are added.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import sklearn
import warpmeans
from sklearn.cluster import KMeans

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "benchmarks" / "python"))

import cases  # noqa: E402


def add_seeds(found, points, k, seeds, deadline):
    """Inertias of seeds not in `found` yet, one of each library, until the deadline."""
    for seed in range(len(found["warpmeans"]), seeds):
        if time.monotonic() > deadline:
            break
        for name, estimator in (("warpmeans", warpmeans.KMeans), ("scikit-learn", KMeans)):
            model = estimator(k, n_init=1, random_state=seed).fit(points)
            found[name].append(float(model.inertia_))


def summary(found):
    """Means' difference and what ten seeds' medians scatter by, both in percent of the mean."""
    ours, theirs = (np.array(found[name]) for name in ("warpmeans", "scikit-learn"))
    mean = theirs.mean()
    error = np.sqrt(ours.var(ddof=1) / len(ours) + theirs.var(ddof=1) / len(theirs))
    draws = np.random.default_rng(0).choice(theirs, (10_000, 10))
    return {
        "seeds": len(ours),
        "difference_percent": 100 * float(ours.mean() / mean - 1),
        "standard_error_percent": 100 * float(error / mean),
        "median_difference_percent": 100 * float(np.median(ours) / np.median(theirs) - 1),
        "sd_of_median_of_ten_percent": 100 * float(np.median(draws, axis=1).std() / mean),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", default=["grid-1", "grid-7", "grid-12"])
    parser.add_argument("--seeds", type=int, default=300)
    parser.add_argument("--seconds", type=float, default=50, help="no further seed after so many")
    parser.add_argument("--cache", type=Path, default=ROOT / "benchmarks" / ".cache")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    args = parser.parse_args()
    args.cache.mkdir(parents=True, exist_ok=True)
    begin = time.monotonic()
    result = json.loads(args.out.read_text()) if args.out.exists() else {"cases": {}}
    result["versions"] = {"scikit-learn": sklearn.__version__, "numpy": np.__version__}
    for i, name in enumerate(args.only):
        case = next(case for case in cases.all_cases() if case.name == name)
        points = np.load(case.files(args)[0])
        empty = {"n": case.n, "d": case.d, "k": case.k, "warpmeans": [], "scikit-learn": []}
        found = result["cases"].setdefault(name, empty)
        share = args.seconds * (i + 1) / len(args.only)
        add_seeds(found, points, case.k, args.seeds, begin + share)
        found["summary"] = summary(found)
        args.out.write_text(json.dumps(result, indent=1) + "\n")
        about = ", ".join(f"{key} {value:.4g}" for key, value in found["summary"].items())
        print(f"{name} ({case.n} x {case.d}, k = {case.k}): {about}")


if __name__ == "__main__":
    main()
