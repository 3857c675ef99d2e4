"""warpmeans.compat.fastkmeans, called as fastkmeans is."""

from warpmeans.compat.fastkmeans import FastKMeans

from adapters.fastkmeans import Adapter as Original


class Adapter(Original):
    name = "warpmeans.compat.fastkmeans"
    package = "warpmeans"
    estimator = FastKMeans
