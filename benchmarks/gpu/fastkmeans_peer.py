"""fastkmeans: one problem, its own random initial centroids, float16 and Triton by its defaults."""

from importlib.metadata import version

from fastkmeans import FastKMeans


class Adapter:
    name = "fastkmeans"
    version = version("fastkmeans")

    def __init__(self, args):
        pass

    def load(self, points, init):
        if len(points) != 1:  # it has no batches
            return None
        return Problem(points[0].float().cpu().numpy(), init.shape[1])


class Problem:
    """It takes NumPy's float32 and uploads them anew in each iteration: that is its time, too."""

    limit_ms = 500
    rep = 200

    def __init__(self, points, k):
        self.points, self.k = points, k

    def fit(self, iterations):
        model = FastKMeans(
            self.points.shape[1], self.k, niter=iterations, tol=-1.0, max_points_per_centroid=None
        )
        model.train(self.points)
        return model.centroids
