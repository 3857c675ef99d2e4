"""This library as Python programs call it: the installed package on torch's tensors."""

import warpmeans


class Adapter:
    name = "warpmeans"
    version = warpmeans.__version__

    def __init__(self, args):
        self.precision = args.precision

    def load(self, points, init):
        return Problem(points, init, self.precision)


class Problem:
    """Points (batch, n, d) and initial centroids (batch, k, d) float32 on the device."""

    def __init__(self, points, init, precision):
        self.points, self.init, self.precision = points, init, precision
        self.result = None

    def fit(self, iterations):
        self.result = warpmeans.kmeans(
            self.points,
            self.init.shape[1],
            init=self.init,
            max_iter=iterations,
            fixed_iterations=True,
            empty="keep",
            precision=self.precision,
        )
        return self.result.labels, self.result.centroids

    def iterations_done(self):
        """Of the last fit, by item. Raises if it says that the data are bad."""
        if bool(self.result.bad.any()):
            raise RuntimeError("fit: bad points, and they are good")
        return self.result.n_iter.tolist()
