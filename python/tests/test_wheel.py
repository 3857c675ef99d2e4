"""The wheel that scripts/test.sh made, in an environment that has NumPy and no compiler."""

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from warpmeans import _core

WHEELS = os.environ.get("WARPMEANS_WHEELS")
pytestmark = pytest.mark.skipif(WHEELS is None, reason="WARPMEANS_WHEELS names no folder of wheels")


def test_wheel_is_small():
    (wheel,) = Path(WHEELS).glob("warpmeans-*.whl")
    if _core.has_cuda():
        pytest.skip("with the CUDA engine it may be large")
    assert wheel.stat().st_size < 5 << 20


def test_wheel_works_alone(tmp_path):
    venv.create(tmp_path / "venv", with_pip=True)
    bin = tmp_path / "venv" / "bin"
    environment = {"PATH": str(bin), "HOME": str(tmp_path)}

    def run(*command):
        return subprocess.run(
            command, check=True, capture_output=True, text=True, env=environment, cwd=tmp_path
        ).stdout

    run(bin / "pip", "install", "--no-index", "--find-links", WHEELS, "warpmeans")
    program = "import warpmeans as w; print(w.kmeans([[0.0], [1.0], [9.0]], 2).inertia)"
    assert run(bin / "python", "-c", program) == "0.5\n"
    assert run(bin / "python", "-m", "pip", "list", "--format=freeze").count("==") <= 4
    assert run("warpmeans", "--version").startswith("warpmeans ")
    assert sys.executable != str(bin / "python")
