"""Every key that names a file says that the file cannot be used."""

import tomllib
from typing import Any

from reqresp._errors import ProblemsError
from reqresp.control.control_site import make_control_site
from reqresp.services.answers import load
from reqresp.services.environment import Environment
from reqresp.services.reading import parse_services
from reqresp.services.registry import Services
from tests.support.controlled import Controlled
from tests.support.issued import authority, pem
from tests.support.live import temporary

#: A service whose key has the file FILE, by the path of the key.
KEYS = {
    "tls.cert": 'tls = { cert = "FILE" }',
    "tls.key": 'tls = { cert = "cert.pem", key = "FILE" }',
    "tls.client_ca": 'tls = { cert = "cert.pem", client_ca = "FILE" }',
    "upstream.tls.ca": 'upstream = { address = "a:1", tls = { ca = "FILE" } }',
    "upstream.tls.cert": 'upstream = { address = "a:1", tls = { cert = "FILE" } }',
    "upstream.tls.key": 'upstream = { address = "a:1", tls = { cert = "cert.pem", key = "FILE" } }',
    "replay": 'replay = "FILE"',
    "record": 'upstream = "a:1"\nrecord = "FILE"',
    "journal": 'response = "x"\njournal = "FILE"',
    "response": 'response = { file = "FILE" }',
    "rule[0].reply": 'rule = [{ reply = { file = "FILE" } }]',
}
READ = [key for key in KEYS if key not in ("record", "journal")]
OF_TLS = [key for key in KEYS if "tls" in key]


class NamedFileTests(Controlled):
    """Files that services name, sent over HTTP and in a services file."""

    def make_site(self) -> Any:
        self.base = temporary(self)
        (self.base / "cert.pem").write_bytes(pem(authority().issue_cert("localhost")))
        (self.base / "text").write_text("no certificate\n")
        environment = Environment(reactor=self.reactor, keeps_journal=True, base=self.base)
        self.services = Services(environment)
        return make_control_site(self.services, clock=self.reactor, pages={})

    def assert_named(self, key: str, file: str) -> None:
        """Assert that the *file* cannot be used, and that the problem is that of *key*."""
        written = 'name = "it"\nlisten = 2525\n' + KEYS[key].replace("FILE", file)
        found = self.ask("POST", "/api/services", tomllib.loads(written))
        self.assertEqual(found.status, 422)
        [problem] = found.json["problems"]
        self.assertEqual((problem["path"], problem["line"]), (key, None))
        self.assertIn(str(self.base / file), problem["problem"])
        with self.assertRaises(ProblemsError) as raised:
            self.start(written)
        [located] = raised.exception.problems
        line = next(at for at, text in enumerate(written.splitlines(), 2) if file in text)
        self.assertEqual(
            (located.file, located.line, located.path),
            ("services.toml", line, f"service[0].{key}"),
        )
        self.assertIn(str(self.base / file), located.message)

    def start(self, written: str) -> None:
        """Start the one service that is *written* in a file."""
        [definition] = parse_services(f"[[service]]\n{written}", "services.toml", self.base)
        Services(self.services.environment).start([(definition, load(definition))])

    def test_a_directory(self) -> None:
        """No key can name a directory."""
        (self.base / "directory").mkdir()
        for key in KEYS:
            with self.subTest(key):
                self.assert_named(key, "directory")

    def test_a_file_that_does_not_exist(self) -> None:
        """What is read has to exist."""
        for key in READ:
            with self.subTest(key):
                self.assert_named(key, "missing")

    def test_a_file_with_something_else(self) -> None:
        """A file for TLS has to have a certificate or a key, and a recording is not overwritten."""
        for key in (*OF_TLS, "record"):
            with self.subTest(key):
                self.assert_named(key, "text")

    def test_a_recording(self) -> None:
        """Who sends a service learns the key, and the line of the recording."""
        found = self.ask("POST", "/api/services", {"name": "it", "listen": 1, "replay": "text"})
        [problem] = found.json["problems"]
        self.assertEqual((problem["path"], problem["line"]), ("replay", None))
        self.assertRegex(problem["problem"], rf"^{self.base}/text:1: expected the header")

    def test_a_key_of_a_script(self) -> None:
        """A key in a script has its line there; beside the script, it is that of the service."""
        script = '[upstream]\naddress = "a:1"\ntls = { ca = "missing" }\n'
        service = {"name": "it", "listen": 2525, "script": script}
        found = self.ask("POST", "/api/services", service)
        [problem] = found.json["problems"]
        self.assertEqual((problem["path"], problem["line"]), ("upstream.tls.ca", 3))
        beside = {**service, "upstream": {"address": "a:1", "tls": {"cert": "text"}}}
        [problem] = self.ask("POST", "/api/services", beside).json["problems"]
        self.assertEqual((problem["path"], problem["line"]), ("upstream.tls.cert", None))

    def test_a_name_that_no_certificate_has(self) -> None:
        """The name is a key of TLS as its files are."""
        upstream = {"address": "a:1", "tls": {"name": "a b"}}
        service = {"name": "it", "listen": 2525, "upstream": upstream}
        [problem] = self.ask("POST", "/api/services", service).json["problems"]
        self.assertEqual(problem["path"], "upstream.tls.name")
        self.assertIn("found 'a b'", problem["problem"])
