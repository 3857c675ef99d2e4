"""The code of docs/python.md runs, block after block."""

import re
import shlex
from importlib.util import find_spec
from pathlib import Path

import pytest

from warpmeans import report

TUTORIAL = Path(__file__).parents[2] / "docs" / "python.md"
NEEDS = {"import torch": "torch", "from warpmeans import plot": "matplotlib"}


def test_tutorial(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    blocks = re.findall(r"```python\n(.*?)```", TUTORIAL.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) > 10
    names = {"__name__": "tutorial"}
    for number, block in enumerate(blocks):
        missing = [lib for line, lib in NEEDS.items() if line in block and not find_spec(lib)]
        if not missing:
            exec(compile(block, f"block {number} of {TUTORIAL.name}", "exec"), names)
    printed = capsys.readouterr().out
    assert printed.startswith("KMeansResult(n_samples=10000, n_clusters=5, inertia=")
    assert "n_clusters (20000) exceeds n_samples (10000)" in printed


def test_options_of_the_report_are_real(capsys):
    with pytest.raises(SystemExit) as done:
        report.main(["--help"])
    assert done.value.code == 0
    known = capsys.readouterr().out
    text = TUTORIAL.read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.startswith("warpmeans report")]
    options = {word for line in lines for word in shlex.split(line) if word.startswith("-")}
    assert options and all(option in known for option in options | {"--truth", "--image"})
