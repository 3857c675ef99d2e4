"""Points in the memory of a GPU: read there, answered there, as on the CPU."""

import numpy as np
import pytest

import warpmeans
from warpmeans import _core

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.skipif(
    not (_core.has_cuda() and torch.cuda.is_available()), reason="no CUDA build, or no GPU"
)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_tensors_stay_on_their_device(points, dtype):
    x = torch.from_numpy(points).to(getattr(torch, dtype))
    start = x[:6].float()
    expected = warpmeans.kmeans(x, 6, init=start)
    result = warpmeans.kmeans(x.cuda(), 6, init=start.cuda())
    assert result.kernel.startswith("cuda/")
    assert result.labels.is_cuda and result.centroids.is_cuda and result.counts.is_cuda
    assert torch.equal(result.labels.cpu(), expected.labels)
    assert torch.equal(result.centroids.cpu(), expected.centroids)
    labels = warpmeans.predict(x.cuda(), result.centroids)
    assert labels.is_cuda and torch.equal(labels, result.labels)
    assert warpmeans.transform(x.cuda(), result.centroids).is_cuda
    batch = torch.stack([x, x.flip(0)]).cuda()
    assert torch.equal(warpmeans.kmeans(batch, 6, init=start.cuda()).labels[0], result.labels)
    model = warpmeans.KMeans(6, init=start.cuda()).fit(x.cuda())
    assert model.labels_.is_cuda and torch.equal(model.predict(x.cuda()), model.labels_)


def test_points_that_are_still_being_computed():
    base = torch.randn(1 << 16, 64, device="cuda")
    start = base[:16].clone()
    with torch.cuda.stream(torch.cuda.Stream()):
        for _ in range(20):
            x = base + 0 * (base @ (base.T[:, :4096] @ base[:4096]))  # slow, and equal to base
        late = warpmeans.kmeans(x, 16, init=start, max_iter=3)
    ready = warpmeans.kmeans(base, 16, init=start, max_iter=3)
    assert torch.equal(late.labels, ready.labels)


def test_device_argument_and_cuda_array_interface(points):
    on_cpu = warpmeans.kmeans(points, 5, seed=2)
    result = warpmeans.kmeans(points, 5, seed=2, device="cuda")
    assert isinstance(result.labels, np.ndarray)
    np.testing.assert_array_equal(result.labels, on_cpu.labels)
    tensor = torch.from_numpy(points).cuda()

    class Numba:
        __cuda_array_interface__ = tensor.__cuda_array_interface__

    labels = warpmeans.kmeans(Numba(), 5, init=points[:5]).labels
    expected = warpmeans.kmeans(points, 5, init=points[:5]).labels
    np.testing.assert_array_equal(labels, expected)
