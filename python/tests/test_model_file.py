"""Hostile models are refused, and the message says why."""

import numpy as np
import pytest
from model_file import write_model

from warpmeans._files import read_model


def test_hostile_models(tmp_path):
    path = write_model(tmp_path / "m.safetensors", np.eye(3))
    good = path.read_bytes()
    length = int.from_bytes(good[:8], "little")
    header, data = good[8 : 8 + length].decode(), good[8 + length :]

    def refused(content, message):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=message):
            read_model(path)

    def changed(old, new):
        assert old in header
        text = header.replace(old, new).encode()
        return len(text).to_bytes(8, "little") + text + data

    refused(b"", "has 0 bytes; the file has 0")
    refused((2**63).to_bytes(8, "little") + good[8:], f"has {2**63} bytes")
    refused(good[: 8 + length - 1], "the file has")
    refused(good[:-1], "does not fit")
    refused((length - 1).to_bytes(8, "little") + good[8:], "no JSON")
    refused(changed("[3, 3]", "[3, 4]"), "does not fit")
    refused(changed("[3, 3]", "[-3, -3]"), "whole numbers")
    refused(changed("[3, 3]", "[4611686018427387904, 4]"), "does not fit")
    refused(changed("[3, 3]", "3"), "whole numbers")
    refused(changed("[3, 3]", "[3.0, 3]"), "whole numbers")
    refused(changed("[24, 60]", "[60, 24]"), "does not fit")
    refused(changed("[24, 60]", "[24, 60, 61]"), "does not fit")
    refused(changed("[24, 60]", "[1024, 1060]"), "does not fit")
    refused(changed('"F32"', '"F16"'), "expected F32, F64, I64")
    refused(changed('"F32"', "{}"), "expected F32, F64, I64")
    refused(changed('"centroids"', '"middles"'), "no tensor 'centroids'")
    refused(changed('"euclidean"', '"manhattan"'), "metric 'manhattan'")
    refused(changed('"warpmeans_format": "1"', '"warpmeans_format": "2"'), "reads '1'")
    refused(changed('"1"', "1"), "metadata of strings")
    refused(changed('"shape": [3]', '"shape": [1, 3]'), r"counts are int64 \(1, 3\)")
    refused(changed('"shape": [3, 3]', '"shape": [1, 3, 3]'), r"\(1, 3, 3\); expected floats \(k")
    refused(len(b"[" * 9999).to_bytes(8, "little") + b"[" * 9999, "no JSON")
    refused(good[:-4] + np.float32(np.inf).tobytes(), "NaN or Inf")
