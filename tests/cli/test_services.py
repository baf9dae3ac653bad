"""``reqresp check`` for services files."""

from datetime import UTC, datetime
from pathlib import Path

import trustme

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
        """Those of the file, and those of all files that it names, at once."""
        (self.path / "it.toml").write_text("a = 1")
        (self.path / "it.rec").unlink()
        status, _, errors = self.check(FILE.replace("listen = 1", "listn = 1"))
        self.assertEqual(status, 1)
        lines = errors.replace(f"{self.path}/", "").splitlines()
        self.assertEqual(
            lines,
            [
                "F:1: service[0].listen: the key is missing",
                "F:3: service[0].listn: unknown key 'listn'; did you mean listen?",
                "F:11: service[2].replay: it.rec: cannot be read: No such file or directory",
                "it.toml:1: a: unknown key 'a'; expected one of: framing, reply_framing,"
                " ignore_case, start, state_scope, seed, ordered, greeting, limits, accept,"
                " upstream, rule, unmatched, state, fault",
            ],
        )

    def test_a_missing_script(self) -> None:
        """It has the line of the key that names it."""
        (self.path / "it.toml").unlink()
        status, _, errors = self.check(FILE)
        self.assertEqual(status, 1)
        self.assertEqual(
            errors.replace(f"{self.path}/", ""),
            "F:7: service[1].script: it.toml: cannot be read: No such file or directory\n",
        )

    def test_faults_beside_a_script(self) -> None:
        """They have to fit to the script."""
        fault = 'fault = [{ stream = "downstream", kind = "noop" }]'
        script = 'script = "it.toml"'
        status, _, errors = self.check(FILE.replace(script, f"{script}\n{fault}"))
        self.assertEqual(status, 1)
        self.assertIn("F:8: service[1].fault[0].stream: expected upstream", errors)

    def test_certificates(self) -> None:
        """The files of TLS are read, and what is wrong with them is where the service is."""
        key = trustme.CA().issue_cert("localhost")
        key.private_key_and_cert_chain_pem.write_to_path(str(self.path / "good.pem"))
        key.private_key_pem.write_to_path(str(self.path / "key.pem"))
        tls = 'tls = { cert = "good.pem" }\n'
        first = '[[service]]\nname = "a"\nlisten = 1\n'
        self.assertEqual(self.check(first + tls)[0], 0)
        second = '[[service]]\nname = "b"\nlisten = 2\ntls = { cert = "none.pem" }\n'
        status, output, errors = self.check(first + tls.replace("good", "key") + second)
        self.assertEqual((status, output), (1, ""))
        lines = errors.replace(f"{self.path}/", "").splitlines()
        self.assertRegex(lines[0], r"\AF:4: service\[0\].tls.cert: key.pem: contains no cert")
        self.assertRegex(lines[1], r"\AF:8: service\[1\].tls.cert: none.pem: .*No such file")
        self.assertEqual(len(lines), 2)

    def test_an_expired_certificate(self) -> None:
        """It is a warning, as when the service starts."""
        expired = trustme.CA().issue_cert("localhost", not_after=datetime(2020, 1, 1, tzinfo=UTC))
        expired.private_key_and_cert_chain_pem.write_to_path(str(self.path / "old.pem"))
        text = '[[service]]\nname = "a"\nlisten = 1\ntls = { cert = "old.pem" }\n'
        status, _, errors = self.check(text)
        self.assertEqual(status, 0)
        self.assertRegex(errors, r"\Awarning: F:4: service\[0\].tls: .*old.pem: .*expired")

    def test_tls_to_an_upstream(self) -> None:
        """Its files are read as when a service starts, wherever they are named."""
        old = trustme.CA().issue_cert("localhost", not_after=datetime(2020, 1, 1, tzinfo=UTC))
        old.private_key_and_cert_chain_pem.write_to_path(str(self.path / "old.pem"))
        script = self.path / "it.toml"
        first, second = (f'[[service]]\nname = "{it}"\nlisten = {it}\n' for it in (1, 2))
        own = 'upstream = { address = "a:1", tls = { cert = "FILE" } }\n'
        services = f'{first}{own}{second}script = "it.toml"\n'
        script.write_text('[upstream]\naddress = "a:1"\ntls = { ca = "none.pem" }\n')
        status, _, errors = self.check(services.replace("FILE", "it.rec"))
        lines = errors.replace(f"{self.path}/", "").splitlines()
        self.assertEqual((status, len(lines)), (1, 2))
        self.assertRegex(lines[0], r"\AF:4: service\[0\].upstream.tls.cert: it.rec: contains no c")
        self.assertRegex(lines[1], r"\Ait.toml:3: upstream.tls.ca: none.pem: .*No such file")
        script.write_text('[upstream]\naddress = "a:1"\ntls = { insecure = true }\n')
        status, _, errors = self.check(services.replace("FILE", "old.pem"))
        lines = errors.replace(f"{self.path}/", "").splitlines()
        self.assertEqual((status, len(lines)), (0, 2))
        self.assertRegex(lines[0], r"\Awarning: F:4: service\[0\].upstream.tls: old.pem: .*expired")
        self.assertRegex(lines[1], r"\Awarning: F:8: service\[1\].script: .*is not checked")

    def test_tls_to_the_upstream_of_a_script(self) -> None:
        """The files of a script by itself are read, too."""
        script = '[upstream]\naddress = "a:1"\ntls = { ca = "none.pem" }\n'
        status, output, errors = self.check(script)
        self.assertEqual((status, output), (1, ""))
        self.assertRegex(errors, r"\AF:3: upstream.tls.ca: .*none.pem: [^\n]*No such[^\n]*\n\Z")
        status, output, errors = self.check(script.replace('ca = "none.pem"', "insecure = true"))
        self.assertEqual(status, 0)
        self.assertRegex(output, r"\AF: ok: ")
        self.assertRegex(errors, r"\Awarning: F:3: upstream.tls: upstream a:1: [^\n]*\n\Z")

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
