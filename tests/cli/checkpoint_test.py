"""Fits killed and stopped: what is resumed ends with the same bits, and no file is in pieces."""

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
import unittest
from pathlib import Path

from program_test import ProgramTest, npy, read_npy

KILLS = 200
OUTPUTS = ("model.safetensors", "labels.npy", "report.json")


def clockless(report):
    """A report but for what clocks and threads make of it, and the work, which is one process's."""
    for name in ("seconds", "threads", "work"):
        report.pop(name)
    for row in report["history"]:
        row.pop("seconds")
        row.pop("scores_skipped", None)
    return report


class CheckpointTest(ProgramTest):
    def setUp(self):
        super().setUp()
        values = random.Random(1)
        n, d = 3000, 8
        points = [values.gauss(0, 1) + 4 * (i % 7) for i in range(n) for _ in range(d)]
        self.points = self.write("points.npy", npy(points, (n, d)))
        self.resumable = ["--checkpoint", self.path("fit.safetensors"), "--resume"]

    def fit_command(self, folder, *more):
        """Two attempts of six iterations each."""
        options = "-k 40 --n-init 2 --max-iter 6 --tol 0 --seed 5 --quiet".split()
        paths = [str(Path(folder) / name) for name in OUTPUTS]
        outputs = [word for pair in zip(("--model", "--labels", "--report"), paths) for word in pair]
        return [self.program, "fit", self.points, *options, *outputs, *map(str, more)]

    def run_whole(self, folder):
        folder.mkdir()
        subprocess.run(self.fit_command(folder), check=True)
        return self.contents(folder)

    def contents(self, folder):
        files = {name: (Path(folder) / name).read_bytes() for name in OUTPUTS}
        return {**files, "report.json": clockless(json.loads(files["report.json"]))}

    def kill_after(self, seconds, command, number=signal.SIGKILL):
        """The exit status of the command, killed unless it was faster."""
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(number)
            return process.wait(120)

    def clear(self):
        for name in os.listdir(self.folder / "out"):
            os.unlink(self.folder / "out" / name)

    def test_killed_at_any_moment(self):
        want = self.run_whole(self.folder / "whole")
        (self.folder / "out").mkdir()
        checkpoint = self.folder / "fit.safetensors"
        resume = self.fit_command(self.folder / "out", *self.resumable)
        command = [*resume, "--checkpoint-every", "1"]
        start = time.monotonic()
        subprocess.run(command, check=True)
        duration = time.monotonic() - start
        moments = random.Random(2)
        killed = resumed = with_checkpoint = 0
        while killed < KILLS:
            self.clear()
            status = self.kill_after(moments.uniform(0, duration), command)
            if status == 0:  # it was faster this time
                self.assertEqual(self.contents(self.folder / "out"), want)
                duration *= 0.98
                continue
            self.assertEqual(status, -signal.SIGKILL)
            killed += 1
            with_checkpoint += checkpoint.exists()
            for name in OUTPUTS[:2]:  # not there, or whole
                path = self.folder / "out" / name
                if path.exists():
                    self.assertEqual(path.read_bytes(), want[name])
            subprocess.run(resume, check=True)
            self.assertEqual(self.contents(self.folder / "out"), want)
            self.assertFalse(checkpoint.exists(), "it is removed with the fit's success")
            resumed += 1
        print(f"{resumed} of {killed} killed fits ended with the same bits; "
              f"{with_checkpoint} had a checkpoint", file=sys.stderr)
        self.assertEqual(resumed, KILLS)
        self.assertGreater(with_checkpoint, KILLS // 4)

    def stopped(self, number, *more):
        """The same fit with iterations without end, stopped in one of them."""
        options = "-k 40 --n-init 1000000 --max-iter 6 --tol 0 --seed 5".split()
        process = subprocess.Popen(
            [self.program, "fit", self.points, *options, *map(str, self.resumable), *more],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.kill)
        first = process.stderr.readline()
        while " iteration 3/" not in process.stderr.readline():
            self.assertIsNone(process.poll())
        process.send_signal(number)
        process.stderr.read()
        self.assertEqual(process.wait(120), 130)
        return first

    def test_a_stopped_fit_goes_on(self):
        checkpoint = Path(self.path("fit.safetensors"))
        self.assertIn("attempt 1/1000000  iteration 1/6", self.stopped(signal.SIGINT))
        size = checkpoint.stat().st_size
        self.assertIn("resuming from ", self.stopped(signal.SIGTERM))
        self.assertLess(size, 2 * 40 * 8 * 4 + 12 * 7 * 8 + 2000, "two sets of centroids, some rows")

    def test_signals_at_any_moment(self):
        want = self.run_whole(self.folder / "whole")
        (self.folder / "out").mkdir()
        command = self.fit_command(self.folder / "out", *self.resumable)
        start = time.monotonic()
        subprocess.run(command, check=True)
        duration = time.monotonic() - start
        moments = random.Random(3)
        seen = {}
        while seen.get(130, 0) < 30:
            self.clear()
            trial = sum(seen.values())
            self.assertLess(trial, 600, seen)
            number = (signal.SIGINT, signal.SIGTERM)[trial % 2]
            status = self.kill_after(moments.uniform(0, duration), command, number)
            seen[status] = seen.get(status, 0) + 1
            if status == 130:  # stopped, and saved what it had
                self.check_saved()
                subprocess.run(command, check=True)
                status = 0
            elif status == 0:
                duration *= 0.98  # it was faster this time
            if status == 0:
                self.assertEqual(self.contents(self.folder / "out"), want)
            else:  # before it could handle the signal
                self.assertEqual(status, -number)
                self.assertEqual(os.listdir(self.folder / "out"), [])

    def check_saved(self):
        """The outputs in place belong together."""
        model, labels, report = (str(self.folder / "out" / name) for name in OUTPUTS)
        self.assertIn("history", json.loads(Path(report).read_text()))
        again = self.path("again.npy")
        self.run_program("predict", model, self.points, "--labels", again)
        self.assertEqual(Path(again).read_bytes(), Path(labels).read_bytes())

    def limited(self, size, *arguments):
        """Runs with no file longer than that many bytes: what a full disk does to a write."""
        return subprocess.run(
            [self.program, *map(str, arguments)],
            capture_output=True,
            text=True,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)),
        )

    def test_a_full_disk_costs_checkpoints_but_not_the_fit(self):
        labels = self.path("labels.npy")
        fit = ("fit", self.points, "-k", 40, "--checkpoint-every", 1, *self.resumable)
        run = self.limited(1000, *fit)
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertIn("fit.safetensors: cannot be written", run.stderr)
        self.assertIn("the fit goes on, its last good checkpoint stays", run.stderr)
        self.stopped(signal.SIGINT)
        checkpoint = Path(self.path("fit.safetensors"))
        before = checkpoint.read_bytes()
        # 12,128 bytes of labels do not fit, the checkpoints do.
        self.write("labels.npy", b"old")
        options = "-k 40 --n-init 1 --max-iter 3 --tol 0".split()
        os.unlink(checkpoint)
        run = self.limited(8000, "fit", self.points, *options, "--labels", labels,
                           "--checkpoint-every", 1, *self.resumable)
        self.assertEqual(run.returncode, 4, run.stderr)
        self.assertIn("labels.npy: cannot be written: File too large", run.stderr)
        self.assertEqual(Path(labels).read_bytes(), b"old")
        self.assertEqual(sorted(os.listdir(self.folder)),
                         ["fit.safetensors", "labels.npy", "points.npy"])
        self.assertLess(len(before), 8000)
        # With room again, what was computed is still there.
        run = self.run_program("fit", self.points, *options, "--labels", labels, *self.resumable)
        self.assertIn("resuming from", run.stderr)
        self.assertEqual(read_npy(labels)[1], (3000,))

    def test_a_folder_that_vanishes(self):
        folder = self.folder / "gone"
        folder.mkdir()
        command = [self.program, "fit", self.points, *"-k 40 --n-init 1000000 --tol 0".split(),
                   "--labels", str(folder / "l.npy"), "--checkpoint", str(folder / "c.safetensors"),
                   "--checkpoint-every", "1"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                   text=True)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.kill)
        while " iteration 3/" not in process.stderr.readline():
            self.assertIsNone(process.poll())
        os.rename(folder, self.folder / "elsewhere")
        while "the fit goes on" not in process.stderr.readline():
            self.assertIsNone(process.poll())
        process.send_signal(signal.SIGTERM)
        message = process.stderr.read()
        self.assertEqual(process.wait(120), 1)
        self.assertIn("gone/l.npy: cannot create a file in this folder", message)

    def expect_kept(self, message, status, *more):
        checkpoint = Path(self.path("fit.safetensors"))
        before = checkpoint.read_bytes()
        self.run_program(
            *self.fit_command(self.folder)[1:], *more, expect=status, message=message
        )
        self.assertEqual(checkpoint.read_bytes(), before)

    def test_what_does_not_fit_is_refused_and_kept(self):
        path = self.path("fit.safetensors")
        fit = ("fit", self.points, "-k", 40)
        self.run_program(*fit, "--resume", expect=2, message="--resume needs --checkpoint")
        for word in ("0", "0s", "s", "1.5", "-3", "3000000000", "1m"):
            self.run_program(*fit, "--checkpoint", path, "--checkpoint-every", word, expect=2,
                             message="--checkpoint-every")
        self.run_program(*fit, "--checkpoint", path, "--model", path, expect=2, message="two outputs")
        self.run_program(*fit, "--checkpoint", self.points, expect=2, message="is an input")
        self.run_program(*fit, "--checkpoint", self.path("no/c"), expect=2, message="no does not exist")
        self.stopped(signal.SIGINT)
        self.expect_kept("exists; --resume goes on from it", 2, "--checkpoint", path)
        self.expect_kept("n_init is 1000000 there, and 2 here", 2, *self.resumable)
        other = self.write("other.npy", npy(range(3000 * 8), (3000, 8)))
        options = "--n-init 1000000 --max-iter 6 --tol 0 --seed 5".split()
        for points, k, message, status in (
            (other, 40, "points is", 3),
            (self.points, 41, "n_clusters is 40 there, and 41 here", 2),
        ):
            self.run_program("fit", points, "-k", k, *options, *self.resumable, expect=status,
                             message=message)
        whole = Path(path).read_bytes()
        for size in (0, 7, len(whole) // 2, len(whole) - 1):
            self.write("fit.safetensors", whole[:size])
            self.expect_kept(path, 3, *self.resumable)
        self.fit_model()
        os.replace(self.path("model.safetensors"), path)
        self.expect_kept("is no checkpoint", 3, *self.resumable)


if __name__ == "__main__":
    CheckpointTest.program = sys.argv.pop(1)
    unittest.main()
