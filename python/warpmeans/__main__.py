"""``python -m warpmeans``: the command `warpmeans`."""

import sys

from warpmeans._cli import main

sys.exit(main())
