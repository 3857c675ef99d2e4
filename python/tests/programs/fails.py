"""Ends in ways that its first argument names."""

import sys

import faiss  # noqa: F401


def main(how):
    if how == "exit":
        sys.exit(7)
    raise LookupError(f"{__name__} {sys.argv[1:]}")


main(sys.argv[1])
