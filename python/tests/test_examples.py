"""Every example runs, on data of its own, in a folder of its own."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples" / "python"

#: What each prints, and the libraries that it cannot do without.
SAYS = {
    "choosing_k.py": ("the silhouette says 12", []),
    "colour_quantisation.py": ("64 colours: ", []),
    "ivf_faiss.py": ("warpmeans ", ["faiss"]),
    "text_embeddings.py": ("400 pairs of a cosine above 0.97", []),
}


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("*.py")))
def test_example(name, tmp_path):
    says, needs = SAYS[name]
    for library in needs:
        if find_spec(library) is None:
            pytest.skip(f"needs {library}")
    done = subprocess.run(
        [sys.executable, EXAMPLES / name],
        cwd=tmp_path,
        env={**os.environ, "MPLBACKEND": "Agg"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert says in done.stdout
