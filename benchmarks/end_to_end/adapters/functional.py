"""warpmeans.kmeans: what the runner asks of the library, asked of the Python package."""

import warpmeans

import adapters


class Adapter(adapters.Adapter):
    name = "warpmeans.kmeans"
    package = "warpmeans"

    def fit(self, n_iter):
        seconds, result = adapters.timed(
            lambda: warpmeans.kmeans(
                self.points,
                len(self.init),
                init=self.init,
                max_iter=n_iter,
                tol=0,
                fixed_iterations=True,
                threads=self.threads,
            )
        )
        return {"seconds": seconds, "n_iter_done": result.n_iter, "centroids": result.centroids}
