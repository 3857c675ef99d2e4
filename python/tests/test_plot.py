"""`warpmeans.plot`: what is drawn, from results and estimators, of few and of many clusters."""

import subprocess
import sys

import numpy as np
import pytest

import warpmeans

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

from matplotlib import pyplot as plt  # noqa: E402

from warpmeans import plot  # noqa: E402
from warpmeans._pictures import PALETTE, Projection, neighbour_colours, sample_rows  # noqa: E402


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def points(n=400, d=6, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)


def test_elbow_has_the_inertias():
    x = points()
    ax = plot.elbow(x, [5, 2, 3, 2], max_iter=4)
    ks, inertias = ax.lines[0].get_data()
    assert ks.tolist() == [2, 3, 5]
    assert inertias.tolist() == [warpmeans.kmeans(x, k, max_iter=4).inertia for k in ks]
    assert ax.get_xlabel() == "clusters k"
    assert ax.get_ylabel() == "inertia (sum of squared distances)"
    assert plot.elbow(x, [2], metric="cosine").get_ylabel() == "inertia (sum of 1 − cosine)"


@pytest.mark.parametrize("k", [1, 2, 40])
def test_sizes_of_few_clusters_are_bars(k):
    result = warpmeans.kmeans(points(), k)
    ax = plot.cluster_sizes(result)
    assert [bar.get_height() for bar in ax.patches] == result.counts.tolist()
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("cluster", "points")


def test_sizes_of_many_clusters_are_ranked():
    result = warpmeans.kmeans(points(3000), 1000, max_iter=3)
    ax = plot.cluster_sizes(result)
    (outline,) = ax.patches
    assert outline.get_data().values.tolist() == sorted(result.counts.tolist(), reverse=True)
    assert ax.get_xlabel() == "clusters, largest first"


@pytest.mark.parametrize(("d", "k"), [(1, 3), (2, 5), (6, 30), (6, 31), (6, 300)])
def test_projection(d, k):
    x = points(d=d)
    result = warpmeans.kmeans(x, k, max_iter=5)
    ax = plot.projection(x, result, sample=100)
    shown, centroids = (np.asarray(collection.get_offsets()) for collection in ax.collections)
    assert shown.shape == (100, 2) and centroids.shape == (k, 2)
    assert [text.get_text() for text in ax.texts] == [str(i) for i in range(k) if k <= 30]
    if d == 2:
        assert (shown == x[sample_rows(400, 2, 100)]).all()
        assert np.allclose(centroids, result.centroids)
    assert ax.get_xlabel().startswith("feature 0" if d < 3 else "principal component 1 (")
    ax.figure.canvas.draw()


def test_inertia_of_one_and_of_a_batch():
    result = warpmeans.kmeans(points(), 4)
    (line,) = plot.inertia(result).lines
    assert line.get_ydata().tolist() == result.history["inertia"].tolist()
    assert line.get_xdata().tolist() == list(range(1, result.n_iter + 1))
    batch = warpmeans.kmeans(points().reshape(4, 100, 6), 4)
    assert len(plot.inertia(batch).lines) == 4


def test_estimators_and_given_axes():
    x = points()
    model = warpmeans.KMeans(4, random_state=0).fit(x)
    ax = plt.figure().add_subplot()
    assert plot.cluster_sizes(model, ax=ax) is ax
    assert [bar.get_height() for bar in ax.patches] == np.bincount(model.labels_).tolist()
    assert plot.projection(x, model, ax=ax) is ax
    assert len(plot.inertia(model, ax=ax).lines[-1].get_xdata()) == model.n_iter_
    assert plt.get_fignums() == [1]


def test_cosine_is_of_unit_rows():
    x = points() * np.random.default_rng(1).lognormal(size=(400, 1)).astype(np.float32)
    result = warpmeans.kmeans(x, 4, metric="cosine")
    ax = plot.projection(x, result, sample=100)
    assert np.linalg.norm(ax.collections[0].get_offsets(), axis=1).max() < 1.5
    assert plot.inertia(result).get_ylabel() == "inertia (sum of 1 − cosine)"


def test_bad_use():
    x = points()
    result = warpmeans.kmeans(x, 3)
    batch = warpmeans.kmeans(x.reshape(4, 100, 6), 3)
    with pytest.raises(ValueError, match="ks is empty"):
        plot.elbow(x, [])
    with pytest.raises(ValueError, match=r"x has shape \(399, 6\); .* shape \(400, 6\)"):
        plot.projection(x[1:], result)
    with pytest.raises(ValueError, match="sample is 1"):
        plot.projection(x, result, sample=1)
    for draw in (lambda: plot.cluster_sizes(batch), lambda: plot.projection(x, batch)):
        with pytest.raises(ValueError, match=r"\(4, 3, 6\): a batch"):
            draw()
    with pytest.raises(TypeError, match="a dict is no result"):
        plot.cluster_sizes({})
    with pytest.raises(TypeError, match="a KMeans is no result"):
        plot.inertia(warpmeans.KMeans())  # not fitted


def test_without_matplotlib():
    code = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "import numpy as np, warpmeans.plot as plot, warpmeans\n"
        "try: plot.cluster_sizes(warpmeans.kmeans(np.eye(4), 2))\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "plots need matplotlib: pip install warpmeans[plot]\n"


def test_components_are_those_of_the_covariance():
    x = np.random.default_rng(2).standard_normal((500, 4)) * [1, 9, 3, 0.1]
    projection = Projection.of(x)
    assert np.abs(projection.axes) == pytest.approx(np.eye(4)[[1, 2]], abs=0.1)
    assert (projection.axes[[0, 1], [1, 2]] > 0).all()
    assert projection(x).std(0) == pytest.approx(x.std(0)[[1, 2]], rel=0.02)
    assert "(88%" in projection.names[0] or "(89%" in projection.names[0]


def test_neighbours_have_other_colours():
    grid = np.stack(np.meshgrid(range(5), range(5)), -1).reshape(-1, 2).astype(float)
    colours = np.array(neighbour_colours(grid, np.ones(25)))
    assert set(colours) <= set(range(len(PALETTE)))
    distances = np.linalg.norm(grid[:, None] - grid, axis=2)
    same = (colours[:, None] == colours) & (distances > 0)
    assert distances[same].min() > 1


def test_samples_are_ascending_and_bounded():
    assert sample_rows(10, 3, 10).tolist() == list(range(10))
    rows = sample_rows(3_000_000, 3, 50)
    assert len(rows) == 50 and (np.diff(rows) > 0).all() and rows[-1] > 2_000_000
    assert len(sample_rows(1000, 1 << 22, 500)) == 8
