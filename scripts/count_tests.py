"""Prints "passed failed skipped" of results that ctest --output-junit or pytest --junitxml wrote."""
import sys
import xml.etree.ElementTree as ElementTree


def outcome(test):
    status = test.get("status")
    if status is None:  # pytest's: no status, and what went wrong as a child
        if test.find("failure") is not None or test.find("error") is not None:
            return "failed"
        return "passed" if test.find("skipped") is None else "skipped"
    if status == "run":
        return "passed"
    if status == "disabled":
        return "skipped"
    skipped = test.find("skipped")
    # A test that could not start is "notrun" like one that skipped itself, with another message.
    if skipped is not None and (skipped.get("message") or "").startswith("SKIP_"):
        return "skipped"
    return "failed"


try:
    suite = ElementTree.parse(sys.argv[1]).getroot()
except (OSError, ElementTree.ParseError) as error:
    sys.exit(f"{sys.argv[1]}: {error}")
outcomes = [outcome(test) for test in suite.iter("testcase")]
print(*(outcomes.count(name) for name in ("passed", "failed", "skipped")))
