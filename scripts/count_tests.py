"""Prints "passed failed skipped" of a results.xml that ctest --output-junit wrote."""
import sys
import xml.etree.ElementTree as ElementTree


def outcome(test):
    status = test.get("status")
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
