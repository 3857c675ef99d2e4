"""``python -m warpmeans``: the command `warpmeans`."""

from warpmeans._cli import main

main()
