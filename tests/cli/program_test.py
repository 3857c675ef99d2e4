"""Runs the program in a folder of the test's own, and reads and writes its files without NumPy."""

import ast
import json
import struct
import subprocess
import tempfile
import unittest
from pathlib import Path

FORMATS = {"<f4": "f", "<f8": "d", "|u1": "B", "<i4": "i", "<i8": "q"}


def npy(values, shape, descr="<f4"):
    header = repr({"descr": descr, "fortran_order": False, "shape": tuple(shape)}).encode()
    header += b" " * (63 - (10 + len(header)) % 64) + b"\n"
    data = struct.pack(f"<{len(values)}{FORMATS[descr]}", *values)
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


def read_npy(path):
    raw = Path(path).read_bytes()
    length = struct.unpack("<H", raw[8:10])[0]
    header = ast.literal_eval(raw[10 : 10 + length].decode())
    code = FORMATS[header["descr"]]
    data = raw[10 + length :]
    values = struct.unpack(f"<{len(data) // struct.calcsize(code)}{code}", data)
    return header["descr"], header["shape"], list(values)


def read_safetensors(path):
    raw = Path(path).read_bytes()
    length = struct.unpack("<Q", raw[:8])[0]
    return json.loads(raw[8 : 8 + length]), raw[8 + length :]


class ProgramTest(unittest.TestCase):
    program = None  # set by whoever runs the tests

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="warpmeans-cli-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        # Two pairs on a line, far apart.
        self.points = self.write("points.npy", npy([0, 1, 10, 11], (4, 1)))

    def write(self, name, data):
        (self.folder / name).write_bytes(data)
        return str(self.folder / name)

    def path(self, name):
        return str(self.folder / name)

    def run_program(self, *arguments, expect=0, message=""):
        run = subprocess.run(
            [self.program, *map(str, arguments)], capture_output=True, text=True, timeout=120
        )
        self.assertEqual(run.returncode, expect, f"{arguments}\n{run.stdout}{run.stderr}")
        self.assertIn(message, run.stderr + run.stdout)
        return run

    def fit_model(self, *arguments):
        model = self.path("model.safetensors")
        self.run_program("fit", self.points, "-k", 2, "--model", model, "--quiet", *arguments)
        return model
