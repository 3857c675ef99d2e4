"""superkmeans: flat, on all points, without early termination."""

from superkmeans import SuperKMeans

import adapters


class Adapter(adapters.Adapter):
    name = "superkmeans"
    package = "superkmeans"
    exact = False
    given_init = False
    note = "prunes by random projection: approximate; takes no initial centroids"

    def fit(self, n_iter):
        n, d = self.points.shape
        model = SuperKMeans(
            len(self.init),
            d,
            hierarchical=False,
            iters=n_iter,
            sampling_fraction=1.0,
            max_points_per_cluster=n,
            n_threads=self.threads,
            tol=0.0,
            early_termination=False,
        )
        seconds, centroids = adapters.timed(lambda: model.train(self.points))
        return {
            "seconds": seconds,
            "n_iter_done": len(model.iteration_stats),
            "centroids": centroids,
        }
