"""A shared library shows what the public headers mark WM_EXPORT, and no other symbol.

    exported_symbols.py NM LIBRARY INCLUDE_FOLDER

Allowed are the functions wm_* that warpmeans.h declares, of which none may be missing, and in
namespace warpmeans the marked functions and the members, vtable and type information of the marked
classes. Instantiations of std:: templates, weak or not, are leaks like any other symbol.
"""
import re
import subprocess
import sys
from pathlib import Path


def marked(text):
    """Names after WM_EXPORT: classes, functions."""
    names = set(re.findall(r"\bclass WM_EXPORT (\w+)", text))
    return names | set(re.findall(r"^\s*WM_EXPORT\s[^;({]*?\b(\w+)\(", text, re.MULTILINE))


def main():
    nm, library, include = sys.argv[1:]
    headers = {path.name: path.read_text(encoding="utf-8") for path in Path(include).glob("*.h")}
    declared = marked(headers.pop("warpmeans.h"))
    allowed = set().union(*map(marked, headers.values()))
    listing = subprocess.run([nm, "-D", "-C", "--defined-only", library],
                             check=True, capture_output=True, text=True).stdout
    exported = [line.split(maxsplit=2)[2] for line in listing.splitlines()]
    problems = [f"declared, but not exported: {name}" for name in sorted(declared - set(exported))]
    for symbol in exported:
        cpp = re.match(r"(?:(?:vtable|typeinfo|typeinfo name) for )?warpmeans::(?:cuda::)?(\w+)", symbol)
        inner = "::Impl::" in symbol  # a marked class's hidden half
        if symbol not in declared and not (cpp and cpp[1] in allowed and not inner):
            problems.append(f"exported, but not marked WM_EXPORT: {symbol}")
    print("\n".join(problems) if problems else f"{len(exported)} symbols, {len(declared)} of them C")
    return 1 if problems or not declared else 0


if __name__ == "__main__":
    sys.exit(main())
