#!/usr/bin/env python3
"""faiss.Kmeans and fastkmeans beside their drop-ins: the same arguments, seed and iterations.

Subsampling is lifted. Each measurement is `train` of a new process, after a small one to warm up;
original and drop-in take turns, the fastest counts. Inertia is measured in float64 by one program.

    drop_ins.py                              all shapes, both libraries
    drop_ins.py --library faiss --shapes 100000,64,256
"""

import argparse
import json
import os
import subprocess
import sys
import time

import numpy as np

# n, d, k
SHAPES = [
    (1_000, 16, 8),
    (10_000, 2, 8),
    (10_000, 2, 100),
    (10_000, 64, 100),
    (20_000, 784, 100),
    (40_000, 384, 500),
    (100_000, 8, 1000),
    (100_000, 50, 100),
    (100_000, 64, 256),
    (1_000_000, 16, 256),
]
SMALL = (1_000, 16, 8)
ITERATIONS = 10


def points(n, d):
    rng = np.random.default_rng(0)
    means = rng.normal(scale=2, size=(64, d)).astype(np.float32)
    return means[rng.integers(0, 64, n)] + rng.standard_normal((n, d), dtype=np.float32)


def kmeans_class(library, ours):
    if library == "faiss":
        if ours:
            from warpmeans.compat.faiss import Kmeans
        else:
            from faiss import Kmeans
        return lambda d, k: Kmeans(
            d, k, niter=ITERATIONS, min_points_per_centroid=1, max_points_per_centroid=10**9
        )
    if ours:
        from warpmeans.compat.fastkmeans import FastKMeans
    else:
        from fastkmeans import FastKMeans
    return lambda d, k: FastKMeans(d, k, niter=ITERATIONS, tol=-1, gpu=False)


def measure(library, ours, shape):
    """One measurement in this process: seconds, and the file with the centroids."""
    make = kmeans_class(library, ours)
    n, d, k = SMALL
    make(d, k).train(points(n, d))
    n, d, k = shape
    x = points(n, d)
    model = make(d, k)
    start = time.perf_counter()
    model.train(x)
    seconds = time.perf_counter() - start
    # ||x - c||^2 by matrix products, in float64
    c = model.centroids.astype(np.float64)
    inertia = 0.0
    for block in np.array_split(x, 1 + n * k // 10**7):
        block = block.astype(np.float64)
        scores = np.square(c).sum(1) - 2 * block @ c.T
        inertia += float((scores.min(1) + np.square(block).sum(1)).sum())
    return {"seconds": seconds, "inertia": inertia}


def in_new_process(library, ours, shape, threads):
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    command = [sys.executable, __file__, "--measure", json.dumps([library, ours, shape])]
    command = ["taskset", "-c", f"0-{threads - 1}", *command]
    return json.loads(
        subprocess.run(command, env=environment, check=True, capture_output=True).stdout
    )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--library", choices=["faiss", "fastkmeans"])
    parser.add_argument("--shapes", nargs="+", metavar="N,D,K")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        print(json.dumps(measure(*json.loads(args.measure))))
        return
    shapes = [tuple(map(int, s.split(","))) for s in args.shapes] if args.shapes else SHAPES
    print("| library | n, d, k | original | drop-in | ratio | inertia / original's |")
    print("|---|---|---|---|---|---|")
    for library in [args.library] if args.library else ["faiss", "fastkmeans"]:
        for shape in shapes:
            both = [[], []]
            for _ in range(args.repeats):
                for ours in (False, True):
                    both[ours].append(in_new_process(library, ours, shape, args.threads))
            theirs, mine = (min(runs, key=lambda run: run["seconds"]) for runs in both)
            print(
                f"| {library} | {', '.join(map(str, shape))} | {theirs['seconds'] * 1e3:.2f} ms "
                f"| {mine['seconds'] * 1e3:.2f} ms | {theirs['seconds'] / mine['seconds']:.2f} "
                f"| {mine['inertia'] / theirs['inertia']:.6f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
