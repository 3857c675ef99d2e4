#!/usr/bin/env python3
"""Remakes docs/benchmarks.md from benchmarks/results/*.json, and the short table in README.md
between `<!-- benchmark table -->` and `<!-- /benchmark table -->`.

Where several files measured the same row, the newest one counts.
"""

import argparse
import json
import os
from pathlib import Path

from table_sections import HOW, SECTIONS, entry, label, ms, peer_name, table

ROOT = Path(__file__).resolve().parent.parent
OPEN, CLOSE = "<!-- benchmark table -->", "<!-- /benchmark table -->"


def load(folder):
    """(what, key of row) -> newest row, each with its file's head under 'run'."""
    newest = {}
    for path in sorted(folder.glob("*.json")):
        result = json.loads(path.read_text())
        if "what" not in result:
            continue
        head = {key: value for key, value in result.items() if key != "rows"} | {"file": path.name}
        for row in result["rows"]:
            key = (
                result["what"],
                row.get("case") or (row["n"], row["d"], row["k"], row.get("data")),
            )
            if key not in newest or newest[key]["run"]["date"] < head["date"]:
                newest[key] = {**row, "run": head}
    rows = {what: [] for what in ("fit", "converge", "init", "small", "settle", "stream")}
    rows |= {what: [] for what in ("worst", "skipping", "python")}
    for (what, _), row in newest.items():
        rows.setdefault(what, []).append(row)
    rows["fit"].sort(key=lambda row: row["id"])
    rows["converge"].sort(key=lambda row: row["id"])
    rows["init"].sort(key=lambda row: row["k"])
    return rows


def commit_of(run):
    """Short, but never without the word that uncommitted changes were measured."""
    commit, *dirty = (run["commit"] or "–").split("-", 1)
    return f"`{'-'.join([commit[:12], *dirty])}`"


def sources(rows):
    lines, seen = [], set()
    for row in (row for group in rows.values() for row in group):
        run = row["run"]
        if run["file"] in seen:
            continue
        seen.add(run["file"])
        machine = run["machine"]
        versions = ", ".join(
            f"{name} {version}" for name, version in sorted(run["versions"].items())
        )
        lines.append(
            [
                f"`{run['file']}`",
                run["date"],
                commit_of(run),
                f"{machine['cpu']}, {machine['cores']} cores",
                str(run["threads"]),
                versions,
            ]
        )
    head = ["file", "date", "commit", "machine", "threads", "versions"]
    return "## Where the numbers come from\n\n" + table(head, lines)


def short_table(rows):
    head = ["n × d, k", "Warpmeans", "fastest exact peer", "ratio", "assign, share of the FMA peak"]
    lines = []
    for row in rows["fit"]:
        if "ratio" not in row:
            continue
        peer = row["fastest_exact_peer"]
        share = row["competitors"]["warpmeans"]["assign_share_of_peak"]
        lines.append(
            [
                label(row),
                ms(entry(row, "warpmeans")) + " ms",
                f"{peer_name(row, peer)} {ms(entry(row, peer))} ms",
                f"**{row['ratio']:.2f}×**",
                f"{100 * share:.0f} %",
            ]
        )
    return table(head, lines)


def replace(path, text):
    aside = path.with_name(path.name + ".tmp")
    aside.write_text(text)
    os.replace(aside, path)


def update_readme(path, rows):
    text = path.read_text() if path.exists() else ""
    if OPEN not in text or CLOSE not in text:
        print(f"{path.name}: no markers, left as it is")
        return
    before, rest = text.split(OPEN, 1)
    after = rest.split(CLOSE, 1)[1]
    replace(path, f"{before}{OPEN}\n{short_table(rows)}{CLOSE}{after}")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "benchmarks.md")
    parser.add_argument("--readme", type=Path, default=ROOT / "README.md")
    args = parser.parse_args()
    rows = load(args.results)
    text = HOW + "\n" + "".join(make(rows[what]) for what, make in SECTIONS if rows[what])
    replace(args.out, (text + sources(rows)).rstrip() + "\n")
    update_readme(args.readme, rows)


if __name__ == "__main__":
    main()
