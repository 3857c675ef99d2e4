"""`warpmeans report`: its figures against NumPy and the program, its page, and bad input."""

import base64
import gzip
import html.parser
import json
import re
import shutil
import subprocess
import sys
import zlib

import numpy as np
import pytest
from model_file import write_model

from warpmeans import _survey, report
from warpmeans._files import read_model

METRICS = ["euclidean", "cosine", "inner_product"]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
COMMAND = [sys.executable, "-c", "import sys, warpmeans._cli as c; sys.exit(c.main())"]


def run(*arguments):
    return subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, text=True)


def blobs(n, d, k, seed=0):
    rng = np.random.default_rng(seed)
    classes = rng.integers(k, size=n)
    centres = 6 * rng.standard_normal((k, d))
    return (centres[classes] + rng.standard_normal((n, d))).astype(np.float32), classes


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """Points, classes, a model and its report, as the program writes them."""
    folder = tmp_path_factory.mktemp("fitted")
    x, classes = blobs(3000, 8, 6)
    np.save(folder / "points.npy", x)
    np.save(folder / "classes.npy", classes)
    done = run(
        "fit", folder / "points.npy", "-k", 6, "--model", folder / "m.safetensors",
        "--report", folder / "report.json", "--quiet",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


class Page(html.parser.HTMLParser):
    """Checks that tags are balanced; collects ids, texts, and addresses."""

    VOID = {"meta", "img"}

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.tags, self.addresses = [], [], [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value)
            if name in ("src", "href", "xlink:href", "srcset", "action", "data"):
                self.addresses.append(value)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_command_writes_a_page_with_all_parts(fitted, tmp_path):
    out = tmp_path / "report.html"
    done = run(
        "report", fitted / "m.safetensors", fitted / "points.npy", "-o", out,
        "--report", fitted / "report.json", "--truth", fitted / "classes.npy", "--image", "2x4",
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"wrote {out}\n"
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    text = out.read_text()
    page = Page(text)
    assert page.ids == ["summary", "projection", "sizes", "inertia", "centroids", "clusters"]
    assert page.tags.count("img") == 6 and page.tags.count("tr") == 7
    assert "script" not in page.tags
    assert all(address.startswith("data:image/png;base64,") for address in page.addresses)
    assert "url(" not in text and "@import" not in text
    assert text.count("<title>cluster ") == 12  # a bar and a centroid each


def test_same_input_same_page(fitted, monkeypatch):
    files = fitted / "m.safetensors", fitted / "points.npy"
    page = report.make_report(*files, truth=fitted / "classes.npy")
    assert report.make_report(*files, truth=fitted / "classes.npy") == page
    assert "inertia per iteration" not in page


@pytest.mark.parametrize("metric", METRICS)
def test_figures_against_numpy(tmp_path, monkeypatch, metric):
    x, classes = blobs(700, 5, 4)
    x = np.abs(x)
    centroids = np.concatenate([x[:6], np.full((1, 5), -500, np.float32)])  # the last: empty
    model = read_model(write_model(tmp_path / "m.safetensors", centroids, metric=metric))
    monkeypatch.setattr(_survey, "_CHUNK_BYTES", 100 * 20)  # 7 chunks
    monkeypatch.setattr(_survey, "_PAIRS", 1000)
    found = _survey.survey(x, model, sample=300, truth=classes)

    distances = naive_distances(x, centroids, metric)
    labels, least = distances.argmin(1), distances.min(1)
    assert found.inertia == pytest.approx((least**2 if metric == "euclidean" else least).sum())
    assert found.sizes.tolist() == np.bincount(labels, minlength=7).tolist()
    assert found.sizes[-1] == 0 and found.farthest_row[-1] == -1
    assert np.isnan(found.mean_distance[-1]) and np.isnan(found.farthest[-1])
    for cluster in np.unique(labels):
        rows = np.flatnonzero(labels == cluster)
        assert found.mean_distance[cluster] == pytest.approx(least[rows].mean())
        assert found.farthest[cluster] == pytest.approx(least[rows].max())
        assert found.farthest_row[cluster] == rows[least[rows].argmax()]
    between = naive_distances(centroids, centroids, metric)
    np.fill_diagonal(between, np.inf)
    assert found.neighbour.tolist() == between.argmin(1).tolist()
    assert found.neighbour_distance == pytest.approx(between.min(1), rel=1e-5)
    if metric == "inner_product":
        assert np.isnan(found.silhouette)
    else:
        metrics = pytest.importorskip("sklearn.metrics")
        sampled = found.sample_labels
        expected = metrics.silhouette_samples(found.sample, sampled, metric=metric)
        assert len(sampled) == 300
        assert found.silhouette == pytest.approx(expected.mean(), abs=1e-9)
        for cluster in np.unique(sampled):
            mine = expected[sampled == cluster]
            if len(mine) > 1:
                assert found.cluster_silhouette[cluster] == pytest.approx(mine.mean(), abs=1e-9)


def naive_distances(x, y, metric):
    x, y = x.astype(np.float64), y.astype(np.float64)
    if metric == "euclidean":
        return np.linalg.norm(x[:, None] - y, axis=2)
    if metric == "cosine":
        x, y = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (x, y))
        return 1 - x @ y.T
    return -x @ y.T


def test_figures_are_those_of_evaluate(fitted):
    done = run(
        "evaluate", fitted / "m.safetensors", fitted / "points.npy",
        "--truth", fitted / "classes.npy", "--silhouette", 500, "--json",
    )  # fmt: skip
    expected = json.loads(done.stdout)
    found = _survey.survey(
        np.load(fitted / "points.npy"),
        read_model(fitted / "m.safetensors"),
        sample=500,
        truth=np.load(fitted / "classes.npy"),
    )
    assert found.inertia == pytest.approx(expected["inertia"], rel=1e-12)
    assert found.silhouette == pytest.approx(expected["silhouette"], rel=1e-9)
    for name in ("purity", "nmi", "ari"):
        assert getattr(found.agreement, name) == pytest.approx(expected[name], rel=1e-9)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(("n", "d", "k"), [(2, 1, 1), (50, 2, 3), (300, 3, 45), (400, 9, 100)])
def test_pages_of_any_shape(tmp_path, metric, n, d, k):
    x = np.random.default_rng(3).standard_normal((n, d))
    np.save(tmp_path / "x.npy", x)
    model = write_model(tmp_path / "m.safetensors", x[np.arange(k) % n], metric=metric)
    page = Page(report.make_report(model, tmp_path / "x.npy", sample=40))
    assert page.ids == ["summary", "projection", "sizes", "clusters"]
    assert page.tags.count("tr") == 1 + k


@pytest.mark.parametrize("dtype", ["float16", "float64", "uint8", "int8"])
def test_dtypes_and_orders(tmp_path, dtype):
    x = np.random.default_rng(5).integers(100, size=(60, 4)).astype(dtype)
    model = write_model(tmp_path / "m.safetensors", x[:3])
    pages = []
    for order in "CF":
        np.save(tmp_path / "x.npy", np.asarray(x, order=order))
        pages.append(report.make_report(model, tmp_path / "x.npy"))
    assert pages[0] == pages[1] and dtype in pages[0]


def test_points_all_alike(tmp_path):
    np.save(tmp_path / "x.npy", np.ones((9, 4), np.float32))
    model = write_model(tmp_path / "m.safetensors", np.ones((2, 4)))
    Page(report.make_report(model, tmp_path / "x.npy"))


def test_table_names_what_it_leaves_out(tmp_path):
    x = np.arange(3000, dtype=np.float32).reshape(1500, 2)
    np.save(tmp_path / "x.npy", x)
    page = report.make_report(write_model(tmp_path / "m.safetensors", x), tmp_path / "x.npy")
    assert "The 1,000 largest of 1,500." in page
    assert Page(page).tags.count("tr") == 1001


def test_texts_are_escaped(tmp_path):
    name = tmp_path / 'a<b>&"c.npy'
    np.save(name, np.eye(3))
    model = write_model(
        tmp_path / "<i>.safetensors", np.eye(3), version="<script>alert(1)</script>", seed="&lt;"
    )
    page = report.make_report(model, name)
    assert "<script>" not in page and "a<b>" not in page and "<i>.s" not in page
    assert "a&lt;b&gt;&amp;&quot;c.npy" in page and "&amp;lt;" in page
    Page(page)


def test_images_of_idx_and_their_pixels(tmp_path):
    pixels = np.random.default_rng(1).integers(256, size=(20, 3, 5), dtype=np.uint8)
    head = b"\0\0\x08\x03" + b"".join(size.to_bytes(4, "big") for size in pixels.shape)
    (tmp_path / "plain").write_bytes(head + pixels.tobytes())
    (tmp_path / "packed.gz").write_bytes(gzip.compress(head + pixels.tobytes()))
    model = write_model(tmp_path / "m.safetensors", pixels[:2].reshape(2, 15))
    plain, packed = (report.make_report(model, tmp_path / name) for name in ("plain", "packed.gz"))
    assert plain.replace("plain", "packed.gz") == packed
    found = re.findall(r'base64,([^"]+)" alt="centroid (\d)" width="5" height="3"', plain)
    for data, cluster in found:
        file = base64.b64decode(data)
        at = file.index(b"IDAT")
        lines = zlib.decompress(file[at + 4 : at + 4 + int.from_bytes(file[at - 4 : at], "big")])
        lines = np.frombuffer(lines, np.uint8).reshape(3, 6)
        assert (lines[:, 1:] == pixels[int(cluster)]).all()
    assert len(found) == 2


def test_colour_images(tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).random((30, 24)))
    model = write_model(tmp_path / "m.safetensors", np.random.default_rng(1).random((4, 24)))
    page = Page(report.make_report(model, tmp_path / "x.npy", image=(2, 4, 3)))
    assert "centroids" in page.ids and page.tags.count("img") == 4


BAD_USES = [
    (["--image", "3x5"], "image 3x5 is not of the points' 8 features"),
    (["--image", "8"], "'8' is not HxW or HxWx3"),
    (["--sample", "1"], "sample is 1; expected 2 or more"),
    (["--truth", "short.npy"], "short.npy: has 7 labels; points.npy has 3000 points"),
    (["--truth", "points.npy"], "points.npy: has float32 of shape (3000, 8)"),
    (["--report", "other.json"], "other.json: is of another fit: n_clusters is 5; the model's 6"),
    (["--report", "points.npy"], "points.npy: is no report of one fit"),
    (["--report", "nan.json"], "nan.json: has an inertia that is NaN or Inf"),
    (["--truth", "missing.npy"], "No such file or directory: 'missing.npy'"),
    (["-o", "nowhere/report.html"], "nowhere/report.html: there is no folder"),
    (["-o", "."], ".: is a folder"),
    (["-o", "./points.npy"], "./points.npy: is read by the report"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD_USES)
def test_bad_use_says_what_and_leaves_the_page(fitted, tmp_path, monkeypatch, capsys, arguments,
                                               message):  # fmt: skip
    for file in fitted.iterdir():
        shutil.copy(file, tmp_path)
    monkeypatch.chdir(tmp_path)
    np.save("short.npy", np.arange(7))
    said = json.loads((tmp_path / "report.json").read_text())
    (tmp_path / "other.json").write_text(json.dumps(said | {"n_clusters": 5}))
    (tmp_path / "nan.json").write_text(json.dumps(said | {"history": [{"inertia": float("nan")}]}))
    (tmp_path / "report.html").write_text("before")
    try:
        code = report.main(["m.safetensors", "points.npy", "-o", "report.html", *arguments])
    except SystemExit as usage:
        code = usage.code
    assert code == (2 if "HxW or" in message else 3)
    assert message in capsys.readouterr().err
    assert (tmp_path / "report.html").read_text() == "before"
    assert np.load("points.npy").shape == (3000, 8)


def test_points_of_other_features_or_dimensions(fitted, tmp_path):
    model = fitted / "m.safetensors"
    for shape, message in [
        ((10, 7), "has centroids of 8 features; .* has points of 7"),
        ((2, 10, 8), r"has shape \(2, 10, 8\); expected points \(n, d\)"),
        ((0, 8), r"has shape \(0, 8\)"),
    ]:
        np.save(tmp_path / "x.npy", np.zeros(shape))
        with pytest.raises(ValueError, match=message):
            report.make_report(model, tmp_path / "x.npy")


def test_bad_points(fitted, tmp_path):
    x = np.load(fitted / "points.npy")
    x[1234, 5] = np.nan
    np.save(tmp_path / "nan.npy", x)
    np.save(tmp_path / "objects.npy", np.array([[{}]], object))
    np.save(tmp_path / "words.npy", np.full((3, 8), "a"))
    (tmp_path / "torn.npy").write_bytes((fitted / "points.npy").read_bytes()[:5000])
    (tmp_path / "empty.npy").write_bytes(b"")
    (tmp_path / "lies.gz").write_bytes(gzip.compress(b"\0\0\x08\x02" + b"\xff" * 8 + b"abc"))
    (tmp_path / "torn.gz").write_bytes(gzip.compress(b"\0\0\x08\x02" + bytes(500))[:20])
    (tmp_path / "lies.idx").write_bytes(b"\0\0\x08\x02" + b"\0\0\0\x03" * 2 + b"ab")
    for name in ("nan.npy", "objects.npy", "words.npy", "torn.npy", "empty.npy", "lies.gz",
                 "torn.gz", "lies.idx"):  # fmt: skip
        with pytest.raises((ValueError, TypeError)):
            report.make_report(fitted / "m.safetensors", tmp_path / name)


def browse(page, *options):
    """Chromium's DOM of the page, and what it wrote on the console."""
    done = subprocess.run(
        [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={page.parent / 'profile'}",
            "--enable-logging=stderr", *options, f"file://{page}",
        ],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
def test_in_chromium(fitted, tmp_path):
    page = tmp_path / "report.html"
    files = fitted / "m.safetensors", fitted / "points.npy"
    page.write_text(
        report.make_report(*files, report=fitted / "report.json", image=(2, 4)), encoding="utf-8"
    )
    dom, console = browse(page, "--dump-dom")
    assert console == []
    for part in ("summary", "projection", "sizes", "inertia", "centroids", "clusters"):
        assert f'id="{part}"' in dom
    assert dom.count("<svg") == 3 and dom.count("<img") == 6
    browse(page, f"--screenshot={tmp_path / 'shot.png'}", "--window-size=800,1200")
    assert (tmp_path / "shot.png").stat().st_size > 20_000

    # The page itself forbids requests; and the console would have told.
    page.write_text(page.read_text().replace("</main>", '<img src="https://a.test/b"></main>'))
    assert any("Content Security Policy" in line for line in browse(page, "--dump-dom")[1])
