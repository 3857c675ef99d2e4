"""faiss-cpu: Kmeans with given centroids, on all points (no subsampling)."""

import faiss

import adapters


class Adapter(adapters.Adapter):
    name = "faiss-cpu"
    package = "faiss-cpu"
    module = faiss

    def fit(self, n_iter):
        faiss.omp_set_num_threads(self.threads)
        n, d = self.points.shape
        model = self.module.Kmeans(
            d, len(self.init), niter=n_iter, min_points_per_centroid=1, max_points_per_centroid=n
        )
        seconds, _ = adapters.timed(lambda: model.train(self.points, init_centroids=self.init))
        return {
            "seconds": seconds,
            "n_iter_done": len(model.iteration_stats),
            "centroids": model.centroids,
        }
