"""Points in the memory of a GPU: read there, answered there, as on the CPU."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import warpmeans
from warpmeans import _core

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.skipif(
    not (_core.has_cuda() and torch.cuda.is_available()), reason="no CUDA build, or no GPU"
)


def fixed(x, k, **options):
    """A fit that is only enqueued."""
    return warpmeans.kmeans(x, k, fixed_iterations=True, **{"max_iter": 4, **options})


CLUSTERS = ("labels", "centroids", "counts", "n_iter", "converged", "n_nonempty")


def equal(a, b, names=(*CLUSTERS, "inertia")):
    """Whether two results have the same bits, wherever they lie."""
    pairs = [(getattr(a, name), getattr(b, name)) for name in names]
    return all(np.array_equal(host(one), host(other)) for one, other in pairs)


def agree(a, b):
    """Whether a GPU's and a CPU's results have the same bits but for inertia, a long sum."""
    np.testing.assert_allclose(host(a.inertia), host(b.inertia), rtol=1e-9)
    return equal(a, b, CLUSTERS)


def host(values):
    for method in ("cpu", "get"):
        if hasattr(values, method):
            values = getattr(values, method)()
    return np.asarray(values)


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

    def slow():
        for _ in range(20):
            x = base + 0 * (base @ (base.T[:, :4096] @ base[:4096]))  # equal to base
        return x

    ready = warpmeans.kmeans(base, 16, init=start, max_iter=3)
    with torch.cuda.stream(torch.cuda.Stream()):
        late = warpmeans.kmeans(slow(), 16, init=start, max_iter=3)
        enqueued = fixed(slow(), 16, init=start, max_iter=3)
        torch.cuda.current_stream().synchronize()
    assert torch.equal(late.labels, ready.labels)
    assert torch.equal(enqueued.labels, ready.labels)


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


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16", "uint8", "int8"])
@pytest.mark.parametrize("batched", [False, True])
@pytest.mark.parametrize("init", ["k-means++", "random", "given"])
def test_what_is_enqueued_is_what_is_waited_for(points, dtype, batched, init):
    x = torch.from_numpy(points).abs().to(getattr(torch, dtype)).cuda()
    if batched:
        x = torch.stack([x, x.flip(0)])
    start = x[..., :6, :] if init == "given" else init
    result = fixed(x, 6, init=start, seed=3, order=True)
    waited = fixed(x, 6, init=start, seed=3, order=True, callback=lambda progress: None)
    assert result.labels.shape == x.shape[:-1] and result.inertia.shape == x.shape[:-2]
    assert equal(result, waited) and torch.equal(result.order, waited.order)
    assert result.order.dtype == torch.int64 and not result.bad.any()
    on_cpu = fixed(x.cpu(), 6, init=start.cpu() if init == "given" else start, seed=3)
    assert agree(result, on_cpu)


@pytest.mark.parametrize("metric", ["euclidean", "cosine", "inner_product"])
@pytest.mark.parametrize("weighted", [False, True])
def test_metrics_and_weights(points, metric, weighted):
    x = torch.from_numpy(points).cuda()
    weights = torch.rand(600, device="cuda") if weighted else None
    options = {"init": x[:5], "metric": metric, "empty": "keep"}
    result = fixed(x, 5, weights=weights, **options)
    expected = fixed(x, 5, weights=None if weights is None else weights.cpu().numpy(),
                     callback=lambda progress: None, **options)  # fmt: skip
    assert torch.equal(result.labels, expected.labels)
    torch.testing.assert_close(result.centroids, expected.centroids)


def test_rows_apart_and_gradients(points):
    wide = torch.zeros(2, 600, 16, device="cuda")
    wide[0, :, 3:8] = torch.from_numpy(points)
    wide.requires_grad_()
    result = fixed(wide[0, :, 3:8], 6, init=wide[0, :6, 3:8])
    assert agree(result, fixed(torch.from_numpy(points), 6, init=points[:6]))
    assert not result.centroids.requires_grad
    init = torch.from_numpy(points[:6]).T.contiguous().T  # made contiguous
    assert equal(result, fixed(wide[0, :, 3:8], 6, init=init))
    assert equal(result, fixed(wide[0, :, 3:8], 6, init=points[:6].tolist()))


def test_native_precision():
    x = torch.randn(4096, 64, device="cuda", dtype=torch.float16)
    result = fixed(x, 32, init=x[:32], precision="native")
    waited = fixed(x, 32, init=x[:32], precision="native", callback=lambda progress: None)
    assert equal(result, waited)


def test_a_captured_fit_is_replayed():
    x = torch.randn(3, 2000, 16, device="cuda")
    start = x[:, :8].clone()
    graphs = {}
    for init in (start, "k-means++"):
        fixed(x, 8, init=init, order=True)
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            result = fixed(x, 8, init=init, order=True)
        graphs[graph] = (init, result)
    for seed in range(3):
        x.copy_(torch.randn(x.shape, generator=torch.Generator().manual_seed(seed)))
        start.copy_(x[:, :8])
        for graph, (init, result) in graphs.items():
            graph.replay()
            fresh = fixed(x, 8, init=init, order=True)
            assert equal(result, fresh) and torch.equal(result.order, fresh.order)


def test_calls_that_come_again_are_replayed():
    """In the same memory they become a graph; what is in the memory may change."""
    x = torch.randn(2, 3000, 16, device="cuda")
    start = x[:, :8].clone()
    for turn in range(60):
        if turn % 7 == 0:
            x.normal_(generator=torch.Generator("cuda").manual_seed(turn))
            start.copy_(x[:, :8])
        options = {"max_iter": 1 + turn % 3, "metric": "cosine" if turn % 2 else "euclidean"}
        result = fixed(x, 8, init=start, **options)
        expected = fixed(x, 8, init=start, callback=lambda progress: None, **options)
        assert equal(result, expected), turn
        del result
    many = [fixed(x, k, init=start[:, :k], max_iter=2) for k in range(1, 9) for _ in range(12)]
    torch.cuda.synchronize()
    for result in many:
        k = result.centroids.shape[1]
        assert torch.equal(result.labels, many[12 * (k - 1)].labels)


def test_what_waits_cannot_be_captured(points):
    x = torch.from_numpy(points).cuda()
    fixed(x, 3, init=x[:3])
    for options in ({}, {"fixed_iterations": True, "init": "random"}):
        with pytest.raises(RuntimeError, match="fixed_iterations=True, and centroids"):
            with torch.cuda.graph(torch.cuda.CUDAGraph()):
                warpmeans.kmeans(x, 3, **options)
    assert equal(fixed(x, 3, init=x[:3]), fixed(x, 3, init=x[:3]))


def test_nothing_waits():
    x = torch.randn(1 << 16, 32, device="cuda")
    start = x[:64].clone()
    fixed(x, 64, init=start)
    torch.cuda.synchronize()
    torch.cuda._sleep(400_000_000)  # cycles: the better part of a second
    event = torch.cuda.Event()
    event.record()
    result = fixed(x, 64, init=start, order=True)
    assert not event.query(), "the fit waited for what was enqueued before it"
    assert int(result.counts.sum()) == 1 << 16


def test_a_warm_started_loop():
    """Video attention's: two calls a layer, each from the centroids of the step before."""
    generator = torch.Generator("cuda").manual_seed(0)
    x = torch.randn(8, 2048, 64, device="cuda", dtype=torch.bfloat16, generator=generator)
    centroids = x[:, :32].float()
    for _ in range(4):
        x = x + 0.01 * torch.randn(x.shape, device="cuda", generator=generator).to(x.dtype)
        result = fixed(x, 32, init=centroids, max_iter=2, precision="native", order=True,
                       empty="keep")  # fmt: skip
        labels, centroids, _, _, sizes, order = result
        ordered = labels.gather(1, order)
        assert bool((ordered[:, 1:] >= ordered[:, :-1]).all())
        assert torch.equal(order, labels.sort(dim=1, stable=True).indices)
        ends = torch.stack([(ordered == j).sum(1) for j in range(32)], 1)
        assert torch.equal(ends, sizes)


def test_bad_points_are_said_to_be(points):
    x = torch.from_numpy(np.stack([points, points])).cuda()
    x[1, 7, 2] = float("nan")
    result = fixed(x, 4, init=x[0, :4])
    assert result.bad.tolist() == [False, True]
    assert result.inertia.isnan().tolist() == [False, True]
    alone = fixed(x[0], 4, init=x[0, :4])
    assert torch.equal(result.labels[0], alone.labels)
    with pytest.raises(ValueError, match="row 7"):
        warpmeans.kmeans(x[1], 4)


def test_arrays_on_several_devices(points):
    x = torch.from_numpy(points)
    with pytest.raises(ValueError, match="init is on cuda:0, and the CPU"):
        warpmeans.kmeans(x, 4, init=x[:4].cuda())
    with pytest.raises(ValueError, match="centroids is on cuda:0, and the CPU"):
        warpmeans.predict(points, x[:4].cuda())
    with pytest.raises(ValueError, match="centroids is on cuda:0, and the CPU"):
        warpmeans.transform(points, x[:4].cuda())
    with pytest.raises(ValueError, match="cpu was asked for"):
        warpmeans.kmeans(x.cuda(), 4, device="cpu")
    count = torch.cuda.device_count()
    with pytest.raises(
        ValueError, match=f"device {count} was asked for, but the points are on device 0"
    ):
        fixed(x.cuda(), 4, device=f"cuda:{count}")
    expected = fixed(x, 4, init=x[:4])
    assert agree(expected, fixed(x.cuda(), 4, init=x[:4]))  # centroids go where the points are
    assert agree(expected, fixed(x, 4, init=x[:4].cuda(), device="cuda"))


def test_arrays_that_cannot_be_read(points):
    x = torch.from_numpy(points).cuda()
    with pytest.raises(ValueError, match="features 600 elements apart"):
        fixed(x.T.contiguous().T, 4, init=x[:4])
    with pytest.raises(ValueError, match="is empty"):
        fixed(x[:0], 4, init=x[:4])
    with pytest.raises(ValueError, match="two dimensions"):
        fixed(x[0], 4, init=x[:4])
    with pytest.raises(TypeError, match="int64"):
        fixed(x.long(), 4, init=x[:4])
    with pytest.raises(ValueError, match="exceeds n_samples"):
        fixed(x, 601, init=x)
    with pytest.raises(ValueError, match="do not fit points with 5 features"):
        fixed(x, 4, init=x[:4, :3])
    with pytest.raises(ValueError, match="weights"):
        fixed(x, 4, init=x[:4], weights=torch.ones(3))


def test_two_threads_on_two_streams():
    x = [torch.randn(20_000, 24, device="cuda") for _ in range(2)]
    expected = [fixed(points, 40, init=points[:40]) for points in x]
    torch.cuda.synchronize()
    wrong = []

    def work(i):
        with torch.cuda.stream(torch.cuda.Stream()):
            for turn in range(100):
                if turn % 10:
                    result = fixed(x[i], 40, init=x[i][:40])
                else:
                    result = warpmeans.kmeans(x[i], 40, init=x[i][:40], max_iter=4, tol=0)
                torch.cuda.current_stream().synchronize()
                if not torch.equal(result.labels, expected[i].labels):
                    wrong.append((i, turn))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_ten_thousand_calls_leak_nothing():
    psutil = pytest.importorskip("psutil")
    x = torch.randn(2, 500, 8, device="cuda")
    start = x[:, :4].clone()

    def held():
        torch.cuda.synchronize()
        return torch.cuda.memory_allocated(), psutil.Process().memory_info().rss

    def calls(count):
        for _ in range(count):
            fixed(x, 4, init=start, max_iter=2, order=True)
        torch.cuda.synchronize()

    calls(200)
    device, resident = held()
    free = torch.cuda.mem_get_info()[0]
    calls(10_000)
    after, resident_after = held()
    assert after == device
    assert torch.cuda.mem_get_info()[0] >= free
    assert resident_after - resident < 8 << 20


def test_cupy(points):
    cupy = pytest.importorskip("cupy")
    x = cupy.asarray(points)
    for batch in (x, cupy.stack([x, x[::-1]])):
        expected = fixed(batch.get(), 6, init=points[:6], order=True)
        with cupy.cuda.Stream(non_blocking=True) as stream:
            result = fixed(batch + 0, 6, init=x[:6], order=True)
            stream.synchronize()
        assert isinstance(result.labels, cupy.ndarray) and isinstance(result.inertia, cupy.ndarray)
        assert agree(result, expected)
        np.testing.assert_array_equal(result.order.get(), expected.order)
    waited = warpmeans.kmeans(x, 6, init=points[:6])
    assert isinstance(waited.labels, cupy.ndarray)
    np.testing.assert_array_equal(
        waited.labels.get(), warpmeans.kmeans(points, 6, init=points[:6]).labels
    )
    assert isinstance(warpmeans.KMeans(6).fit(x).predict(x), cupy.ndarray)
    with pytest.raises(ValueError, match="elements apart"):
        fixed(cupy.asfortranarray(x), 6, init=x[:6])


def test_jax(points, tmp_path):
    """In a process of its own: JAX wants most of the card's memory."""
    pytest.importorskip("jax")
    program = """
import jax, numpy as np, sys, warpmeans
from warpmeans import _core
from warpmeans._arrays import as_points
if jax.default_backend() != "gpu":
    sys.exit("no GPU backend")
points = np.load(sys.argv[1])
x = jax.numpy.asarray(points)
result = warpmeans.kmeans(x + 0, 6, init=x[:6])
expected = warpmeans.kmeans(points, 6, init=points[:6])
assert isinstance(result.labels, jax.Array) and result.labels.devices() == x.devices()
assert np.array_equal(np.asarray(result.labels), expected.labels)
assert np.array_equal(np.asarray(result.centroids), expected.centroids)
assert _core.address_of(as_points(x)) == x.unsafe_buffer_pointer()
assert warpmeans.predict(x, result.centroids).devices() == x.devices()
"""
    np.save(tmp_path / "points.npy", points)
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "points.npy"],
        capture_output=True,
        text=True,
        env={**os.environ, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"},
    )
    if "no GPU backend" in done.stderr:
        pytest.skip("JAX has no GPU backend")
    assert done.returncode == 0, done.stderr
