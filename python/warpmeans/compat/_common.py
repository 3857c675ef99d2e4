"""What the three drop-ins share: arrays of NumPy or torch, and the originals' random rows."""

import functools
import sys

import numpy as np

import warpmeans


def torch_of(array):
    """The module torch if the array is torch's, else None. Nothing here imports it."""
    is_torch = type(array).__module__.partition(".")[0] == "torch"
    return sys.modules["torch"] if is_torch else None


def cast(array, dtype):
    """The array in another dtype (a name, or a dtype of its library), itself if it has that."""
    torch = torch_of(array)
    if torch is None:
        return np.asarray(array).astype(dtype, copy=False)
    return array.to(getattr(torch, dtype) if isinstance(dtype, str) else dtype)


def to_numpy(array):
    """A result as NumPy's array, where the original answers in those; CUDA's stay as they are."""
    if torch_of(array) is None or array.is_cuda:
        return array
    return array.numpy()


def to_kind_of(x, array):
    """The array as what `x` is: NumPy's or torch's, on its device."""
    torch = torch_of(x)
    return np.asarray(array) if torch is None else torch.as_tensor(array, device=x.device)


def as_points(x, d):
    """(n, d) points of at most 32 bits a value, which the originals would make float32.

    Values of 32 bits or fewer that Warpmeans reads exactly stay as they are.

    Raises
    ------
    ValueError
        If the shape is not (n, `d`).
    """
    if torch_of(x) is None:
        x = np.asarray(x)
    if x.ndim != 2 or x.shape[1] != d:
        raise ValueError(f"x has the shape {tuple(x.shape)}; it must be (n, d) with d = {d}")
    exact = ("float32", "float16", "bfloat16", "uint8", "int8")
    return x if str(x.dtype).removeprefix("torch.") in exact else cast(x, "float32")


def shuffled_rows(n, count, generator):
    """The first `count` rows of the permutation of `n` that torch and faiss draw.

    Both swap forwards with the remainders of 32-bit Mersenne Twister draws. A prefix of the
    permutation needs no more than its own swaps.

    Parameters
    ----------
    generator : numpy.random.RandomState
        Seeded as the original's, of which it then gives the same draws.
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


@functools.cache
def cuda_works():
    """Whether this build and machine can run on a GPU."""
    try:
        warpmeans.kmeans(np.zeros((1, 1), np.float32), 1, device="cuda")
    except (RuntimeError, ValueError):
        return False
    return True
