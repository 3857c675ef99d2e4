"""Drop-ins: the interfaces of flash-kmeans, faiss.Kmeans and fastkmeans on Warpmeans.

Change the import (``from warpmeans.compat.faiss import Kmeans``), or change nothing and run the
program by ``python -m warpmeans.accel program.py``. docs/drop-ins.md lists what differs.
"""
