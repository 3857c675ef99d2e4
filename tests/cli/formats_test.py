"""Every file format through the program: convert, info and fit; files by NumPy; files that shrink.

Usage: formats_test.py PROGRAM [unittest's arguments]
"""

import gzip
import os
import random
import resource
import struct
import subprocess
import sys
import time
import unittest
from pathlib import Path

from program_test import ProgramTest, npy, read_npy, read_safetensors

ROWS, COLS = 50, 3
FORMATS = ("npy", "fvecs", "bvecs", "fbin", "u8bin", "i8bin", "safetensors", "idx", "idx.gz", "raw")
RAW = ["--raw", f"{ROWS},{COLS},float32"]


def python_with_numpy():
    """An interpreter that has NumPy: this one, or Debian's."""
    for python in (sys.executable, "/usr/bin/python3"):
        if os.path.exists(python):
            run = subprocess.run([python, "-c", "import numpy"], capture_output=True)
            if run.returncode == 0:
                return python
    return None


class ConvertTest(ProgramTest):
    def setUp(self):
        super().setUp()
        source = random.Random(2)
        self.values = [float(source.randrange(100)) for _ in range(ROWS * COLS)]
        self.array = self.write("array.npy", npy(self.values, (ROWS, COLS)))

    def test_every_format_there_and_back_and_fitted(self):
        labels = self.path("labels.npy")
        fit = ["-k", 4, "--quiet", "--labels", labels]
        self.run_program("fit", self.array, *fit)
        expected = read_npy(labels)
        for first, second in zip(FORMATS, FORMATS[1:] + FORMATS[:1]):
            with self.subTest(first=first, second=second):
                a, b, c = (self.path(n) for n in (f"a.{first}", f"b.{second}", "c.npy"))
                first_raw, second_raw = (RAW if f == "raw" else [] for f in (first, second))
                dtype = ["--dtype", "float32"] if second == "raw" else []  # as RAW says
                self.run_program("convert", self.array, a)
                self.run_program("convert", a, b, *first_raw, *dtype)
                self.run_program("convert", b, c, "--dtype", "float32", *second_raw)
                self.assertEqual(read_npy(c), ("<f4", (ROWS, COLS), self.values))
                self.run_program("info", b, *second_raw, message=f"({ROWS}, {COLS})")
                self.run_program("fit", b, *second_raw, *fit)
                self.assertEqual(read_npy(labels), expected)

    def test_what_the_files_hold(self):
        points = self.write("p.npy", npy([1, 2, 3, 4, 5, 6], (2, 3)))
        expected = {
            "o.fvecs": struct.pack("<i3fi3f", 3, 1, 2, 3, 3, 4, 5, 6),
            "o.bvecs": struct.pack("<i3Bi3B", 3, 1, 2, 3, 3, 4, 5, 6),
            "o.ivecs": struct.pack("<i3ii3i", 3, 1, 2, 3, 3, 4, 5, 6),
            "o.fbin": struct.pack("<2i6f", 2, 3, 1, 2, 3, 4, 5, 6),
            "o.u8bin": struct.pack("<2i6B", 2, 3, 1, 2, 3, 4, 5, 6),
            "o.i8bin": struct.pack("<2i6b", 2, 3, 1, 2, 3, 4, 5, 6),
            "o.idx": struct.pack(">4B2I6f", 0, 0, 13, 2, 2, 3, 1, 2, 3, 4, 5, 6),
            "o.raw": struct.pack("<6f", 1, 2, 3, 4, 5, 6),
        }
        for name, data in expected.items():
            out = self.path(name)
            self.run_program("convert", points, out)
            self.assertEqual(Path(out).read_bytes(), data, name)
        self.run_program("convert", points, self.path("o.idx.gz"))
        zipped = (self.folder / "o.idx.gz").read_bytes()
        self.assertEqual(gzip.decompress(zipped), expected["o.idx"])
        out = self.path("o.safetensors")
        self.run_program("convert", points, out, "--dtype", "bfloat16")
        header, data = read_safetensors(out)
        entry = {"dtype": "BF16", "shape": [2, 3], "data_offsets": [0, 12]}
        self.assertEqual(header, {"points": entry})
        self.assertEqual(data, struct.pack("<6H", 0x3F80, 0x4000, 0x4040, 0x4080, 0x40A0, 0x40C0))
        self.run_program("fit", out, "-k", 2)

    def test_tensors_by_name(self):
        model = self.fit_model()
        self.run_program("fit", model, "-k", 1, expect=3, message="centroids, counts")
        self.run_program("fit", model, "-k", 1, "--tensor", "centroids", message="2 points x 1")
        self.run_program("fit", model, "-k", 1, "--tensor", "counts", expect=3, message="int64")
        self.run_program("fit", self.points, "-k", 1, "--tensor", "x", expect=3, message="--tensor")
        self.run_program("info", model, "--tensor", "counts", message="int64")
        out = self.path("centroids.npy")
        self.run_program("convert", model, out, "--tensor", "centroids")
        self.assertEqual(sorted(read_npy(out)[2]), [0.5, 10.5])

    def test_refusals_leave_the_old_file(self):
        old = self.write("old.npy", b"old")
        fraction = self.write("fraction.npy", npy([0.5, 0.1], (1, 2), "<f8"))
        raw = self.write("x.raw", bytes(8))
        batch = self.write("batch.npy", npy([1, 2, 3, 4], (2, 1, 2)))
        cases = [
            (3, ("convert", fraction, old, "--dtype", "int8"), "0.5"),
            (3, ("convert", fraction, old, "--dtype", "bfloat16"), "bfloat16"),
            (3, ("convert", fraction, self.path("o.fvecs")), "--dtype float32"),
            (3, ("convert", batch, self.path("o.fbin")), "batch"),
            (3, ("convert", raw, old), "--raw"),
            (3, ("convert", raw, old, "--raw", "3,1,float32"), "12 bytes"),
            (3, ("convert", self.path("missing.npy"), old), "cannot be opened"),
            (2, ("convert", raw, old, "--raw", "2,float33"), "float33"),
            (2, ("convert", raw, old, "--raw", "-2,1,float32"), "-2"),
            (2, ("convert", fraction, old, "--dtype", "float33"), "float33"),
            (2, ("convert", fraction, self.path("o.txt")), "no format"),
            (2, ("convert", fraction, fraction), "is an input"),
        ]
        before = sorted(os.listdir(self.folder))
        for code, arguments, message in cases:
            with self.subTest(arguments=arguments):
                self.run_program(*arguments, expect=code, message=message)
        self.assertEqual(sorted(os.listdir(self.folder)), before)
        self.assertEqual(Path(old).read_bytes(), b"old")
        self.run_program("convert", fraction, old, "--dtype", "float16")
        self.run_program("info", old, message="float16")

    def test_hostile_files_of_every_format(self):
        for name in FORMATS:
            path = self.path(f"x.{name}")
            self.run_program("convert", self.array, path)
            whole = Path(path).read_bytes()
            raw = RAW if name == "raw" else []
            for change, data in {
                "empty": b"",
                "truncated": whole[:-1],
                "half": whole[: len(whole) // 2 + 1],
                "longer": whole + b"x",
                "ones": b"\xff" * len(whole),
            }.items():
                if (name, change) in (("safetensors", "longer"), ("raw", "ones")):
                    continue  # bytes after the tensors do no harm; any bytes are raw
                if (name, change) == ("idx.gz", "longer"):
                    continue  # zlib ignores what follows a stream, as gzip does
                with self.subTest(name=name, change=change):
                    self.write(f"x.{name}", data)
                    self.run_program("fit", path, "-k", 2, *raw, expect=3, message=path)

    def test_many_blocks(self):
        rows = 40000
        points = self.write("large.npy", npy(range(rows * 64), (rows, 64)))  # 10 MB
        self.run_program("convert", points, self.path("l.fvecs"))
        self.run_program("convert", self.path("l.fvecs"), self.path("back.npy"))
        self.assertEqual(read_npy(self.path("back.npy")), read_npy(points))

    def test_more_than_the_memory_it_may_have(self):
        size, limit = 256 << 20, 48 << 20
        points = self.path("x.raw")
        with open(points, "wb") as file:
            file.truncate(size)  # a hole
        zipped = self.path("x.idx.gz")

        def convert(*arguments):
            return subprocess.run(
                [self.program, "convert", *arguments],
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (limit, limit)),
                capture_output=True,
                text=True,
                timeout=120,
            )

        run = convert(points, zipped, "--raw", f"{size >> 8},256,uint8")
        self.assertEqual(run.returncode, 0, run.stderr)
        # A gzipped input is held in memory: the limit is one.
        run = convert(zipped, self.path("x.npy"))
        self.assertEqual(run.returncode, 4, run.stderr)
        with gzip.open(self.path("x.idx.gz")) as file:
            self.assertEqual(file.read(12), struct.pack(">4B2I", 0, 0, 8, 2, size >> 8, 256))


class NumpyTest(ProgramTest):
    """Files that NumPy wrote, and files that it reads."""

    def python(self, code):
        python = python_with_numpy()
        if python is None:
            self.skipTest("NumPy is not installed")
        code = "import numpy as np\nx = np.arange(60).reshape(20, 3) % 7 * (np.arange(3) + 1)\n" + code
        run = subprocess.run([python, "-c", code], cwd=self.folder, capture_output=True, text=True)
        self.assertEqual(run.returncode, 0, run.stderr)

    def test_reads_orders_and_types(self):
        self.python(
            "for t in ('f2', 'f4', 'f8', 'u1', 'i1', 'i2', 'i4', 'i8', 'u2', 'u4', 'u8'):\n"
            "  for o in '<>':\n"
            "    for name, a in (('c', x), ('f', np.asfortranarray(x))):\n"
            "      np.save(f'{name}-{\"be\" if o == \">\" else \"le\"}-{t}.npy', a.astype(o + t))\n"
            "np.save('f3.npy', np.asfortranarray(x.reshape(4, 5, 3).astype('f4')))\n"
            "x.astype('f4').tofile('x.raw')\n"
        )
        names = sorted(path.name for path in self.folder.glob("?-?e-*.npy"))
        self.assertEqual(len(names), 44)
        expected = [float(i % 7 * (i % 3 + 1)) for i in range(60)]
        labels = self.path("labels.npy")
        reference = None
        for name in names:
            with self.subTest(name=name):
                out = self.path("out.npy")
                self.run_program("convert", self.path(name), out, "--dtype", "float32")
                self.assertEqual(read_npy(out), ("<f4", (20, 3), expected))
                if name[5:7] in ("f2", "f4", "f8", "u1", "i1"):
                    fit = ["fit", self.path(name), "-k", 3, "--quiet", "--labels", labels]
                    self.run_program(*fit)
                    reference = reference or read_npy(labels)
                    self.assertEqual(read_npy(labels), reference)
        self.run_program("convert", self.path("f3.npy"), self.path("out.npy"))
        self.assertEqual(read_npy(self.path("out.npy")), ("<f4", (4, 5, 3), expected))
        raw = ["--raw", "20,3,float32"]
        self.run_program("convert", self.path("x.raw"), self.path("out.npy"), *raw)
        self.assertEqual(read_npy(self.path("out.npy"))[2], expected)

    def test_numpy_reads_what_is_written(self):
        self.python("np.save('x.npy', x.astype('f4'))")
        for dtype in ("float16", "float64", "int8", "uint16", "int64"):
            out = self.path(f"{dtype}.npy")
            self.run_program("convert", self.path("x.npy"), out, "--dtype", dtype)
            self.python(f"y = np.load('{dtype}.npy'); assert y.dtype == '{dtype}' and (y == x).all()")
        for name, code in {
            "x.fvecs": "y = np.fromfile('x.fvecs', 'i4').reshape(20, 4)[:, 1:].view('f4')",
            "x.fbin": "y = np.fromfile('x.fbin', 'f4', offset=8).reshape(20, 3)",
            "x.idx": "y = np.fromfile('x.idx', '>f4', offset=12).reshape(20, 3)",
        }.items():
            self.run_program("convert", self.path("x.npy"), self.path(name))
            self.python(f"{code}; assert (y == x).all()")


class ShrinkingFileTest(ProgramTest):
    """A file cut short while the program has it mapped: exit code 3, and no output."""

    def start(self, *arguments):
        process = subprocess.Popen(
            [self.program, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(process.kill)
        return process

    def check_fails(self, process, path, old):
        stdout, stderr = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 3, stderr)
        self.assertIn(f"{path}: became shorter", stderr)
        self.assertEqual(stdout, "")
        self.assertEqual(Path(old).read_bytes(), b"old")
        self.assertEqual(list(self.folder.glob("*.tmp*")), [])

    def test_during_a_fit(self):
        source = random.Random(1)
        rows = 20000
        whole = npy([source.random() for _ in range(rows * 8)], (rows, 8))
        size = len(whole)
        for left in (size // 2, 0, size - 4):  # the last: within the page that remains, no signal
            with self.subTest(left=left):
                points = self.write("x.npy", whole)
                labels = self.write("labels.npy", b"old")
                options = ["--tol", 0, "--max-iter", 100000, "--n-init", 1000, "--labels", labels]
                process = self.start("fit", points, "-k", 300, *options)
                while not process.stderr.readline().startswith("attempt 1/1000  iteration 3/"):
                    self.assertIsNone(process.poll())
                os.truncate(points, left)
                self.check_fails(process, points, labels)

    def test_during_a_conversion(self):
        points = self.path("x.raw")
        with open(points, "wb") as file:
            file.truncate(8 << 30)  # a hole: 8 GB of zeros that take no disk
        out = self.write("x.idx.gz", b"old")
        process = self.start("convert", points, out, "--raw", f"{1 << 23},1024,uint8")
        deadline = time.monotonic() + 60
        while not list(self.folder.glob("x.idx.gz.tmp*")):
            self.assertLess(time.monotonic(), deadline)
            self.assertIsNone(process.poll())
        os.truncate(points, 4096)
        self.check_fails(process, points, out)


if __name__ == "__main__":
    ProgramTest.program = sys.argv.pop(1)
    unittest.main()
