"""flash-kmeans as published, called as its own batch_kmeans_Euclid calls its parts."""

import sys
import types

import torch


def import_seed():
    """The package. Its progress bars' import must not fail: it would fall back to plain torch."""
    try:
        import tqdm  # noqa: F401
    except ImportError:
        sys.modules["tqdm"] = types.SimpleNamespace(trange=range, tqdm=iter)
    import flash_kmeans
    from flash_kmeans import kmeans_triton_impl

    return flash_kmeans, kmeans_triton_impl


class Adapter:
    name = "flash-kmeans"

    def __init__(self, args):
        package, self.parts = import_seed()
        self.version = package.__version__

    def load(self, points, init):
        return Problem(self.parts, points, init)


class Problem:
    def __init__(self, parts, points, init):
        self.parts = parts
        self.points = points
        self.init = init.to(points.dtype).contiguous()
        self.done = None
        batch, n, _ = points.shape
        # As batch_kmeans_Euclid makes it, in the points' type.
        self.squares = torch.empty((batch, n), device=points.device, dtype=points.dtype)
        for i in range(0, n, 1 << 20):
            rows = points[:, i : i + (1 << 20)]
            self.squares[:, i : i + (1 << 20)] = (rows**2).sum(dim=-1)

    def assign(self):
        return self.parts.euclid_assign_triton(self.points, self.init, self.squares)

    def update(self, labels):
        return self.parts.triton_centroid_update_sorted_euclid(self.points, labels, self.init)

    def iteration(self):
        """Assign, update and shift; the copy that its loop makes as well, without its wait."""
        centroids, shift, labels = self.parts._euclid_iter(self.points, self.squares, self.init)
        return centroids.clone(), shift, labels

    def fit(self, iterations):
        return self.fit_to(0.0, iterations)  # its test is shift < tol: never

    def fit_to(self, tol, max_iter):
        labels, centroids, self.done = self.parts.batch_kmeans_Euclid(
            self.points, self.init.shape[1], max_iter, tol, self.init
        )
        return labels, centroids

    def default_fit(self, seed):
        """100 iterations: its default tol never stops it."""
        torch.manual_seed(seed)
        _, centroids, done = self.parts.batch_kmeans_Euclid(self.points, self.init.shape[1])
        return centroids, done

    def iterations_done(self):
        return [self.done]
