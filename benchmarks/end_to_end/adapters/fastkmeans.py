"""fastkmeans: FastKMeans on a CPU, on all points. It takes no initial centroids but draws rows by
its seed: the drop-in draws the same ones."""

import torch
from fastkmeans import FastKMeans

import adapters


class Adapter(adapters.Adapter):
    name = "fastkmeans"
    package = "fastkmeans"
    given_init = False
    note = "draws its initial centroids by its seed, as the drop-in does"
    estimator = FastKMeans

    def fit(self, n_iter):
        torch.set_num_threads(self.threads)
        n, d = self.points.shape
        model = self.estimator(
            d, len(self.init), niter=n_iter, gpu=False, seed=0, max_points_per_centroid=n
        )
        seconds, _ = adapters.timed(lambda: model.train(self.points))
        return {"seconds": seconds, "n_iter_done": n_iter, "centroids": model.centroids}
