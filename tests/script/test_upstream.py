"""The table ``[upstream]`` of a script."""

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from reqresp.script import Script, ScriptError
from reqresp.server.limits import Limits
from reqresp.server.upstream_settings import TLSSettings, UpstreamSettings

ALL = """
seed = 1

[upstream]
address = "unix:it.sock"
timeout = 3
unreachable = "close"
send_proxy = 2

[upstream.tls]
name = "db.example"
ca = "ca.pem"
cert = "/etc/client.pem"
key = "client.key"

[limits]
max_connections = 5
"""


class UpstreamTests(SynchronousTestCase):
    """What a script says about a service."""

    def test_all_keys(self) -> None:
        """Paths are relative to the script, and absolute afterwards."""
        script = Script.parse(ALL, base="/srv")
        self.assertEqual(
            script.upstream,
            UpstreamSettings(
                address=Path("/srv/it.sock"),
                timeout=3,
                unreachable="close",
                send_proxy=2,
                tls=TLSSettings(
                    name="db.example",
                    ca=Path("/srv/ca.pem"),
                    cert=Path("/etc/client.pem"),
                    key=Path("/srv/client.key"),
                ),
            ),
        )
        self.assertEqual(script.limits, Limits(max_connections=5))
        self.assertTrue(script.is_relay)
        self.assertFalse(script.is_empty)
        self.assertEqual(script.warnings, ())

    def test_defaults(self) -> None:
        """An address is enough; TLS can be just turned on."""
        for line, tls in (("", None), ("tls = false", None), ("tls = true", TLSSettings())):
            script = Script.parse(f'[upstream]\naddress = "a:1"\n{line}')
            self.assertEqual(script.upstream, UpstreamSettings(address=("a", 1), tls=tls))

    def test_a_script_without_it_is_no_relay(self) -> None:
        """It answers by itself."""
        script = Script.parse('rule = [{ reply = "a" }]')
        self.assertIsNone(script.upstream)
        self.assertFalse(script.is_relay)

    def test_problems(self) -> None:
        """Each is at its line, and all are reported at once."""
        for text, *expected in (
            ("", "1: upstream.address: the key is missing"),
            (
                'address = "a"\ntimeout = -1',
                "2: upstream.address: expected HOST:PORT such as db.example:5432 or [::1]:5432, or"
                " unix:PATH, found 'a'",
            ),
            (
                'address = "a:1"\ntimeout = 0',
                "3: upstream.timeout: expected finite seconds >= 0.001, found 0",
            ),
            (
                'address = "a:1"\nsend_proxy = 3',
                "3: upstream.send_proxy: expected 1 or 2, found 3",
            ),
            (
                'address = "a:1"\nunreachable = "never"',
                '3: upstream.unreachable: expected "reset" or "close", found \'never\'',
            ),
            (
                'address = "a:1"\ntls = { key = "a" }',
                "3: upstream.tls.key: requires cert",
            ),
            (
                'address = "unix:a"\ntls = true',
                "3: upstream.tls: expected name, the name in the certificate: a UNIX socket has"
                " none",
            ),
        ):
            error = self.assertRaises(ScriptError, Script.parse, f"[upstream]\n{text}", "it.toml")
            self.assertEqual(str(error).splitlines(), [f"it.toml:{line}" for line in expected])

    def test_rules_that_would_hide_the_service(self) -> None:
        """A script that answers everything itself forwards nothing."""
        for line in ('rule = [{ reply = "a" }]', 'framing = "line"', 'unmatched = "a"'):
            error = self.assertRaises(
                ScriptError, Script.parse, f'{line}\n[upstream]\naddress = "a:1"'
            )
            self.assertRegex(str(error), "^script:2: upstream: nothing is forwarded: ")

    def test_a_relay_is_no_config_of_a_server(self) -> None:
        """A server that answers cannot use it."""
        script = Script.parse('[upstream]\naddress = "a:1"')
        error = self.assertRaises(ValueError, script.config)
        self.assertEqual(str(error), "script: expected rules, found only [upstream], a relay")
