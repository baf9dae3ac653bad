"""TLS to a service, with the files of settings: which services are accepted."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

from attrs import evolve
from OpenSSL import SSL
from twisted.internet.ssl import ContextFactory
from twisted.logger import capturedLogs
from twisted.protocols.tls import TLSMemoryBIOFactory

from reqresp._errors import TLSFileError
from reqresp.relay.settings import make_upstream
from reqresp.relay.upstream import Upstream, tcp_upstream
from reqresp.server.upstream_settings import TLSSettings, UpstreamSettings
from tests.support import live
from tests.support.issued import authority, pem, stranger
from tests.support.relayed import SERVICE_PORT, RelayedCase


class _Context(ContextFactory):
    """The context of a service whose certificate has *name*; it may require one of clients."""

    def __init__(self, name: str, *, requires: bool) -> None:
        self._made = SSL.Context(SSL.TLS_METHOD)
        authority().issue_cert(name).configure_cert(self._made)
        if requires:
            authority().configure_trust(self._made)
            self._made.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT)

    def getContext(self) -> Any:
        return self._made


class ClientTLSCase(RelayedCase):
    """A service with a certificate for *certified*, and a relay that connects to *host*."""

    certified = "db.example"
    requires = False

    def setUp(self) -> None:
        self.directory = live.temporary(self)
        super().setUp()

    def wrapped(self, services: Any) -> Any:
        context = _Context(self.certified, requires=self.requires)
        return TLSMemoryBIOFactory(context, False, services, cast(Any, self.reactor))

    def file(self, name: str, data: bytes) -> Path:
        """Write a file; return its path."""
        path = self.directory / name
        path.write_bytes(data)
        return path

    def tls(self) -> TLSSettings:
        """Return the settings of the relay."""
        return TLSSettings(ca=self.file("ca.pem", authority().cert_pem.bytes()), name="db.example")

    def upstream(self) -> Upstream:
        settings = UpstreamSettings(address=("127.0.0.1", SERVICE_PORT), tls=self.tls())
        tls = make_upstream(settings, self.reactor).tls
        return evolve(tcp_upstream(self.reactor, "127.0.0.1", SERVICE_PORT), tls=tls)

    def assert_passes(self) -> None:
        """Assert that bytes pass both ways."""
        client, service = self.connect_both()
        client.send(b"request")
        self.advance(0)
        self.assertEqual(service.got, b"request")
        service.transport.write(b"reply")
        self.advance(0)
        self.assertEqual(client.received(), b"reply")

    def assert_refused(self, expected: str) -> None:
        """Assert that a client is reset, with one line in the log."""
        with capturedLogs() as events:
            client = self.connect()
            self.advance(6)
        lines = [it["log_format"].format(**it) for it in events if "upstream" in it]
        self.assertEqual(len(lines), 1, lines)
        self.assertRegex(lines[0], expected)
        self.assertTrue(client.got_reset)


class NamedTests(ClientTLSCase):
    """A name that is given, and a CA from a file."""

    def test_bytes_pass(self) -> None:
        """The service has a certificate of the CA, for the name."""
        self.assert_passes()


class AddressTests(ClientTLSCase):
    """The address that is connected to, which the certificate has."""

    certified = "127.0.0.1"

    def tls(self) -> TLSSettings:
        return evolve(super().tls(), name=None)

    def test_bytes_pass(self) -> None:
        """Without a name, the host is compared; an address is compared with addresses."""
        self.assert_passes()


class OtherNameTests(ClientTLSCase):
    """A certificate for another name."""

    certified = "other.example"

    def test_one_line(self) -> None:
        """It says that the name differs."""
        self.assert_refused("127.0.0.1:6379 has a certificate for another name; resetting$")


class OtherAddressTests(AddressTests):
    """A certificate for a name, where an address is expected."""

    certified = "db.example"

    def test_bytes_pass(self) -> None:
        """They do not: one line says so."""
        self.assert_refused("has a certificate for another name; resetting$")


class UntrustedTests(ClientTLSCase):
    """A CA that has not signed the certificate."""

    def tls(self) -> TLSSettings:
        ca = self.file("ca.pem", stranger().cert_pem.bytes())
        return TLSSettings(ca=ca, name="db.example")

    def test_one_line(self) -> None:
        """It says that no trusted CA has signed it."""
        self.assert_refused("has a certificate that no trusted CA has signed, .*; resetting$")


class SystemTests(ClientTLSCase):
    """The CAs of the system, which have not signed the certificate of a test."""

    def tls(self) -> TLSSettings:
        return TLSSettings(name="db.example")

    def test_one_line(self) -> None:
        """The certificate is checked without a file, too."""
        self.assert_refused("has a certificate that no trusted CA has signed, .*; resetting$")


class InsecureTests(ClientTLSCase):
    """Nothing is checked."""

    certified = "other.example"

    def tls(self) -> TLSSettings:
        return TLSSettings(insecure=True)

    def test_bytes_pass(self) -> None:
        """Whatever the certificate is."""
        self.assert_passes()


class CertificateTests(ClientTLSCase):
    """A service that requires a certificate, and a relay that has one."""

    requires = True

    def tls(self) -> TLSSettings:
        leaf = authority().issue_cert("client")
        cert = self.file("cert.pem", leaf.cert_chain_pems[0].bytes())
        key = self.file("key.pem", leaf.private_key_pem.bytes())
        return evolve(super().tls(), cert=cert, key=key)

    def test_bytes_pass(self) -> None:
        """The certificate is shown."""
        self.assert_passes()


class NoCertificateTests(ClientTLSCase):
    """A service that requires a certificate, and a relay that has none."""

    requires = True

    def test_one_line(self) -> None:
        """The service refuses after the handshake; the line says so all the same."""
        self.assert_refused("refused TLS: .*(certificate required|handshake failure); resetting$")


class PlainTests(ClientTLSCase):
    """A service that does not speak TLS."""

    def wrapped(self, services: Any) -> Any:
        return services

    def test_one_line(self) -> None:
        """What it answers is no TLS."""
        with capturedLogs() as events:
            client = self.connect()
            self.services.made[-1].transport.write(b"220 mail.example ESMTP\r\n")
            self.advance(0)
            self.advance(6)
        [line] = [it["log_format"].format(**it) for it in events if "upstream" in it]
        self.assertRegex(line, "refused TLS: wrong version number; resetting$")
        self.assertTrue(client.got_reset)


class FilesTests(ClientTLSCase):
    """Files that are unusable, or out of date."""

    def make(self, **values: Any) -> None:
        """Make an upstream with these settings of TLS."""
        settings = UpstreamSettings(address=("a", 1), tls=TLSSettings(**values))
        make_upstream(settings, self.reactor)

    def test_unusable_files(self) -> None:
        """The message names the file, what is wrong, and what is expected."""
        empty = self.file("empty.pem", b"")
        for name, owner in (("ca", "the CAs that sign the service's"), ("cert", "the client's")):
            error = self.assertRaises(TLSFileError, self.make, **{name: empty})
            self.assertRegex(str(error), f"^{empty}: contains no certificate; expected .*{owner}")

    def test_an_impossible_name(self) -> None:
        """The message says what is expected, and shows what was found."""
        for name in ("a\nb", "a" * 300, "a b"):
            error = self.assertRaises(ValueError, self.make, name=name)
            self.assertRegex(str(error), "^upstream.tls.name: expected the name or .*, found '")
            self.assertIn(repr(name), str(error))

    def test_a_certificate_that_has_expired(self) -> None:
        """It is used, with a warning."""
        past = datetime.now(UTC) - timedelta(days=1)
        leaf = authority().issue_cert("client", not_after=past)
        path = self.file("cert.pem", pem(leaf))
        with capturedLogs() as events:
            self.make(cert=path)
        [line] = [str(it["problem"]) for it in events if "problem" in it]
        self.assertRegex(line, f"^{path}: the certificate has expired")
