"""The program as scripts see it: exit codes, files, reports. Needs only Python's own library.

Usage: cli_test.py PROGRAM [unittest's arguments]
"""

import gzip
import json
import os
import random
import signal
import struct
import subprocess
import sys
import unittest
from pathlib import Path

from program_test import ProgramTest, npy, read_npy, read_safetensors

FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")


class FitTest(ProgramTest):
    def test_writes_labels_model_and_report(self):
        labels, report = self.path("labels.npy"), self.path("report.json")
        model = self.fit_model("--labels", labels, "--report", report, "--seed", 2**64 - 1)
        descr, shape, values = read_npy(labels)
        self.assertEqual((descr, shape), ("<i4", (4,)))
        self.assertEqual(values[0], values[1])
        self.assertEqual(values[2], values[3])
        self.assertNotEqual(values[0], values[2])

        header, data = read_safetensors(model)
        self.assertEqual(header["centroids"]["shape"], [2, 1])
        self.assertEqual(header["counts"], {"dtype": "I64", "shape": [2], "data_offsets": [0, 16]})
        self.assertEqual(struct.unpack("<2q", data[:16]), (2, 2))
        self.assertEqual(sorted(struct.unpack("<2f", data[16:])), [0.5, 10.5])
        metadata = header["__metadata__"]
        self.assertEqual(metadata["seed"], str(2**64 - 1))
        self.assertEqual(metadata["metric"], "euclidean")
        self.assertEqual(float(metadata["inertia"]), 1)
        for key in ("init", "n_iter", "converged", "n_samples", "tol", "precision", "version"):
            self.assertIn(key, metadata)

        figures = json.loads(Path(report).read_text())
        self.assertEqual(
            list(figures),
            "n_samples n_features n_clusters dtype metric precision device threads kernel seed "
            "inertia n_iter converged n_nonempty seconds work history".split(),
        )
        self.assertEqual(list(figures["seconds"]), ["read", "init", "iterations", "total"])
        self.assertEqual(figures["n_samples"], 4)
        self.assertEqual(figures["inertia"], 1)
        self.assertEqual(figures["seed"], 2**64 - 1)
        self.assertIs(figures["converged"], True)
        self.assertEqual(figures["n_nonempty"], 2)
        self.assertEqual(figures["device"], "cpu")
        self.assertEqual(len(figures["history"]), figures["n_iter"])
        self.assertEqual(
            list(figures["history"][0]),
            [
                "inertia",
                "shift",
                "labels_changed",
                "labels_doubtful",
                "scores_skipped",
                "seconds",
            ],
        )
        self.assertEqual(figures["history"][0]["labels_changed"], 4)
        work = figures["work"]
        self.assertEqual(work["scores"] % (4 * 2), 0)
        self.assertEqual(work["screened"] + work["skipped"], work["scores"])
        self.assertEqual(len(os.listdir(self.folder)), 4, os.listdir(self.folder))

    def test_summary_progress_and_quiet(self):
        run = self.run_program("fit", self.points, "-k", 2)
        self.assertIn("4 points x 1 features, 2 clusters (2 with points): inertia 1,", run.stdout)
        self.assertIn("converged", run.stdout)
        self.assertTrue(run.stderr.startswith("iteration 1/300  inertia "), run.stderr)
        quiet = self.run_program("fit", self.points, "-k", 2, "--quiet")
        self.assertEqual(quiet.stderr, "")
        self.assertIn("inertia 1,", quiet.stdout)
        model = self.path("model.safetensors")
        silent = self.run_program("fit", self.points, "-k", 2, "--quiet", "--model", model)
        self.assertEqual(silent.stdout + silent.stderr, "")
        self.assertIn("kernel cpu/", self.run_program("fit", self.points, "-k", 2, "-v").stderr)

    def test_given_centroids_and_weights(self):
        init = self.write("init.npy", npy([0, 20], (2, 1), "<f8"))
        weights = self.write("weights.npy", npy([3, 1, 1, 1], (4,), "<f8"))
        model = self.fit_model("--init", init, "--weights", weights)
        _, data = read_safetensors(model)
        self.assertEqual(struct.unpack("<2f", data[16:]), (0.25, 10.5))
        again = self.path("again.safetensors")
        arguments = ["fit", self.points, "-k", 2, "--init", model, "--max-iter", 1]
        self.run_program(*arguments, "--model", again)
        self.assertEqual(read_safetensors(again)[0]["__metadata__"]["init"], model)

    def test_every_option_word(self):
        words = {
            "--metric": ["euclidean", "cosine", "inner_product"],
            "--init": ["kmeans++", "kmeans_parallel", "random"],
            "--empty": ["relocate", "keep"],
            "--precision": ["exact"],
            "--device": ["auto", "cpu"],
        }
        for option, values in words.items():
            for value in values:
                self.run_program("fit", self.points, "-k", 2, option, value)

    def test_batch(self):
        points = self.write("batch.npy", npy([0, 1, 10, 11, 5, 5, 9, 9], (2, 4, 1)))
        labels, report = self.path("l.npy"), self.path("r.json")
        model = self.path("m.safetensors")
        outputs = ["--labels", labels, "--report", report, "--model", model]
        self.run_program("fit", points, "-k", 2, *outputs)
        self.assertEqual(read_npy(labels)[1], (2, 4))
        figures = json.loads(Path(report).read_text())
        self.assertEqual(figures["inertia"], [1, 0])
        self.assertEqual(len(figures["history"]), 2)
        self.assertEqual(read_safetensors(model)[0]["centroids"]["shape"], [2, 2, 1])
        predicted = self.path("p.npy")
        self.run_program("predict", model, points, "--labels", predicted)
        self.assertEqual(read_npy(predicted), read_npy(labels))

    def test_fewer_distinct_points_than_clusters(self):
        points = self.write("same.npy", npy([1] * 6, (6, 1)))
        self.run_program("fit", points, "-k", 3, message="2 of 3 clusters have no points")

    def test_device_as_output(self):
        run = self.run_program("fit", self.points, "-k", 2, "--quiet", "--report", "/dev/stdout")
        self.assertEqual(json.loads(run.stdout)["n_samples"], 4)


class ErrorTest(ProgramTest):
    def test_wrong_usage_is_2(self):
        points = self.points
        nowhere = self.path("no/such/model")
        cases = [
            ((), "subcommand"),
            (("cluster",), ""),
            (("fit",), "DATA"),
            (("fit", points), "-k"),
            (("fit", points, "-k", "two"), "-k"),
            (("fit", points, "-k", 0), "0"),
            (("fit", points, "-k", -3), "-3"),
            (("fit", points, "-k", 5), "n_clusters (5) exceeds n_samples (4)"),
            (("fit", points, "-k", 2, "--seed", -1), "negative"),
            (("fit", points, "-k", 2, "--tol", -1), "tol"),
            (("fit", points, "-k", 2, "--max-iter", -1), "max_iter"),
            (("fit", points, "-k", 2, "--n-init", 0), "n_init"),
            (("fit", points, "-k", 2, "--threads", -1), "threads"),
            (("fit", points, "-k", 2, "--metric", "manhattan"), "manhattan"),
            (("fit", points, "-k", 2, "--empty", "full"), "full"),
            (("fit", points, "-k", 2, "--precision", "half"), "half"),
            (("fit", points, "-k", 2, "--device", "tpu"), "tpu"),
            (("fit", points, "-k", 2, "--device", "cuda:x"), "'x'"),
            (("fit", points, "-k", 2, "--frobnicate"), "--frobnicate"),
            (("fit", points, "-k", 2, "--model", nowhere), "does not exist"),
            (("fit", points, "-k", 2, "--labels", self.folder), "is a folder"),
            (("fit", points, "-k", 2, "--labels", points), "is an input"),
            (("fit", points, "-k", 2, "--labels", "x", "--report", "x"), "two outputs"),
            (("bench", "--shape", "1,2"), "n,d,k"),
            (("bench", "--shape", "10,2,20"), "exceeds"),
            (("bench", "--dtype", "int3"), "int3"),
        ]
        for arguments, message in cases:
            with self.subTest(arguments=arguments):
                self.run_program(*arguments, expect=2, message=message)
        self.assertEqual(os.listdir(self.folder), ["points.npy"])

    def test_bad_input_is_3(self):
        nan = float("nan")
        other = self.write("other.npy", npy([0] * 8, (4, 2)))
        model = self.fit_model()
        cases = [
            (("fit", self.path("missing.npy"), "-k", 2), "cannot be opened"),
            (("fit", self.folder, "-k", 2), "regular file"),
            (("fit", self.write("text.npy", b"1,2\n"), "-k", 1), "neither"),
            (("fit", self.write("none.npy", b""), "-k", 1), "empty"),
            (("fit", self.write("rows.npy", npy([], (0, 3))), "-k", 1), "no points"),
            (("fit", self.write("nan.npy", npy([0, 1, 2, nan], (2, 2))), "-k", 1), "row 1"),
            (("fit", self.write("short.npy", npy([1, 2], (3, 1))), "-k", 1), "12 bytes"),
            (("fit", self.write("huge.npy", npy([1], (2**61, 8))), "-k", 1), "2^63"),
            (("fit", self.points, "-k", 2, "--init", other), "expected (2, 1)"),
            (("fit", self.points, "-k", 2, "--init", "kmeans--"), "kmeans--"),
            (("fit", self.points, "-k", 2, "--weights", other), "weights"),
            (
                (
                    "fit", self.points, "-k", 2, "--weights",
                    self.write("w.npy", npy([1, -1, 1, 1], (4,))),
                ),
                "-1",
            ),
            (("predict", self.points, self.points), "safetensors"),
            (("predict", model, other), "has 1 features"),
            (("evaluate", model, other), "has 1 features"),
            (("evaluate", model, self.points, "--truth", self.points), "integers"),
            (("info", self.path("missing.npy")), "cannot be opened"),
        ]
        for arguments, message in cases:
            with self.subTest(arguments=arguments):
                self.run_program(*arguments, expect=3, message=message)

    def test_no_resources_is_4(self):
        for option, value in (
            ("--device", "cuda"),
            ("--device", "cuda:1"),
            ("--precision", "native"),
            ("--precision", "tf32"),
        ):
            with self.subTest(value=value):
                self.run_program(
                    "fit", self.points, "-k", 2, option, value, expect=4, message="CUDA"
                )
        if os.path.exists("/dev/full"):
            arguments = ["fit", self.points, "-k", 2, "--report", "/dev/full"]
            self.run_program(*arguments, expect=4, message="/dev/full")

    def test_failure_is_1(self):
        points = self.write("same.npy", npy([1] * 6, (6, 1)))
        arguments = ["fit", points, "-k", 3, "--empty", "error"]
        self.run_program(*arguments, expect=1, message="cluster")

    def test_failed_runs_leave_old_files(self):
        outputs = []
        for option, name in (("--model", "m"), ("--labels", "l"), ("--report", "r")):
            outputs += [option, self.write(name, b"old")]
        same = self.write("same.npy", npy([1] * 6, (6, 1)))
        nan = self.write("nan.npy", npy([0, float("nan")], (2, 1)))
        before = sorted(os.listdir(self.folder))
        self.run_program("fit", same, "-k", 3, "--empty", "error", *outputs, expect=1)
        self.run_program("fit", same, "-k", 7, *outputs, expect=2)
        self.run_program("fit", nan, "-k", 1, *outputs, expect=3)
        self.run_program("fit", same, "-k", 1, "--device", "cuda", *outputs, expect=4)
        if os.path.exists("/dev/full"):  # the last of three outputs fails
            broken = outputs[:-1] + ["/dev/full"]
            self.run_program("fit", same, "-k", 1, *broken, expect=4)
        self.assertEqual(sorted(os.listdir(self.folder)), before)
        for name in "mlr":
            self.assertEqual((self.folder / name).read_bytes(), b"old")

    def test_hostile_models(self):
        model = Path(self.fit_model()).read_bytes()
        for name, data in {
            "truncated": model[:-1],
            "no data": model[:20],
            "huge header": b"\xff" * 8 + model[8:],
            "negative": model.replace(b'"shape":[2,1]', b'"shape":[-2,1]'),
        }.items():
            with self.subTest(name=name):
                path = self.write("bad.safetensors", data)
                self.run_program("info", path, expect=3, message=path)
                self.run_program("predict", path, self.points, expect=3, message=path)
        broken = model[:-8] + struct.pack("<2f", 1, float("nan"))
        path = self.write("bad.safetensors", broken)
        self.run_program("predict", path, self.points, expect=3)

    def test_help_has_examples(self):
        self.run_program("--help", message="Example")
        self.run_program("--version", message="warpmeans ")
        for command in ("fit", "predict", "evaluate", "info", "convert", "bench"):
            self.run_program(command, "--help", message=f"  warpmeans {command}")


class OtherCommandsTest(ProgramTest):
    def test_predict(self):
        init = self.write("init.npy", npy([0, 20], (2, 1)))
        model = self.fit_model("--init", init)
        new = self.write("new.npy", npy([-1, 5.5, 12.5], (3, 1)))
        labels, distances = self.path("l.npy"), self.path("d.npy")
        self.run_program("predict", model, new, "--labels", labels, "--distances", distances)
        self.assertEqual(read_npy(labels), ("<i4", (3,), [0, 0, 1]))  # 5.5 is a tie
        self.assertEqual(read_npy(distances), ("<f8", (3,), [2.25, 25, 4]))
        self.run_program("predict", model, new, message="inertia 31.25")

    def test_evaluate(self):
        model = self.fit_model("--init", self.write("init.npy", npy([0, 20], (2, 1))))
        truth = self.write("truth.npy", npy([7, 7, 7, -2], (4,), "<i8"))
        run = self.run_program(
            "evaluate", model, self.points, "--truth", truth, "--json", "--silhouette"
        )
        figures = json.loads(run.stdout)
        self.assertEqual(figures["inertia"], 1)
        self.assertEqual(figures["sizes"], {"min": 2, "median": 2, "max": 2, "empty": 0})
        self.assertAlmostEqual(figures["purity"], 0.75)
        self.assertAlmostEqual(figures["nmi"], 0.343711, places=5)
        self.assertAlmostEqual(figures["ari"], 0)
        # inside 1; outside 10.5, 9.5, 9.5, 10.5
        self.assertAlmostEqual(figures["silhouette"], 1 - (1 / 10.5 + 1 / 9.5) / 2)
        self.assertEqual(figures["silhouette_samples"], 4)
        self.run_program("evaluate", model, self.points, message="smallest 2, median 2, largest 2")
        one = ["evaluate", model, self.points, "--silhouette", 1]
        self.run_program(*one, expect=2, message="--silhouette")

    def test_info(self):
        self.run_program("info", self.fit_model(), message="2 x 1 float32")
        self.run_program("info", self.points, message="(4, 1)")
        labels = self.write("labels.npy", npy([1, 2], (2,), "<i4"))
        self.run_program("info", labels, message="int32")

    def test_bench(self):
        out = self.path("bench.json")
        shapes = ["--shape", "2000,16,8", "--shape", "500,3,4"]
        run = self.run_program("bench", *shapes, "--iterations", 3, "--threads", 1, "--json", out)
        self.assertEqual(len(run.stdout.splitlines()), 3)
        rows = json.loads(Path(out).read_text())["shapes"]
        self.assertEqual([row["n_samples"] for row in rows], [2000, 500])
        for row in rows:
            self.assertGreater(row["ms_per_iteration"], 0)
            self.assertGreater(row["fma_peak_gflops"], 0.1)
            self.assertGreater(row["fraction_of_peak"], 0)
        for dtype in ("float64", "float16", "bfloat16"):
            self.run_program("bench", "--shape", "500,3,4", "--dtype", dtype)

    def test_idx(self):
        header = struct.pack(">2x2B3I", 8, 3, 4, 1, 2)
        images = header + bytes([0, 0, 1, 1, 200, 200, 201, 201])
        classes = struct.pack(">2x2BI", 8, 1, 4) + bytes([5, 5, 3, 3])
        labels = self.write("labels-idx1-ubyte", classes)
        plain = self.write("images-idx3-ubyte", images)
        zipped = self.write("images-idx3-ubyte.gz", gzip.compress(images))
        model = self.path("m.safetensors")
        for points in (plain, zipped):
            self.run_program("fit", points, "-k", 2, "--model", model)
            run = self.run_program("evaluate", model, points, "--truth", labels, "--json")
            self.assertEqual(json.loads(run.stdout)["purity"], 1)

    def test_fashion_mnist(self):
        images = FASHION_MNIST / "t10k-images-idx3-ubyte.gz"
        if not images.exists():
            self.skipTest("the package dataset-fashion-mnist is not installed")
        model = self.path("m.safetensors")
        self.run_program("fit", images, "-k", 10, "--max-iter", 10, "--model", model)
        truth = FASHION_MNIST / "t10k-labels-idx1-ubyte.gz"
        run = self.run_program("evaluate", model, images, "--truth", truth, "--json")
        self.assertGreater(json.loads(run.stdout)["purity"], 0.4)


class InterruptTest(ProgramTest):
    """Fits that would run far longer than the test, stopped."""

    def start(self, *arguments):
        source = random.Random(1)
        values = [source.random() for _ in range(20000 * 8)]
        points = self.write("random.npy", npy(values, (20000, 8)))
        command = [self.program, "fit", points, "-k", "300", "--tol", "0", "--max-iter", "100000"]
        process = subprocess.Popen(
            [*command, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.addCleanup(process.kill)
        return process

    def check_stops(self, number):
        labels, model, report = (self.path(name) for name in ("l.npy", "m.safetensors", "r.json"))
        process = self.start(
            "--n-init", "1000", "--labels", labels, "--model", model, "--report", report
        )
        while not process.stderr.readline().startswith("attempt 1/1000  iteration 3/"):
            self.assertIsNone(process.poll())
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130, stderr)
        self.assertIn("interrupted", stdout)
        figures = json.loads(Path(report).read_text())
        self.assertIs(figures["converged"], False)
        self.assertGreaterEqual(figures["n_iter"], 3)
        # What was saved belongs together.
        again = self.path("again.npy")
        self.run_program("predict", model, self.path("random.npy"), "--labels", again)
        self.assertEqual(read_npy(again), read_npy(labels))

    def test_sigint_saves(self):
        self.check_stops(signal.SIGINT)

    def test_sigterm_saves(self):
        self.check_stops(signal.SIGTERM)


if __name__ == "__main__":
    ProgramTest.program = sys.argv.pop(1)
    unittest.main()
