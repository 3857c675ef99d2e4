"""warpmeans.KMeans, the estimator, called as scikit-learn's is."""

import warpmeans

from adapters.sklearn import Adapter as ScikitLearn


class Adapter(ScikitLearn):
    name = "warpmeans.KMeans"
    package = "warpmeans"
    estimator = warpmeans.KMeans

    def seeding(self, k, seed):
        raise NotImplementedError
