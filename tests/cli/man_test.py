"""The manual page: every option of every command, and nothing that groff warns of."""

import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

OPTION = re.compile(r"^  (-[^ ]*|[A-Z]+ )", re.MULTILINE)


class ManTest(unittest.TestCase):
    program = script = None  # set by whoever runs the tests

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="warpmeans-man-")
        cls.addClassCleanup(folder.cleanup)
        cls.path = Path(folder.name) / "warpmeans.1"
        subprocess.run([sys.executable, "-B", cls.script, cls.program, cls.path], check=True)
        cls.page = cls.path.read_text()

    def help_of(self, *command):
        run = [self.program, *command, "--help"]
        return subprocess.run(run, check=True, capture_output=True, text=True).stdout

    def test_has_every_option_with_its_text(self):
        plain = self.page.replace("\\-", "-").replace("\\&", "")
        commands = re.findall(r"^  ([a-z]+) ", self.help_of(), re.MULTILINE)
        self.assertGreaterEqual(len(commands), 6)
        seen = 0
        for command in commands:
            section = plain[plain.index(f".SH WARPMEANS {command.upper()}\n") :]
            section = section[: section.index("\n.nf\n")]
            lines = self.help_of(command)
            lines = lines[lines.index("Usage:") : lines.rindex("Examples:")]
            words = [word.strip() for word in OPTION.findall(lines)]
            self.assertIn("-h,--help", words)
            for word in words:
                with self.subTest(command=command, option=word):
                    self.assertRegex(section, rf"\n\.TP\n\\fB{re.escape(word)}[^\n]*\\fR\n\S.*")
                    seen += 1
            self.assertEqual(section.count("\n.TP\n"), len(words))
        self.assertGreater(seen, 40)

    @unittest.skipUnless(shutil.which("groff"), "groff is not installed")
    def test_is_a_manual_page(self):
        run = ["groff", "-man", "-ww", "-Tascii", "-P-cbou", str(self.path)]
        done = subprocess.run(run, capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        for heading in ("NAME", "SYNOPSIS", "COMMANDS", "WARPMEANS FIT", "NOTES"):
            self.assertIn(heading, done.stdout)


if __name__ == "__main__":
    ManTest.program, ManTest.script = sys.argv.pop(1), sys.argv.pop(1)
    unittest.main()
