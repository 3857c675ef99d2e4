"""A file larger than the memory allowed: passes over it, and what they reach."""

import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import harness

# 4 GB of float32 at the full n. Ours iterates longer than the peers, and still ends sooner.
D, K, ITERATIONS, PEERS_ITERATIONS, ROUNDS = 128, 256, 16, 4, 2
MEMORY = 1 << 30


def make(path, n):
    """Points around 2000 centres, written block by block: nothing here holds them all."""
    if path.exists():
        return path
    source = np.random.default_rng([7, n])
    centres = source.standard_normal((2000, D), dtype=np.float32)
    aside = path.with_suffix(".part.npy")
    out = np.lib.format.open_memmap(aside, mode="w+", dtype=np.float32, shape=(n, D))
    for first in range(0, n, 200_000):
        block = out[first : first + 200_000]
        noise = source.standard_normal(block.shape, dtype=np.float32)
        block[:] = centres[source.integers(len(centres), size=len(block))] + noise
    out.flush()
    aside.rename(path)
    return path


class Watched:
    """A command, and the most anonymous memory it was seen at."""

    def __init__(self, command):
        start = time.perf_counter()
        process = subprocess.Popen(
            list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self.peak = 0
        while process.poll() is None:
            status = Path(f"/proc/{process.pid}/status").read_text()
            fields = [line.split() for line in status.splitlines() if line.startswith("RssAnon")]
            self.peak = max([self.peak, *(int(field[1]) * 1024 for field in fields)])
            time.sleep(0.005)
        self.seconds = time.perf_counter() - start
        self.output = process.stdout.read()
        if process.returncode:
            raise harness.Failure(f"{command[0]} ended with {process.returncode}")


def ours(args, points, folder, memory, iterations=ITERATIONS):
    model, report, labels = (folder / name for name in ("m.safetensors", "r.json", "l.npy"))
    program = args.runner.parent / "warpmeans"
    command = [program, "fit", points, "-k", K, "--init", "random", "--seed", 1, "--tol", 0]
    command += ["--max-iter", iterations, "--threads", args.threads, "--quiet"]
    command += ["--model", model, "--report", report, "--labels", labels]
    run = Watched(command + (["--memory", memory] if memory else []))
    figures = json.loads(report.read_text())
    # The first pass sums all points, the others those that moved.
    seconds = [row["seconds"] for row in figures["history"][1:] or figures["history"]]
    return {
        "seconds_pass": sorted(seconds)[len(seconds) // 2],
        "seconds": run.seconds,
        "anonymous": run.peak,
        "inertia": figures["inertia"],
        "passes": iterations,
        "seconds_iterations": sum(row["seconds"] for row in figures["history"]),
        "exact": True,
        "files": (model.read_bytes()[-4 * K * D :], labels.read_bytes()),
    }


PEER = """
import json, sys, time
import numpy as np
name, path, k, iterations, out = sys.argv[1:]
points = np.load(path, mmap_mode="r")
k, iterations = int(k), int(iterations)
if name == "clostera":
    from clostera import DenseKMeans
    model = DenseKMeans(k=k, iterations=iterations, init="random")
    start = time.perf_counter()
    model.fit(points)
    passes = len(model.inertia_history_)
else:
    from sklearn.cluster import MiniBatchKMeans
    model = MiniBatchKMeans(k, init="random", n_init=1, random_state=1)
    start = time.perf_counter()
    for _ in range(iterations):
        for first in range(0, len(points), 65536):
            model.partial_fit(points[first : first + 65536])
    passes = iterations
seconds = time.perf_counter() - start
np.save(out, np.ascontiguousarray(model.cluster_centers_, dtype=np.float32))
print(json.dumps({"seconds": seconds, "passes": passes}))
"""


def peer(name, args, points, folder):
    centroids = folder / f"{name}.npy"
    run = Watched([sys.executable, "-c", PEER, name, points, K, PEERS_ITERATIONS, centroids])
    told = json.loads(run.output.splitlines()[-1])
    judge = [args.runner.parent / "warpmeans", "fit", points, "-k", K, "--init", centroids]
    report = folder / "judged.json"
    judge += ["--max-iter", 0, "--threads", args.threads, "--quiet", "--report", report]
    Watched(judge)
    return {
        "seconds_pass": told["seconds"] / told["passes"],
        "seconds": told["seconds"],
        "anonymous": run.peak,
        "inertia": json.loads(report.read_text())["inertia"],
        "passes": told["passes"],
        "exact": name == "clostera",
    }


def from_disk(args, points, folder, memory):
    """Bytes a second of the first pass over a file that no cache holds, and dd's; root only.

    A fit of one iteration has three more passes: statistics before, labels and inertia after. What
    they take longer than with the file in the cache is the disk's, and the first's.
    """

    def drop_caches():
        os.sync()
        Path("/proc/sys/vm/drop_caches").write_text("3")

    try:
        drop_caches()
    except OSError as error:
        print(f"not measured from disk: {error}", file=sys.stderr)
        return None
    size = points.stat().st_size
    dd = Watched(["dd", f"if={points}", "of=/dev/null", "bs=16M"]).seconds
    drop_caches()
    cold, warm = (
        run["seconds"] - run["seconds_iterations"]
        for run in (ours(args, points, folder, memory, 1) for _ in range(2))
    )
    first_pass = cold - warm * 2 / 3
    return {"dd": size / dd, "first_pass": size / first_pass}


def best(runs):
    return min(runs, key=lambda run: run["seconds_pass"])


def measure(args):
    n = args.points
    points = make(args.cache / f"stream_{n}x{D}.npy", n)
    memory = max(MEMORY * n // 8_000_000, 128 << 20)
    runs = {"warpmeans": [], "whole file mapped": []}
    with tempfile.TemporaryDirectory(dir=args.cache) as folder:
        folder = Path(folder)
        for _, (name, limit) in itertools.product(
            range(ROUNDS), (("warpmeans", memory), ("whole file mapped", None))
        ):
            runs[name].append(ours(args, points, folder, limit))
        disk = from_disk(args, points, folder, memory)
        files = [run.pop("files") for run in itertools.chain(*runs.values())]
        row = {"n": n, "d": D, "k": K, "bytes": points.stat().st_size, "memory": memory}
        row["bytes_per_second_from_disk"] = disk
        row["same_bits"] = all(file == files[0] for file in files)
        row["competitors"] = {name: best(those) for name, those in runs.items()}
        for name in ("clostera", "MiniBatchKMeans"):
            try:
                row["competitors"][name] = peer(name, args, points, folder)
            except harness.Failure as failure:
                print(failure, file=sys.stderr)
    workers = harness.start(
        [name for name in ("warpmeans", "sklearn", "clostera") if name in args.competitors], args
    )
    try:
        about = harness.about_run(args, workers)
    finally:
        for worker in workers.values():
            worker.close()
    streamed, mapped = (row["competitors"][name] for name in runs)
    row["pass_ratio"] = streamed["seconds_pass"] / mapped["seconds_pass"]
    row["meets_bar"] = (
        row["same_bits"] and streamed["anonymous"] <= memory and row["pass_ratio"] <= 1.1
    )
    print(f"{n} x {D}, k = {K}, {row['bytes'] >> 20} MiB in {memory >> 20} MiB")
    for name, entry in row["competitors"].items():
        print(
            f"  {name:18} {entry['seconds_pass']:8.3f} s a pass, inertia {entry['inertia']:.6g}, "
            f"{entry['anonymous'] >> 20} MiB"
        )
    print(f"  same bits: {row['same_bits']}, a pass {row['pass_ratio']:.3f} of the mapped file's")
    if disk:
        print("  from disk: {first_pass:.3g} bytes/s, dd {dd:.3g}".format(**disk))
    harness.write_json(args.out, {**about, "rows": [row]})
