"""python -m warpmeans.accel: programs that import the originals by name run on Warpmeans."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

PROGRAMS = Path(__file__).parent / "programs"

# Runs accel where nothing of the originals can be found, whether installed or not.
HIDE_ORIGINALS = """
import sys
from importlib.machinery import PathFinder
find_spec = PathFinder.find_spec
hidden = {"faiss", "fastkmeans", "flash_kmeans"}
PathFinder.find_spec = lambda name, *rest: None if name in hidden else find_spec(name, *rest)
from warpmeans.accel import main
main(sys.argv[1:])
"""


def run(*arguments, hide=True):
    start = ["-c", HIDE_ORIGINALS] if hide else ["-m", "warpmeans.accel"]
    command = [sys.executable, *start, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def results(tmp_path, program, hide=True):
    out = tmp_path / "out.json"
    done = run("-v", PROGRAMS / program, out, hide=hide)
    assert done.returncode == 0, done.stderr
    return json.loads(out.read_text()), done.stderr.splitlines()


@pytest.mark.parametrize("hide", [True, False], ids=["without-faiss", "with"])
def test_faiss_kmeans(tmp_path, hide):
    if not hide:
        pytest.importorskip("faiss")
    found, said = results(tmp_path, "faiss_kmeans.py", hide)
    name = "faiss" if hide else "faiss.Kmeans"
    ours = "warpmeans.compat.faiss" if hide else "warpmeans.compat.faiss.Kmeans"
    assert said == [f"warpmeans.accel replaced {name} by {ours}"]
    assert found["centroids"] == [64, 32]
    assert found["iterations"] == len(found["objective"]) <= 20
    assert found["final"] == found["objective"][-1]
    assert found["distances"] <= found["final"]
    assert np.all(np.diff(found["objective"]) <= 0)
    assert found["same"] and found["own"] and found["ntotal"] == 64


def test_the_rest_of_faiss_is_its_own():
    pytest.importorskip("faiss")
    done = run("-v", PROGRAMS / "faiss_ivf.py", hide=False)
    assert done.returncode == 0, done.stderr
    assert "replaced faiss.Kmeans by warpmeans.compat.faiss.Kmeans" in done.stderr
    assert float(done.stdout) == 1.0


def test_the_rest_of_faiss_is_said_to_be_missing():
    done = run(PROGRAMS / "faiss_ivf.py")
    assert done.returncode == 1
    assert "has no 'IndexFlatL2'; of faiss it has only Kmeans" in done.stderr


def test_fastkmeans(tmp_path):
    found, said = results(tmp_path, "fastkmeans_fit.py")
    assert said == ["warpmeans.accel replaced fastkmeans by warpmeans.compat.fastkmeans"]
    assert found["type"] == "numpy.int64"
    assert np.shape(found["centroids"]) == (60, 24)
    assert found["same"] and found["pure"]


def test_flash_kmeans(tmp_path):
    pytest.importorskip("torch")
    found, said = results(tmp_path, "flash_kmeans_batch.py")
    assert said[0] == "warpmeans.accel replaced flash_kmeans by warpmeans.compat.flash_kmeans"
    assert found["ids"] == [[4, 1500], "torch.int32"]
    assert found["centers"] == [[4, 20, 32], "torch.float16"]
    assert 1 <= found["n_iters"] <= 100
    assert found["nearest"] > 0.99  # labels belong to the centers before they are float16
    assert found["unit"] < 1e-3
    assert found["dot"][0] == [4, 1500] and found["dot"][1] < 1e-3
    assert found["predicted"] > 0.99
    assert found["large"][0] == [1500] and found["large"][1] > 0.99


@pytest.mark.parametrize("as_module", [False, True], ids=["file", "-m"])
def test_sklearn(as_module, monkeypatch):
    pytest.importorskip("sklearn")
    monkeypatch.chdir(PROGRAMS)
    command = ["-m", "sklearn_digits"] if as_module else ["sklearn_digits.py"]
    done = run("-v", *command, hide=False)
    assert done.returncode == 0, done.stderr
    module, score, other = done.stdout.split()
    assert module.startswith("warpmeans.")
    assert float(score) > 0.5
    assert other.startswith("sklearn.")
    assert done.stderr == "warpmeans.accel replaced sklearn.cluster.KMeans by warpmeans.KMeans\n"


def test_exit_code():
    done = run(PROGRAMS / "fails.py", "exit")
    assert (done.returncode, done.stderr) == (7, "")


def test_traceback_is_the_programs():
    done = run(PROGRAMS / "fails.py", "raise", "-v", "--verbose", hide=False)
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert "fails.py" in lines[1] and "<module>" in lines[1]
    assert lines[-1] == "LookupError: __main__ ['raise', '-v', '--verbose']"


def test_nothing_replaced(tmp_path):
    (tmp_path / "plain.py").write_text("import json\n")
    done = run("-v", tmp_path / "plain.py")
    assert done.stderr == "warpmeans.accel replaced nothing\n"


def test_without_program():
    done = run()
    assert done.returncode == 2
    assert "no program given" in done.stderr


def test_the_drop_ins_import_no_original():
    code = (
        "import sys\n"
        "from warpmeans.compat import faiss, fastkmeans, flash_kmeans\n"
        "assert not {'torch', 'faiss', 'fastkmeans', 'flash_kmeans', 'sklearn'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
