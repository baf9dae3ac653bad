"""Where a relay connects to, as options and scripts write it."""

from math import inf, nan
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from reqresp._errors import FieldError
from reqresp.server.upstream_settings import TLSSettings, UpstreamSettings, parse_address


class AddressTests(SynchronousTestCase):
    """Addresses as text."""

    def test_addresses_come_back_as_they_were_written(self) -> None:
        """The name of settings is their address, as people write it."""
        for text in ("127.0.0.1:6379", "db.example:5432", "[::1]:25", "unix:/run/it.sock"):
            self.assertEqual(UpstreamSettings(address=parse_address(text)).name, text)

    def test_a_path_is_relative_to_a_directory(self) -> None:
        """It is absolute afterwards."""
        self.assertEqual(parse_address("unix:it.sock", Path("/etc")), Path("/etc/it.sock"))
        self.assertEqual(parse_address("unix:it.sock"), Path("it.sock").absolute())

    def test_no_address(self) -> None:
        """Without a port, or with a host that cannot be one, it is refused."""
        for text in ("", "a", ":1", "a:0", "a:65536", "::1:25", "a\nb:80", "a b:80", "unix:"):
            error = self.assertRaises(ValueError, parse_address, text)
            self.assertTrue(str(error).endswith(f"or unix:PATH, found {text!r}"), error)


class ValuesTests(SynchronousTestCase):
    """What settings accept."""

    def assert_refused(self, expected: str, **values: object) -> None:
        """Assert that *values* are refused with the message *expected*."""
        error = self.assertRaises(
            FieldError, UpstreamSettings, **{"address": ("a", 1)} | dict(values)
        )
        self.assertEqual(str(error), expected)

    def test_wrong_values(self) -> None:
        """The message names the field and what it expects."""
        for timeout in (0, -1, nan, inf):
            self.assert_refused(
                f"timeout: expected finite seconds >= 0.001, found {timeout}", timeout=timeout
            )
        for version in (0, 3, True):
            self.assert_refused(f"send_proxy: expected 1 or 2, found {version}", send_proxy=version)

    def test_a_unix_socket_has_no_name(self) -> None:
        """With TLS, the name in the certificate has to be given, unless nothing is checked."""
        path = Path("/run/it.sock")
        self.assert_refused(
            "tls: expected name, the name in the certificate: a UNIX socket has none",
            address=path,
            tls=TLSSettings(),
        )
        for tls in (TLSSettings(name="a"), TLSSettings(insecure=True)):
            self.assertIs(UpstreamSettings(address=path, tls=tls).tls, tls)

    def test_tls_settings_that_do_not_fit_together(self) -> None:
        """A key without a certificate, and checks that are turned off."""
        for values, expected in (
            ({"name": ""}, "name: expected the name of a host, found ''"),
            ({"key": Path("k")}, "key: requires cert"),
            (
                {"insecure": True, "name": "a"},
                "name: cannot be combined with insecure, which checks nothing",
            ),
            (
                {"insecure": True, "ca": Path("c")},
                "ca: cannot be combined with insecure, which checks nothing",
            ),
        ):
            error = self.assertRaises(FieldError, TLSSettings, **values)
            self.assertEqual(str(error), expected)
