"""KMeans, the scikit-learn estimator."""


class ConvergenceWarning(UserWarning):
    """Fewer distinct points than clusters."""


class KMeans:
    """Placeholder until the next commit of this branch."""
