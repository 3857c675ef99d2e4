"""KMeans: scikit-learn's checks and tools, its own additions, and life without scikit-learn.

Scikit-learn's own tests of KMeans run through the plugin in sklearn_plugin.
"""

import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest
import sklearn
from sklearn.base import clone, is_clusterer
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks

import warpmeans

# The same that scikit-learn expects of its own KMeans, for the same reason.
EXPECTED_FAILURES = {
    name: "points in another order get other draws, so repeated points are no weighted ones"
    for name in (
        "check_sample_weight_equivalence_on_dense_data",
        "check_sample_weight_equivalence_on_sparse_data",
    )
}


@estimator_checks.parametrize_with_checks(
    [
        warpmeans.KMeans(),
        warpmeans.KMeans(n_clusters=2, n_init=2, max_iter=5, metric="cosine", init="random"),
    ],
    expected_failed_checks=lambda estimator: EXPECTED_FAILURES,
)
def test_sklearns_checks(estimator, check):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        check(estimator)


@pytest.mark.parametrize(
    "name",
    [
        "check_clustering",
        "check_clusterer_compute_labels_predict",
        "check_estimators_partial_fit_n_features",
    ],
)
def test_sklearns_checks_of_its_own_clusterers(name):
    getattr(estimator_checks, name)("KMeans", warpmeans.KMeans())


def test_a_check_of_sample_weights_without_draws():
    # What the expected failures are about, with the draws taken out.
    rng = np.random.default_rng(0)
    X, weights = rng.normal(size=(40, 3)), rng.integers(0, 4, size=40)
    init = rng.normal(size=(5, 3))
    weighted = warpmeans.KMeans(5, init=init).fit(X, sample_weight=weights)
    repeated = warpmeans.KMeans(5, init=init).fit(X.repeat(weights, axis=0))
    np.testing.assert_allclose(weighted.cluster_centers_, repeated.cluster_centers_)
    np.testing.assert_array_equal(weighted.predict(X), repeated.predict(X))


def test_attributes(points):
    model = warpmeans.KMeans(5, random_state=3).fit(points)
    result = warpmeans.kmeans(points, 5, seed=3)
    np.testing.assert_array_equal(model.labels_, result.labels)
    np.testing.assert_array_equal(model.cluster_centers_, result.centroids)
    assert (model.inertia_, model.n_iter_, model.n_features_in_) == (
        result.inertia,
        result.n_iter,
        5,
    )
    np.testing.assert_array_equal(model.result_.counts, result.counts)
    np.testing.assert_array_equal(model.fit_predict(points), model.predict(points))
    np.testing.assert_array_equal(model.fit_transform(points), model.transform(points))
    assert model.score(points) == -model.inertia_
    weights = np.linspace(1, 2, 600)
    expected = -(weights * model.transform(points).min(axis=1).astype(float) ** 2).sum()
    assert model.score(points, sample_weight=weights) == pytest.approx(expected, rel=1e-5)
    assert model.get_feature_names_out().tolist() == [f"kmeans{i}" for i in range(5)]


def test_dtypes(points):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    small = np.clip(points * 3, 0, 100)
    for dtype, centers in (
        (np.float32, np.float32),
        (np.float16, np.float32),
        (ml_dtypes.bfloat16, np.float32),
        (np.uint8, np.float32),
        (np.float64, np.float64),
        (np.int32, np.float64),
        (">f4", np.float64),
        (object, np.float64),
    ):
        model = warpmeans.KMeans(4, random_state=0).fit(small.astype(dtype))
        assert model.cluster_centers_.dtype == centers
        np.testing.assert_array_equal(model.predict(small.astype(dtype)), model.labels_)


def test_random_state(points):
    def labels(state):
        return warpmeans.KMeans(8, init="random", n_init=1, random_state=state).fit(points).labels_

    np.testing.assert_array_equal(labels(5), labels(np.int64(5)))
    a, b = np.random.RandomState(7), np.random.RandomState(7)
    np.testing.assert_array_equal(labels(a), labels(b))
    assert (labels(a) != labels(None)).any()
    np.random.seed(11)
    first = labels(None)
    np.random.seed(11)
    np.testing.assert_array_equal(labels(None), first)
    for bad in ("seed", -1, 2**40):
        with pytest.raises(ValueError, match="random_state|seed"):
            labels(bad)


def test_callable_init_draws_from_random_state(points):
    def init(X, n_clusters, random_state):
        return X[random_state.choice(len(X), n_clusters)]

    model = warpmeans.KMeans(5, init=init, random_state=2)
    np.testing.assert_array_equal(model.fit(points).labels_, model.fit(points).labels_)
    assert model._n_init == 10


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"n_clusters": 0}, r"The 'n_clusters' parameter of KMeans must be an int .* Got 0"),
        ({"n_clusters": 2.5}, "The 'n_clusters' parameter"),
        ({"n_init": "many"}, "The 'n_init' parameter"),
        ({"max_iter": 0}, "The 'max_iter' parameter"),
        ({"tol": -1}, "The 'tol' parameter"),
        ({"init": "k-means"}, "The 'init' parameter"),
        ({"init": None}, "The 'init' parameter"),
        ({"algorithm": "full"}, "The 'algorithm' parameter"),
        ({"algorithm": None}, "The 'algorithm' parameter"),
        ({"verbose": -1}, "The 'verbose' parameter"),
        ({"metric": "manhattan"}, "metric is"),
        ({"empty": "drop"}, "empty is"),
        ({"n_clusters": 601}, "n_samples=600 should be >= n_clusters=601"),
    ],
)
def test_bad_parameters(points, params, text):
    with pytest.raises(ValueError, match=text):
        warpmeans.KMeans(**params).fit(points)
    with pytest.raises(ValueError, match="Invalid parameter 'k' for estimator KMeans"):
        warpmeans.KMeans().set_params(k=3)


def test_bad_sample_weights(points):
    for weights, text in (
        (np.ones(3), r"sample_weight.shape == \(3,\), expected \(600,\)!"),
        (np.ones((600, 1)), "Sample weights must be 1D"),
        (np.full(600, np.nan), "Input sample_weight contains NaN"),
        (-np.ones(600), r"weights\[0\] is -1"),
        (0, "all 600 weights are zero"),
        (["a"] * 600, "could not convert"),
    ):
        with pytest.raises(ValueError, match=text):
            warpmeans.KMeans(3).fit(points, sample_weight=weights)


def test_bad_values_are_named_by_place(points):
    X = points.copy()
    X[3, 4] = np.nan
    fitted = warpmeans.KMeans(3).fit(points)
    for call in (warpmeans.KMeans(3).fit, fitted.predict, fitted.transform, fitted.score):
        with pytest.raises(ValueError, match="(?s)Input X contains NaN.*row 3, column 4"):
            call(X)


def test_meta_estimators(points):
    model = make_pipeline(StandardScaler(), warpmeans.KMeans(4, random_state=0)).fit(points)
    assert model.predict(points).shape == (600,) and model.transform(points).shape == (600, 4)
    search = GridSearchCV(warpmeans.KMeans(random_state=0), {"n_clusters": [2, 7]}).fit(points)
    assert search.best_params_ == {"n_clusters": 7}
    copy = clone(warpmeans.KMeans(3, metric="cosine", tol=0.5))
    assert repr(copy) == "KMeans(n_clusters=3, tol=0.5, metric='cosine')"
    assert is_clusterer(copy)
    assert "KMeans" in copy._repr_html_() and "KMeans" in model._repr_html_()


def test_pickled_and_unfitted(points):
    model = warpmeans.KMeans(4, random_state=0).fit(points)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(points), model.labels_)
    assert again.get_params() == model.get_params()
    for method in ("predict", "transform", "score"):
        with pytest.raises(NotFittedError, match="This KMeans instance is not fitted yet"):
            getattr(warpmeans.KMeans(), method)(points)


def test_containers_and_feature_names(points):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(points, columns=list("abcde"), index=np.arange(600) * 2)
    model = warpmeans.KMeans(3, random_state=0).set_output(transform="pandas")
    out = model.fit_transform(frame)
    assert isinstance(out, pandas.DataFrame) and out.index.equals(frame.index)
    assert out.columns.tolist() == ["kmeans0", "kmeans1", "kmeans2"]
    assert model.feature_names_in_.tolist() == list("abcde")
    assert isinstance(clone(model).fit(frame).transform(frame), pandas.DataFrame)
    with pytest.raises(
        ValueError, match="(?s)feature names should match.*unseen at fit time:\n- x"
    ):
        model.predict(frame.rename(columns={"c": "x"}))
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        model.predict(points)
    model.fit(points)
    assert not hasattr(model, "feature_names_in_")
    with pytest.raises(ValueError, match="output config must be in"):
        model.set_output(transform="arrow")
    with sklearn.config_context(transform_output="pandas"):
        assert isinstance(warpmeans.KMeans(2).fit_transform(frame), pandas.DataFrame)


def test_polars(points):
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame(points, schema=list("abcde"))
    model = warpmeans.KMeans(3, random_state=0).set_output(transform="polars").fit(frame)
    assert model.feature_names_in_.tolist() == list("abcde")
    assert model.transform(frame).columns == ["kmeans0", "kmeans1", "kmeans2"]


def test_metadata_routing(points):
    weights = np.random.default_rng(0).uniform(size=600)
    with sklearn.config_context(enable_metadata_routing=True):
        model = warpmeans.KMeans(4, random_state=0).set_fit_request(sample_weight="weights")
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        pipeline = make_pipeline(scaler, model).fit(points, weights=weights)
    scaled = StandardScaler().fit_transform(points)
    expected = warpmeans.KMeans(4, random_state=0).fit(scaled, sample_weight=weights)
    np.testing.assert_array_equal(pipeline[-1].labels_, expected.labels_)


def test_sparse_is_made_dense(points):
    sparse = pytest.importorskip("scipy.sparse")
    X = np.where(points > 0, points, 0)
    model = warpmeans.KMeans(4, random_state=0)
    for kind in (sparse.csr_matrix, sparse.csc_array, sparse.coo_matrix):
        np.testing.assert_array_equal(model.fit(kind(X)).labels_, model.fit(X).labels_)


def test_works_without_sklearn():
    program = """
import sys, warnings
for name in ("sklearn", "scipy", "pandas", "tqdm"):
    sys.modules[name] = None
import numpy as np, warpmeans
X = np.repeat(np.arange(3.0), 5)[:, None]
model = warpmeans.KMeans(2, random_state=0)
try:
    model.predict(X)
except warpmeans.NotFittedError as error:
    assert "not fitted" in str(error)
assert model.fit(X).inertia_ == 2.5 and model.get_params()["n_clusters"] == 2
assert model.fit_transform(X).shape == (15, 2) and model._repr_html_() is None
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    warpmeans.KMeans(5).fit(X)
assert [w.category for w in caught] == [warpmeans.ConvergenceWarning], caught
"""
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("init", ["k-means++", "random"])
def test_weights_of_one_are_none(init):
    x = np.random.default_rng(3).normal(size=(300, 4))
    models = [
        warpmeans.KMeans(6, init=init, n_init=1, random_state=5).fit(x, sample_weight=weight)
        for weight in (None, np.ones(len(x)), np.ones(len(x), np.float32), 1)
    ]
    for model in models[1:]:
        assert np.array_equal(model.labels_, models[0].labels_)
        assert np.array_equal(model.cluster_centers_, models[0].cluster_centers_)
        assert model.inertia_ == models[0].inertia_
