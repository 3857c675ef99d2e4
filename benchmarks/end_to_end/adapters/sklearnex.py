"""scikit-learn-intelex: the same estimator on oneDAL. Its threads are bounded by the affinity."""

from sklearnex.cluster import KMeans

from adapters.sklearn import Adapter as ScikitLearn


class Adapter(ScikitLearn):
    name = "scikit-learn-intelex"
    package = "scikit-learn-intelex"
    estimator = KMeans

    def seeding(self, k, seed):
        raise NotImplementedError
