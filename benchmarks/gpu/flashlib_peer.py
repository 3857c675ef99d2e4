"""FlashLib, by the successor of the seed's authors: flash_kmeans of both its backends."""

import sys
import types

import torch


class Adapter:
    name = "flashlib"

    def __init__(self, args):
        try:
            import tqdm  # noqa: F401
        except ImportError:
            sys.modules["tqdm"] = types.SimpleNamespace(trange=range, tqdm=iter)
        import flashlib
        from flashlib._optional import has_cutedsl
        from flashlib.primitives.kmeans.impl import flash_kmeans

        self.version = flashlib.__version__ + ("" if has_cutedsl() else " (Triton only)")
        self.call = flash_kmeans
        self.backends = ["triton", "cutedsl"] if has_cutedsl() else ["triton"]

    def load(self, points, init):
        return Problem(self, points, init)


class Problem:
    def __init__(self, adapter, points, init):
        self.adapter, self.points = adapter, points
        self.init = init.to(points.dtype).contiguous()
        self.done = None
        # The CuTe kernels take one problem; where they cannot run, flashlib itself falls back.
        backends = adapter.backends if len(points) == 1 else adapter.backends[:1]
        self.backend = min(backends, key=self.time)

    def time(self, backend):
        """Milliseconds of an iteration, once warm."""
        self.backend = backend
        self.fit(1)
        start, end = (torch.cuda.Event(enable_timing=True) for _ in "ab")
        start.record()
        self.fit(3)
        end.record()
        end.synchronize()
        return start.elapsed_time(end)

    def fit(self, iterations):
        labels, centroids, self.done = self.adapter.call(
            self.points,
            self.init.shape[1],
            max_iters=iterations,
            init_centroids=self.init.clone(),  # it may write there
            backend=self.backend,
        )
        return labels, centroids

    def iterations_done(self):
        return [self.done]

    def default_fit(self, seed):
        torch.manual_seed(seed)
        _, centroids, done = self.adapter.call(self.points, self.init.shape[1])
        return centroids, done
