"""`checkpoint`, `checkpoint_every`, `resume`: the same bits as in one go."""

import os
import shutil
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

import warpmeans

OPTIONS = {"tol": 0, "seed": 3, "init": "random"}


def assert_same_bits(result, expected):
    np.testing.assert_array_equal(result.labels, expected.labels)
    np.testing.assert_array_equal(result.centroids, expected.centroids)
    assert result.inertia == expected.inertia and result.n_iter == expected.n_iter
    for name in ("inertia", "shift", "labels_changed"):
        np.testing.assert_array_equal(result.history[name], expected.history[name])


@pytest.mark.parametrize("stop", [1, 2, 5])
def test_interrupted_by_ctrl_c_goes_on_to_the_same_bits(points, tmp_path, stop):
    path = tmp_path / "fit.safetensors"
    expected = warpmeans.kmeans(points, 40, **OPTIONS)
    assert expected.n_iter > 5
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def interrupt(progress):
        if progress.iteration == stop:
            signal.raise_signal(signal.SIGINT)

    try:
        with pytest.raises(KeyboardInterrupt) as caught:
            warpmeans.kmeans(points, 40, checkpoint=path, callback=interrupt, **OPTIONS)
    finally:
        signal.signal(signal.SIGINT, before)
    assert caught.value.result.n_iter == stop and path.exists()
    seen = []
    result = warpmeans.kmeans(
        points, 40, checkpoint=path, resume=True, threads=1, callback=seen.append, **OPTIONS
    )
    assert_same_bits(result, expected)
    assert seen[0].iteration == stop, "it is done again, and no earlier one"
    assert not path.exists()


def test_killed_goes_on_to_the_same_bits(points, tmp_path):
    path, file = tmp_path / "fit.safetensors", tmp_path / "points.npy"
    np.save(file, points)
    program = """
import os, signal, sys, numpy, warpmeans
def kill(progress):
    if progress.iteration == 4:
        os.kill(os.getpid(), signal.SIGKILL)
warpmeans.kmeans(numpy.load(sys.argv[1]), 40, tol=0, seed=3, init="random", checkpoint=sys.argv[2],
                 checkpoint_every=1, callback=kill)
"""
    done = subprocess.run([sys.executable, "-c", program, file, path])
    assert done.returncode == -signal.SIGKILL and path.exists()
    result = warpmeans.kmeans(points, 40, checkpoint=str(path), resume=True, **OPTIONS)
    assert_same_bits(result, warpmeans.kmeans(points, 40, **OPTIONS))


def test_ctrl_c_between_iterations(tmp_path):
    x = np.random.default_rng(0).normal(size=(300, 4)).astype(np.float32)
    path = tmp_path / "fit.safetensors"
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    forever = {"fixed_iterations": True, "max_iter": 10**6, "checkpoint": path}
    try:
        timer.start()
        with pytest.raises(KeyboardInterrupt) as caught:
            warpmeans.kmeans(x, 5, **forever)
        timer.join()
    finally:
        signal.signal(signal.SIGINT, before)
    n_iter = caught.value.result.n_iter
    again = warpmeans.kmeans(x, 5, resume=True, callback=lambda p: False, **forever)
    assert again.n_iter >= n_iter > 0 and again.interrupted
    np.testing.assert_array_equal(
        again.history["inertia"][:n_iter], caught.value.result.history["inertia"]
    )


def test_batches_and_attempts(batch, tmp_path):
    path = tmp_path / "fit.safetensors"
    options = {"n_init": 3, "seed": 1, "tol": 0}
    expected = warpmeans.kmeans(batch, 6, **options)
    calls = []

    def stop(progress):
        calls.append(progress)
        return len(calls) < 25

    assert warpmeans.kmeans(batch, 6, checkpoint=path, callback=stop, **options).interrupted
    result = warpmeans.kmeans(batch, 6, checkpoint=path, resume=True, **options)
    np.testing.assert_array_equal(result.labels, expected.labels)
    np.testing.assert_array_equal(result.inertia, expected.inertia)
    np.testing.assert_array_equal(result.n_iter, expected.n_iter)


def test_nothing_to_resume_is_a_fit(points, tmp_path):
    result = warpmeans.kmeans(points, 5, checkpoint=tmp_path / "none", resume=True)
    assert_same_bits(result, warpmeans.kmeans(points, 5))
    assert list(tmp_path.iterdir()) == []


def test_refusals_leave_the_file(points, tmp_path):
    path = tmp_path / "fit.safetensors"
    warpmeans.kmeans(points, 5, checkpoint=path, callback=lambda p: False)
    saved = path.read_bytes()

    def refused(message, error=ValueError, x=points, k=5, **options):
        with pytest.raises(error, match=message):
            warpmeans.kmeans(x, k, **options)

    refused("exists; resume=True goes on from it", checkpoint=path)
    refused("n_clusters", k=6, checkpoint=path, resume=True)
    refused("seed", seed=7, checkpoint=path, resume=True)
    refused("n_samples", x=points[:-1], checkpoint=path, resume=True)
    assert path.read_bytes() == saved
    refused("resume=True needs checkpoint", resume=True)
    for every in ("0", "s", "-1s", "1h", "99999999999"):
        refused("checkpoint_every", checkpoint=tmp_path / "new", checkpoint_every=every)
    refused(r"checkpoint_every \(0\)", checkpoint=tmp_path / "new", checkpoint_every=0)
    refused("checkpoint_every", TypeError, checkpoint=tmp_path / "new", checkpoint_every=1.5)
    refused("expected str", TypeError, checkpoint=3.5)
    refused(r"n_init \(2\)", init=lambda x, k, seed: x[:k], n_init=2, checkpoint=tmp_path / "new")
    path.write_bytes(saved[:-1])
    refused("fit.safetensors", checkpoint=path, resume=True)
    refused("no/such", checkpoint=tmp_path / "no" / "such")
    assert sorted(tmp_path.iterdir()) == [path] and path.read_bytes() == saved[:-1]


def test_what_cannot_be_saved_is_a_warning(points, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()

    def remove(progress):
        shutil.rmtree(folder, ignore_errors=True)

    with pytest.warns(RuntimeWarning, match="the fit goes on"):
        result = warpmeans.kmeans(
            points, 9, checkpoint=folder / "c", checkpoint_every=1, callback=remove, **OPTIONS
        )
    assert_same_bits(result, warpmeans.kmeans(points, 9, **OPTIONS))
