"""warpmeans.compat.fastkmeans: FastKMeans, and the original's results where it is there."""

import inspect

import numpy as np
import pytest

from warpmeans.compat.fastkmeans import FastKMeans

# Of fastkmeans 0.5.
PARAMETERS = {
    "d": inspect.Parameter.empty,
    "k": inspect.Parameter.empty,
    "niter": 25,
    "tol": 1e-8,
    "gpu": True,
    "seed": 0,
    "max_points_per_centroid": 1_000_000_000,
    "chunk_size_data": 51_200,
    "chunk_size_centroids": 10_240,
    "device": None,
    "dtype": None,
    "pin_gpu_memory": True,
    "verbose": False,
    "nredo": 1,
    "use_triton": None,
}
METHODS = ("train", "fit", "predict", "fit_predict")


def points(n=2000, d=8):
    rng = np.random.default_rng(0)
    means = rng.normal(scale=5, size=(9, d))
    return (means[rng.integers(0, 9, n)] + rng.normal(size=(n, d))).astype(np.float32)


def original():
    pytest.importorskip("torch")
    return pytest.importorskip("fastkmeans").FastKMeans


def defaults(function):
    return {name: p.default for name, p in inspect.signature(function).parameters.items()}


def test_signature():
    assert list(defaults(FastKMeans).items()) == list(PARAMETERS.items())
    for name in METHODS:
        assert list(defaults(getattr(FastKMeans, name))) == ["self", "data"]


def test_signature_is_the_originals():
    assert defaults(original()) == PARAMETERS
    for name in METHODS:
        assert defaults(getattr(original(), name)) == defaults(getattr(FastKMeans, name))
    assert vars(original()(3, 2)).keys() == vars(FastKMeans(3, 2)).keys()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"niter": 1},
        {"niter": 4, "seed": 5},
        {"niter": 6, "tol": -1},
        {"niter": 6, "max_points_per_centroid": 70},
        {"niter": 6, "max_points_per_centroid": None},
    ],
    ids=str,
)
def test_against_fastkmeans(options):
    x = points()
    theirs, mine = original()(8, 12, gpu=False, **options), FastKMeans(8, 12, gpu=False, **options)
    expected, labels = theirs.fit_predict(x), mine.fit_predict(x)
    np.testing.assert_allclose(mine.centroids, theirs.centroids, atol=1e-4)
    assert mine.centroids.dtype == theirs.centroids.dtype
    assert labels.dtype == expected.dtype and labels.shape == expected.shape
    assert np.mean(labels == expected) > 0.999


def test_tol_never_stops_earlier_than_fastkmeans():
    x = points()
    theirs, mine = original()(8, 60, tol=2.0, gpu=False), FastKMeans(8, 60, tol=2.0, gpu=False)

    def inertia(model):
        return np.square(x - model.fit(x).centroids[model.predict(x)]).sum()

    full = inertia(FastKMeans(8, 60, tol=0, niter=300))
    assert full < inertia(mine) <= inertia(theirs) * (1 + 1e-6)


def test_torch_and_other_dtypes():
    torch = pytest.importorskip("torch")
    x = points()
    model = FastKMeans(8, 5).fit(x)
    for data in (torch.from_numpy(x), torch.from_numpy(x).double(), x.astype(np.float64)):
        same = FastKMeans(8, 5)
        labels = same.fit_predict(data)
        assert isinstance(labels, np.ndarray) and labels.dtype == np.int64
        np.testing.assert_array_equal(same.centroids, model.centroids)


def test_errors():
    x = points()
    with pytest.raises(ValueError, match="nredo is 2; it must be 1"):
        FastKMeans(8, 5, nredo=2)
    with pytest.raises(RuntimeError, match="before predict"):
        FastKMeans(8, 5).predict(x)
    with pytest.raises(ValueError, match=r"points \(4\) is less than k \(5\)"):
        FastKMeans(8, 5).train(x[:4])
    with pytest.raises(ValueError, match=r"\(2000, 7\); it must be \(n, d\) with d = 8"):
        FastKMeans(8, 5).train(x[:, :7])
