"""fastkmeans: FastKMeans on a CPU, on all points. It takes no initial centroids but draws rows with
torch's generator, so the given ones are put where it will look."""

import numpy as np
import torch
from fastkmeans import FastKMeans

import adapters

SEED = 0


class Adapter(adapters.Adapter):
    name = "fastkmeans"
    package = "fastkmeans"
    estimator = FastKMeans

    def prepare(self, points_path, init_path, threads):
        super().prepare(points_path, init_path, threads)
        torch.set_num_threads(threads)
        torch.manual_seed(SEED)
        drawn = torch.randperm(len(self.points))[: len(self.init)].numpy()
        row_of = {row.tobytes(): i for i, row in enumerate(self.points)}
        for place, centroid in zip(drawn, self.init):
            other = row_of[centroid.tobytes()]
            self.points[[place, other]] = self.points[[other, place]]
            row_of[self.points[other].tobytes()] = other
            row_of[self.points[place].tobytes()] = place
        assert np.array_equal(self.points[drawn], self.init)

    def fit(self, n_iter):
        n, d = self.points.shape
        model = self.estimator(
            d, len(self.init), niter=n_iter, gpu=False, seed=SEED, max_points_per_centroid=n
        )
        seconds, _ = adapters.timed(lambda: model.train(self.points))
        return {"seconds": seconds, "n_iter_done": n_iter, "centroids": model.centroids}
