"""Writes a model as the program does, for tests of what reads it."""

import json

import numpy as np


def write_model(path, centroids, counts=None, metric="euclidean", **metadata):
    centroids = np.asarray(centroids, np.float32)
    counts = np.zeros(len(centroids), np.int64) if counts is None else counts
    header = {
        "__metadata__": {"warpmeans_format": "1", "metric": metric, **metadata},
        "counts": {"dtype": "I64", "shape": counts.shape, "data_offsets": [0, counts.nbytes]},
        "centroids": {
            "dtype": "F32",
            "shape": centroids.shape,
            "data_offsets": [counts.nbytes, counts.nbytes + centroids.nbytes],
        },
    }
    text = json.dumps(header).encode()
    path.write_bytes(
        len(text).to_bytes(8, "little") + text + counts.tobytes() + centroids.tobytes()
    )
    return path
