"""warpmeans.compat.flash_kmeans: flash-kmeans' interface, semantics and, where it runs, results."""

import inspect

import numpy as np
import pytest

from warpmeans.compat import flash_kmeans

BATCH = {
    "x": inspect.Parameter.empty,
    "n_clusters": inspect.Parameter.empty,
    "max_iters": 100,
    "tol": 0.0,
    "init_centroids": None,
    "verbose": False,
}
# Of flash-kmeans 0.3.1: parameters in order, with their defaults.
SIGNATURES = {
    "batch_kmeans_Euclid": {**BATCH, "use_heuristic": True},
    "batch_kmeans_Cosine": BATCH,
    "batch_kmeans_Dot": BATCH,
    "kmeans_largeN": {
        "x": inspect.Parameter.empty,
        "n_clusters": inspect.Parameter.empty,
        "max_iters": 100,
        "tol": 0.0,
        "verbose": False,
        "BLOCK_N": 1048576,
        "init_centroids": None,
        "device": None,
        "dtype": None,
    },
    "kmeans_largeN_assign": {
        "x": inspect.Parameter.empty,
        "centroids": inspect.Parameter.empty,
        "BLOCK_N": 1048576,
        "device": None,
        "dtype": None,
    },
    "FlashKMeans": {
        "d": inspect.Parameter.empty,
        "k": inspect.Parameter.empty,
        "niter": 25,
        "tol": 1e-8,
        "use_triton": True,
        "seed": 0,
        "chunk_size_data": 32768,
        "chunk_size_centroids": 1024,
        "chunk_size_data_cpu": 1048576,
        "verbose": False,
        "dtype": None,
        "device": None,
    },
}


def parameters(function):
    return {name: p.default for name, p in inspect.signature(function).parameters.items()}


def points(b=2, n=600, d=8, seed=0):
    rng = np.random.default_rng(seed)
    means = rng.normal(scale=4, size=(b, 6, d))
    which = rng.integers(0, 6, (b, n))
    return (np.take_along_axis(means, which[..., None], 1) + rng.normal(size=(b, n, d))).astype(
        np.float32
    )


@pytest.mark.parametrize("name", SIGNATURES)
def test_signature(name):
    assert list(parameters(getattr(flash_kmeans, name)).items()) == list(SIGNATURES[name].items())


@pytest.mark.parametrize("name", SIGNATURES)
def test_signature_is_the_originals(name):
    pytest.importorskip("torch")
    original = getattr(pytest.importorskip("flash_kmeans"), name)
    if original.__module__ == "flash_kmeans.torch_fallback" or original.__name__ != name:
        pytest.skip("the installed flash_kmeans has no Triton")
    assert parameters(original) == SIGNATURES[name]


def test_the_only_positional_limit_is_use_heuristic():
    kinds = inspect.signature(flash_kmeans.batch_kmeans_Euclid).parameters
    assert kinds["use_heuristic"].kind is inspect.Parameter.KEYWORD_ONLY
    assert kinds["verbose"].kind is inspect.Parameter.POSITIONAL_OR_KEYWORD


@pytest.mark.parametrize("kind", ["Euclid", "Cosine", "Dot"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "float64"])
def test_shapes_and_dtypes_of_numpy(kind, dtype):
    x = points().astype(dtype)
    labels, centroids, n_iters = getattr(flash_kmeans, f"batch_kmeans_{kind}")(x, 5, max_iters=4)
    assert (labels.shape, labels.dtype) == ((2, 600), np.int32)
    assert (centroids.shape, centroids.dtype) == ((2, 5, 8), np.dtype(dtype))
    assert isinstance(n_iters, int) and 1 <= n_iters <= 4


def lloyd(x, centroids, iterations, kind):
    """What flash-kmeans computes, in float64; and the labels of the centroids after that."""
    x, c = x.astype(np.float64), centroids.astype(np.float64)

    def unit(rows):
        return rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12)

    if kind == "Cosine":
        x, c = unit(x), unit(c)

    def assign():
        if kind == "Euclid":
            return np.square(x[:, None] - c).sum(-1).argmin(-1)
        return (x @ c.T).argmax(-1)

    for _ in range(iterations):
        labels = assign()
        c = np.array(
            [x[labels == j].mean(0) if (labels == j).any() else c[j] for j in range(len(c))]
        )
        if kind != "Euclid":
            c = unit(c)
    return assign(), c


@pytest.mark.parametrize("kind", ["Euclid", "Cosine", "Dot"])
@pytest.mark.parametrize("iterations", [1, 2, 6])
def test_against_numpy(kind, iterations):
    x = points()
    init = x[:, :5].copy()
    init[:, 4] = -init[:, 3] * 50  # empty at first for some
    labels, centroids, _ = getattr(flash_kmeans, f"batch_kmeans_{kind}")(
        x, 5, max_iters=iterations, init_centroids=init
    )
    for item in range(2):
        expected_labels, expected = lloyd(x[item], init[item], iterations, kind)
        np.testing.assert_allclose(centroids[item], expected, atol=2e-5)
        assert np.mean(labels[item] == expected_labels) > 0.999


@pytest.mark.parametrize("iterations", [1, 3, 8])
def test_against_flash_kmeans(iterations):
    torch = pytest.importorskip("torch")
    original = pytest.importorskip("flash_kmeans.torch_fallback").batch_kmeans_Euclid_torch_native
    x = torch.from_numpy(points())
    torch.manual_seed(4)
    _, expected, n_iters = original(x, 7, max_iters=iterations)
    torch.manual_seed(4)
    labels, centroids, ours = flash_kmeans.batch_kmeans_Euclid(x, 7, max_iters=iterations)
    torch.testing.assert_close(centroids, expected, atol=2e-5, rtol=1e-5)
    assert ours == n_iters
    # flash-kmeans' labels are one update older than its centroids: those after one more are ours
    expected_labels, _, _ = original(x, 7, max_iters=1, init_centroids=expected)
    assert labels.dtype == expected_labels.dtype
    assert (labels == expected_labels).float().mean() > 0.999


def test_class_against_flash_kmeans():
    torch = pytest.importorskip("torch")
    original = pytest.importorskip("flash_kmeans").FlashKMeans(8, 6, niter=50, seed=9)
    ours = flash_kmeans.FlashKMeans(8, 6, niter=50, seed=9)
    for x in (torch.from_numpy(points()), torch.from_numpy(points()[0])):
        expected, labels = original.fit_predict(x), ours.fit_predict(x)
        assert labels.shape == expected.shape and labels.dtype == expected.dtype
        torch.testing.assert_close(ours.centroids_b, original.centroids_b, atol=2e-5, rtol=1e-5)
        assert (labels == expected).float().mean() > 0.999
        assert torch.equal(ours.predict(x), labels)
        assert ours.cluster_ids_b.shape == original.cluster_ids_b.shape


def test_attributes_of_the_class():
    torch = pytest.importorskip("torch")
    original = pytest.importorskip("flash_kmeans").FlashKMeans(8, 6)
    original.train(torch.from_numpy(points()))
    ours = flash_kmeans.FlashKMeans(8, 6)
    missing = vars(original).keys() - vars(ours).keys()
    assert missing == {"_raw_device"}  # private


def test_the_class_leaves_torchs_generator_alone():
    torch = pytest.importorskip("torch")
    torch.manual_seed(1)
    flash_kmeans.FlashKMeans(8, 6).train(torch.from_numpy(points()))
    after = torch.rand(1)
    torch.manual_seed(1)
    assert torch.equal(after, torch.rand(1))


@pytest.mark.parametrize("batch", [1, 3])
def test_tol(batch):
    x = points(batch)
    init = x[:, :30].copy()
    _, coarse, few = flash_kmeans.batch_kmeans_Euclid(x, 30, tol=0.5, init_centroids=init)
    labels, fine, many = flash_kmeans.batch_kmeans_Euclid(x, 30, init_centroids=init)
    assert few < many
    again = flash_kmeans.batch_kmeans_Euclid(x, 30, max_iters=1, init_centroids=coarse)[1]
    assert np.linalg.norm(again - coarse, axis=-1).max() < 0.5
    assert labels.shape == (batch, 600) and coarse.shape == fine.shape == (batch, 30, 8)


def test_a_batch_with_tol_is_one_call_and_its_items(monkeypatch):
    x = points(3)
    init = x[:, :30].copy()
    calls = []
    kmeans = flash_kmeans.warpmeans.kmeans
    monkeypatch.setattr(
        flash_kmeans.warpmeans, "kmeans", lambda *a, **k: calls.append(1) or kmeans(*a, **k)
    )
    labels, centroids, most = flash_kmeans.batch_kmeans_Euclid(x, 30, tol=0.5, init_centroids=init)
    assert len(calls) == 1
    taken = []
    for item in range(3):
        one, means, n_iters = flash_kmeans.batch_kmeans_Euclid(
            x[item : item + 1], 30, tol=0.5, init_centroids=init[item : item + 1]
        )
        np.testing.assert_array_equal(one[0], labels[item])
        np.testing.assert_array_equal(means[0], centroids[item])
        taken.append(n_iters)
    assert most == max(taken) and len(set(taken)) > 1


def test_largeN():
    x = points()[0]
    np.random.seed(0)
    labels, centroids = flash_kmeans.kmeans_largeN(x, 5, max_iters=50, BLOCK_N=100, dtype="float16")
    assert (labels.shape, labels.dtype) == ((600,), np.int32)
    assert (centroids.shape, centroids.dtype) == ((5, 8), np.float16)
    found = flash_kmeans.kmeans_largeN_assign(x, centroids)
    assert found.dtype == np.int32 and np.mean(found == labels) > 0.99


def test_numpy_draws_from_numpys_generators():
    x = points()
    np.random.seed(3)
    first = flash_kmeans.batch_kmeans_Euclid(x, 5)
    other = flash_kmeans.batch_kmeans_Euclid(x, 5)
    np.random.seed(3)
    again = flash_kmeans.batch_kmeans_Euclid(x, 5)
    np.testing.assert_array_equal(first[1], again[1])
    assert not np.array_equal(first[1], other[1])
    one, two = (flash_kmeans.FlashKMeans(8, 5, seed=8).fit(x).centroids_b for _ in range(2))
    np.testing.assert_array_equal(one, two)


def test_errors():
    x = points()
    with pytest.raises(ValueError, match=r"\(600, 8\); it must be \(B, n, d\)"):
        flash_kmeans.batch_kmeans_Euclid(x[0], 5)
    with pytest.raises(TypeError, match="x is a list"):
        flash_kmeans.batch_kmeans_Euclid(x.tolist(), 5)
    with pytest.raises(ValueError, match=r"n_clusters \(601\) exceeds n_samples \(600\)"):
        flash_kmeans.batch_kmeans_Euclid(x, 601)
    with pytest.raises(ValueError, match=r"shape \(2, 4, 8\); it must be \(2, 5, 8\)"):
        flash_kmeans.batch_kmeans_Euclid(x, 5, init_centroids=x[:, :4])
    with pytest.raises(ValueError, match=r"\(2, 600, 8\)"):
        flash_kmeans.kmeans_largeN(x, 5)
    with pytest.raises(ValueError, match=r"\(8,\); it must be \(n, d\) or \(B, n, d\)"):
        flash_kmeans.FlashKMeans(8, 5).train(x[0, 0])
    model = flash_kmeans.FlashKMeans(8, 5)
    with pytest.raises(RuntimeError, match="not trained"):
        model.predict(x)
    with pytest.raises(ValueError, match="7 features; d is 8"):
        model.train(x[..., :7])
    model.train(x)
    with pytest.raises(ValueError, match="B=2, but predict got B=None"):
        model.predict(x[0])
    with pytest.raises(AttributeError, match="triton_centroid_update_euclid"):
        flash_kmeans.triton_centroid_update_euclid  # noqa: B018


def test_device_and_dtype_may_be_torchs():
    torch = pytest.importorskip("torch")
    x = torch.from_numpy(points())
    model = flash_kmeans.FlashKMeans(8, 5, device=torch.device("cpu"), dtype=torch.bfloat16)
    assert model.fit(x).centroids_b.dtype == torch.bfloat16
    labels, centroids = flash_kmeans.kmeans_largeN(x[0], 5, device="cpu", dtype=torch.float16)
    assert labels.shape == (600,) and centroids.dtype == torch.float16
