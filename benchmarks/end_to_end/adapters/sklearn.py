"""scikit-learn: KMeans(algorithm='lloyd'), and kmeans_plusplus."""

from sklearn.cluster import KMeans, kmeans_plusplus

import adapters


def outcome(seconds, model):
    return {
        "seconds": seconds,
        "n_iter_done": int(model.n_iter_),
        "centroids": model.cluster_centers_,
        "inertia": float(model.inertia_),
    }


class Adapter(adapters.Adapter):
    name = "scikit-learn"
    package = "scikit-learn"
    estimator = KMeans

    def fit(self, n_iter):
        model = self.estimator(
            len(self.init), init=self.init, n_init=1, max_iter=n_iter, tol=0, algorithm="lloyd"
        )
        return outcome(*adapters.timed(lambda: model.fit(self.points)))

    def converge(self, tol, max_iter):
        model = self.estimator(
            len(self.init), init=self.init, n_init=1, max_iter=max_iter, tol=tol, algorithm="lloyd"
        )
        return outcome(*adapters.timed(lambda: model.fit(self.points)))

    def default_fit(self, k, seed):
        model = self.estimator(k, random_state=seed)
        return outcome(*adapters.timed(lambda: model.fit(self.points)))

    def seeding(self, k, seed):
        seconds, _ = adapters.timed(lambda: kmeans_plusplus(self.points, k, random_state=seed))
        return {"seconds": seconds}
