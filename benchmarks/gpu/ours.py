"""This library, through libwarpmeans_gpu.so. All memory is torch's and is held between calls."""

import ctypes

import torch

import gpu

DTYPES = {torch.float32: 0, torch.float64: 1, torch.float16: 2, torch.bfloat16: 3}
METRICS = {"euclidean": 0, "cosine": 1, "inner_product": 2}
INITS = {"k-means++": 0, "k-means||": 1, "random": 2, "given": 3}
PRECISIONS = {"exact": 0, "native": 1, "tf32": 2}


class WmProblem(ctypes.Structure):
    """As in warpmeans_gpu.cpp, field by field."""

    _fields_ = [
        ("points", ctypes.c_void_p),
        ("centroids", ctypes.c_void_p),
        ("kernel", ctypes.c_char_p),
        ("tol", ctypes.c_double),
        ("seed", ctypes.c_uint64),
        *((name, ctypes.c_int64) for name in ("batch", "n", "d", "k")),
        *((name, ctypes.c_int32) for name in ("points_dtype", "centroids_dtype")),
        *((name, ctypes.c_int32) for name in ("metric", "precision", "max_iter", "fixed")),
        ("device", ctypes.c_int32),
        ("init", ctypes.c_int32),
    ]


class Summary(ctypes.Structure):
    """WmSummary there."""

    _fields_ = [("inertia", ctypes.c_double), ("iterations", ctypes.c_double)]


class FitOutputs(ctypes.Structure):
    """warpmeans::cuda::FitOutputs."""

    _fields_ = [
        (name, ctypes.c_void_p)
        for name in ("labels", "centroids", "counts", "inertia")
        + ("n_iter", "converged", "bad")
    ]


class Adapter:
    name = "warpmeans"
    version = None  # the commit is the run's

    def __init__(self, args):
        self.library = ctypes.CDLL(str(args.library.resolve()))
        self.library.wm_last_error.restype = ctypes.c_char_p
        pointer, size = ctypes.c_void_p, ctypes.c_size_t
        self.library.wm_workspace_bytes.argtypes = [pointer, pointer]
        self.library.wm_fit.argtypes = [pointer, pointer, pointer, size, pointer]
        self.library.wm_fit_and_wait.argtypes = [pointer, pointer]
        self.library.wm_assign.argtypes = [pointer, pointer, pointer, size, pointer]
        self.library.wm_update.argtypes = [pointer] * 5 + [size, pointer]
        self.kernel, self.precision = args.kernel, args.precision
        if self.library.wm_device_count() < 1:
            raise RuntimeError(f"{args.library}: no CUDA device, or built without CUDA")

    def load(self, points, init):
        return Problem(self, points, init)

    def call(self, name, *arguments):
        if getattr(self.library, name)(*arguments) != 0:
            raise RuntimeError(f"{name}: {self.library.wm_last_error().decode()}")


class Problem:
    """Points (batch, n, d) and initial centroids (batch, k, d) float32 on the device."""

    def __init__(self, adapter, points, init):
        self.adapter = adapter
        self.points, self.init = points.contiguous(), init.contiguous()
        batch, n, d = points.shape
        k = init.shape[1]
        self.problem = WmProblem(
            points=self.points.data_ptr(),
            centroids=self.init.data_ptr(),
            kernel=adapter.kernel.encode() if adapter.kernel else None,
            **{"batch": batch, "n": n, "d": d, "k": k},
            points_dtype=DTYPES[points.dtype],
            centroids_dtype=DTYPES[init.dtype],
            metric=METRICS["euclidean"],
            precision=PRECISIONS[adapter.precision if points.element_size() == 2 else "exact"],
            device=points.device.index or 0,
            init=INITS["given"],
        )
        self.labels = self.make(torch.int32, batch, n)
        self.centroids = self.make(torch.float32, batch, k, d)
        self.counts = self.make(torch.int64, batch, k)
        self.n_iter = self.make(torch.int32, batch)
        self.converged = self.make(torch.uint8, batch)
        self.bad = self.make(torch.uint8, batch)
        self.poison()
        self.outputs = FitOutputs(
            labels=self.labels.data_ptr(),
            centroids=self.centroids.data_ptr(),
            n_iter=self.n_iter.data_ptr(),
            converged=self.converged.data_ptr(),
            bad=self.bad.data_ptr(),
        )
        self.workspace = None
        self.known = {}  # options -> bytes
        self.options(1, 0.0, True)
        self.make_room()

    def make(self, dtype, *size):
        return torch.empty(size, dtype=dtype, device=self.points.device)

    def poison(self):
        """So that what a call does not write shows."""
        for result in (self.labels, self.counts, self.n_iter):
            result.fill_(-1)
        self.centroids.fill_(float("nan"))
        self.converged.fill_(9)
        self.bad.fill_(9)

    def options(self, max_iter, tol, fixed, init="given", seed=0):
        self.problem.max_iter, self.problem.tol, self.problem.fixed = max_iter, tol, int(fixed)
        self.problem.init, self.problem.seed = INITS[init], seed

    def make_room(self):
        """For a fit with the options that are set."""
        p = self.problem
        key = (p.max_iter, p.tol, p.fixed, p.init)
        if key not in self.known:
            size = ctypes.c_size_t()
            self.adapter.call(
                "wm_workspace_bytes", ctypes.byref(self.problem), ctypes.byref(size)
            )
            self.known[key] = size.value
            if self.workspace is None or self.workspace.numel() < size.value:
                self.workspace = None
                self.workspace = self.make(torch.uint8, max(1, size.value))

    def room(self):
        return self.workspace.data_ptr(), self.workspace.numel(), gpu.stream()

    def assign(self):
        self.adapter.call(
            "wm_assign", ctypes.byref(self.problem), self.labels.data_ptr(), *self.room()
        )
        return self.labels

    def update(self, labels):
        self.adapter.call(
            "wm_update",
            ctypes.byref(self.problem),
            labels.data_ptr(),
            self.centroids.data_ptr(),
            self.counts.data_ptr(),
            *self.room(),
        )
        return self.centroids

    def fit(self, iterations, tol=0.0, fixed=True, init="given", seed=0):
        self.options(iterations, tol, fixed, init, seed)
        self.make_room()
        self.adapter.call(
            "wm_fit", ctypes.byref(self.problem), ctypes.byref(self.outputs), *self.room()
        )
        return self.labels, self.centroids

    def fit_to(self, tol, max_iter):
        return self.fit(max_iter, tol, False)

    def fit_and_wait(self, iterations, tol=0.0, fixed=True, init="given", seed=0):
        """By the call whose results come to the host, which has every init. Its inertia and its
        iterations, over the batch."""
        self.options(iterations, tol, fixed, init, seed)
        found = Summary()
        self.adapter.call("wm_fit_and_wait", ctypes.byref(self.problem), ctypes.byref(found))
        return found.inertia, found.iterations

    def default_fit(self, seed):
        """The library's defaults: k-means++, tol 1e-4, at most 300 iterations."""
        _, centroids = self.fit(300, 1e-4, False, "k-means++", seed)
        return centroids, self.iterations_done()[0]

    def iterations_done(self):
        """Of the last fit, by item. Raises if it says that the data are bad."""
        if int(self.bad.max()) != 0:
            raise RuntimeError(f"fit: bad = {self.bad.tolist()[:8]} for good points")
        return self.n_iter.tolist()
