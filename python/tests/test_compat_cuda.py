"""The drop-ins on tensors in the memory of a GPU: the same code, the results of the CPU."""

import numpy as np
import pytest

from warpmeans import _core
from warpmeans.compat import faiss, fastkmeans, flash_kmeans

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.skipif(
    not (_core.has_cuda() and torch.cuda.is_available()), reason="no CUDA build, or no GPU"
)


def batch(dtype="float32"):
    x = np.random.default_rng(0).normal(size=(2, 900, 16)).astype(np.float32)
    return torch.from_numpy(x).to(getattr(torch, dtype))


@pytest.mark.parametrize("kind", ["Euclid", "Cosine", "Dot"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("tol", [0.0, 0.2])
def test_flash_kmeans(kind, dtype, tol):
    function = getattr(flash_kmeans, f"batch_kmeans_{kind}")
    x = batch(dtype)
    init = x[:, :8].clone()
    labels, centroids, n_iters = function(x, 8, 10, tol, init)
    found, centers, n = function(x.cuda(), 8, 10, tol, init.cuda())
    assert found.is_cuda and centers.is_cuda and centers.dtype == x.dtype
    if dtype == "float32":
        assert n == n_iters
        assert (found.cpu() == labels).float().mean() > 0.999
        torch.testing.assert_close(centers.cpu(), centroids)
    else:  # assigned to rounded centroids there, as flash-kmeans does
        assert n <= 10 and (tol > 0 or n == 10)
        if tol == 0:  # else they may stop after other numbers of iterations
            assert nearness(x, found.cpu(), centers.cpu(), kind) == pytest.approx(
                nearness(x, labels, centroids, kind), rel=5e-3
            )
        nearest = scores(x, centers.cpu(), kind).argmax(-1)
        assert (nearest == found.cpu()).float().mean() > 0.99
    function(x.cuda(), 8)  # centroids drawn on the GPU


def scores(x, centroids, kind):
    x, c = x.double(), centroids.double()
    return x @ c.mT if kind != "Euclid" else -torch.cdist(x, c)


def nearness(x, labels, centroids, kind):
    """What the labels make of the objective."""
    return float(scores(x, centroids, kind).gather(2, labels.long()[..., None]).sum())


def test_flash_kmeans_class():
    x = batch().cuda()
    model = flash_kmeans.FlashKMeans(16, 8, seed=1)
    labels = model.fit_predict(x)
    assert labels.is_cuda and torch.equal(model.predict(x), labels)
    found, centroids = flash_kmeans.kmeans_largeN(batch()[0], 8, device=torch.device("cuda:0"))
    assert not found.is_cuda and centroids.shape == (8, 16)


@pytest.mark.parametrize("spherical", [False, True])
def test_faiss(spherical):
    x = batch()[0]
    options = {"niter": 5, "spherical": spherical, "max_points_per_centroid": 80}
    on_cpu, on_gpu = faiss.Kmeans(16, 8, **options), faiss.Kmeans(16, 8, gpu=True, **options)
    on_cpu.train(x)
    for points in (x.numpy(), x.cuda()):
        on_gpu.train(points, init_centroids=None)
        np.testing.assert_allclose(on_gpu.centroids, on_cpu.centroids, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(on_gpu.assign(points)[1], on_cpu.assign(x)[1])
        assert on_gpu.index.search(points, 3)[1].shape == (900, 3)


def test_fastkmeans():
    x = batch()[0]
    on_cpu, on_gpu = fastkmeans.FastKMeans(16, 8, gpu=False), fastkmeans.FastKMeans(16, 8)
    labels = on_cpu.fit_predict(x)
    assert on_gpu.device == "cuda"
    for points in (x.numpy(), x.cuda()):
        np.testing.assert_array_equal(on_gpu.fit_predict(points), labels)
        np.testing.assert_allclose(on_gpu.centroids, on_cpu.centroids, rtol=1e-6)
