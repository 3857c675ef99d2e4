"""`warpmeans evaluate`: its figures are scikit-learn's, on labels that are NumPy's."""

import json
import subprocess
import sys

import numpy as np
import pytest
from conftest import squared_distances
from model_file import write_model
from sklearn import metrics

COMMAND = [sys.executable, "-c", "import sys, warpmeans._cli as c; sys.exit(c.main())"]


def evaluate(*arguments):
    run = subprocess.run(
        [*COMMAND, "evaluate", *map(str, arguments), "--json"], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def purity(classes, labels):
    return metrics.cluster.contingency_matrix(classes, labels).max(axis=0).sum() / len(labels)


def classes_of(kind, labels, rng):
    n = len(labels)
    return {
        "the same": labels * 7 - 3,
        "mostly": np.where(rng.random(n) < 0.3, rng.integers(9, size=n), labels),
        "unrelated": rng.integers(4, size=n),
        "one": np.zeros(n, np.int64),
        "each its own": np.arange(n),
    }[kind]


@pytest.mark.parametrize("kind", ["the same", "mostly", "unrelated", "one", "each its own"])
@pytest.mark.parametrize(("n", "d", "k"), [(700, 5, 12), (900, 2, 3), (60, 9, 1), (50, 3, 40)])
def test_figures_are_scikit_learns(tmp_path, kind, n, d, k):
    rng = np.random.default_rng([n, d, k])
    x = (rng.normal(size=(n, d)) + 3 * rng.integers(4, size=(n, 1))).astype(np.float32)
    centroids = x[rng.permutation(n)[:k]]
    centroids[-1:] += 1e3 if k == 40 else 0  # a cluster that stays empty
    labels = squared_distances(x, centroids).argmin(axis=1)
    classes = classes_of(kind, labels, rng).astype(np.int64)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "classes.npy", classes)
    model = write_model(tmp_path / "m.safetensors", centroids)
    found = evaluate(
        model, tmp_path / "x.npy", "--truth", tmp_path / "classes.npy", "--silhouette", n
    )
    sizes = np.bincount(labels, minlength=k)
    assert found["counts"] == sizes.tolist()
    assert found["sizes"] == {
        "min": sizes.min(),
        "median": np.median(sizes),
        "max": sizes.max(),
        "empty": (sizes == 0).sum(),
    }
    inertia = squared_distances(x, centroids).min(axis=1).sum()
    assert found["inertia"] == pytest.approx(inertia, rel=1e-12)
    assert found["purity"] == pytest.approx(purity(classes, labels), rel=1e-12)
    nmi = metrics.normalized_mutual_info_score(classes, labels)
    assert found["nmi"] == pytest.approx(nmi, rel=1e-9, abs=1e-12)
    ari = metrics.adjusted_rand_score(classes, labels)
    assert found["ari"] == pytest.approx(ari, rel=1e-9, abs=1e-12)
    assert found["silhouette_samples"] == n
    if k == 1:
        assert found["silhouette"] is None  # there is no other cluster
    else:
        silhouette = metrics.silhouette_score(x.astype(np.float64), labels)
        assert found["silhouette"] == pytest.approx(silhouette, rel=1e-9, abs=1e-12)


def test_a_sample_is_near_the_whole(tmp_path):
    rng = np.random.default_rng(5)
    x = rng.normal(size=(6000, 4)) + 5 * rng.integers(3, size=(6000, 1))
    np.save(tmp_path / "x.npy", x)
    centroids = np.array([[0] * 4, [5] * 4, [10] * 4], np.float32)
    model = write_model(tmp_path / "m.safetensors", centroids)
    labels = squared_distances(x, centroids).argmin(axis=1)
    each = metrics.silhouette_samples(x, labels)
    found = evaluate(model, tmp_path / "x.npy", "--silhouette")
    assert found["silhouette_samples"] == 2000
    # A mean of 2000 of them: within five of its standard errors.
    assert abs(found["silhouette"] - each.mean()) < 5 * each.std() / np.sqrt(2000)
