"""``reqresp check`` for services files."""

from pathlib import Path

from tests.support.command import CommandTestCase
from tests.support.imports import imported_by, of_packages
from tests.support.live import temporary

FILE = """\
[[service]]
name = "a"
listen = 1
[[service]]
name = "b"
listen = 2
script = "it.toml"
[[service]]
name = "c"
listen = 3
replay = "it.rec"
"""


class CheckTests(CommandTestCase):
    """A file is checked with all that says what its services answer."""

    def setUp(self) -> None:
        super().setUp()
        self.path = temporary(self)
        (self.path / "it.toml").write_text('rule = [{ reply = "a" }, { reply = "b" }]')
        (self.path / "it.rec").write_text("# reqresp recording 1\n> a\n< b\n")

    def check(self, text: str) -> tuple[int, str, str]:
        """Return the status of the command, and what it prints."""
        file = self.path / "services.toml"
        file.write_text(text)
        ended = self.run_command("check", str(file))
        name = str(file)
        return ended.status, ended.output.replace(name, "F"), ended.errors.replace(name, "F")

    def test_ok(self) -> None:
        """One line, and the warnings of scripts."""
        status, output, errors = self.check(FILE)
        self.assertEqual((status, output), (0, "F: ok: 3 services: a, b, c\n"))
        self.assertRegex(errors, r"\Awarning: .*/it.toml:1: rule\[1\]: never answers: [^\n]*\n\Z")

    def test_problems(self) -> None:
        """Those of the file, else those of all files that it names."""
        status, _, errors = self.check(FILE.replace("listen = 2", "listn = 2"))
        self.assertEqual(status, 1)
        self.assertIn("F:6: service[1].listn: unknown key 'listn'; did you mean listen?", errors)
        (self.path / "it.toml").write_text("a = 1")
        (self.path / "it.rec").unlink()
        status, _, errors = self.check(FILE)
        self.assertEqual((status, len(errors.splitlines())), (1, 2))

    def test_what_is_no_services_file(self) -> None:
        """A script, and a file that cannot be read, are checked as before."""
        status, output, _ = self.check('rule = [{ reply = "service" }]')
        self.assertEqual(status, 0)
        self.assertIn("1 rule in 1 state", output)
        ended = self.run_command("check", "/no/such")
        told = "/no/such: cannot be read: No such file or directory\n"
        self.assertEqual((ended.status, ended.errors), (1, told))

    def test_no_reactor(self) -> None:
        """A services file is checked without a reactor."""
        (self.path / "services.toml").write_text(FILE.partition('[[service]]\nname = "c"')[0])
        found = imported_by(Path(self.path), "-m", "reqresp", "check", "services.toml")
        self.assertEqual(of_packages(found, "twisted.internet.reactor", "OpenSSL"), set())
        self.assertEqual(of_packages(found, "twisted"), set())
