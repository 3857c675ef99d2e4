"""Prints one line for each fit of the quickstart: quickstart_table.py FOLDER K..."""
import json
import sys
from pathlib import Path

folder, ks = Path(sys.argv[1]), sys.argv[2:]
print(f"{'k':>5} {'size':>12} {'inertia':>16} {'iterations':>10} {'seconds':>8} {'purity':>7} "
      f"{'non-empty':>9}")
for k in ks:
    report = json.loads((folder / f"k{k}-report.json").read_text())
    evaluation = json.loads((folder / f"k{k}-evaluation.json").read_text())
    size = f"{report['n_samples']} x {report['n_features']}"
    print(f"{k:>5} {size:>12} {report['inertia']:>16.9g} {report['n_iter']:>10} "
          f"{report['seconds']['total']:>8.2f} {evaluation['purity']:>7.4f} "
          f"{report['n_nonempty']:>9}")
