"""clostera: DenseKMeans, the dense exact path, started from its own random rows."""

from clostera import DenseKMeans

import adapters


class Adapter(adapters.Adapter):
    name = "clostera"
    package = "clostera"
    given_init = False
    note = "takes no initial centroids"

    def fit(self, n_iter):
        model = DenseKMeans(k=len(self.init), iterations=n_iter, init="random")
        seconds, _ = adapters.timed(lambda: model.fit(self.points))
        return {
            "seconds": seconds,
            "n_iter_done": len(model.inertia_history_),
            "centroids": model.cluster_centers_,
        }
