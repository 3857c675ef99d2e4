"""`memory`: limits, memory maps read chunk by chunk, and the same bits."""

import re
import subprocess
import sys

import numpy as np
import pytest
from sklearn.base import clone

import warpmeans
from warpmeans._arrays import in_shared_map

LIMIT = "24M"


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """Points (150000, 128) uint8 in a file: 18 MiB."""
    path = tmp_path_factory.mktemp("points") / "points.npy"
    np.save(path, np.random.default_rng(5).integers(256, size=(150_000, 128), dtype=np.uint8))
    return path


@pytest.mark.parametrize("view", ["whole", "rows apart", "columns", "backwards", "plain array"])
def test_same_bits(file, view):
    mapped = np.load(file, mmap_mode="r")
    x = {
        "whole": mapped,
        "rows apart": mapped[::3],
        "columns": mapped[:, 5:90],
        "backwards": mapped[::-1],
        "plain array": np.asarray(mapped),
    }[view]
    assert in_shared_map(x)
    options = {"init": "k-means||", "max_iter": 3}
    limited = warpmeans.kmeans(x, 12, memory=LIMIT, **options)
    expected = warpmeans.kmeans(np.array(x), 12, **options)
    np.testing.assert_array_equal(limited.labels, expected.labels)
    np.testing.assert_array_equal(limited.centroids, expected.centroids)
    assert limited.inertia == expected.inertia
    labels, distances = warpmeans.predict(x, limited.centroids, distances=True, memory=LIMIT)
    np.testing.assert_array_equal(labels, limited.labels)
    assert distances.sum() == pytest.approx(limited.inertia)


def test_what_is_a_shared_map(file):
    mapped = np.load(file, mmap_mode="r")
    assert in_shared_map(np.load(file, mmap_mode="r+"))
    assert not in_shared_map(np.load(file, mmap_mode="c")), "its pages hold what nothing else holds"
    assert not in_shared_map(mapped + 1) and not in_shared_map(mapped.copy())
    assert not in_shared_map(np.zeros((2, 2))) and not in_shared_map([[1.0]])


def test_what_was_written_stays(tmp_path):
    expected = np.random.default_rng(2).normal(size=(40_000, 32)).astype(np.float32)
    np.save(tmp_path / "x.npy", np.zeros_like(expected))
    for mode in ("r+", "c"):
        x = np.load(tmp_path / "x.npy", mmap_mode=mode)
        x[:] = expected
        result = warpmeans.kmeans(x, 4, max_iter=2, memory="64M")
        np.testing.assert_array_equal(x, expected)
        np.testing.assert_array_equal(
            result.labels, warpmeans.kmeans(expected, 4, max_iter=2).labels
        )


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_stays_within_the_limit(tmp_path):
    """128 MiB of points through 32 MiB: pages of the map, and the memory of the call."""
    x = np.lib.format.open_memmap(
        tmp_path / "x.npy", mode="w+", dtype=np.uint8, shape=(1 << 19, 256)
    )
    x[:] = np.random.default_rng(0).integers(256, size=x.shape, dtype=np.uint8)
    x.flush()
    del x
    program = """
import re, sys, threading, numpy, warpmeans
def pages():
    text = open("/proc/self/status").read()
    return [1024 * int(re.search(f"{name}:\\s+(\\d+)", text)[1]) for name in ("RssAnon", "RssFile")]
x = numpy.load(sys.argv[1], mmap_mode="r")
warpmeans.kmeans(numpy.zeros((4, 2)), 2)  # what any first call takes
before, most, done = pages(), [0, 0], threading.Event()
def watch():
    while not done.wait(0.001):
        most[:] = map(max, most, pages())
watcher = threading.Thread(target=watch, daemon=True)
watcher.start()
result = warpmeans.kmeans(x, 3, init="random", max_iter=2, memory=int(sys.argv[2]))
done.set()
watcher.join()
print(most[0] - before[0], most[1] - before[1])
"""
    limit = 32 << 20
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "x.npy", str(limit)],
        check=True,
        capture_output=True,
        text=True,
    )
    anonymous, mapped = map(int, done.stdout.split())
    assert 2 << 20 <= anonymous <= limit  # labels alone are 2 MiB
    assert mapped <= limit


def test_too_little_says_what_it_takes(file):
    x = np.load(file, mmap_mode="r")
    with pytest.raises(MemoryError, match=r"they need \d+") as caught:
        warpmeans.kmeans(x, 12, init="random", max_iter=1, memory="17M")
    needed = int(re.search(r"they need (\d+)", str(caught.value))[1])
    assert needed > 17 << 20
    warpmeans.kmeans(x, 12, init="random", max_iter=1, memory=needed)
    with pytest.raises(MemoryError, match=f"they need {needed}"):
        warpmeans.kmeans(x, 12, init="random", max_iter=1, memory=needed - 1)


def test_arrays_and_batches_take_a_limit_too(points, batch):
    for x in (points, batch):
        result = warpmeans.kmeans(x, 3, memory="1G")
        np.testing.assert_array_equal(result.labels, warpmeans.kmeans(x, 3).labels)
    with pytest.raises(MemoryError):
        warpmeans.kmeans(points, 3, memory=1000)


@pytest.mark.parametrize("word", ["", "0", "-1", "1X", "G", "1.5G", "99999999999G", 0, -5, 1 << 63])
def test_bad_amounts(points, word):
    for call in (warpmeans.kmeans, warpmeans.predict):
        with pytest.raises(ValueError, match="memory"):
            call(points, 3 if call is warpmeans.kmeans else points[:3], memory=word)
    with pytest.raises(TypeError, match="memory must be an integer"):
        warpmeans.kmeans(points, 3, memory=1.5)


def test_the_estimator(file):
    x = np.load(file, mmap_mode="r")
    model = clone(warpmeans.KMeans(4, init="random", n_init=1, max_iter=2, memory="40M"))
    assert model.get_params()["memory"] == "40M"
    model.set_params(random_state=0).fit(x)
    np.testing.assert_array_equal(model.predict(x), model.labels_)
    assert model.score(x) == pytest.approx(-model.inertia_)
    with pytest.raises(MemoryError):
        model.set_params(memory="17M").predict(x)
