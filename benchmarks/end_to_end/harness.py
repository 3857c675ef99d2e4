"""Workers, medians, and what a results file says about the machine and the run."""

import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import adapters

HERE = Path(__file__).resolve().parent


class Failure(RuntimeError):
    """A worker said that it could not do it."""


class Worker:
    """A competitor in its own process, on the first `threads` processors of this one."""

    def __init__(self, name, args):
        self.key = name
        self.threads = args.threads
        options = {}
        if name == "warpmeans":
            options = {"runner": str(args.runner), "scratch": str(args.cache)}
        cpus = sorted(os.sched_getaffinity(0))[: args.threads]
        # Peers run as published: OpenBLAS picks its own kernels and block sizes.
        env = {k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS_")}
        env["OMP_NUM_THREADS"] = env["RAYON_NUM_THREADS"] = str(args.threads)
        self.process = subprocess.Popen(
            [sys.executable, HERE / "worker.py", name, json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if args.verbose else subprocess.DEVNULL,
            text=True,
            env=env,
            preexec_fn=lambda: os.sched_setaffinity(0, cpus),
        )
        line = self.process.stdout.readline()
        if not line:
            raise Failure(f"{name}: did not start (exit {self.process.wait()}); see --verbose")
        self.about = json.loads(line)

    def ask(self, **command):
        self.process.stdin.write(json.dumps(command, default=str) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise Failure(f"{self.key}: ended (exit {self.process.wait()}) at {command}")
        answer = json.loads(line)
        if "error" in answer:
            raise Failure(f"{self.key}: {answer['error']}")
        return answer

    def load(self, points, init=None):
        self.ask(op="load", points=points, init=init, threads=self.threads)

    def close(self):
        if self.process.poll() is None:
            self.process.stdin.close()
            self.process.wait()


def start(names, args):
    """Workers by name; a peer that cannot start is left out with a line on standard error."""
    workers = {}
    for name in names:
        try:
            workers[name] = Worker(name, args)
        except Failure as failure:
            if name == "warpmeans":
                raise SystemExit(f"{failure} (--runner {args.runner})") from None
            print(failure, file=sys.stderr)
    return workers


def summary(values):
    values = [v for v in values if v is not None]
    if not values:
        return None
    return {
        "median": statistics.median(values),
        "min": min(values),
        "max": max(values),
        "samples": len(values),
        "raw": values,
    }


def cpu_model():
    with open("/proc/cpuinfo") as file:
        fields = [line.split(":", 1) for line in file if ":" in line]
    found = {key.strip(): value.strip() for key, value in fields}
    family = "/".join(found.get(key, "?") for key in ("cpu family", "model", "stepping"))
    return f"{found.get('model name', platform.processor())} (family/model/stepping {family})"


def git_commit():
    command = ["git", "-C", HERE, "describe", "--always", "--dirty", "--abbrev=40"]
    found = subprocess.run(command, capture_output=True, text=True)
    return found.stdout.strip() or None


def about_run(args, workers):
    return {
        "what": args.what,
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "commit": git_commit(),
        "machine": {
            "cpu": cpu_model(),
            "cores": os.cpu_count(),
            "system": platform.platform(),
        },
        "threads": args.threads,
        "dtype": "float32",
        "versions": {w.about["name"]: w.about["version"] for w in workers.values()}
        | {"python": platform.python_version(), "numpy": adapters.metadata.version("numpy")},
        "competitors": {name: worker.about for name, worker in workers.items()},
    }


def write_json(path, value):
    """Aside and renamed: a failed run leaves the file that was there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    with os.fdopen(handle, "w") as file:
        json.dump(value, file, indent=1)
        file.write("\n")
    os.chmod(name, 0o644)
    os.replace(name, path)
