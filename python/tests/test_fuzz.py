"""Whatever array comes, the binding answers by the definitions or raises; it never crashes."""

import numpy as np
import pytest
from conftest import squared_distances
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

import warpmeans

TAKEN = {"float32", "float64", "float16", "uint8", "int8"}
settings.register_profile(
    "warpmeans",
    max_examples=300,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("warpmeans")

NUMBERS = st.sampled_from([np.dtype(name) for name in sorted(TAKEN)])
FOREIGN = st.one_of(
    npst.floating_dtypes(),
    npst.integer_dtypes(),
    npst.unsigned_integer_dtypes(),
    npst.boolean_dtypes(),
    npst.complex_number_dtypes(),
    npst.datetime64_dtypes(),
    npst.byte_string_dtypes(),
    npst.unicode_string_dtypes(),
    npst.array_dtypes(max_size=2),
    st.just(np.dtype(object)),
)


def seldom(draw, times=6):
    """True once in so many times."""
    return draw(st.integers(1, times)) == times


@st.composite
def arrays(draw, n_dims=(2, 3), n_columns=None):
    """Mostly what is taken, with any strides: cut, reversed, transposed, broadcast, read-only,
    misaligned; now and then a foreign dtype, NaN, an empty extent or another number of dimensions.
    """
    dtype = draw(FOREIGN if seldom(draw) else NUMBERS)
    dims = draw(st.integers(0, 4) if seldom(draw) else st.sampled_from(n_dims))
    shape = tuple(draw(st.integers(0 if seldom(draw, 20) else 1, 9)) for _ in range(dims))
    if n_columns is not None and shape:
        shape = (*shape[:-1], n_columns)
    if dtype.hasobject or dtype.kind in "MmSUV":
        x = np.zeros(shape, dtype)
    else:
        values = np.random.default_rng(draw(st.integers(0, 99))).integers(0, 9, size=shape)
        x = values.astype(dtype)
        if dtype.kind in "fc" and seldom(draw, 10) and x.size:
            x.flat[0] = draw(st.sampled_from([np.nan, np.inf, -np.inf]))
    if x.ndim:
        step = st.sampled_from([1, 2, -1, -3])
        steps = [draw(step) if i + 1 < x.ndim or seldom(draw) else 1 for i in range(x.ndim)]
        x = x[tuple(slice(None, None, step) for step in steps)]
        if seldom(draw):
            x = x.transpose(draw(st.permutations(range(x.ndim))))
    if seldom(draw) and x.nbytes and not x.dtype.hasobject:
        packed = np.zeros(x.nbytes + 1, np.uint8)[1:].view(x.dtype).reshape(x.shape)
        packed[...] = x
        x = packed
    if seldom(draw) and x.ndim < 4:
        x = np.broadcast_to(x, (3, *x.shape))
    if draw(st.booleans()):
        x = x.view()
        x.flags.writeable = False
    return x


@given(
    x=arrays(),
    n_clusters=st.sampled_from([1, 1, 2, 3, 3, 5, 0, -1]),
    init=st.sampled_from(["k-means++", "random"]),
)
def test_any_array(x, n_clusters, init):
    try:
        result = warpmeans.kmeans(x, n_clusters, init=init, max_iter=5)
    except (ValueError, TypeError):
        return
    assert x.dtype.name in TAKEN and x.dtype.isnative and x.ndim in (2, 3)
    items = x[None] if x.ndim == 2 else x
    labels = np.atleast_2d(result.labels)
    centroids = result.centroids.reshape(len(items), n_clusters, x.shape[-1])
    for b, item in enumerate(items):
        distances = squared_distances(item, centroids[b])
        np.testing.assert_array_equal(labels[b], distances.argmin(axis=1))


@given(x=arrays(n_columns=3), centroids=arrays(n_columns=3), data=st.data())
def test_any_centroids(x, centroids, data):
    metric = data.draw(st.sampled_from(["euclidean", "cosine", "inner_product"]))
    for call in (warpmeans.predict, warpmeans.transform):
        try:
            out = call(x, centroids, metric=metric)
        except (ValueError, TypeError):
            continue
        assert out.shape[: x.ndim - 1] == x.shape[:-1]


@given(weights=arrays(n_dims=(1, 2), n_columns=9), init=arrays(n_columns=3))
def test_any_weights_and_init(weights, init):
    x = np.random.default_rng(0).normal(size=(9, 3))
    for options in ({"weights": weights}, {"init": init}, {"weights": weights, "init": init}):
        try:
            result = warpmeans.kmeans(x, len(init) if init.ndim else 3, **options)
        except (ValueError, TypeError):
            continue
        assert result.labels.shape == (9,) and np.isfinite(result.inertia)


@given(X=arrays(), n_clusters=st.integers(1, 4), sample_weight=st.none() | arrays(n_dims=(1,)))
@pytest.mark.filterwarnings("ignore")
def test_any_array_for_the_estimator(X, n_clusters, sample_weight):
    model = warpmeans.KMeans(n_clusters, random_state=0)
    try:
        model.fit(X, sample_weight=sample_weight)
    except (ValueError, TypeError):
        return
    np.testing.assert_array_equal(model.predict(X), model.labels_)


@given(
    x=arrays(),
    value=st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.just([])
    ),
    name=st.sampled_from(
        "n_clusters init metric weights n_init max_iter tol seed empty precision threads device "
        "callback".split()
    ),
)
def test_any_option(x, value, name):
    if name in ("n_init", "max_iter") and isinstance(value, int):
        value %= 50  # more would only take long
    options = {"n_clusters": 1, "max_iter": 3, name: value}
    try:
        warpmeans.kmeans(x, **options)
    except (ValueError, TypeError):
        pass
    except RuntimeError as error:
        assert "CUDA" in str(error) or "precision" in str(error)
