"""The package as installed: its imports, its types, its program."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import warpmeans

PACKAGE = Path(warpmeans.__file__).parent


def run(*command):
    """Standard output of a command that must succeed."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_import_brings_nothing_but_numpy():
    program = """
import sys, numpy
before = set(sys.modules)
import warpmeans
warpmeans.KMeans(2)
print(*{name.partition(".")[0] for name in set(sys.modules) - before} - {"warpmeans"})
"""
    allowed = set(sys.stdlib_module_names) | {"numpy"}
    assert set(run(sys.executable, "-c", program).split()) <= allowed


def test_stub_is_what_stubgen_makes(tmp_path):
    pytest.importorskip("nanobind")
    run(sys.executable, "-m", "nanobind.stubgen", "-q", "-m", "warpmeans._core", "-O", tmp_path)
    made = (tmp_path / "_core.pyi").read_text()
    assert made == (PACKAGE / "_core.pyi").read_text(), (
        "regenerate: python -m nanobind.stubgen -m warpmeans._core -o python/warpmeans/_core.pyi"
    )
    assert (PACKAGE / "py.typed").exists()


def test_the_program_comes_along():
    script = Path(sys.executable).parent / "warpmeans"
    assert run(script, "--version").strip() == f"warpmeans {warpmeans.__version__}"
    assert "predict" in run(sys.executable, "-m", "warpmeans", "--help")


def test_extension_needs_only_the_system():
    if not sys.platform.startswith("linux"):
        pytest.skip("ldd is a Linux program")
    core = importlib.util.find_spec("warpmeans._core").origin
    for binary in (core, PACKAGE / "_bin" / "warpmeans"):
        for line in run("ldd", binary).splitlines():
            name, _, path = line.strip().partition(" => ")
            own = path.startswith(str(PACKAGE))
            system = name.startswith(
                ("libstdc++", "libgcc_s", "libm.", "libc.", "libz.", "libpthread", "libdl", "librt")
            )
            assert own or system or "=>" not in line, line
