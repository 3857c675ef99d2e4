"""What the estimator takes, and scikit-learn's words where it does not."""

import sys
import warnings
from numbers import Integral, Real

import numpy as np

from warpmeans._arrays import DTYPES, as_points


class ConvergenceWarning(UserWarning):
    """Fewer clusters have points than were asked for; scikit-learn's class where it is loaded."""


class NotFittedError(ValueError, AttributeError):
    """The estimator has not been fitted; scikit-learn's class where it is loaded."""


class InvalidParameterError(ValueError, TypeError):
    """A parameter of the estimator is out of range, or of a wrong type."""


def from_sklearn(name, fallback):
    """The class of that name of sklearn.exceptions if anyone has imported it, else ours."""
    return getattr(sys.modules.get("sklearn.exceptions"), name, fallback)


def as_samples(X, estimator):
    """X (n_samples, n_features) as `kmeans` takes it; copied only where it must be.

    The dtypes that the library reads stay. Others (integers, booleans, strings of numbers, the
    other byte order) become float64, sparse matrices dense, and rows whose features are not
    adjacent (Fortran order, say) C order.
    """
    if isinstance(X, np.ndarray):
        array = as_points(X, "X")
    elif hasattr(X, "toarray") and hasattr(X, "tocsr"):
        array = X.toarray()
    elif hasattr(type(X), "__dlpack__"):
        return X.contiguous() if hasattr(type(X), "contiguous") else X
    else:
        array = np.asarray(X)
    if array.dtype.name not in DTYPES or not array.dtype.isnative:
        array = _as_float64(array)
    _check_shape(array, estimator)
    features_adjacent = array.shape[1] == 1 or array.strides[1] == array.itemsize
    if features_adjacent and array.flags.aligned and array.strides[0] % array.itemsize == 0:
        return array
    return np.require(array, requirements=["C", "ALIGNED"])


def _as_float64(array):
    if array.dtype.kind == "c":
        raise ValueError(f"Complex data not supported\n{array}\n")
    if array.dtype.kind in "mMV":
        raise TypeError(f"X has dtype {array.dtype}, which holds no numbers")
    return array.astype(np.float64, order="C")


def _check_shape(array, estimator):
    if array.ndim != 2:
        kind = {0: "scalar array", 1: "1D array"}.get(array.ndim)
        if kind is None:
            raise ValueError(f"Found array with dim {array.ndim}, while dim <= 2 is required.")
        raise ValueError(
            f"Expected 2D array, got {kind} instead:\narray={array}.\nReshape your data either "
            "using array.reshape(-1, 1) if your data has a single feature or array.reshape(1, -1) "
            "if it contains a single sample."
        )
    for extent, what in zip(array.shape, ("sample", "feature"), strict=True):
        if extent == 0:
            raise ValueError(
                f"Found array with 0 {what}(s) (shape={array.shape}) while a minimum of 1 is "
                f"required by {estimator}."
            )


def as_sample_weight(sample_weight, n_samples):
    """None or (n_samples,) float32 or float64. Ones are None: the same fit, draws included."""
    if sample_weight is None:
        return None
    if isinstance(sample_weight, Real):
        return None if sample_weight == 1 else np.full(n_samples, float(sample_weight))
    weights = np.asarray(sample_weight)
    if weights.dtype not in (np.float32, np.float64):
        weights = weights.astype(np.float64)
    if weights.ndim != 1:
        raise ValueError(
            f"Sample weights must be 1D array or scalar, got {weights.ndim}D array instead. "
            f"Expected either a scalar value or a 1D array of length {n_samples}."
        )
    if weights.shape != (n_samples,):
        raise ValueError(f"sample_weight.shape == {weights.shape}, expected {(n_samples,)}!")
    return None if np.all(weights == 1) else np.ascontiguousarray(weights)


def as_initial_centers(init, n_clusters, n_features):
    """Centers (n_clusters, n_features) that a user or a user's function gave."""
    centers = init if hasattr(init, "shape") else np.asarray(init)
    shape = tuple(centers.shape)
    for axis, expected, what in (
        (0, n_clusters, "number of clusters"),
        (1, n_features, "number of features of the data"),
    ):
        if len(shape) != 2 or shape[axis] != expected:
            raise ValueError(
                f"The shape of the initial centers {shape} does not match the {what} {expected}."
            )
    return centers


def in_sklearns_words(error, estimator):
    """The core's error about NaN and Inf as check_array of scikit-learn says it."""
    text = str(error)
    if text.startswith("points: NaN"):
        what = (
            f"Input X contains NaN.\n{estimator} does not accept missing values encoded as NaN "
            "natively; drop or impute them first."
        )
    elif text.startswith(("points: Inf", "points: -Inf")):
        what = "Input X contains infinity or a value too large for its dtype."
    elif text.startswith("fit: weights[") and "is nan" in text:
        what = "Input sample_weight contains NaN."
    else:
        return error
    return type(error)(f"{what}\n{text}")


def seed_of(random_state):
    """A seed for the core: an int as it is, anything else by drawing from it."""
    if isinstance(random_state, Integral):
        if not 0 <= random_state < 2**32:
            raise ValueError(f"random_state ({random_state}) must be from 0 to 2**32 - 1")
        return int(random_state)
    return int(generator_of(random_state).randint(2**31 - 1))


def generator_of(random_state):
    """NumPy's RandomState that `random_state` stands for, as in scikit-learn."""
    if random_state is None or random_state is np.random:
        return np.random.mtrand._rand
    if isinstance(random_state, Integral):
        return np.random.RandomState(random_state)
    if isinstance(random_state, np.random.RandomState):
        return random_state
    raise ValueError(f"{random_state!r} cannot be used to seed a numpy.random.RandomState instance")


def feature_names_of(X):
    """Names of a data frame's columns, or None if there are none or they are no strings."""
    columns = getattr(X, "columns", None)
    if columns is None or not hasattr(X, "shape"):
        return None
    names = np.asarray(columns, dtype=object)
    types = sorted({type(name).__qualname__ for name in names})
    if len(types) > 1 and "str" in types:
        raise TypeError(
            "Feature names are only supported if all input features have string names, but your "
            f"input has {types} as feature name / column name types. If you want feature names "
            "to be stored and validated, you must convert them all to strings, by using "
            "X.columns = X.columns.astype(str) for example. Otherwise you can remove feature / "
            "column names from your input data, or convert them all to a non-string data type."
        )
    return names if types == ["str"] else None


def check_feature_names(fitted, given, estimator):
    """Warn or raise as scikit-learn does where the names differ from those of the fit."""
    if fitted is None and given is None:
        return
    if fitted is None:
        warnings.warn(
            f"X has feature names, but {estimator} was fitted without feature names", stacklevel=4
        )
    elif given is None:
        warnings.warn(
            f"X does not have valid feature names, but {estimator} was fitted with feature names",
            stacklevel=4,
        )
    elif list(fitted) != list(given):
        message = "The feature names should match those that were passed during fit.\n"
        unseen, missing = sorted(set(given) - set(fitted)), sorted(set(fitted) - set(given))
        if unseen:
            message += "Feature names unseen at fit time:\n" + _listed(unseen)
        if missing:
            message += "Feature names seen at fit time, yet now missing:\n" + _listed(missing)
        if not unseen and not missing:
            message += "Feature names must be in the same order as they were in fit.\n"
        raise ValueError(message)


def _listed(names):
    return "".join(f"- {name}\n" for name in names[:5]) + ("- ...\n" if len(names) > 5 else "")


def check_parameters(estimator):
    """Raise InvalidParameterError in scikit-learn's words."""

    def refuse(name, expected):
        raise InvalidParameterError(
            f"The {name!r} parameter of {type(estimator).__name__} must be {expected}. "
            f"Got {getattr(estimator, name)!r} instead."
        )

    def at_least_one(value):
        return isinstance(value, Integral) and not isinstance(value, bool) and value >= 1

    for name in ("n_clusters", "max_iter"):
        if not at_least_one(getattr(estimator, name)):
            refuse(name, "an int in the range [1, inf)")
    n_init = estimator.n_init
    if not at_least_one(n_init) and not (isinstance(n_init, str) and n_init == "auto"):
        refuse("n_init", "a str among {'auto'} or an int in the range [1, inf)")
    if not isinstance(estimator.tol, Real) or not 0 <= estimator.tol < np.inf:
        refuse("tol", "a float in the range [0.0, inf)")
    for name, words in (
        ("init", ("k-means++", "k-means||", "random")),
        ("algorithm", ("lloyd", "elkan")),
    ):
        value = getattr(estimator, name)
        if isinstance(value, str) and value not in words or name == "algorithm" and value is None:
            refuse(name, f"a str among {set(words)}")
    if estimator.init is None or isinstance(estimator.init, Real):
        refuse("init", "a str among {'k-means++', 'k-means||', 'random'}, a callable or an array")
    if not isinstance(estimator.verbose, (Integral, np.bool_)) or estimator.verbose < 0:
        refuse("verbose", "an int in the range [0, inf) or a bool")
