"""warpmeans.compat.faiss: the interface of faiss.Kmeans, and its results where faiss is there."""

import dataclasses
import inspect

import numpy as np
import pytest

from warpmeans.compat import faiss as ours

D, K = 12, 10

# Of faiss 1.15.1.
METHODS = {
    "train": ["self", "x", "weights", "init_centroids"],
    "assign": ["self", "x"],
    "reset": ["self", "k"],
    "set_index": ["self"],
}
FIELDS = {
    "niter": 25,
    "nredo": 1,
    "verbose": False,
    "spherical": False,
    "int_centroids": False,
    "update_index": False,
    "frozen_centroids": False,
    "min_points_per_centroid": 39,
    "max_points_per_centroid": 256,
    "seed": 1234,
    "decode_block_size": 32768,
    "check_input_data_for_NaNs": True,
    "use_faster_subsampling": False,
    "init_method": 0,
    "afkmc2_chain_length": 50,
    "early_stop_threshold": 0.0,
    "use_super_kmeans": False,
}


def points(n=1500, seed=0):
    rng = np.random.default_rng(seed)
    means = rng.normal(scale=3, size=(14, D))
    return (means[rng.integers(0, 14, n)] + rng.normal(size=(n, D))).astype(np.float32)


def unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def trained(module, x, k=K, weights=None, init_centroids=None, **parameters):
    kmeans = module.Kmeans(D, k, **parameters)
    final = kmeans.train(x, weights, init_centroids)
    return kmeans, final


def test_signatures():
    for name, parameters in METHODS.items():
        signature = inspect.signature(getattr(ours.Kmeans, name))
        assert list(signature.parameters) == parameters
        assert all(p.default is None for p in list(signature.parameters.values())[2:])
    assert list(inspect.signature(ours.Kmeans).parameters) == ["d", "k", "kwargs"]
    assert dataclasses.asdict(ours.ClusteringParameters()) == FIELDS


def test_signatures_are_the_originals():
    faiss = pytest.importorskip("faiss")
    for name, parameters in METHODS.items():
        assert list(inspect.signature(getattr(faiss.Kmeans, name)).parameters) == parameters
    original = faiss.ClusteringParameters()
    fields = [name for name in dir(original) if not name.startswith("_")]
    assert {f: getattr(original, f) for f in fields if f not in ("this", "thisown")} == FIELDS
    for name in ours.__all__:
        if name.startswith(("METRIC", "ClusteringInit")):
            assert getattr(ours, name) == getattr(faiss, name)


def test_types_and_shapes():
    x = points()
    kmeans, final = trained(ours, x)
    assert isinstance(final, float) and final == kmeans.obj[-1]
    assert (kmeans.centroids.shape, kmeans.centroids.dtype) == ((K, D), np.float32)
    assert kmeans.obj.dtype == np.float64 and kmeans.obj.ndim == 1
    assert set(kmeans.iteration_stats[0]) == {
        "obj", "time", "time_search", "imbalance_factor", "nsplit"
    }  # fmt: skip
    distances, labels = kmeans.assign(x)
    assert (distances.shape, distances.dtype) == ((len(x),), np.float32)
    assert (labels.shape, labels.dtype) == ((len(x),), np.int64)
    exact = np.square(x[:, None].astype(np.float64) - kmeans.centroids).sum(-1)
    np.testing.assert_array_equal(labels, exact.argmin(1))
    np.testing.assert_allclose(distances, exact.min(1), rtol=1e-6)


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"niter": 0},
        {"niter": 3, "seed": 7},
        {"niter": 6, "nredo": 3},
        {"niter": 6, "max_points_per_centroid": 60},
        {"niter": 6, "max_points_per_centroid": 60, "use_faster_subsampling": True},
        {"niter": 6, "early_stop_threshold": 0.05},
        {"niter": 2, "int_centroids": True},
    ],
    ids=str,
)
def test_against_faiss(parameters):
    faiss = pytest.importorskip("faiss")
    x = points() * (20 if parameters.get("int_centroids") else 1)
    (theirs, _), (mine, _) = trained(faiss, x, **parameters), trained(ours, x, **parameters)
    np.testing.assert_allclose(mine.centroids, theirs.centroids, rtol=1e-4, atol=1e-4)
    # we see one iteration earlier that nothing changes any more
    assert len(theirs.obj) - 1 <= len(mine.obj) <= len(theirs.obj)
    np.testing.assert_allclose(mine.obj, theirs.obj[: len(mine.obj)], rtol=1e-4)
    assert mine.obj.dtype == theirs.obj.dtype
    for found, expected in zip(mine.assign(x), theirs.assign(x), strict=True):
        assert found.dtype == expected.dtype
        assert np.mean(np.isclose(found, expected, rtol=1e-3, atol=1e-3)) > 0.999
    for k in (1, 4, K + 3):
        for found, expected in zip(mine.index.search(x, k), theirs.index.search(x, k), strict=True):
            assert found.shape == expected.shape and found.dtype == expected.dtype
            assert np.mean(np.isclose(found, expected, rtol=1e-3, atol=1e-3)) > 0.999


@pytest.mark.parametrize("on_sphere", [False, True])
@pytest.mark.parametrize("nredo", [1, 2])
def test_spherical_against_faiss(on_sphere, nredo):
    faiss = pytest.importorskip("faiss")
    x = unit(points()) if on_sphere else points()
    options = {"niter": 4, "spherical": True, "nredo": nredo}
    (theirs, _), (mine, _) = trained(faiss, x, **options), trained(ours, x, **options)
    np.testing.assert_allclose(mine.centroids, theirs.centroids, atol=1e-4)
    np.testing.assert_allclose(mine.obj, theirs.obj, rtol=1e-5)
    for found, expected in zip(mine.assign(x), theirs.assign(x), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)
    for found, expected in zip(mine.index.search(x, 3), theirs.index.search(x, 3), strict=True):
        assert np.mean(np.isclose(found, expected, rtol=1e-3, atol=1e-3)) > 0.999


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("given", [4, K])
@pytest.mark.parametrize("weighted", [False, True])
def test_given_centroids_and_weights_against_faiss(given, frozen, weighted):
    faiss = pytest.importorskip("faiss")
    x = points()
    options = {
        "niter": 5,
        "frozen_centroids": frozen,
        "init_centroids": x[:given].copy(),
        "weights": np.linspace(0.1, 2, len(x)).astype(np.float32) if weighted else None,
    }
    if frozen and given == K:
        options["niter"] = 1  # faiss looks for donors of split clusters among none
    (theirs, _), (mine, _) = trained(faiss, x, **options), trained(ours, x, **options)
    np.testing.assert_allclose(mine.centroids, theirs.centroids, atol=2e-4)
    if frozen:
        np.testing.assert_array_equal(mine.centroids[:given], x[:given])


def test_int_centroids_are_whole():
    kmeans, _ = trained(ours, points() * 20, int_centroids=True)
    np.testing.assert_array_equal(kmeans.centroids, np.rint(kmeans.centroids))


def test_subsample_is_lifted_by_its_parameter():
    x = points(4000)
    _, few = trained(ours, x)
    kmeans, all_points = trained(ours, x, max_points_per_centroid=10**9)
    assert few < 0.8 * all_points
    assert kmeans.assign(x)[0].sum() <= all_points


@pytest.mark.parametrize("method", ["KMEANS_PLUS_PLUS", "AFK_MC2"])
def test_plus_plus(method):
    x = points()
    kmeans, final = trained(ours, x, init_method=getattr(ours, f"ClusteringInitMethod_{method}"))
    assert final <= 1.2 * trained(ours, x, nredo=10)[0].assign(x)[0].sum()
    assert len(kmeans.obj) <= 25


def test_parameters_can_be_changed_later():
    kmeans = ours.Kmeans(D, K)
    kmeans.cp.niter = 3
    kmeans.train(points())
    assert len(kmeans.obj) == 3
    kmeans.reset(5)
    assert kmeans.centroids is kmeans.obj is kmeans.iteration_stats is None
    kmeans.train(points())
    assert kmeans.centroids.shape == (5, D) and kmeans.index.ntotal == 5


def test_as_many_points_as_clusters():
    x = points(K)
    with pytest.warns(UserWarning, match="10 points to 10 centroids.*at least 390"):
        kmeans, final = trained(ours, x)
    np.testing.assert_array_equal(kmeans.centroids, x)
    assert (final, len(kmeans.iteration_stats), kmeans.index.ntotal) == (0.0, 1, K)


def test_negative_seed_differs_every_time():
    x = points()
    one, two = (trained(ours, x, seed=-1, niter=0)[0].centroids for _ in range(2))
    assert not np.array_equal(one, two)


@pytest.mark.parametrize("dtype", ["float64", "float16", "uint8", "int64"])
def test_other_dtypes(dtype):
    x = (np.abs(points()) * 5).astype(dtype)
    kmeans, _ = trained(ours, x, niter=4)
    same, _ = trained(ours, x.astype(np.float32), niter=4)
    assert kmeans.centroids.dtype == np.float32
    np.testing.assert_allclose(kmeans.centroids, same.centroids, rtol=1e-6)


def test_torch_tensors_give_numpy_arrays():
    torch = pytest.importorskip("torch")
    x = points()
    kmeans, _ = trained(ours, torch.from_numpy(x), spherical=True, init_centroids=x[:3].copy())
    same, _ = trained(ours, x, spherical=True, init_centroids=x[:3].copy())
    np.testing.assert_array_equal(kmeans.centroids, same.centroids)
    trained(ours, torch.from_numpy(x), weights=torch.ones(len(x)))
    assert isinstance(kmeans.assign(torch.from_numpy(x))[1], np.ndarray)


def test_errors():
    x = points()
    with pytest.raises(AttributeError, match="object has no attribute 'nitre'"):
        ours.Kmeans(D, K, nitre=3)
    with pytest.raises(NotImplementedError, match="progressive_dim_steps"):
        ours.Kmeans(D, K, progressive_dim_steps=3)
    with pytest.raises(NotImplementedError, match="spherical"):
        trained(ours, x, int_centroids=True, spherical=True)
    with pytest.raises(NotImplementedError, match="4 given centroids"):
        trained(ours, x, init_method=1, init_centroids=x[:4])
    with pytest.raises(RuntimeError, match=r"points \(9\) should be at least .* clusters \(10\)"):
        trained(ours, x[:9])
    with pytest.raises(ValueError, match=rf"\(1500, 3\); it must be \(n, d\) with d = {D}"):
        trained(ours, x[:, :3])
    with pytest.raises(RuntimeError, match="init_centroids has 11 rows, more than k = 10"):
        trained(ours, x, init_centroids=x[:11])
    with pytest.raises(ValueError, match=r"weights have the shape \(3,\), not \(1500,\)"):
        trained(ours, x, weights=[1, 1, 1])
    with pytest.raises(ValueError, match="k is 0"):
        ours.Kmeans(D, 0)
    with pytest.raises(ValueError, match="max_points_per_centroid is 0"):
        trained(ours, x, max_points_per_centroid=0)
    with pytest.raises(ValueError, match="nredo is 0"):
        trained(ours, x, nredo=0)
    with pytest.raises(RuntimeError, match="train before"):
        ours.Kmeans(D, K).assign(x)
    x[3, 4] = np.nan
    with pytest.raises(RuntimeError, match="row 3"):
        trained(ours, x)
    with pytest.raises(AttributeError, match="IndexIVFFlat"):
        ours.IndexIVFFlat  # noqa: B018


def test_verbose_shows_progress(capfd):
    trained(ours, points(), niter=3, verbose=True)
    assert "3" in capfd.readouterr().err


def test_nothing_is_printed_otherwise(capfd):
    trained(ours, points(), niter=3)
    assert capfd.readouterr() == ("", "")
