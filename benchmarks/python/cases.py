"""What compare_estimator.py measures: shapes, their data, and the bars."""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "end_to_end"))

import data  # noqa: E402

# kind -> ours and the peer, by their adapters' names
PAIRS = {
    "estimator": ("estimator", "sklearn"),
    "grid": ("estimator", "sklearn"),
    "faiss": ("compat_faiss", "faiss_cpu"),
    "fastkmeans": ("compat_fastkmeans", "fastkmeans"),
}
ALONE = ("overhead", "import")


@dataclass(frozen=True)
class Case:
    kind: str
    name: str
    n: int
    d: int
    k: int
    dtype: str
    data: str
    bar: float  # times as fast as the peer

    @property
    def draws_centroids(self):
        """Whether initial centroids are part of the fit; otherwise both get the same ones."""
        return self.kind in ("estimator", "grid")

    def files(self, args):
        """Paths of points and initial centroids; None where the data is missing."""
        if self.data == "digits":
            points = data.digits(args.cache)
        elif self.data == "fashion_mnist":
            points = data.fashion_mnist(args.cache, args.fashion_mnist)
        elif self.data == "embeddings":
            if args.embeddings is None:
                return None
            points = embeddings(args.cache, args.embeddings, self.n)
        else:
            points = blobs(args.cache, self.n, self.d, self.k)
        points = as_dtype(points, self.dtype)
        if self.draws_centroids:
            return points, None
        return points, data.initial_centroids(args.cache, points, self.k)


def blobs(cache, n, d, centres):
    """Normal points around centres that are 4 standard deviations apart, whatever d."""
    path = cache / f"blobs_{n}x{d}x{centres}.npy"
    if not path.exists():
        rng = np.random.default_rng([n, d, centres])
        middles = rng.standard_normal((centres, d)) * 4 / np.sqrt(2 * d)
        points = rng.standard_normal((n, d))
        points += middles[rng.integers(centres, size=n)]
        data.save(path, points.astype(np.float32))
    return path


def embeddings(cache, source, n):
    """The first n rows of make_embeddings.py's."""
    path = cache / f"embeddings_first_{n}.npy"
    if not path.exists():
        rows = np.load(source, mmap_mode="r")
        if len(rows) < n:
            raise SystemExit(f"{source}: has {len(rows)} rows; {n} are needed")
        data.save(path, np.ascontiguousarray(rows[:n], dtype=np.float32))
    return path


def as_dtype(path, dtype):
    if dtype == "float32":
        return path
    other = path.with_name(f"{path.stem}_{dtype}.npy")
    if not other.exists() or other.stat().st_mtime < path.stat().st_mtime:
        data.save(other, np.load(path).astype(dtype))
    return other


def all_cases():
    # n, d, k, dtype, data, bar. float64 where that is what a user has.
    shapes = [
        (1797, 64, 10, "float64", "digits", 2.0),
        (10_000, 2, 8, "float64", "blobs", 2.0),
        (100_000, 50, 100, "float32", "blobs", 2.0),
        (60_000, 784, 10, "float32", "fashion_mnist", 2.0),
        (60_000, 784, 100, "float32", "fashion_mnist", 2.0),
        (60_000, 784, 1000, "float32", "fashion_mnist", 3.5),
        (40_000, 384, 500, "float32", "embeddings", 2.0),
        (1_000_000, 16, 256, "float32", "blobs", 2.0),
    ]
    cases = [Case("estimator", f"estimator-{i}", *shape) for i, shape in enumerate(shapes, 1)]
    grid = [(n, d, k) for n in (300, 3000, 30_000) for d in (2, 8, 32, 128, 512) for k in (5, 100)]
    for kind in ("grid", "faiss", "fastkmeans"):
        for i, (n, d, k) in enumerate(grid, 1):
            dtype = "float64" if kind == "grid" and i % 4 in (1, 2) else "float32"
            cases.append(Case(kind, f"{kind}-{i}", n, d, k, dtype, "blobs", 1.0))
    return cases
