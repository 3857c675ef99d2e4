"""The files that a report is made from: models, points, labels; and how its page is written.

Points stay memory-mapped. What a file says of itself is checked against its size before anything
is allocated. Errors are ValueErrors that name the file and what is wrong with it.
"""

from __future__ import annotations

import gzip
import json
import math
import mmap
import os
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

METRICS = ("euclidean", "cosine", "inner_product")
_MODEL_VERSION = "1"
_MAX_HEADER = 100_000_000  # the .safetensors format's own limit
_MAX_DEFLATE = 1032  # bytes that one byte of a deflate stream can become, zlib's figure
_DTYPES: dict[str, np.dtype[Any]] = {
    "F32": np.dtype("<f4"),
    "F64": np.dtype("<f8"),
    "I64": np.dtype("<i8"),
}


@dataclass
class Model:
    """What ``warpmeans fit --model`` wrote: centroids (k, d), counts (k,), and how."""

    centroids: np.ndarray
    counts: np.ndarray
    metric: str
    metadata: dict[str, str]


@dataclass
class Points:
    """Points (n, d), and the shape (rows, columns) of each where the file says they are images."""

    array: np.ndarray
    image_shape: tuple[int, ...] | None = None


def read_model(path: str | os.PathLike[str]) -> Model:
    """The model in a .safetensors file.

    Raises ValueError where the file is no model, or of a batch: a report is of one problem.
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        header = _read_header(path, file, size)
        start = file.tell()
        metadata = header.get("__metadata__")
        if not isinstance(metadata, dict) or not all(
            isinstance(value, str) for value in metadata.values()
        ):
            raise ValueError(f"{path}: is no model: it has no metadata of strings")
        if metadata.get("warpmeans_format") != _MODEL_VERSION:
            raise ValueError(
                f"{path}: has warpmeans_format {metadata.get('warpmeans_format')!r}; "
                f"this version reads {_MODEL_VERSION!r}"
            )
        if metadata.get("metric") not in METRICS:
            raise ValueError(
                f"{path}: has metric {metadata.get('metric')!r}; expected one of {METRICS}"
            )
        centroids = _read_tensor(path, file, header, "centroids", start, size)
        counts = _read_tensor(path, file, header, "counts", start, size)
    if centroids.ndim != 2 or centroids.dtype.kind != "f" or centroids.size == 0:
        raise ValueError(
            f"{path}: centroids are {centroids.dtype} {centroids.shape}; "
            "expected floats (k, d) of one problem"
        )
    if not np.isfinite(centroids).all():
        raise ValueError(f"{path}: centroids have NaN or Inf")
    if counts.dtype.kind != "i" or counts.shape != centroids.shape[:1]:
        raise ValueError(
            f"{path}: counts are {counts.dtype} {counts.shape}; "
            f"expected int64 {centroids.shape[:1]}"
        )
    return Model(centroids, counts, metadata["metric"], metadata)


def _read_header(path: Any, file: Any, size: int) -> dict[str, Any]:
    length = int.from_bytes(file.read(8), "little")
    if size < 8 or length > min(_MAX_HEADER, size - 8):
        raise ValueError(
            f"{path}: says its .safetensors header has {length} bytes; the file has {size}"
        )
    try:
        header = json.loads(file.read(length))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: has a .safetensors header that is no JSON: {error}") from None
    if not isinstance(header, dict):
        raise ValueError(f"{path}: has a .safetensors header that is no JSON object")
    return header


def _read_tensor(
    path: Any, file: Any, header: dict[str, Any], name: str, start: int, size: int
) -> np.ndarray:
    entry = header.get(name)
    if not isinstance(entry, dict):
        raise ValueError(f"{path}: is no model: it has no tensor {name!r}")
    dtype = _DTYPES.get(str(entry.get("dtype")))
    shape, offsets = entry.get("shape"), entry.get("data_offsets")
    if dtype is None or not _whole_numbers(shape) or not _whole_numbers(offsets):
        raise ValueError(
            f"{path}: tensor {name!r} has dtype {entry.get('dtype')!r}, shape {shape!r}, "
            f"data_offsets {offsets!r}; expected {', '.join(_DTYPES)} and whole numbers"
        )
    count = math.prod(shape)
    if (
        len(offsets) != 2
        or offsets[1] > size - start
        or offsets[1] - offsets[0] != count * dtype.itemsize
    ):
        raise ValueError(
            f"{path}: tensor {name!r} of shape {shape} lies at {offsets} in {size - start} bytes: "
            "that does not fit"
        )
    file.seek(start + offsets[0])
    return np.frombuffer(file.read(count * dtype.itemsize), dtype).reshape(shape)


def _whole_numbers(values: Any) -> TypeGuard[list[int]]:
    return (
        isinstance(values, list)
        and len(values) <= 8
        and all(type(value) is int and 0 <= value < 2**63 for value in values)
    )


def open_points(path: str | os.PathLike[str]) -> Points:
    """The (n, d) points of a .npy file (memory-mapped) or an IDX file (plain or gzipped)."""
    array = _open_array(path)
    image_shape = None
    if array.ndim > 2 and _is_idx(path):  # IDX says what NumPy does not: these are images
        image_shape = array.shape[1:]
        array = array.reshape(len(array), -1)
    if array.ndim != 2 or array.size == 0:
        raise ValueError(f"{path}: has shape {array.shape}; expected points (n, d)")
    return Points(array, image_shape)


def open_labels(path: str | os.PathLike[str]) -> np.ndarray:
    """The (n,) whole numbers of a .npy or IDX file."""
    array = _open_array(path)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise ValueError(
            f"{path}: has {array.dtype} of shape {array.shape}; expected whole numbers (n,)"
        )
    return array


def _open_array(path: str | os.PathLike[str]) -> np.ndarray:
    if _is_idx(path):
        return _open_idx(path)
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{path}: is neither a .npy nor an IDX file: {error}") from None


def _is_gzip(path: str | os.PathLike[str]) -> bool:
    with open(path, "rb") as file:
        return file.read(2) == b"\x1f\x8b"


def _is_idx(path: str | os.PathLike[str]) -> bool:
    if _is_gzip(path):
        return True
    with open(path, "rb") as file:
        head = file.read(4)
    return len(head) == 4 and head[:2] == b"\0\0" and 8 <= head[2] <= 14 and head[3] > 0


def _open_idx(path: str | os.PathLike[str]) -> np.ndarray:
    """Unsigned bytes in MNIST's format (http://yann.lecun.com/exdb/mnist/)."""
    packed = _is_gzip(path)
    try:
        with gzip.open(path) if packed else open(path, "rb") as file:
            head = file.read(4)
            if len(head) < 4 or head[:3] != b"\0\0\x08" or head[3] == 0:
                raise ValueError(f"{path}: is no IDX file of unsigned bytes: begins {head!r}")
            extents = file.read(4 * head[3])
            shape = [int.from_bytes(extents[i : i + 4], "big") for i in range(0, len(extents), 4)]
            count, size = math.prod(shape), os.path.getsize(path)
            if len(shape) < head[3] or count > size * (_MAX_DEFLATE if packed else 1):
                raise ValueError(
                    f"{path}: says it has {head[3]} dimensions {shape}; its {size} bytes cannot "
                    "hold that"
                )
            if packed:
                data: Any = file.read(count + 1)
            else:
                data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
                data = data[file.tell() :]
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{path}: broken gzip data: {error}") from None
    if len(data) != count:
        raise ValueError(f"{path}: says its shape is {shape}; it has {len(data)} bytes of data")
    return np.frombuffer(data, np.uint8).reshape(shape)


def read_history(path: str | os.PathLike[str], points: Points, model: Model) -> list[float]:
    """The inertia of each iteration from what ``warpmeans fit --report`` wrote.

    Raises ValueError where it is of another fit than the model.
    """
    try:
        report = json.loads(Path(path).read_bytes())
        history = [float(row["inertia"]) for row in report["history"]]
        said = {key: report[key] for key in ("n_samples", "n_features", "n_clusters", "metric")}
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ValueError(
            f"{path}: is no report of one fit: {type(error).__name__}: {error}"
        ) from None
    if not all(math.isfinite(inertia) for inertia in history):
        raise ValueError(f"{path}: has an inertia that is NaN or Inf")
    k, d = model.centroids.shape
    n = model.metadata.get("n_samples", str(len(points.array)))
    is_ = {"n_samples": n, "n_features": d, "n_clusters": k, "metric": model.metric}
    for key, value in is_.items():
        if str(said[key]) != str(value):
            raise ValueError(
                f"{path}: is of another fit: {key} is {said[key]}; the model's {value}"
            )
    return history


def write_aside(path: str | os.PathLike[str], text: str) -> None:
    """Write in the same folder and rename: a failed run leaves the file that was there."""
    path = Path(path)
    handle, aside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(aside, 0o666 & ~mask)
        os.replace(aside, path)
    except BaseException:
        os.unlink(aside)
        raise
