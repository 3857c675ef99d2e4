"""One module per competitor. `load(name)` gives its Adapter."""

import importlib
import time
from importlib import metadata

import numpy as np

# Those of compare.py. Warpmeans first: it is the reference of the checks.
NAMES = ["warpmeans", "sklearn", "faiss_cpu", "sklearnex", "superkmeans", "clostera"]


class Adapter:
    """What a competitor must say and do. Subclasses set the first four and write `fit`."""

    name = ""
    package = ""  # distribution name, for its version
    exact = True  # every iteration assigns each point to its nearest centroid, up to rounding
    given_init = True  # starts from the given centroids; otherwise from k of its own random rows
    note = ""

    def version(self):
        return metadata.version(self.package)

    def prepare(self, points_path, init_path, threads):
        """Load outside of any timing; points are ordinary memory, as a caller would hold them."""
        self.threads = threads
        self.points = np.load(points_path)
        self.init = None if init_path is None else np.load(init_path)

    def warm_up(self):
        """Libraries load and threads start at a first call; let that be one on a few rows."""
        points = self.points
        self.points = np.ascontiguousarray(points[: max(4096, 2 * len(self.init))])
        self.fit(1)
        self.points = points

    def fit(self, n_iter):
        """A whole fit of n_iter iterations: dict(seconds, n_iter_done, centroids)."""
        raise NotImplementedError

    def converge(self, tol, max_iter):
        """A whole fit from the given centroids until it converges: as `fit`."""
        raise NotImplementedError

    def default_fit(self, k, seed):
        """The competitor's own defaults, initial centroids included: as `fit`."""
        raise NotImplementedError

    def seeding(self, k, seed):
        """Greedy k-means++ alone: dict(seconds)."""
        raise NotImplementedError

    def repeat(self, n_iter, times):
        """Seconds of each of so many fits, one after the other."""
        return [self.fit(n_iter)["seconds"] for _ in range(times)]

    def run(self, iterations):
        """Seconds an iteration: (t(n2) - t(n1)) / (n2 - n1).

        The difference leaves out, on every side alike, what a fit does once: validation, centring
        or rotating a copy, the first iterations, the last assignment.
        """
        few, many = (self.fit(n) for n in iterations)
        steps = many["n_iter_done"] - few["n_iter_done"]
        quotient = (many["seconds"] - few["seconds"]) / steps if steps > 0 else None
        return {
            **many,
            "seconds_per_iteration": quotient,
            "seconds_fits": [few["seconds"], many["seconds"]],
            "centroids_few": few["centroids"],
        }


def timed(call):
    start = time.perf_counter()
    value = call()
    return time.perf_counter() - start, value


def load(name, **options):
    return importlib.import_module(f"adapters.{name}").Adapter(**options)
