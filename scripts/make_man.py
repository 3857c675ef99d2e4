"""Makes the manual page warpmeans(1): make_man.py PROGRAM OUT.

Every option is described once, where it is declared (cli/*_command.cpp); --help and this page show
it.
"""
import re
import subprocess
import sys
from pathlib import Path

COLUMN = 30  # where CLI11 begins the texts
HEADING = re.compile(r"(Positionals|Options|Subcommands):$")


def help_of(program, *command):
    done = subprocess.run([program, *command, "--help"], check=True, capture_output=True, text=True)
    return done.stdout.splitlines()


def parse(lines):
    """The description, the usage, {heading: [(name, text)]}, and the lines that follow."""
    usage = next(i for i, line in enumerate(lines) if line.startswith("Usage: "))
    tables, entries, rest = {}, None, []
    for line, below in zip(lines[usage + 1 :], [*lines[usage + 2 :], ""], strict=True):
        if rest or (line and not line.startswith(" ") and not HEADING.match(line)):
            rest.append(line)
        elif HEADING.match(line):
            entries = tables.setdefault(line[:-1], [])
        elif line.startswith(" " * COLUMN):
            entries[-1][1] = line.strip()
        elif line:  # a name too long for its column has its text below
            name = line if below.startswith(" " * COLUMN) else line[:COLUMN]
            entries.append([name.strip(), line.removeprefix(name)])
    return " ".join(lines[:usage]), lines[usage].removeprefix("Usage: "), tables, rest


def roff(text):
    text = text.replace("\\", r"\e").replace("-", r"\-")
    return "\\&" + text if text.startswith((".", "'")) else text


def table(entries):
    for name, text in entries:
        yield from (".TP", r"\fB" + roff(name) + r"\fR", roff(text))


def verbatim(lines):
    yield ".PP"
    yield ".nf"
    yield from map(roff, lines)
    yield ".fi"


def page(program):
    version = subprocess.run([program, "--version"], check=True, capture_output=True, text=True)
    about, usage, tables, rest = parse(help_of(program))
    yield f'.TH WARPMEANS 1 "" "{version.stdout.strip()}" "User Commands"'
    yield from (".SH NAME", r"warpmeans \- " + roff(about.rstrip(".").lower()))
    yield from (".SH SYNOPSIS", ".B " + roff(usage))
    yield ".SH COMMANDS"
    yield from table(tables["Subcommands"])
    yield ".SH OPTIONS"
    yield from table(tables["Options"])
    for command, _ in tables["Subcommands"]:
        about, usage, parts, notes = parse(help_of(program, command))
        yield f".SH WARPMEANS {command.upper()}"
        yield from (".B " + roff(usage), ".PP", roff(about + "."))
        for entries in parts.values():
            yield from table(entries)
        yield from verbatim(notes)
    yield ".SH NOTES"
    yield from verbatim(rest)


def main():
    program, out = sys.argv[1:]
    Path(out).write_text("\n".join(page(program)) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
