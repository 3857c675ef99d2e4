"""kmeans, predict and transform: results against the definitions, options, errors."""

import copy
import pickle

import numpy as np
import pytest
from conftest import squared_distances

import warpmeans
from warpmeans import _core


def same(a, b):
    """Whether two results are the same bits."""
    return all(
        np.array_equal(getattr(a, name), getattr(b, name))
        for name in ("labels", "centroids", "inertia", "n_iter", "counts", "converged")
    )


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "uint8", "int8"])
def test_result_is_what_the_definitions_say(points, dtype):
    x = np.clip(points * 4, 0, 100).astype(dtype)
    result = warpmeans.kmeans(x, 6, seed=1)
    distances = squared_distances(x, result.centroids)
    np.testing.assert_array_equal(result.labels, distances.argmin(axis=1))
    assert result.labels.dtype == np.int32
    assert result.centroids.dtype == (np.float64 if dtype == "float64" else np.float32)
    np.testing.assert_allclose(result.inertia, distances.min(axis=1).sum(), rtol=1e-9)
    np.testing.assert_array_equal(result.counts, np.bincount(result.labels, minlength=6))
    for j in range(6):
        mean = x[result.labels == j].astype(np.float64).mean(axis=0)
        np.testing.assert_allclose(result.centroids[j], mean, rtol=2e-3, atol=2e-2)
    assert isinstance(result.inertia, float) and isinstance(result.n_iter, int)
    assert result.converged is True and result.n_nonempty == 6 and not result.interrupted
    assert result.history.shape == (result.n_iter,)
    assert result.history["labels_changed"][0] == len(x)
    assert (np.diff(result.history["inertia"]) <= 0).all()
    assert result.work["scores"] % (len(x) * len(result.counts)) == 0
    assert result.work["screened"] + result.work["skipped"] >= result.work["scores"]
    assert result.kernel.startswith("cpu/") and result.threads >= 1


def test_result_is_a_tuple_that_unpacks_copies_and_pickles(points):
    result = warpmeans.kmeans(points, 3, order=True)
    labels, centroids, inertia, n_iter, counts, order = result
    np.testing.assert_array_equal(order, np.argsort(labels, kind="stable"))
    assert order.dtype == np.int64 and counts.sum() == len(points)
    for other in (pickle.loads(pickle.dumps(result)), copy.deepcopy(result)):
        assert same(result, other)
        np.testing.assert_array_equal(other.order, order)
        np.testing.assert_array_equal(other.history, result.history)
        assert other.kernel == result.kernel
    assert repr(result).startswith("KMeansResult(n_samples=600, n_clusters=3, inertia=")


def test_batch_is_each_item_alone(batch):
    together = warpmeans.kmeans(batch, 4, seed=5, order=True)
    assert together.labels.shape == together.order.shape == (4, 150)
    assert together.centroids.shape == (4, 4, 3)
    assert together.inertia.shape == together.n_iter.shape == together.converged.shape == (4,)
    assert together.converged.dtype == bool
    np.testing.assert_array_equal(
        together.order, np.argsort(together.labels, axis=1, kind="stable")
    )
    for b, x in enumerate(batch):
        alone = warpmeans.kmeans(x, 4, seed=5)
        np.testing.assert_array_equal(together.labels[b], alone.labels)
        np.testing.assert_array_equal(together.centroids[b], alone.centroids)
        assert together.inertia[b] == alone.inertia
        assert together.n_iter[b] == alone.n_iter == len(together.history[b])


@pytest.mark.parametrize("metric", ["euclidean", "cosine", "inner_product"])
def test_metrics_of_predict_and_transform(points, metric):
    x = points.astype(np.float64)
    result = warpmeans.kmeans(x, 4, metric=metric, max_iter=3)
    labels, distances = warpmeans.predict(x, result.centroids, metric=metric, distances=True)
    np.testing.assert_array_equal(labels, result.labels)
    np.testing.assert_allclose(distances.sum(), result.inertia, rtol=1e-12)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    expected = {
        "euclidean": np.sqrt(squared_distances(x, result.centroids)),
        "cosine": 1 - unit @ result.centroids.T,
        "inner_product": -x @ result.centroids.T,
    }[metric]
    all_distances = warpmeans.transform(x, result.centroids, metric=metric)
    np.testing.assert_allclose(all_distances, expected, rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(all_distances.argmin(axis=1), labels)
    assert warpmeans.transform(points, result.centroids, metric=metric).dtype == np.float32


def test_batches_of_predict_and_transform(batch):
    centroids = batch[:, :5]
    labels, distances = warpmeans.predict(batch, centroids, distances=True)
    every = warpmeans.transform(batch, centroids)
    assert labels.shape == distances.shape == (4, 150) and every.shape == (4, 150, 5)
    np.testing.assert_array_equal(labels[2], warpmeans.predict(batch[2], centroids[2]))
    np.testing.assert_array_equal(every[1], warpmeans.transform(batch[1], centroids[1]))
    shared = warpmeans.predict(batch, centroids[0])
    np.testing.assert_array_equal(shared[3], warpmeans.predict(batch[3], centroids[0]))


def test_weights_are_repetitions(points):
    times = np.random.default_rng(0).integers(1, 4, size=600)
    init = points[:5]
    weighted = warpmeans.kmeans(points, 5, init=init, weights=times)  # integers become float64
    repeated = warpmeans.kmeans(points.repeat(times, axis=0), 5, init=init)
    np.testing.assert_array_equal(weighted.labels.repeat(times), repeated.labels)
    np.testing.assert_allclose(weighted.centroids, repeated.centroids, rtol=1e-6)
    np.testing.assert_allclose(weighted.inertia, repeated.inertia, rtol=1e-9)
    assert weighted.counts.sum() == 600


def test_weights_of_a_batch(batch):
    weights = np.random.default_rng(1).uniform(size=(4, 150))
    together = warpmeans.kmeans(batch, 3, weights=weights)
    shared = warpmeans.kmeans(batch, 3, weights=weights[1])
    alone = warpmeans.kmeans(batch[1], 3, weights=weights[1].astype(np.float64)[::1])
    np.testing.assert_array_equal(together.labels[1], alone.labels)
    np.testing.assert_array_equal(shared.labels[1], alone.labels)


def test_inits(points):
    start = points[[3, 1, 4]]
    given = warpmeans.kmeans(points, 3, init=start, max_iter=0)
    np.testing.assert_array_equal(given.centroids, start)
    assert given.n_iter == 0 and not given.converged and given.history.shape == (0,)
    called = []

    def init(x, n_clusters, seed):
        called.append((x is points, n_clusters, seed))
        return x[seed : seed + n_clusters]

    attempts = [warpmeans.kmeans(points, 3, init=points[s : s + 3]) for s in (7, 8, 9)]
    best = min(attempts, key=lambda result: result.inertia)
    assert same(warpmeans.kmeans(points, 3, init=init, seed=7, n_init=3), best)
    assert called == [(True, 3, 7), (True, 3, 8), (True, 3, 9)]
    for name in ("k-means++", "k-means||", "random"):
        rows = warpmeans.kmeans(points, 6, init=name, seed=2, max_iter=0).centroids
        assert all((points == row).all(axis=1).any() for row in rows)
        assert len(np.unique(rows, axis=0)) == 6
    lists = warpmeans.kmeans(points, 3, init=start.astype(np.float64).tolist())
    assert same(lists, warpmeans.kmeans(points, 3, init=start))


def test_n_init_keeps_the_best(points):
    single = [warpmeans.kmeans(points, 9, init="random", n_init=n).inertia for n in (1, 8)]
    assert single[1] <= single[0]


def test_same_seed_same_bits_whatever_the_threads(points):
    results = [warpmeans.kmeans(points, 8, seed=9, threads=t) for t in (None, 1, 2, 3)]
    assert all(same(results[0], other) for other in results[1:])
    assert results[1].threads == 1


def test_fixed_iterations_and_max_iter(points):
    assert warpmeans.kmeans(points, 4, max_iter=2, tol=0).n_iter == 2
    fixed = warpmeans.kmeans(points, 4, max_iter=40, fixed_iterations=True)
    assert fixed.n_iter == 40 == len(fixed.history)


def test_empty_clusters():
    x = np.array([[0.0], [1.0], [2.0]])
    init = np.array([[1.0], [100.0]])
    assert warpmeans.kmeans(x, 2, init=init).n_nonempty == 2
    kept = warpmeans.kmeans(x, 2, init=init, empty="keep")
    assert kept.n_nonempty == 1 and kept.centroids[1] == 100
    with pytest.raises(ValueError, match="cluster 1 is empty in iteration 1"):
        warpmeans.kmeans(x, 2, init=init, empty="error")


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"n_clusters": 601}, ValueError, r"n_clusters \(601\) exceeds n_samples \(600\)"),
        ({"n_clusters": 0}, ValueError, r"n_clusters \(0\) must be"),
        ({"n_clusters": 2.0}, TypeError, "n_clusters must be an integer, not 2.0"),
        ({"n_clusters": "2"}, TypeError, "n_clusters must be an integer, not '2'"),
        ({"n_clusters": 2**70}, ValueError, r"n_clusters \(1180591620717411303424\)"),
        ({"init": "kmeans"}, ValueError, "init is 'kmeans'; it must be"),
        ({"init": np.zeros((2, 5))}, ValueError, "init_centroids have 2 rows"),
        ({"init": np.zeros((3, 4))}, ValueError, r"of shape \(3, 4\) do not fit points with 5"),
        ({"init": np.full((3, 5), np.nan)}, ValueError, "init_centroids: NaN at row 0, column 0"),
        ({"init": "given"}, ValueError, "init is 'given'"),
        ({"init": None}, TypeError, "init must be an array of numbers, not NoneType"),
        ({"metric": "manhattan"}, ValueError, 'metric is "manhattan"; it must be one of "eucl'),
        ({"metric": None}, TypeError, "metric must be a string, not None"),
        ({"empty": "drop"}, ValueError, 'empty is "drop"'),
        ({"precision": "half"}, ValueError, 'precision is "half"'),
        ({"precision": "native"}, RuntimeError, "native"),
        ({"n_init": 0}, ValueError, r"n_init \(0\)"),
        ({"n_init": None}, TypeError, "n_init must be an integer, not None"),
        ({"max_iter": -1}, ValueError, r"max_iter \(-1\)"),
        ({"max_iter": 2**31}, ValueError, r"max_iter \(2147483648\)"),
        ({"tol": -1}, ValueError, "tol"),
        ({"tol": "small"}, TypeError, "tol must be a number, not 'small'"),
        ({"tol": np.inf}, ValueError, "tol"),
        ({"seed": -1}, ValueError, r"seed \(-1\)"),
        ({"threads": 0}, ValueError, r"threads \(0\)"),
        ({"device": "tpu"}, ValueError, 'device is "tpu"; it must be'),
        ({"device": "cuda:x"}, ValueError, 'device is "cuda:x"'),
        ({"weights": np.ones(599)}, ValueError, r"weights of shape \(1, 599\) do not fit"),
        ({"weights": np.ones((1, 600))}, ValueError, r"weights of shape \(1, 600\) must be"),
        ({"weights": -np.ones(600)}, ValueError, r"weights\[0\] is -1"),
        ({"weights": np.zeros(600)}, ValueError, "all 600 weights are zero"),
        ({"weights": "heavy"}, TypeError, "weights must be an array of numbers"),
    ],
)
def test_bad_options_are_refused_with_their_values(points, options, error, text):
    options = {"n_clusters": 3, **options}
    with pytest.raises(error, match=text):
        warpmeans.kmeans(points, **options)


def test_bad_values_are_named_by_place(points):
    for value, name in ((np.nan, "NaN"), (np.inf, "Inf")):
        x = points.copy()
        x[17, 2] = value
        for call in (
            lambda x: warpmeans.kmeans(x, 3),
            lambda x: warpmeans.predict(x, points[:3]),
            lambda x: warpmeans.transform(x, points[:3]),
        ):
            with pytest.raises(ValueError, match=f"{name} at row 17, column 2"):
                call(x)


def test_an_absolute_tolerance_is_of_the_shift_itself(points):
    options = {"init": points[:20], "max_iter": 50}
    shifts = warpmeans.kmeans(points, 20, tol=0, **options).history["shift"]
    assert len(shifts) > 4
    for tol, iterations in ((shifts[2], 3), (np.nextafter(shifts[2], 0), 4)):
        assert shifts[:3].min() == shifts[2] and shifts[3] < tol
        result = warpmeans.kmeans(points, 20, tol=tol, absolute_tol=True, **options)
        assert result.n_iter == iterations and result.converged
    relative = warpmeans.kmeans(points * 4, 20, tol=shifts[2], absolute_tol=True,
                                init=points[:20] * 4, max_iter=50)  # fmt: skip
    assert relative.n_iter > 3  # the shifts of these are sixteen times as large


def test_show_config(capsys):
    warpmeans.show_config()
    shown = capsys.readouterr().out
    assert f"warpmeans {warpmeans.__version__}\n" in shown and "kernel cpu/" in shown
    assert f"GPUs that can be used: {_core.device_count()}\n" in shown
