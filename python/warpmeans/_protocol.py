"""What scikit-learn asks of an estimator, without scikit-learn.

Its classes are asked for only inside methods that scikit-learn itself calls, or where it has been
imported already.
"""

from __future__ import annotations

import inspect
import sys
from typing import Any

import numpy as np

from warpmeans._validation import NotFittedError, from_sklearn

_CONTAINERS = ("default", "pandas", "polars")


class Estimator:
    """Parameters, representation, tags, containers for output: what clone and Pipeline use."""

    _estimator_type = "clusterer"

    @classmethod
    def _parameter_names(cls):
        parameters = inspect.signature(cls.__init__).parameters
        return sorted(name for name in parameters if name != "self")

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters as a dict; `deep` is of no influence."""
        return {name: getattr(self, name) for name in self._parameter_names()}

    def set_params(self, **params: Any) -> Estimator:
        """Set parameters by name, and return self.

        Raises
        ------
        ValueError
            For a name that is no parameter.
        """
        valid = self._parameter_names()
        for name, value in params.items():
            if name not in valid:
                raise ValueError(
                    f"Invalid parameter {name!r} for estimator {self}. "
                    f"Valid parameters are: {valid}."
                )
            setattr(self, name, value)
        return self

    def __repr__(self):
        defaults = inspect.signature(type(self).__init__).parameters
        changed = [
            f"{name}={value!r}"
            for name, value in ((name, getattr(self, name)) for name in defaults if name != "self")
            if not _is_default(value, defaults[name].default)
        ]
        return f"{type(self).__name__}({', '.join(changed)})"

    def _repr_html_(self):
        """Scikit-learn's diagram of the estimator, for notebooks that have it loaded."""
        utils = sys.modules.get("sklearn.utils")
        return None if utils is None else utils.estimator_html_repr(self)

    def __sklearn_tags__(self):
        """Scikit-learn's description of what the estimator does."""
        from sklearn.utils import InputTags, Tags, TargetTags, TransformerTags

        return Tags(
            estimator_type=self._estimator_type,
            target_tags=TargetTags(required=False),
            transformer_tags=TransformerTags(preserves_dtype=["float64", "float32"]),
            input_tags=InputTags(sparse=True),
        )

    def set_fit_request(self, *, sample_weight: bool | str | None) -> Estimator:
        """Say whether meta-estimators pass `sample_weight` to `fit` (scikit-learn's routing).

        Parameters
        ----------
        sample_weight : bool, None or str
            A str is the name under which to pass it.

        Returns
        -------
        self
        """
        return self._request("fit", sample_weight)

    def set_score_request(self, *, sample_weight: bool | str | None) -> Estimator:
        """Say whether meta-estimators pass `sample_weight` to `score`; see `set_fit_request`."""
        return self._request("score", sample_weight)

    def _request(self, method, alias):
        self._metadata_request = {**getattr(self, "_metadata_request", {}), method: alias}
        return self

    def get_metadata_routing(self):
        """Return scikit-learn's MetadataRequest of this estimator."""
        from sklearn.utils.metadata_routing import MetadataRequest

        requests = getattr(self, "_metadata_request", {})
        routing = MetadataRequest(owner=self)
        for method in ("fit", "score"):
            getattr(routing, method).add_request(param="sample_weight", alias=requests.get(method))
        return routing

    def _check_is_fitted(self, attribute):
        if not hasattr(self, attribute):
            name = type(self).__name__
            raise from_sklearn("NotFittedError", NotFittedError)(
                f"This {name} instance is not fitted yet. Call 'fit' with appropriate arguments "
                "before using this estimator."
            )

    def set_output(self, *, transform: str | None = None) -> Estimator:
        """Choose the container that `transform` and `fit_transform` return.

        Parameters
        ----------
        transform : {"default", "pandas", "polars"}, optional
            None leaves it as it is.

        Returns
        -------
        self
        """
        if transform is not None:
            _check_container(transform)
            self._sklearn_output_config = {"transform": transform}
        return self

    def _contained(self, output, X):
        """`output` of transform(X) in the container that was chosen here or in scikit-learn."""
        container = getattr(self, "_sklearn_output_config", {}).get("transform")
        sklearn = sys.modules.get("sklearn")
        if container is None and sklearn is not None:
            container = sklearn.get_config()["transform_output"]
        if container in (None, "default"):
            return output
        _check_container(container)
        columns = self.get_feature_names_out()
        if container == "polars":
            import polars

            return polars.DataFrame(np.asarray(output), schema=list(columns), orient="row")
        import pandas

        index = X.index if isinstance(X, pandas.DataFrame) else None
        return pandas.DataFrame(np.asarray(output), index=index, columns=columns, copy=False)


def _check_container(container):
    if container not in _CONTAINERS:
        raise ValueError(f"output config must be in {sorted(_CONTAINERS)}, got {container}")


def _is_default(value, default):
    if value is default:
        return True
    return (
        type(value) is type(default) and isinstance(value, (str, int, float)) and value == default
    )
