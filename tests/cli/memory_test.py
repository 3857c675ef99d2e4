"""Fits and predictions under --memory: the same files, in no more memory than allowed.

Usage: memory_test.py PROGRAM [unittest's arguments]. Needs Linux: /proc says what a process takes.
"""

import gzip
import os
import random
import struct
import subprocess
import sys
import time
import unittest
from pathlib import Path

from program_test import ProgramTest, npy

MIB = 1 << 20
N, D, K = 600_000, 128, 12
LIMIT = 48 * MIB


def status_of(pid):
    """Bytes by name from /proc/PID/status: RssAnon now, VmHWM the most of all pages so far."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return {}
    fields = dict(line.split(":", 1) for line in lines if line.startswith(("RssAnon", "VmHWM")))
    return {name: int(text.split()[0]) * 1024 for name, text in fields.items()}


class MemoryTest(ProgramTest):
    @classmethod
    def setUpClass(cls):
        # uint8: a large file that is quickly made. Two halves apart, so that k-means finds something.
        source = random.Random(5)
        low = bytes(range(0, 128)) * 2
        block = source.randbytes(N * D // 8)
        cls.values = (block.translate(low) + block[::-1]) * 4

    def setUp(self):
        super().setUp()
        if not Path("/proc/self/status").exists():
            self.skipTest("needs /proc")
        self.data = self.write("large.npy", npy([], (N, D), "|u1") + self.values)
        self.assertGreater(os.path.getsize(self.data), LIMIT)

    def peak_of(self, *arguments):
        """Runs the program; the most anonymous memory and the most of all memory it was seen at."""
        process = subprocess.Popen(
            [self.program, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        anonymous = resident = 0
        while process.poll() is None:
            status = status_of(process.pid)
            anonymous = max(anonymous, status.get("RssAnon", 0))
            resident = max(resident, status.get("VmHWM", 0))
            time.sleep(0.002)
        stdout, stderr = process.communicate()
        self.assertEqual(process.returncode, 0, f"{arguments}\n{stdout}{stderr}")
        self.assertGreater(anonymous, 0)
        return anonymous, resident, stderr

    def check_same(self, command, data, options, outputs, limit=LIMIT):
        want = [self.path(f"want-{name}") for name in outputs]
        got = [self.path(f"got-{name}") for name in outputs]

        def files(paths):
            return [part for name, path in zip(outputs, paths) for part in ("--" + name, path)]

        self.run_program(*command, data, *options, *files(want))
        options = [*options, "--memory", limit]
        anonymous, resident, stderr = self.peak_of(*command, data, *options, *files(got))
        for a, b in zip(want, got):
            self.assertEqual(Path(a).read_bytes(), Path(b).read_bytes(), a)
        self.assertLessEqual(anonymous, limit)
        # Beside it only the program and a window of the file: its pages are given up again.
        self.assertLessEqual(resident, limit + 24 * MIB)
        return stderr

    def test_every_init(self):
        weights = self.write(
            "weights.npy", npy([], (N,), "<f4") + struct.pack("<4f", 1, 2, 0, 0.5) * (N // 4)
        )
        for init, extra in (
            ("random", ["--weights", weights]),
            ("kmeans_parallel", ["--metric", "cosine"]),
            ("kmeans++", ["--weights", weights, "--metric", "cosine"]),
            ("kmeans++", []),
        ):
            with self.subTest(init=init, extra=extra):
                options = ["-k", K, "--init", init, "--max-iter", 2, "--tol", 0, *extra]
                stderr = self.check_same(["fit"], self.data, options, ["model", "labels"])
                self.assertEqual("init kmeans++ reads it about 11" in stderr, init == "kmeans++")

    def test_predict(self):
        model = self.path("m.safetensors")
        options = ["-k", K, "--init", "random", "--max-iter", 1, "--model", model]
        self.run_program("fit", self.data, *options)
        self.check_same(["predict", model], self.data, [], ["labels", "distances"])

    def test_evaluate(self):
        model = self.path("m.safetensors")
        self.run_program(
            "fit", self.data, "-k", K, "--init", "random", "--max-iter", 1, "--model", model
        )
        classes = self.write("classes.npy", npy([], (N,), "|u1") + bytes(range(6)) * (N // 6))
        command = ["evaluate", model, self.data, "--truth", classes, "--silhouette", 300, "--json"]
        want = self.run_program(*command)
        got = self.run_program(*command, "--memory", LIMIT)
        self.assertEqual(want.stdout, got.stdout)
        self.assertIn('"silhouette"', got.stdout)
        anonymous, resident, _ = self.peak_of(*command, "--memory", LIMIT)
        self.assertLessEqual(anonymous, LIMIT)
        self.assertLessEqual(resident, LIMIT + 24 * MIB)
        take = f"the classes of --truth take {8 * N}, and"
        self.run_program(*command, "--memory", "4M", expect=4, message=take)
        self.run_program(*command, "--memory", "20M", expect=4, message="bytes are too few")

    def test_without_a_limit(self):
        """At most 64 bytes a point, 16 k d and 64 MiB, whatever a point takes itself."""
        for n, d, k, init in ((150_000, 512, 64, "random"), (1_200_000, 64, 16, "kmeans++")):
            with self.subTest(n=n, d=d, k=k, init=init):
                data = self.write("x.npy", npy([], (n, d), "|u1") + self.values[: n * d])
                options = ["-k", k, "--init", init, "--max-iter", 12, "--tol", 0]
                anonymous, _, _ = self.peak_of("fit", data, *options)
                self.assertLessEqual(anonymous, 64 * n + 16 * k * d + 64 * MIB)

    def test_elements_that_no_view_can_point_at(self):
        # Big endian, and Fortran order: copied as they are read.
        n = N * D // 64
        options = ["-k", K, "--init", "random", "--max-iter", 2]
        floats = struct.pack(">256f", *(i * i % 251 for i in range(256))) * (n * 16 // 256)
        for fortran in (False, True):
            with self.subTest(fortran=fortran):
                head = npy([], (n, 16), "<f4").replace(b"'<f4'", b"'>f4'")
                if fortran:
                    head = head.replace(b"False", b"True ")
                data = self.write("big.npy", head + floats)
                self.assertGreater(os.path.getsize(data), 64 * MIB)
                want, got = self.path("w.npy"), self.path("g.npy")
                self.run_program("fit", data, *options, "--labels", want)
                limit = 72 * MIB
                anonymous, _, _ = self.peak_of(
                    "fit", data, *options, "--labels", got, "--memory", limit
                )
                self.assertEqual(Path(want).read_bytes(), Path(got).read_bytes())
                self.assertLessEqual(anonymous, limit)

    def test_refusals(self):
        old = self.write("m.safetensors", b"old")
        fit = ["fit", self.data, "-k", K, "--model", old, "--max-iter", 1, "--quiet"]
        run = self.run_program(*fit, "--memory", "20M", expect=4, message=f"{20 * MIB} bytes are")
        needed = int(run.stderr.split("they need ")[1].split()[0].rstrip(","))
        self.assertGreater(needed, 20 * MIB)
        self.run_program(*fit, "--memory", needed - 1, expect=4, message=f"they need {needed}")
        for word in ("0", "-1", "1X", "G", "99999999999G", "1.5G"):
            self.run_program(*fit, "--memory", word, expect=2, message="--memory")
        batch = self.write("batch.npy", npy([0, 1, 10, 11, 5, 5, 9, 9], (2, 4, 1)))
        self.run_program("fit", batch, "-k", 2, "--memory", "1G", expect=2, message="(2, 4, 1)")
        zipped = struct.pack(">2x2B3I", 8, 3, 40 * MIB, 1, 1) + bytes(40 * MIB)
        data = self.write("zeros-idx3-ubyte.gz", gzip.compress(zipped, 1))
        inflated = ["fit", data, "-k", 1, "--memory", "40M"]
        self.run_program(*inflated, expect=4, message=f"takes {40 * MIB} bytes, inflated")
        cuda = self.run_program(*fit, "--memory", "1G", "--device", "cuda", expect=4)
        self.assertRegex(cuda.stderr, "built without CUDA|memory_limit")
        self.assertEqual(Path(old).read_bytes(), b"old")
        # The bytes it asks for are enough.
        self.run_program(*fit, "--memory", needed)


if __name__ == "__main__":
    ProgramTest.program = sys.argv.pop(1)
    unittest.main()
