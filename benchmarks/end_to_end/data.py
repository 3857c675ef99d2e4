"""The benchmarks' data: made or read once, kept as .npy files in a cache folder.

Every maker returns the path of a C-ordered float32 array; `initial_centroids` draws rows of it.
"""

import gzip
import os
import tempfile
from pathlib import Path

import numpy as np


def save(path, array):
    """Write aside in the same folder and rename, so that a stopped run leaves no half file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as out:
            np.save(out, array)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
    return path


def gaussian(cache, n, d, seed=0):
    """(n, d) standard normal draws of numpy's default generator."""
    path = cache / f"gaussian_{n}x{d}_{seed}.npy"
    if not path.exists():
        save(path, np.random.default_rng([seed, n, d]).standard_normal((n, d), dtype=np.float32))
    return path


def fashion_mnist(cache, folder):
    """(60000, 784) pixels 0..255 of the training images (Debian: dataset-fashion-mnist)."""
    path = cache / "fashion_mnist.npy"
    if not path.exists():
        with gzip.open(Path(folder) / "train-images-idx3-ubyte.gz", "rb") as file:
            raw = file.read()
        n, rows, cols = (int.from_bytes(raw[at : at + 4], "big") for at in (4, 8, 12))
        pixels = np.frombuffer(raw, np.uint8, offset=16).reshape(n, rows * cols)
        save(path, pixels.astype(np.float32))
    return path


def embeddings(cache, source):
    """Sentence embeddings of make_embeddings.py (or any 2-D .npy file), as float32."""
    source = Path(source)
    array = np.load(source, mmap_mode="r")
    path = cache / f"embeddings_{array.shape[0]}x{array.shape[1]}.npy"
    if not path.exists() or path.stat().st_mtime < source.stat().st_mtime:
        save(path, np.ascontiguousarray(array, dtype=np.float32))
    return path


def digits(cache):
    """(1797, 64) of scikit-learn's load_digits."""
    path = cache / "digits.npy"
    if not path.exists():
        from sklearn.datasets import load_digits

        save(path, load_digits().data.astype(np.float32))
    return path


def initial_centroids(cache, points_path, k, seed=1):
    """k rows drawn without replacement; the same file serves every competitor."""
    path = cache / f"{Path(points_path).stem}_init{k}_{seed}.npy"
    if not path.exists() or path.stat().st_mtime < Path(points_path).stat().st_mtime:
        points = np.load(points_path, mmap_mode="r")
        rows = np.random.default_rng([seed, k]).choice(len(points), k, replace=False)
        save(path, np.ascontiguousarray(points[np.sort(rows)]))
    return path


def of_shape(shape, args):
    """Points and initial centroids of an entry of shapes.json; None where its data is missing."""
    if shape["data"] == "gaussian":
        points = gaussian(args.cache, shape["n"], shape["d"])
    elif shape["data"] == "fashion_mnist":
        points = fashion_mnist(args.cache, args.fashion_mnist)
    elif args.embeddings is None:
        return None
    else:
        points = embeddings(args.cache, args.embeddings)
    return points, initial_centroids(args.cache, points, shape["k"])
