"""Warpmeans through warpmeans_runner, a small C++ program that stays up between fits."""

import json
import subprocess
from pathlib import Path

import numpy as np

import adapters


class Adapter(adapters.Adapter):
    name = "warpmeans"

    def __init__(self, runner, scratch):
        self.runner = Path(runner)
        self.scratch = Path(scratch) / "warpmeans_centroids.npy"
        self.process = None
        self.chosen = {}

    def version(self):
        command = [self.runner, "--version"]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def prepare(self, points_path, init_path, threads):
        self.threads = threads
        if self.process is None:
            self.process = subprocess.Popen(
                [self.runner, "--threads", str(threads)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        self.ask(op="load", points=str(points_path), init=str(init_path or ""))

    def warm_up(self):
        self.fit(1)

    def choose(self, kernel, skipping):
        """For the fits from now on; kernel "" is the library's choice."""
        self.chosen = {"kernel": kernel, "skipping": skipping}

    def ask(self, **command):
        self.process.stdin.write(json.dumps(command | self.chosen) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"warpmeans_runner ended ({self.process.wait()}) at {command}")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer

    def fitted(self, **command):
        answer = self.ask(centroids=str(self.scratch), **command)
        answer["centroids"] = np.load(self.scratch)
        return answer

    def fit(self, n_iter):
        return self.fitted(op="fit", n_iter=n_iter)

    def converge(self, tol, max_iter):
        return self.fitted(op="converge", tol=tol, max_iter=max_iter)

    def default_fit(self, k, seed):
        return self.fitted(op="default_fit", k=k, seed=seed)

    def seeding(self, k, seed):
        """The library's own `seconds_init`: validation and statistics of the points included."""
        answer = self.ask(op="seeding", k=k, seed=seed)
        return {"seconds": answer["seconds_init"]}

    def repeat(self, n_iter, times):
        return self.ask(op="repeat", n_iter=n_iter, times=times)["seconds"]

    def peak(self):
        return self.ask(op="peak")["gflops"]
