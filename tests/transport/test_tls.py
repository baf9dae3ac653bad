"""TLS: what a client sees, and certificates that are replaced while connections are open."""

import socket
import ssl
import subprocess
import sys
import warnings
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import trustme
from twisted.internet import tcp
from twisted.internet.defer import Deferred
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from reqresp import (
    Abort,
    Answered,
    Close,
    Connected,
    ConnectionContext,
    Disconnected,
    EagerServer,
    HalfClose,
    Incomplete,
    Journal,
    Limits,
    Line,
    ReqRespFactory,
    Responder,
    Script,
    Send,
    Step,
    Steps,
    StopReading,
    Wait,
)
from reqresp.server.proxied import ProxiedFactory
from reqresp.testing import Server, serve
from reqresp.transport.access import parse_networks
from reqresp.transport.stream import LINGER
from reqresp.transport.tls import Certificates, wrap
from tests.support import proxy_headers as headers
from tests.support.issued import FileTestCase, authority, pem, stranger
from tests.support.key_update import KeyUpdates
from tests.support.wire import FakeReactor, Wire

VERSIONS = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


def context(
    version: ssl.TLSVersion | None = None, shown: trustme.LeafCert | None = None
) -> ssl.SSLContext:
    """
    Return the TLS context of a client.

    :param version: the only version that it accepts.
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
    """A TLS client on a `Wire`."""

    def __init__(
        self, wire: Wire, its: ssl.SSLContext, session: ssl.SSLSession | None = None
    ) -> None:
        self.wire = wire
        self._ended = False
        self._arrived, self._leaving = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = its.wrap_bio(
            self._arrived, self._leaving, server_hostname="localhost", session=session
        )

    def turn(self) -> None:
        """Exchange bytes with the server until neither side has more."""
        while (data := self._leaving.read()) or self.wire.has_received:
            if data:
                self.wire.send(data)
            if came := self.wire.received():
                self._arrived.write(came)
        if self.wire.got_eof and not self._ended:
            self._ended = True
            self._arrived.write_eof()

    def shake_hands(self) -> None:
        """
        Complete the client's handshake.  With TLS 1.3 the server may still refuse it.

        :raises ssl.SSLError: one side refuses.
        """
        for _ in range(5):
            try:
                return self.tls.do_handshake()
            except ssl.SSLWantReadError:
                self.turn()
        raise AssertionError("the handshake does not end")

    def ask(self, data: bytes = b"request") -> bytes:
        """Send *data*, and return all bytes that arrive."""
        self.tls.write(data)
        return self.read()

    def read(self) -> bytes:
        """Return the bytes that arrived, then ``(end)`` if the server sent close_notify."""
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
        """Return the certificate of the server, as PEM."""
        der = self.tls.getpeercert(binary_form=True)
        assert der is not None
        return ssl.DER_cert_to_PEM_cert(der).encode()


def problems(logged: Any) -> list[str]:
    """Return the warnings and errors in the log; assert that none is a traceback."""
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
        """Start to answer clients."""
        factory = ReqRespFactory(respond, clock=self.reactor, **options)
        self.factory = factory
        self.site = wrap(factory, certificates or self.certificates(), self.reactor)

    def wire(self, host: str = "127.0.0.1") -> Wire:
        return Wire(cast(Any, self.site), self.reactor, host, transport=self.transport)

    def begin(
        self, its: ssl.SSLContext | None = None, session: ssl.SSLSession | None = None
    ) -> Secure:
        """Connect without a handshake."""
        return Secure(self.wire(), its or context(), session)

    def connect(
        self, its: ssl.SSLContext | None = None, session: ssl.SSLSession | None = None
    ) -> Secure:
        client = self.begin(its, session)
        client.shake_hands()
        client.turn()
        return client

    def refused(self, its: ssl.SSLContext) -> tuple[str, list[str]]:
        """Return the error of a client whose handshake fails, and the log."""
        with capturedLogs() as logged:
            client = self.begin(its)
            try:
                client.shake_hands()
                client.ask()
            except ssl.SSLError as error:
                self.assertFalse(client.wire.is_open)
                return error.reason, problems(logged)
        raise AssertionError("it was let in")


class HandshakeTests(TLSTestCase):
    """Which handshakes succeed, and the log lines for the others."""

    def test_versions(self) -> None:
        """TLS 1.2 and 1.3 are accepted."""
        self.serve()
        for version in VERSIONS:
            client = self.connect(context(version))
            self.assertEqual(
                client.tls.version(), version.name.replace("_", ".").replace("v1.", "v1.")
            )
            self.assertEqual(client.ask(), b"response")

    def test_versions_that_are_too_old(self) -> None:
        """TLS 1.1 is refused, even from a client that accepts everything."""
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
                "127.0.0.1:50000: TLS handshake failed: unsupported protocol",
            ],
        )

    def test_ciphers_that_are_too_old(self) -> None:
        """Ciphers without authenticated encryption or forward secrecy are refused."""
        self.serve()
        for cipher in ("ECDHE-ECDSA-AES256-SHA384", "AES256-GCM-SHA384"):
            its = context(VERSIONS[0])
            its.set_ciphers(cipher)
            reason, log = self.refused(its)
            self.assertIn("HANDSHAKE_FAILURE", reason)
            self.wire().wait(1)
            self.assertIn("TLS handshake failed: no shared cipher", log[0])

    def test_a_client_without_tls(self) -> None:
        """A client without TLS is disconnected, with one log line."""
        self.serve()
        with capturedLogs() as logged:
            wire = self.wire()
            wire.send(b"request\n")
        self.assertFalse(wire.is_open)
        (line,) = problems(logged)
        self.assertRegex(line, "^127.0.0.1:50000: TLS handshake failed: .*$")

    def test_a_client_that_does_not_trust_us(self) -> None:
        """A client that does not trust the certificate gets an error, and so does the log."""
        self.serve()
        its = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        stranger().configure_trust(its)
        with capturedLogs() as logged:
            client = self.begin(its)
            with self.assertRaises(ssl.SSLCertVerificationError):
                client.shake_hands()
            client.turn()
        (line,) = problems(logged)
        self.assertIn("alert unknown ca", line)

    def test_clients_that_go_before_the_handshake(self) -> None:
        """A client that disconnects before the handshake, as health checks do, is not logged."""
        self.serve()
        with capturedLogs() as logged:
            self.wire().send_eof()
            self.wire().reset()
            client = self.begin()
            with self.assertRaises(ssl.SSLWantReadError):
                client.tls.do_handshake()
            client.turn()
            client.wire.reset()
        self.assertEqual(problems(logged), [])
        self.assertEqual(self.factory.open, 0)

    def test_a_client_behind_a_balancer(self) -> None:
        """Behind a balancer, the log line has the client's address."""
        self.serve()
        trusted = parse_networks(["127.0.0.1"])
        outer = ProxiedFactory(self.site, server=self.factory, trusted=trusted)
        with capturedLogs() as logged:
            wire = Wire(outer, self.reactor, transport=self.transport)
            wire.send(headers.line(("192.0.2.7", 7)) + b"request\n")
        self.assertFalse(wire.is_open)
        (line,) = problems(logged)
        self.assertIn("192.0.2.7:7: TLS handshake failed", line)

    def test_many_failures(self) -> None:
        """Many failed handshakes are one log line a second, with their number."""
        self.serve()
        with capturedLogs() as logged:
            for _ in range(20):
                self.wire().send(b"request\n")
            self.reactor.advance(1)
            self.wire().send(b"request\n")
        self.assertEqual(
            [line.partition(" (")[2] for line in problems(logged)],
            ["", "19 more like the last one)"],
        )

    def test_many_failures_at_the_end(self) -> None:
        """When the factory stops, the number of those that were not logged is."""
        self.serve()
        self.site.doStart()
        with capturedLogs() as logged:
            for _ in range(20):
                self.wire().send(b"request\n")
            self.site.doStop()
        self.assertIn("19 more like the last one", problems(logged)[-1])


class ClientCertificateTests(TLSTestCase):
    """Which clients are accepted if a certificate is required."""

    def setUp(self) -> None:
        super().setUp()
        self.serve(certificates=self.certificates(client_ca=authority().cert_pem.bytes()))

    def test_a_certificate_of_the_authority(self) -> None:
        """A certificate of the CA is accepted, also through an intermediate CA."""
        between = authority().create_child_ca()
        for signed_by in (authority(), between):
            for version in VERSIONS:
                client = self.connect(context(version, signed_by.issue_cert("client@test")))
                self.assertEqual(client.ask(), b"response")

    def test_no_certificate(self) -> None:
        """A client without a certificate gets no reply, and one log line."""
        for version in VERSIONS:
            self.reactor.advance(1)
            reason, log = self.refused(context(version))
            self.assertRegex(reason, "HANDSHAKE_FAILURE|CERTIFICATE_REQUIRED")
            self.assertEqual(
                log,
                ["127.0.0.1:50000: TLS handshake failed: peer did not return a certificate"],
            )

    def test_a_certificate_of_another_ca(self) -> None:
        """A certificate of another CA, or an expired one, is refused."""
        expired = authority().issue_cert("client@test", not_after=datetime(2020, 1, 1, tzinfo=UTC))
        for shown in (stranger().issue_cert("client@test"), expired):
            for version in VERSIONS:
                self.reactor.advance(1)
                reason, (line,) = self.refused(context(version, shown))
                self.assertRegex(reason, "UNKNOWN_CA|CERTIFICATE_EXPIRED")
                self.assertIn("TLS handshake failed: certificate verify failed", line)

    def test_no_responder_sees_who_is_not_let_in(self) -> None:
        """No responder receives requests of a refused client, sent with its handshake."""
        seen: list[bytes] = []
        self.serve(
            lambda request: seen.append(request.data),
            certificates=self.certificates(client_ca=authority().cert_pem.bytes()),
        )
        self.refused(context(VERSIONS[1]))
        self.refused(context(VERSIONS[1], stranger().issue_cert("client@test")))
        self.assertEqual(seen, [])


class ReloadTests(TLSTestCase):
    """Certificates that are replaced while connections are open."""

    def setUp(self) -> None:
        super().setUp()
        self.it = self.certificates()
        self.serve(certificates=self.it)

    def reload(self) -> list[str]:
        """Reload the certificates, and return all log lines."""
        with capturedLogs() as logged:
            self.it.reload()
        assert not any("log_failure" in event for event in logged)
        return [
            event["log_format"].format(**event).replace(f"{self.directory}/", "")
            for event in logged
        ]

    def leaf(self) -> trustme.LeafCert:
        """Write a new certificate to the file."""
        leaf = authority().issue_cert("localhost")
        self.file("it.pem", pem(leaf))
        return leaf

    def test_the_next_handshake_gets_the_new_one(self) -> None:
        """New handshakes use the new certificate; open connections continue."""
        before = self.connect()
        shaking = self.begin()
        leaf = self.leaf()
        self.assertEqual(self.reload(), ["reloaded it.pem for new connections"])
        after = self.connect()
        self.assertEqual(after.shown, leaf.cert_chain_pems[0].bytes())
        self.assertNotEqual(before.shown, after.shown)
        self.assertEqual(before.ask(), b"response")
        shaking.shake_hands()
        self.assertEqual(shaking.ask(), b"response")

    def test_files_are_read_when_it_is_asked_for(self) -> None:
        """Files are read by `load` and `reload` only, so half a renewal is never served."""
        before = self.connect().shown
        self.leaf()
        self.assertEqual(self.connect().shown, before)

    def test_a_reload_that_fails(self) -> None:
        """A failed reload is logged in one line, and keeps the current certificate."""
        before = self.connect().shown
        key = authority().issue_cert("localhost").private_key_pem.bytes()
        self.file("it.pem", key + before)
        self.assertEqual(
            self.reload(),
            [
                "reload failed; keeping the current certificate: it.pem: the private key "
                "does not belong to the certificate in it.pem; expected a certificate and its "
                "private key"
            ],
        )
        self.assertEqual(self.connect().shown, before)
        (self.directory / "it.pem").unlink()
        (line,) = self.reload()
        self.assertIn("it.pem: cannot be read: No such file or directory; expected", line)
        self.assertEqual(self.connect().shown, before)
        leaf = self.leaf()
        self.reload()
        self.assertEqual(self.connect().shown, leaf.cert_chain_pems[0].bytes())

    def test_authorities_that_fail_to_load(self) -> None:
        """If the CA file cannot be loaded, neither file is used."""
        self.it = self.certificates(client_ca=authority().cert_pem.bytes())
        self.serve(certificates=self.it)
        mine = context(shown=authority().issue_cert("client@test"))
        before = self.connect(mine).shown
        self.leaf()
        self.file("ca.pem", b"")
        self.assertIn("ca.pem: contains no certificate", self.reload()[0])
        self.assertEqual(self.connect(mine).shown, before)
        self.refused(context())

    def test_certificates_that_are_not_valid(self) -> None:
        """Expired certificates, and future ones, are served and logged."""
        past, future = datetime(2020, 1, 1, tzinfo=UTC), datetime(2090, 1, 1, tzinfo=UTC)
        expired = authority().issue_cert("localhost", not_after=past)
        self.file("it.pem", pem(expired))
        reloaded = "reloaded it.pem for new connections"
        self.assertEqual(
            self.reload(),
            ["it.pem: the certificate has expired (2020-01-01 00:00 UTC)", reloaded],
        )
        with self.assertRaisesRegex(ssl.SSLCertVerificationError, "certificate has expired"):
            self.connect()
        early = authority().issue_cert(
            "localhost", not_before=future, not_after=future + timedelta(1)
        )
        self.file("it.pem", pem(early) + pem(expired))
        self.assertEqual(
            self.reload(),
            [
                "it.pem: certificate 1 is not valid before 2090-01-01 00:00 UTC",
                "it.pem: certificate 2 has expired (2020-01-01 00:00 UTC)",
                reloaded,
            ],
        )

    def test_a_chain(self) -> None:
        """Intermediate certificates are sent, for clients that trust the root CA only."""
        leaf = authority().create_child_ca().create_child_ca().issue_cert("localhost")
        self.assertEqual(len(leaf.cert_chain_pems), 3)
        self.file("it.pem", pem(leaf))
        self.reload()
        for version in VERSIONS:
            self.assertEqual(self.connect(context(version)).ask(), b"response")

    def test_sessions_go_on_with_the_same_certificates(self) -> None:
        """A session can be resumed while the certificates stay the same."""
        for version in VERSIONS:
            its = context(version)
            client = self.connect(its)
            client.ask()
            again = self.connect(its, client.tls.session)
            self.assertTrue(again.tls.session_reused)
            self.assertEqual(again.ask(), b"response")

    def test_sessions_do_not_outlive_a_reload(self) -> None:
        """A session of a client whose CA was removed cannot be resumed."""
        self.it = self.certificates(client_ca=stranger().cert_pem.bytes())
        self.serve(certificates=self.it)
        for version in VERSIONS:
            self.file("ca.pem", stranger().cert_pem.bytes())
            self.reload()
            its = context(version, stranger().issue_cert("client@test"))
            client = self.connect(its)
            client.ask()
            session = client.tls.session
            self.assertTrue(self.connect(its, session).tls.session_reused)
            self.file("ca.pem", authority().cert_pem.bytes())
            self.reload()
            with self.assertRaisesRegex(ssl.SSLError, "UNKNOWN_CA"):
                self.connect(its, session).ask()
            # An accepted connection continues.
            self.assertEqual(client.ask(), b"response")

    def test_nothing_was_loaded(self) -> None:
        """A connection before `load` raises RuntimeError."""
        with self.assertRaisesRegex(RuntimeError, "no certificates are loaded"):
            Certificates(self.it.files).serverConnectionForTLS(None)


class EndingTests(TLSTestCase):
    """How connections end."""

    def test_abort(self) -> None:
        """`Abort` sends a TCP reset and no close_notify."""
        self.serve(lambda _request: (Send(b"part"), Abort()))
        for version in VERSIONS:
            client = self.connect(context(version))
            self.assertEqual(client.ask(), b"part")
            client.wire.wait(2 * LINGER)
            self.assertEqual(client.wire.received(), b"")
            self.assertTrue(client.wire.got_reset)

    def test_close(self) -> None:
        """`Close` sends close_notify after the last byte."""
        self.serve(lambda _request: (Send(b"all"), Close()))
        for version in VERSIONS:
            client = self.connect(context(version))
            self.assertEqual(client.ask(), b"all(end)")
            client.tls.unwrap()
            client.turn()
            self.assertTrue(client.wire.got_eof)

    def test_a_close_is_reported_after_the_replies(self) -> None:
        """Also where a half-close, which TLS does not have, comes first."""
        for steps in ((Close(),), (HalfClose(), Close()), (HalfClose(), Wait(1), Close())):
            for version in VERSIONS:
                journal = Journal(now=self.reactor.seconds)
                self.serve(
                    lambda _request, steps=steps: (Send(b"bye"), *steps),
                    observers=[journal],
                    framing=Line(),
                )
                client = self.connect(context(version))
                self.assertEqual(client.ask(b"a\nb\n"), b"bye\r\n(end)")
                client.wire.send_eof()
                client.wire.wait(LINGER)
                self.assertFalse(client.wire.is_open)
                self.assertEqual(
                    [type(entry) for entry in journal.entries()],
                    [Connected, Answered, Disconnected],
                )

    def test_a_request_that_waits_and_is_not_finished(self) -> None:
        """EOF is a loss on TLS: what waits after a late reply is reported nevertheless."""
        journal = Journal(now=self.reactor.seconds)
        self.serve(lambda _request: Wait(9), observers=[journal], framing=Line())
        client = self.connect()
        self.assertEqual(client.ask(b"a\n"), b"")
        self.assertEqual(client.ask(b"STAT"), b"")
        client.wire.send_eof()
        self.assertFalse(client.wire.is_open)
        [begun] = [entry for entry in journal.entries() if isinstance(entry, Incomplete)]
        self.assertEqual((begun.data, begun.missing), (b"STAT", "no line end"))

    def test_drain(self) -> None:
        """A drain closes connections, and resets those in a handshake."""
        self.serve()
        client, shaking = self.connect(), self.begin()
        drained = self.factory.drain(1)
        client.wire.wait(0.5)
        self.assertEqual(client.read(), b"(end)")
        client.wire.wait(1)
        self.assertFalse(shaking.wire.is_open)
        self.assertIsNone(self.successResultOf(drained))

    def test_too_many(self) -> None:
        """Clients over a limit are reset before any cryptography."""
        for limits in (Limits(max_connections=1), Limits(max_per_peer=1)):
            self.serve(limits=limits)
            first = self.begin()
            wire = self.wire()
            self.assertTrue(wire.got_reset)
            self.assertEqual(wire.received(), b"")
            first.shake_hands()
            self.assertEqual(first.ask(), b"response")
            first.wire.reset()
            self.assertEqual(self.connect().ask(), b"response")

    def test_a_handshake_that_is_never_finished(self) -> None:
        """A connection in a handshake counts as idle, even if single bytes arrive."""
        self.serve(limits=Limits(idle_timeout=4))
        silent, client = self.wire(), self.begin()
        with self.assertRaises(ssl.SSLWantReadError):
            client.tls.do_handshake()
        hello = client._leaving.read()
        for place in range(6):
            client.wire.send(hello[place : place + 1])
            client.wire.wait(1)
        self.assertFalse(silent.is_open)
        self.assertFalse(client.wire.is_open)
        self.assertEqual(self.factory.open, 0)

    def test_a_handshake_has_a_deadline(self) -> None:
        """A byte a second does not prolong it; the log says that it was too slow."""
        self.serve()
        silent, client, shaken = self.wire(), self.begin(), self.connect()
        with self.assertRaises(ssl.SSLWantReadError):
            client.tls.do_handshake()
        hello = client._leaving.read()
        with capturedLogs() as logged:
            for place in range(9):
                client.wire.send(hello[place : place + 1])
                client.wire.wait(1)
            self.assertTrue(client.wire.is_open)
            client.wire.wait(1)
        self.assertEqual([it.got_reset for it in (silent, client.wire)], [True, True])
        self.assertEqual(
            problems(logged), ["127.0.0.1:50000: TLS handshake not complete within 10 s"]
        )
        self.assertEqual(shaken.ask(), b"response")

    def test_a_connection_that_ends_leaves_no_deadline(self) -> None:
        """Whether its handshake was complete or not."""
        self.serve()
        for client in (self.begin(), self.connect()):
            client.wire.reset()
            client.wire.turn()
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_idle(self) -> None:
        """An idle connection is closed with close_notify."""
        self.serve(limits=Limits(idle_timeout=4))
        client = self.connect()
        self.assertEqual(client.ask(), b"response")
        for _ in range(6):
            client.wire.wait(1)
        self.assertEqual(client.read(), b"(end)")

    def test_a_client_that_never_reads(self) -> None:
        """A client that does not read is not read from, so memory is limited."""
        self.serve(lambda _request: b"x" * 64 * 1024)
        client = self.connect()
        client.wire.stop_reading()
        for _ in range(30):
            client.tls.write(b"request")
            client.wire.send(client._leaving.read())
        self.assertFalse(client.wire.reading)
        self.assertLess(client.wire.buffered, 400 * 1024)


class Greeter(Responder):
    """Greets with *steps*, and answers nothing."""

    def __init__(self, *steps: Step) -> None:
        self._steps = steps

    def greet(self, connection: ConnectionContext) -> Steps:
        return self._steps

    def respond(self, data: bytes, connection: ConnectionContext) -> Steps:
        return ()


class GreetingTests(TLSTestCase):
    """A greeting that begins before the handshake is complete."""

    def test_a_greeting_that_closes_waits_for_the_handshake(self) -> None:
        """The client receives it and close_notify, whatever the greeting sends."""
        for steps, expected in (
            ((Send(b"hello"), Close()), b"hello(end)"),
            ((Close(),), b"(end)"),
        ):
            for version in VERSIONS:
                self.serve(Greeter(*steps))
                client = self.begin(context(version))
                client.shake_hands()
                self.assertEqual(client.read(), expected)
                self.assertFalse(client.wire.got_reset)

    def test_a_greeting_that_aborts_waits_for_the_handshake(self) -> None:
        """The client receives what was sent before the reset."""
        for steps, expected in (((Send(b"hello"), Abort()), b"hello"), ((Abort(),), b"")):
            for version in VERSIONS:
                self.serve(Greeter(*steps))
                client = self.begin(context(version))
                client.shake_hands()
                self.assertEqual(client.read(), expected)
                client.wire.wait(LINGER)
                self.assertTrue(client.wire.got_reset)

    def test_a_greeting_larger_than_the_buffers_pauses_reading(self) -> None:
        """A client that reads nothing is not read from, before its first request, too."""
        for version in VERSIONS:
            self.serve(Greeter(*(Send(b"x" * 50_000),) * 40))
            client = self.begin(context(version))
            client.wire.stop_reading(room=16_000)
            client.shake_hands()
            if last := client._leaving.read():
                client.wire.send(last)
            self.assertFalse(client.wire.reading)
            self.assertLess(client.wire.buffered, 400_000)


class KeyUpdateTests(TLSTestCase):
    """A client that asks for new keys for ever, and reads nothing."""

    def test_the_server_stops_reading(self) -> None:
        """What it would answer is bounded, before the first request, too."""
        self.serve(framing=Line())
        its = context(ssl.TLSVersion.TLSv1_3)
        log = self.directory / "keys"
        its.keylog_filename = str(log)
        client = self.connect(its)
        cipher = client.tls.cipher()
        assert cipher is not None
        updates = KeyUpdates(log, cipher[0])
        client.wire.stop_reading()
        most = 0
        for _ in range(40):
            client.wire.put(b"".join(updates.record() for _ in range(100)))
            client.wire.turn()
            most = max(most, client.wire.buffered)
        self.assertGreater(most, 0)  # the records were understood
        self.assertTrue(client.wire.is_open)
        self.assertFalse(client.wire.reading)
        self.assertLess(most, 300_000)


class StopReadingTests(TLSTestCase):
    """`StopReading` also drops what TLS has decrypted."""

    def test_later_requests_are_not_answered(self) -> None:
        """They came in the segment of the request, or in later ones."""
        self.serve(
            lambda request: (
                (Send(b"last"), StopReading()) if request.data == b"stop" else request.data
            ),
            framing=Line(),
        )
        for version in VERSIONS:
            client = self.connect(context(version))
            self.assertEqual(client.ask(b"a\n"), b"a\r\n")
            client.tls.write(b"stop\nb\n")
            client.tls.write(b"c\n" * 10)
            self.assertEqual(client.ask(b"d\n"), b"last\r\n")
            self.assertFalse(client.wire.reading)


class WhatTwistedCannotTests(TLSTestCase):
    """Limits of TLS in Twisted: neither side can half-close."""

    def late(self) -> "tuple[Secure, Deferred[bytes]]":
        """Return a client that waits for its reply."""
        reply: Deferred[bytes] = Deferred(lambda _: None)
        self.serve(lambda _request: reply)
        client = self.connect()
        self.assertEqual(client.ask(), b"")
        return client, reply

    def test_replies_that_come_after_a_goodbye_are_lost(self) -> None:
        """A client's close_notify ends the connection, and late replies are lost."""
        client, reply = self.late()
        with self.assertRaises(ssl.SSLWantReadError):
            client.tls.unwrap()
        client.turn()
        self.assertFalse(client.wire.is_open)
        self.assertTrue(reply.called)  # cancelled

    def test_replies_that_come_after_eof_are_lost(self) -> None:
        """A client's EOF ends the connection, and late replies are lost."""
        client, reply = self.late()
        client.wire.send_eof()
        self.assertFalse(client.wire.is_open)
        self.assertTrue(reply.called)

    def test_a_half_close_is_a_close(self) -> None:
        """`HalfClose` closes the connection."""
        self.serve(lambda _request: (Send(b"all"), HalfClose()))
        client = self.connect()
        self.assertEqual(client.ask(), b"all(end)")
        client.wire.wait(2 * LINGER)
        self.assertFalse(client.wire.is_open)


class EagerHandshakeTests(HandshakeTests):
    """The same tests on the eager transport."""

    transport = EagerServer


class EagerClientCertificateTests(ClientCertificateTests):
    """The same tests on the eager transport."""

    transport = EagerServer


class EagerReloadTests(ReloadTests):
    """The same tests on the eager transport."""

    transport = EagerServer


class EagerEndingTests(EndingTests):
    """The same tests on the eager transport."""

    transport = EagerServer


class EagerGreetingTests(GreetingTests):
    """The same on the eager transport."""

    transport = EagerServer


class EagerKeyUpdateTests(KeyUpdateTests):
    """The same on the eager transport."""

    transport = EagerServer


class EagerStopReadingTests(StopReadingTests):
    """The same on the eager transport."""

    transport = EagerServer


class EagerWhatTwistedCannotTests(WhatTwistedCannotTests):
    """The same tests on the eager transport."""

    transport = EagerServer


class PackageTests(SynchronousTestCase):
    """The packages that TLS needs."""

    def test_it_takes_an_extra(self) -> None:
        """If a package is missing, the error names the extra to install."""
        for module in ("OpenSSL", "cryptography"):
            program = f"import sys; sys.modules[{module!r}] = None; import reqresp.transport.tls"
            done = subprocess.run(
                [sys.executable, "-c", program], capture_output=True, text=True, check=False
            )
            self.assertRegex(done.stderr, r"ImportError: .* \(pip install 'reqresp\[tls\]'\)\n$")


class ScriptTests(SynchronousTestCase):
    """Endings from a script, with a server in a thread and a blocking client."""

    def connect(self, server: Server) -> ssl.SSLSocket:
        assert server.client_context is not None
        plain = socket.create_connection((server.host, server.port), timeout=10)
        client = server.client_context.wrap_socket(plain, server_hostname=server.host)
        self.addCleanup(client.close)
        return client

    def read(self, client: ssl.SSLSocket) -> bytes:
        """Return all bytes until the end of the connection."""
        received = b""
        try:
            while data := client.recv(1000):
                received += data
        except OSError:
            return received + b"(reset)"
        return received

    def said(self, text: str, *requests: bytes) -> bytes:
        """Return what a client receives from a script that ends its connection."""
        what: Any = {"script": Script.parse(text), "tls": True, "strict": False}
        with serve(**what) as server:
            client = self.connect(server)
            for request in requests:
                client.sendall(request)
            return self.read(client)

    def test_a_greeting(self) -> None:
        """A greeting is sent after the handshake."""
        for greeting in ('"hello"', '{ reply = "hello", delay = 0.01 }'):
            text = f'greeting = {greeting}\nrule = [{{ reply = "bye", close = true }}]'
            self.assertEqual(self.said(text, b"x\n"), b"hello\r\nbye\r\n")

    def test_a_reset_loses_nothing(self) -> None:
        """All bytes sent before a reset arrive, after a wait, too."""
        for steps in ('{ send = "x" }', '{ wait = 0.01 }, { send = "x" }'):
            text = f"rule = [{{ do = [{steps}, {{ abort = true }}] }}]"
            self.assertEqual(self.said(text, b"a\n")[:3], b"x\r\n")

    def test_a_fault_on_connect(self) -> None:
        """A fault on connect applies after the handshake."""
        fault = '[[fault]]\non = "connect"\nkind = "limit_data"\nbytes = 2\n'
        self.assertEqual(self.said('greeting = "hello"\n' + fault), b"he")
