"""fast-pytorch-kmeans: one problem, scores by torch, sums by a mask of k x n."""

from importlib.metadata import version

import numpy as np
import torch
from fast_pytorch_kmeans import KMeans


class Adapter:
    name = "fast-pytorch-kmeans"
    version = version("fast-pytorch-kmeans")

    def __init__(self, args):
        pass

    def load(self, points, init):
        if len(points) != 1:  # it has no batches
            return None
        return Problem(points[0], init[0].to(points.dtype))


class Problem:
    limit_ms = 500
    rep = 200

    def __init__(self, points, init):
        self.points, self.init = points, init

    def fit(self, iterations):
        model = KMeans(len(self.init), max_iter=iterations, tol=-1.0)
        labels = model.fit_predict(self.points, self.init.clone())
        return labels[None], model.centroids[None]

    def default_fit(self, seed):
        torch.manual_seed(seed)
        np.random.seed(seed)
        model = KMeans(len(self.init))
        model.fit_predict(self.points)
        return model.centroids[None], None
