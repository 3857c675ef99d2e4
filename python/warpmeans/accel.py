"""Run an unmodified program on Warpmeans: ``python -m warpmeans.accel [-v] program.py args...``

Where the program, or a library that it uses, imports one of these, it gets Warpmeans':

- ``flash_kmeans`` and ``fastkmeans``, as modules; they need not be installed,
- ``faiss.Kmeans``; all else of faiss is faiss' own, if that is installed,
- ``sklearn.cluster.KMeans``; all else of scikit-learn is its own.

Exit code and traceback are the program's. ``-v`` prints at exit what was replaced, to stderr.
Processes that it starts anew, such as those of multiprocessing's "spawn", run on the originals.
"""

from __future__ import annotations

import argparse
import atexit
import importlib
import os
import runpy
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType, TracebackType
from typing import Any

#: Modules of ours that stand in for a whole module, whatever is installed.
MODULES = {
    "flash_kmeans": "warpmeans.compat.flash_kmeans",
    "fastkmeans": "warpmeans.compat.fastkmeans",
}

#: Classes that are replaced in a module which is otherwise itself: (module, name) of ours.
CLASSES = {
    "faiss": ("Kmeans", "warpmeans.compat.faiss", "Kmeans"),
    "sklearn.cluster": ("KMeans", "warpmeans", "KMeans"),
}

#: What to use where the original of a class is not installed.
SUBSTITUTES = {"faiss": "warpmeans.compat.faiss"}

replaced: list[str] = []  #: lines for -v, in the order of the imports


class _StandIn(Loader):
    """Fills a module with the names of ours; a submodule of it has them all, too."""

    def __init__(self, ours: str):
        self.ours = ours

    def exec_module(self, module: ModuleType) -> None:
        ours = importlib.import_module(self.ours)
        for name in ("__doc__", "__version__", "__all__", "__getattr__", *ours.__all__):
            if hasattr(ours, name):
                setattr(module, name, getattr(ours, name))
        replaced.append(f"{module.__name__} by {self.ours}")


class _Patched(Loader):
    """Loads a module by its own loader, then replaces one class in it."""

    def __init__(self, loader: Loader):
        self.loader = loader

    def __getattr__(self, name: str) -> Any:  # what else loaders can do, such as get_source
        return getattr(self.loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self.loader.exec_module(module)
        name, ours, our_name = CLASSES[module.__name__]
        setattr(module, name, getattr(importlib.import_module(ours), our_name))
        replaced.append(f"{module.__name__}.{name} by {ours}.{our_name}")


class Finder(MetaPathFinder):
    """Comes first in sys.meta_path, and looks at four names only."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        top = name.partition(".")[0]
        if top in MODULES:
            return ModuleSpec(name, _StandIn(MODULES[top]), is_package=True)
        if name not in CLASSES:
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        specs = (finder.find_spec(name, path, target) for finder in others)
        spec = next(filter(None, specs), None)
        if spec is not None:
            spec.loader = _Patched(spec.loader)
        elif name in SUBSTITUTES:
            spec = ModuleSpec(name, _StandIn(SUBSTITUTES[name]))
        return spec


def _print_traceback_of_program(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    """sys.excepthook: without the frames of this module and of runpy."""
    own = {__file__, runpy.__file__, "<frozen runpy>"}
    while traceback is not None and traceback.tb_frame.f_code.co_filename in own:
        traceback = traceback.tb_next
    sys.__excepthook__(kind, error.with_traceback(traceback), traceback)


def _print_replaced() -> None:
    for line in replaced or ["nothing"]:
        print(f"warpmeans.accel replaced {line}", file=sys.stderr)


def main(argv: list[str] | None = None) -> None:
    """Run the program of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m warpmeans.accel",
        usage="%(prog)s [-v] (program.py | -m module) [args...]",
        description="Run an unmodified program with the k-means of flash_kmeans, faiss, "
        "fastkmeans and scikit-learn replaced by Warpmeans'.",
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="print what was replaced")
    parser.add_argument("-m", dest="module", nargs=argparse.REMAINDER, help="run a module")
    parser.add_argument("program", nargs=argparse.REMAINDER, help="and its arguments")
    options = parser.parse_args(argv)
    command = options.module or options.program
    if not command:
        parser.error("no program given")
    sys.meta_path.insert(0, Finder())
    sys.excepthook = _print_traceback_of_program
    if options.verbose:
        atexit.register(_print_replaced)
    sys.argv = command
    if options.module:
        runpy.run_module(command[0], run_name="__main__", alter_sys=True)
    else:
        sys.path[0] = os.path.dirname(os.path.realpath(command[0]))
        runpy.run_path(command[0], run_name="__main__")


if __name__ == "__main__":
    main()
