"""The command `warpmeans`: `report` is Python's; all else is the native program's, which the
package brings along."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def main() -> int:
    """Make a report, or become the native program, with the same arguments."""
    if sys.argv[1:2] == ["report"]:
        from warpmeans.report import main as report

        return report(sys.argv[2:])
    program = Path(__file__).parent / "_bin" / "warpmeans"
    os.execv(program, [str(program), *sys.argv[1:]])
