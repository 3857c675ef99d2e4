"""What the three drop-ins share: arrays of NumPy or torch, and the originals' random rows."""

from __future__ import annotations

import functools
import math
import sys
import threading
from types import ModuleType
from typing import Any

import numpy as np

import warpmeans


def torch_of(array: Any) -> ModuleType | None:
    """The module torch if the array is torch's, else None. Nothing here imports it."""
    is_torch = type(array).__module__.partition(".")[0] == "torch"
    return sys.modules["torch"] if is_torch else None


def cast(array: Any, dtype: Any) -> Any:
    """The array in another dtype (a name, or a dtype of its library), itself if it has that."""
    torch = torch_of(array)
    if torch is None:
        return np.asarray(array).astype(dtype, copy=False)
    return array.to(getattr(torch, dtype) if isinstance(dtype, str) else dtype)


def to_numpy(array: Any) -> Any:
    """A result as NumPy's array, which is what the original answers."""
    return array if torch_of(array) is None else array.cpu().numpy()


def to_kind_of(x: Any, array: Any) -> Any:
    """The array as what `x` is: NumPy's or torch's, on its device."""
    torch = torch_of(x)
    return np.asarray(array) if torch is None else torch.as_tensor(array, device=x.device)


def as_points(x: Any, d: int) -> Any:
    """(n, d) points of at most 32 bits a value, which the originals would make float32.

    Values of 32 bits or fewer that Warpmeans reads exactly stay as they are.

    Raises
    ------
    ValueError
        If the shape is not (n, `d`).
    """
    if torch_of(x) is None:
        x = np.asarray(x)
        dtype = x.dtype.name if x.dtype.isnative else "swapped"
    else:
        dtype = str(x.dtype).removeprefix("torch.")
    if x.ndim != 2 or x.shape[1] != d:
        raise ValueError(f"x has the shape {tuple(x.shape)}; it must be (n, d) with d = {d}")
    exact = ("float32", "float16", "bfloat16", "uint8", "int8")
    return x if dtype in exact else cast(x, "float32")


def below_squared(tol: float) -> float:
    """The greatest sum of squares whose root is below `tol`; 0 if there is none."""
    return max(0.0, math.nextafter(tol * tol, 0.0)) if tol > 0 else 0.0


_of_thread = threading.local()


def seeded(seed: int) -> np.random.RandomState:
    """The Mersenne Twister that the originals seed; the thread's own, good until its next call.

    Making a RandomState takes as long as a small fit, seeding one again next to nothing.
    """
    if not hasattr(_of_thread, "generator"):
        _of_thread.generator = np.random.RandomState()
    _of_thread.generator.seed(seed % 2**32)
    return _of_thread.generator


def shuffled_rows(n: int, count: int, generator: np.random.RandomState) -> np.ndarray:
    """The first `count` rows of the permutation of `n` that torch and faiss draw.

    Both swap forwards with the remainders of 32-bit Mersenne Twister draws. A prefix of the
    permutation needs no more than its own swaps.

    Parameters
    ----------
    generator : numpy.random.RandomState
        `seeded` as the original's, of which it then gives the same draws.
    """
    first = np.arange(count)
    word = np.uint32 if n <= 2**32 else np.uint64
    draws = generator.randint(0, int(np.iinfo(word).max) + 1, size=count, dtype=word)
    swaps = first + (draws % (n - first).astype(word)).astype(np.int64)
    moved = {}  # what lies at a place, where that is not its own number
    rows = np.empty(count, np.int64)
    for place, other in enumerate(swaps.tolist()):
        rows[place] = moved.get(other, other)
        moved[other] = moved.get(place, place)
    return rows


def split_mix(seed: int, size: int) -> np.ndarray:
    """The draws of faiss' SplitMix64 generator, of 63 bits."""
    z = np.uint64(seed % 2**64) + np.arange(1, size + 1, dtype=np.uint64) * np.uint64(
        0x9E3779B97F4A7C15
    )
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (z ^ (z >> np.uint64(31))) & np.uint64(2**63 - 1)


@functools.cache
def cuda_works() -> bool:
    """Whether this build and machine can run on a GPU."""
    try:
        warpmeans.kmeans(np.zeros((1, 1), np.float32), 1, device="cuda")
    except (RuntimeError, ValueError):
        return False
    return True
