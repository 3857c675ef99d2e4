"""The command `warpmeans`: the native program that the package brings along."""

import os
import sys
from pathlib import Path


def main():
    """Become the native program, with the same arguments."""
    program = Path(__file__).parent / "_bin" / "warpmeans"
    os.execv(program, [str(program), *sys.argv[1:]])
