#!/usr/bin/env python3
"""Warpmeans beside its peers on one GPU: one run, one card, the same points and initial centroids.
README.md says how to prepare.

    compare.py --library build/libwarpmeans_gpu.so      everything: under six minutes
    compare.py --quick                                  some shapes, shorter
    compare.py --only 1 3 tol small                     by id or kind, as in shapes.json
    compare.py --only init parallel whole               initial centroids, and whole default fits

The measuring runs in a process of its own. A row that hangs or takes the CUDA context with it is
written with its error, and a new process goes on with the next.
"""

import argparse
import datetime
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import report

HERE = Path(__file__).resolve().parent
SHAPES = json.loads((HERE / "shapes.json").read_text())
MODULES = {
    "torch": "torch_baseline",
    "flashlib": "flashlib_peer",
    "fastkmeans": "fastkmeans_peer",
    "fast-pytorch-kmeans": "fast_pytorch_peer",
}  # where it is not the name
PACKAGE_KINDS = ("chart", "call")  # what --package measures
ASKED_KINDS = ("init", "parallel", "whole")  # only with --only
PEERS = ["seed", "flashlib", "torch", "fastkmeans", "fast-pytorch-kmeans"]
KINDS = list(dict.fromkeys(shape["kind"] for shape in SHAPES))
GO_ON = 75  # the worker's exit status: start another for what is left


def parse(words=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    names = [shape["id"] for shape in SHAPES] + KINDS
    add("--only", nargs="+", choices=names, metavar="ID", help="ids or kinds of shapes.json")
    add("--quick", action="store_true", help="the shapes marked quick, 100 ms for each measurement")
    add("--out", type=Path, default=HERE.parent / "results" / "gpu" / "compare.json")
    add("--library", type=Path, default=HERE.parents[1] / "build" / "libwarpmeans_gpu.so")
    add("--package", action="store_true", help="ours is the Python package: kinds chart and call")
    add("--peers", nargs="*", choices=PEERS, default=["seed", "torch"])
    add("--precision", choices=["native", "exact"], default="native")
    add("--kernel", default="", help="of ours; default: the library chooses")
    add("--rep", type=int, help="do_bench's milliseconds (default 500)")
    add("--budget", type=float, default=360, help="seconds after which no further row is begun")
    add("--row-seconds", type=float, default=90, help="after which a row counts as hung")
    add("--commit", help="of the library, where there is no .git to ask")
    add("--worker", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args(words)
    args.rep = args.rep or (100 if args.quick else 500)
    return args


def chosen(args):
    only = set(args.only or [])
    found = [
        s
        for s in SHAPES
        if only & {s["id"], s["kind"]} or not only and s["kind"] not in ASKED_KINDS
    ]
    found = [s for s in found if (s["kind"] in PACKAGE_KINDS) == args.package]
    return [s for s in found if s.get("quick")] if args.quick and not only else found


def git_commit():
    command = ["git", "-C", str(HERE), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        return subprocess.run(command, capture_output=True, text=True).stdout.strip() or None
    except OSError:
        return None


def new_results(args):
    return {
        "what": "gpu",
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "started": time.time(),
        "commit": args.commit or git_commit(),
        "regime": "do_bench",
        "rep_ms": args.rep,
        "precision": args.precision,
        "kernel": args.kernel,
        "rows": [],
    }


def head_of(shape):
    keep = {key: value for key, value in shape.items() if key != "quick"}
    return {**keep, "errors": {}}


class Results:
    """The file, and the row in hand. A watchdog thread may end a row too, so under a lock."""

    def __init__(self, path):
        self.path = path
        self.value = json.loads(path.read_text())
        self.lock = threading.RLock()
        self.row = None

    def write(self):
        with self.lock:
            report.write_json(self.path, self.value)

    def begin(self, row):
        self.row = row
        self.value["running"] = row["id"]
        self.write()

    def finish(self):
        with self.lock:
            row, self.row = self.row, None
            if row is None:
                return
            report.derive(row, self.value.get("ceilings"))
            self.value["rows"].append(row)
            self.value.pop("running", None)
            self.write()
            print(report.line(row), flush=True)

    def cut_short(self, step, text):
        """The row as far as it came, then the end of this process."""
        with self.lock:
            if self.row is not None:
                self.row["errors"][step] = text
                self.finish()
                sys.stdout.flush()
                os._exit(GO_ON)


def adapters(args, results):
    """name -> adapter, peers first: should ours take the context with it, theirs are measured."""
    found = {}
    for name in [*args.peers, "ours"]:
        try:
            own = "package" if args.package else "ours"
            module = __import__(own if name == "ours" else MODULES.get(name, name))
            found[name] = module.Adapter(args)
            if found[name].version:
                results.value["versions"][found[name].name] = found[name].version
        except Exception as error:
            text = f"{type(error).__name__}: {error}"
            results.value.setdefault("absent", {})[name] = text
            print(f"{name} is left out: {text}", file=sys.stderr, flush=True)
    return found


def measure_ceilings(args, results):
    import gpu

    try:
        found = results.value["ceilings"] = gpu.ceilings(args.rep)
    except Exception as error:
        results.value["ceilings"] = {"error": f"{type(error).__name__}: {error}"}
        print(f"ceilings: {results.value['ceilings']['error']}", flush=True)
        if not gpu.is_alive():
            sys.exit("the device was lost")
        return
    gpu.release()
    machine = results.value["machine"]
    print(
        f"{machine['card']}, driver {machine['driver']}: cuBLAS fp16 "
        f"{found['float16']['tflops']:.0f}, bf16 {found['bfloat16']['tflops']:.0f} TFLOP/s, copy "
        f"{found['copy']['tb_per_s']:.2f} TB/s",
        flush=True,
    )


def measure_row(shape, args, competitors, results):
    import gpu
    import measure

    row = head_of(shape)
    results.begin(row)
    spent = time.monotonic()
    late = f"still running after {args.row_seconds:g} s"
    watchdog = threading.Timer(args.row_seconds, results.cut_short, ("row.hung", late))
    watchdog.daemon = True
    watchdog.start()
    try:
        measure.KINDS[shape["kind"]](measure.Row(row, args, competitors))
    except gpu.DeviceLost as error:
        results.cut_short("row.device", f"the device was lost at {error}")
    except Exception as error:
        row["errors"]["row"] = f"{type(error).__name__}: {error}"
        if not gpu.is_alive():
            results.cut_short("row.device", "the device was lost")
    watchdog.cancel()
    row["seconds"] = round(time.monotonic() - spent, 1)
    results.finish()
    gpu.release()


def work(args):
    import gpu

    results = Results(args.out)
    results.value.update(gpu.about())
    competitors = adapters(args, results)
    if "ceilings" not in results.value:
        measure_ceilings(args, results)
        print(f"Medians in ms; the seed's columns first, then ours\n{report.header()}", flush=True)
    results.write()
    done = {row["id"] for row in results.value["rows"]}
    for shape in chosen(args):
        if shape["id"] in done:
            continue
        if time.time() - results.value["started"] > args.budget:
            left = results.value.setdefault("left_out", [])
            left.append(shape["id"])
            print(f"{shape['id']:>8}  left out: --budget of {args.budget:g} s is spent", flush=True)
            continue
        measure_row(shape, args, competitors, results)
    results.value["seconds"] = round(time.time() - results.value["started"], 1)
    results.write()


def supervise(args):
    """Workers until all rows are there. One that ends on its own leaves word of its row here."""
    report.write_json(args.out, new_results(args))
    command = [sys.executable, "-B", str(Path(__file__).resolve()), *sys.argv[1:], "--worker"]
    while True:
        before = len(json.loads(args.out.read_text())["rows"])
        status = subprocess.call(command)
        results = Results(args.out)
        running = results.value.pop("running", None)
        if running is not None:
            results.row = head_of(next(s for s in SHAPES if s["id"] == running))
            results.row["errors"]["row.process"] = f"the process ended with status {status}"
            results.finish()
        if status == 0 or len(results.value["rows"]) == before:
            return status, results.value


def main():
    args = parse()
    if args.worker:
        work(args)
        return
    status, results = supervise(args)
    bad = [row["id"] for row in results["rows"] if not report.is_good(row)]
    print(f"wrote {args.out}: {len(results['rows'])} rows in {results.get('seconds', 0):.0f} s")
    if bad:
        print(f"NOT GOOD (an error, wrong labels or means, unequal reruns): {', '.join(bad)}")
    sys.exit(status or (1 if bad or "ours" in results.get("absent", {}) else 0))


if __name__ == "__main__":
    main()
