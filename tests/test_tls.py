"""What a client sees over TLS, where Twisted's transport is another; certificates that change."""

import socket
import ssl
import subprocess
import sys
import warnings
from datetime import UTC, datetime, timedelta
from typing import Any

import trustme
from twisted.internet import tcp
from twisted.internet.defer import Deferred
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from reqresp import (
    Abort,
    Close,
    EagerServer,
    HalfClose,
    Limits,
    ReqRespFactory,
    Script,
    Send,
    Steps,
)
from reqresp.stream import LINGER
from reqresp.testing import Server, serve
from reqresp.tls import Certificates, TLSFiles, wrap
from tests.issued import FileTestCase, authority, ours, pem, stranger
from tests.wire import FakeReactor, Wire

VERSIONS = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


def context(
    version: ssl.TLSVersion | None = None, shown: trustme.LeafCert | None = None
) -> ssl.SSLContext:
    """
    A client's.

    :param version: the only one that it speaks.
    :param shown: its certificate.
    """
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority().configure_trust(made)
    if version is not None:
        made.minimum_version = made.maximum_version = version
    if shown is not None:
        shown.configure_cert(made)
    return made


class Secure:
    """A client that speaks TLS, on a `Wire`."""

    def __init__(
        self, wire: Wire, its: ssl.SSLContext, session: ssl.SSLSession | None = None
    ) -> None:
        self.wire = wire
        self._arrived, self._leaving = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = its.wrap_bio(
            self._arrived, self._leaving, server_hostname="localhost", session=session
        )

    def turn(self) -> None:
        """Send what is to be sent, and take what came."""
        while (data := self._leaving.read()) or self.wire.socket.sent:
            if data:
                self.wire.send(data)
            self._arrived.write(self.wire.received())
        if self.wire.got_eof:
            self._arrived.write_eof()

    def shake_hands(self) -> None:
        """
        Do so, as far as this side sees: with TLS 1.3 the server has not looked at it yet.

        :raises ssl.SSLError: one side does not want to.
        """
        for _ in range(5):
            try:
                return self.tls.do_handshake()
            except ssl.SSLWantReadError:
                self.turn()
        raise AssertionError("there is no end to it")

    def ask(self, data: bytes = b"request") -> bytes:
        """Send *data*, and give what comes until nothing more does."""
        self.tls.write(data)
        return self.read()

    def read(self) -> bytes:
        """What came; ``(end)`` after it if the server said goodbye."""
        self.turn()
        received = b""
        try:
            while data := self.tls.read(1024):
                received += data
        except ssl.SSLWantReadError:
            return received
        except ssl.SSLZeroReturnError:
            pass
        return received + b"(end)"

    @property
    def shown(self) -> bytes:
        """The certificate that the server showed."""
        der = self.tls.getpeercert(binary_form=True)
        assert der is not None
        return ssl.DER_cert_to_PEM_cert(der).encode()


def told(logged: Any) -> list[str]:
    """What *logged* events that matter say; that none of them is a traceback."""
    events = [event for event in logged if event["log_level"] > LogLevel.info]
    assert not any("log_failure" in event for event in events), events
    return [event["log_format"].format(**event) for event in events]


class TLSTestCase(FileTestCase):
    """A server in memory."""

    transport: type[tcp.Server] = tcp.Server

    def setUp(self) -> None:
        super().setUp()
        self.reactor = FakeReactor()

    def serve(
        self, respond: Any = None, certificates: Certificates | None = None, **options: Any
    ) -> None:
        """Answer clients from now on."""
        factory = ReqRespFactory(respond, clock=self.reactor, **options)
        self.factory = factory
        self.site = wrap(factory, certificates or self.certificates(), self.reactor)

    def wire(self, host: str = "127.0.0.1") -> Wire:
        return Wire(self.site, self.reactor, host, transport=self.transport)

    def begin(
        self, its: ssl.SSLContext | None = None, session: ssl.SSLSession | None = None
    ) -> Secure:
        """Connect, and not shake hands yet."""
        return Secure(self.wire(), its or context(), session)

    def connect(
        self, its: ssl.SSLContext | None = None, session: ssl.SSLSession | None = None
    ) -> Secure:
        client = self.begin(its, session)
        client.shake_hands()
        client.turn()
        return client

    def refused(self, its: ssl.SSLContext) -> tuple[str, list[str]]:
        """What a client hears that gets no TLS, and the log."""
        with capturedLogs() as logged:
            client = self.begin(its)
            try:
                client.shake_hands()
                client.ask()
            except ssl.SSLError as error:
                self.assertFalse(client.wire.is_open)
                return error.reason, told(logged)
        raise AssertionError("it was let in")


class HandshakeTests(TLSTestCase):
    """Who gets TLS, and what the log says of the others."""

    def test_versions(self) -> None:
        """1.2 and 1.3 are spoken."""
        self.serve()
        for version in VERSIONS:
            client = self.connect(context(version))
            self.assertEqual(
                client.tls.version(), version.name.replace("_", ".").replace("v1.", "v1.")
            )
            self.assertEqual(client.ask(), b"response")

    def test_versions_that_are_too_old(self) -> None:
        """1.1 is not, even with a client that would take anything."""
        self.serve()
        its = context()
        its.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            its.minimum_version = its.maximum_version = ssl.TLSVersion.TLSv1_1
        reason, log = self.refused(its)
        self.assertEqual(reason, "TLSV1_ALERT_PROTOCOL_VERSION")
        self.assertEqual(
            log,
            [
                "127.0.0.1:50000: the TLS handshake failed, unsupported protocol (1 failed in all)",
            ],
        )

    def test_ciphers_that_are_too_old(self) -> None:
        """Those that tell a forgery late, or whoever has the key later all that was said."""
        self.serve()
        for cipher in ("ECDHE-ECDSA-AES256-SHA384", "AES256-GCM-SHA384"):
            its = context(VERSIONS[0])
            its.set_ciphers(cipher)
            reason, log = self.refused(its)
            self.assertIn("HANDSHAKE_FAILURE", reason)
            self.wire().wait(1)
            self.assertIn("the TLS handshake failed, no shared cipher", log[0])

    def test_a_client_without_tls(self) -> None:
        """It is let go, with one line in the log."""
        self.serve()
        with capturedLogs() as logged:
            wire = self.wire()
            wire.send(b"request\n")
        self.assertFalse(wire.is_open)
        (line,) = told(logged)
        self.assertRegex(
            line, "^127.0.0.1:50000: the TLS handshake failed, .* \\(1 failed in all\\)$"
        )

    def test_a_client_that_does_not_trust_us(self) -> None:
        """It says so, and the log does."""
        self.serve()
        its = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        stranger().configure_trust(its)
        with capturedLogs() as logged:
            client = self.begin(its)
            with self.assertRaises(ssl.SSLCertVerificationError):
                client.shake_hands()
            client.turn()
        (line,) = told(logged)
        self.assertIn("alert unknown ca", line)

    def test_clients_that_go_before_the_handshake(self) -> None:
        """Nothing is said of them: balancers look so whether a port is open."""
        self.serve()
        with capturedLogs() as logged:
            self.wire().send_eof()
            self.wire().reset()
            client = self.begin()
            with self.assertRaises(ssl.SSLWantReadError):
                client.tls.do_handshake()
            client.turn()
            client.wire.reset()
        self.assertEqual(told(logged), [])
        self.assertEqual(self.factory.connections, set())

    def test_many_failures(self) -> None:
        """One line a second says how many there were."""
        self.serve()
        with capturedLogs() as logged:
            for _ in range(20):
                self.wire().send(b"request\n")
            self.reactor.advance(1)
            self.wire().send(b"request\n")
        self.assertEqual(
            [line.partition(" (")[2] for line in told(logged)], ["1 failed in all)", "21 failed in all)"]
        )


class ScriptTests(SynchronousTestCase):
    """What a script says of endings, from a server in a thread to a blocking client."""

    def connect(self, server: Server) -> ssl.SSLSocket:
        assert server.client_context is not None
        plain = socket.create_connection((server.host, server.port), timeout=10)
        client = server.client_context.wrap_socket(plain, server_hostname=server.host)
        self.addCleanup(client.close)
        return client

    def read(self, client: ssl.SSLSocket) -> bytes:
        """All that comes until the end, whatever that is."""
        received = b""
        try:
            while data := client.recv(1000):
                received += data
        except OSError:
            return received + b"(reset)"
        return received

    def said(self, text: str, *requests: bytes) -> bytes:
        """What a client gets from a script that ends its connection."""
        what: Any = {"script": Script.parse(text), "tls": True, "strict": False}
        with serve(**what) as server:
            client = self.connect(server)
            for request in requests:
                client.sendall(request)
            return self.read(client)

    def test_a_greeting(self) -> None:
        """It waits for the handshake, and does not keep it from going on."""
        for greeting in ('"hello"', '{ reply = "hello", delay = 0.01 }'):
            text = f'greeting = {greeting}\nrule = [{{ reply = "bye", close = true }}]'
            self.assertEqual(self.said(text, b"x\n"), b"hello\r\nbye\r\n")

    def test_a_reset_loses_nothing(self) -> None:
        """What was sent before it arrives, also if time has passed before."""
        for steps in ('{ send = "x" }', '{ wait = 0.01 }, { send = "x" }'):
            text = f"rule = [{{ do = [{steps}, {{ abort = true }}] }}]"
            self.assertEqual(self.said(text, b"a\n")[:3], b"x\r\n")

    def test_a_fault_on_connect(self) -> None:
        """It strikes what is said behind the handshake."""
        fault = '[[fault]]\non = "connect"\nkind = "limit_data"\nbytes = 2\n'
        self.assertEqual(self.said('greeting = "hello"\n' + fault), b"he")
