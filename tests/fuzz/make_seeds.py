"""Writes valid files of every format, for the fuzzers to start from: FOLDER/<target>/<seed>."""

import gzip
import json
import struct
import sys
from pathlib import Path

VALUES = list(range(6))


def npy(descr, order, shape, version=1, code="f"):
    header = f"{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}\n".encode()
    length = struct.pack("<H" if version == 1 else "<I", len(header))
    data = struct.pack(("<" if descr[0] == "<" else ">") + f"6{code}", *VALUES)
    return b"\x93NUMPY" + bytes([version, 0]) + length + header + data


def idx(kind, code, shape=(2, 3)):
    data = struct.pack(f">6{code}", *VALUES)
    return struct.pack(f">2x2B{len(shape)}I", kind, len(shape), *shape) + data


def vecs(code):
    rows = (VALUES[:3], VALUES[3:])
    return b"".join(struct.pack(f"<i3{code}", 3, *row) for row in rows)


def bin_file(code):
    return struct.pack(f"<2I6{code}", 2, 3, *VALUES)


def safetensors(tensors, metadata=None):
    """tensors: name -> (dtype, struct's code, shape)"""
    header, data = ({"__metadata__": metadata} if metadata else {}), b""
    for name, (dtype, code, shape) in tensors.items():
        count = 1
        for extent in shape:
            count *= extent
        part = struct.pack(f"<{count}{code}", *range(count))
        offsets = [len(data), len(data) + len(part)]
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": offsets}
        data += part
    text = json.dumps(header, separators=(",", ":")).encode()
    return struct.pack("<Q", len(text)) + text + data


MODEL = {"counts": ("I64", "q", [2]), "centroids": ("F32", "f", [2, 3])}
MODEL_METADATA = {"warpmeans_format": "1", "metric": "euclidean"}
CHECKPOINT = {
    "items": ("I64", "q", [1, 5]),
    "history": ("F64", "d", [5, 8]),
    "centroids": ("F32", "f", [1, 2, 3]),
}
CHECKPOINT_METADATA = {
    "warpmeans_checkpoint": "1",
    "history_fields": "inertia,shift,labels_changed,labels_doubtful,scores_skipped,"
    "seconds_assign,seconds_update,seconds",
    "options.seed": "0",
    "data.n_samples": "4",
}

SEEDS = {
    "npy": [
        npy("<f4", False, (2, 3)),
        npy(">f8", True, (3, 2), code="d"),
        npy("<f2", True, (1, 3, 2), version=2, code="e"),
        npy("|u1", False, (6,), version=3, code="B"),
        npy(">i8", False, (6,), code="q"),
    ],
    "idx": [
        idx(8, "B"),
        idx(9, "b", (6,)),
        idx(11, "h"),
        idx(12, "i"),
        idx(13, "f", (1, 3, 2)),
        idx(14, "d"),
        gzip.compress(idx(8, "B"), mtime=0),
        gzip.compress(idx(14, "d"), mtime=0),
    ],
    "vecs": [vecs("f"), vecs("B"), vecs("i")],
    "bin": [bin_file("f"), bin_file("B"), bin_file("b")],
    "safetensors": [
        safetensors(MODEL, MODEL_METADATA),
        safetensors(CHECKPOINT, CHECKPOINT_METADATA),
        safetensors({"a": ("F64", "d", [2, 3]), "b": ("F16", "e", [6])}),
        safetensors({"w": ("BF16", "H", [1, 2, 3])}, {"format": "pt"}),
    ],
    "raw": [
        b"2,3,float32\n" + struct.pack("<6f", *VALUES),
        b"1,2,3,uint8\n" + bytes(VALUES),
        b"6,int64\n" + struct.pack("<6q", *VALUES),
    ],
}


def main():
    for target, seeds in SEEDS.items():
        folder = Path(sys.argv[1]) / target
        folder.mkdir(parents=True, exist_ok=True)
        for number, seed in enumerate(seeds):
            (folder / f"seed-{number}").write_bytes(seed)


if __name__ == "__main__":
    main()
