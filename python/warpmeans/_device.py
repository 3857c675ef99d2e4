"""Fits in a GPU's memory, on the current stream of the library whose array the points are.

torch and CuPy allocate what a fit needs, results and workspace, so nothing here waits: the fit is
work on their stream like any other of theirs, in `torch.cuda.graph` too.
"""

import sys
from itertools import accumulate

from warpmeans import _core
from warpmeans._result import KMeansResult

#: The draws that `warpmeans::cuda::fit_async` enqueues, by the core's names.
INITS = ("kmeans++", "random")


def memory_of(x):
    """Where `x` lies, if its library can give memory there on a stream; else None."""
    module = type(x).__module__.partition(".")[0]
    if module == "torch" and getattr(x, "is_cuda", False):
        return _TorchMemory(x)
    if module == "cupy" and hasattr(x, "__cuda_array_interface__"):
        return _CupyMemory(x)
    return None


class _Memory:
    """Where an array lies: `index` is its device's, `stream` the address of the current stream."""

    def draws(self, init, n_init, weights, device):
        """Whether a fit from `init` (a name of the core, or centroids) can be enqueued here."""
        here = {f"cuda:{self.index}"} | ({"cuda"} if self.index == 0 else set())
        if device is not None and str(device) not in here:
            return False
        if not isinstance(init, str):
            return not callable(init)
        if init == "random" and (weights is not None or self.is_capturing()):  # drawn on the host
            return False
        return init in INITS and n_init == 1

    def refuse_capture(self):
        """Raise RuntimeError while the stream is captured: what comes next waits for the GPU."""
        if self.is_capturing():
            raise RuntimeError(
                "kmeans would wait for the GPU, which a captured stream cannot: in a CUDA graph "
                'give fixed_iterations=True, and centroids, "k-means++" or "random" as init'
            )


class _TorchMemory(_Memory):
    """torch's caching allocator."""

    def __init__(self, tensor):
        self._torch = sys.modules["torch"]
        self._device = tensor.device
        self.index = tensor.device.index
        self.stream = self._torch.cuda.current_stream(tensor.device).cuda_stream

    def empty(self, shape, dtype):
        return self._torch.empty(shape, dtype=getattr(self._torch, dtype), device=self._device)

    def part(self, room, start, end, dtype, shape):
        """Bytes of `room` as an array."""
        return room[start:end].view(getattr(self._torch, dtype)).reshape(tuple(shape))

    def on_device(self, values, name, dtype=None):
        """Values as a contiguous tensor here; from the host, never from another GPU."""
        torch = self._torch
        tensor = values if isinstance(values, torch.Tensor) else torch.as_tensor(values)
        if tensor.is_cuda and tensor.device != self._device:
            raise ValueError(f"{name} is on {tensor.device}, x on {self._device}")
        if dtype is not None or not tensor.is_cuda:
            dtype = tensor.dtype if dtype is None else getattr(torch, dtype)
            tensor = tensor.to(self._device, dtype)
        return tensor.detach().contiguous()

    def matrix(self, tensor, name):
        return _core.DeviceMatrix(
            name,
            tensor.data_ptr(),
            str(tensor.dtype).removeprefix("torch."),
            tensor.shape,
            tensor.stride(),
            tensor.device.index,
        )

    def address(self, tensor):
        return tensor.data_ptr()

    def cast(self, tensor, dtype):
        return tensor.to(getattr(self._torch, dtype))

    def current(self):
        return self._torch.cuda.device(self._device)

    def is_capturing(self):
        return self._torch.cuda.is_current_stream_capturing()


class _CupyMemory(_Memory):
    """CuPy's memory pool."""

    def __init__(self, array):
        self._cupy = sys.modules["cupy"]
        self.index = array.device.id
        with self.current():
            self.stream = self._cupy.cuda.get_current_stream().ptr

    def empty(self, shape, dtype):
        with self.current():
            return self._cupy.empty(shape, dtype)

    def part(self, room, start, end, dtype, shape):
        """Bytes of `room` as an array."""
        return room[start:end].view(dtype).reshape(tuple(shape))

    def on_device(self, values, name, dtype=None):
        """Values as a contiguous array here; from the host, never from another GPU."""
        if isinstance(values, self._cupy.ndarray) and values.device.id != self.index:
            raise ValueError(f"{name} is on cuda:{values.device.id}, x on cuda:{self.index}")
        with self.current():
            return self._cupy.ascontiguousarray(values, dtype=dtype)

    def matrix(self, array, name):
        size = array.itemsize
        if any(stride % size for stride in array.strides):
            raise ValueError(f"{name} has strides of {array.strides} bytes, not whole elements")
        return _core.DeviceMatrix(
            name,
            array.data.ptr,
            array.dtype.name if array.dtype.isnative else str(array.dtype),
            array.shape,
            [stride // size for stride in array.strides],
            array.device.id,
        )

    def address(self, array):
        return array.data.ptr

    def cast(self, array, dtype):
        return array.astype(dtype)

    def current(self):
        return self._cupy.cuda.Device(self.index)

    def is_capturing(self):
        with self.current():
            return self._cupy.cuda.get_current_stream().is_capturing()


def fit(
    memory,
    x,
    n_clusters,
    init,
    *,
    metric,
    weights,
    max_iter,
    tol,
    seed,
    empty,
    precision,
    order,
):
    """Enqueue a fit of `max_iter` iterations; its KMeansResult, none of whose arrays is waited for.

    `init` is a name of `INITS`, or centroids.
    """
    points = memory.matrix(x, "x")
    named = isinstance(init, str)
    centroids = weight_rows = None
    if not named:
        init = memory.on_device(init, "init")
        centroids = memory.matrix(init, "init")
    if weights is not None:
        weights = memory.on_device(weights, "weights", "float64")
        rows = weights[None] if weights.ndim == 1 else weights
        weight_rows = memory.matrix(rows, "weights")
    problem = _core.DeviceFit(
        points,
        n_clusters,
        init if named else "given",
        centroids,
        metric,
        weight_rows,
        max_iter,
        tol,
        seed,
        empty,
        precision,
    )
    *batch, n, d = x.shape
    wide = str(x.dtype).endswith("float64")
    items = batch[0] if batch else 1
    labels = memory.empty((*batch, n), "int32")
    means = memory.empty((*batch, n_clusters, d), "float64" if wide else "float32")
    # In one piece, cut up once the GPU is at work: counts, inertia, n_iter, converged, bad.
    shapes = [(*batch, n_clusters), batch, batch, batch, batch]
    dtypes = ["int64", "float64", "int32", "bool", "bool"]
    ends = list(accumulate((8 * items * n_clusters, 8 * items, 4 * items, items, items)))
    numbers = memory.empty((ends[-1],), "uint8")
    at = memory.address(numbers)
    # Freed when this returns: the next to get it works on the same stream, after the fit.
    workspace = memory.empty((problem.workspace_bytes,), "uint8")
    address = memory.address
    problem.enqueue(
        address(labels),
        address(means),
        at,
        *(at + end for end in ends[:-1]),
        address(workspace),
        memory.stream,
    )
    del workspace
    counts, inertia, n_iter, converged, bad = (
        memory.part(numbers, start, end, dtype, shape)
        for start, end, dtype, shape in zip([0, *ends], ends, dtypes, shapes, strict=False)
    )
    permutation = _order(memory, labels, n_clusters) if order else None
    result = KMeansResult(labels, means, inertia, n_iter, counts, permutation)
    result.converged = converged
    result.bad = bad
    result.metric = metric
    result.kernel = "cuda"
    return result


def _order(memory, labels, n_clusters):
    """The permutation that sorts each item's points by label, int64."""
    *batch, n = labels.shape
    items = batch[0] if batch else 1
    permutation = memory.empty(labels.shape, "int32")
    with memory.current():
        size = _core.order_workspace_bytes(items, n, n_clusters)
        workspace = memory.empty((size,), "uint8")
        _core.enqueue_order(
            memory.address(labels),
            items,
            n,
            n_clusters,
            memory.address(permutation),
            memory.address(workspace),
            size,
            memory.stream,
        )
    return memory.cast(permutation, "int64")
