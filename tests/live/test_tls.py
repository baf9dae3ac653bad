"""A real twistd with ``--tls-cert``, and clients of OpenSSL and Python."""

import signal
import socket
import ssl
import subprocess
from pathlib import Path

import trustme

from tests.support import live
from tests.support.issued import authority, pem, stranger
from tests.support.live import Server
from tests.support.live_case import LiveTestCase


class ClientOutput:
    """The output of an ``openssl s_client`` process."""

    def __init__(self, output: bytes, errors: bytes) -> None:
        #: What the server sent.
        self.output = output
        #: The messages about TLS.
        self.messages = errors.decode(errors="backslashreplace")


class TLSTestCase(LiveTestCase):
    """A server with a certificate, and clients that trust its CA."""

    def setUp(self) -> None:
        super().setUp()
        self.openssl = live.program("openssl")
        self.ca = self.file("ca.pem", authority().cert_pem.bytes())
        self.renew()

    def file(self, name: str, data: bytes) -> Path:
        path = self.directory / name
        path.write_bytes(data)
        return path

    def renew(self) -> bytes:
        """Write a new certificate to the file, and return it."""
        leaf = authority().issue_cert("localhost")
        self.file("it.pem", pem(leaf))
        return leaf.cert_chain_pems[0].bytes()

    def serve_tls(self, *options: str) -> Server:
        return self.serve("--tls-cert=it.pem", "--framing=line", *options)

    def s_client(
        self, server: Server, *options: str, text: bytes = b"request\nclose\n"
    ) -> ClientOutput:
        """Send *text* with ``openssl s_client``, and wait until the server ends the connection."""
        done = subprocess.run(
            [
                *(self.openssl, "s_client", "-connect", f"127.0.0.1:{server.port}"),
                *("-brief", "-ign_eof", "-CAfile", str(self.ca), "-verify_return_error"),
                *("-servername", "localhost", "-verify_hostname", "localhost", *options),
            ],
            input=text,
            capture_output=True,
            timeout=live.PATIENCE,
            check=False,
        )
        return ClientOutput(done.stdout, done.stderr)

    def wrapped(self, server: Server, shown: trustme.LeafCert | None = None) -> ssl.SSLSocket:
        """Return a TLS client of Python."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        authority().configure_trust(context)
        if shown is not None:
            shown.configure_cert(context)
        plain = socket.create_connection(("127.0.0.1", server.port), live.PATIENCE)
        self.addCleanup(plain.close)
        client = context.wrap_socket(plain, server_hostname="localhost", suppress_ragged_eofs=False)
        self.addCleanup(client.close)
        return client

    def ask(self, client: ssl.SSLSocket) -> bytes:
        client.sendall(b"request\n")
        return client.recv(100)

    def shown(self, client: ssl.SSLSocket) -> bytes:
        """Return the certificate that the client received, as PEM."""
        der = client.getpeercert(binary_form=True)
        assert der is not None
        return ssl.DER_cert_to_PEM_cert(der).encode()


class VersionTests(TLSTestCase):
    """TLS versions and handshakes."""

    def test_start_tls(self) -> None:
        """A script with the step begins in the clear, and shows the certificate then."""
        self.file(
            "it.toml",
            b'greeting = "220 mail.test"\n[[rule]]\nstarts_with = "EHLO"\n'
            b'reply = ["250-mail.test", "250 STARTTLS"]\n[[rule]]\nequals = "STARTTLS"\n'
            b'do = [{ send = "220 go" }, { start_tls = true }]\ngoto = "encrypted"\n'
            b'[[rule]]\nwhen = "encrypted"\nequals = "NOOP"\nreply = "250 encrypted"\n'
            b"close = true\n",
        )
        server = self.serve("--tls-cert=it.pem", "--script=it.toml")
        done = self.s_client(server, "-starttls", "smtp", text=b"NOOP\n")
        self.assertIn(b"250 encrypted\r\n", done.output)
        self.assertIn("Verification: OK", done.messages)

    def test_versions(self) -> None:
        """TLS 1.2 and 1.3 are accepted, and the certificate is verified."""
        server = self.serve_tls()
        for option, name in (("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")):
            spoken = self.s_client(server, option)
            self.assertEqual(spoken.output, b"response\r\n" * 2)
            self.assertIn(f"Protocol version: {name}", spoken.messages)
            self.assertIn("Verification: OK", spoken.messages)

    def test_versions_that_are_too_old(self) -> None:
        """TLS 1.1 is refused, with one log line."""
        server = self.serve_tls("--max-connections=100")
        spoken = self.s_client(server, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0")
        self.assertEqual(spoken.output, b"")
        self.assertIn("alert protocol version", spoken.messages)
        server.log.wait("TLS handshake failed: unsupported protocol")
        self.assertEqual(self.s_client(server).output, b"response\r\n" * 2)
        self.assertEqual(server.log.text().count("handshake failed"), 1)
        self.assertNotIn("Traceback", server.log.text())

    def test_renegotiation(self) -> None:
        """A client that renegotiates gets an alert and no reply."""
        server = self.serve_tls()
        # Not -brief, which accepts no commands such as R.
        process = subprocess.Popen(
            [
                *(self.openssl, "s_client", "-connect", f"127.0.0.1:{server.port}"),
                *("-tls1_2", "-CAfile", str(self.ca), "-servername", "localhost"),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        output, _ = process.communicate(b"R\n", live.PATIENCE)
        self.assertIn(b"RENEGOTIATING", output)
        self.assertRegex(output, b"no.renegotiation")

    def test_a_chain(self) -> None:
        """The intermediate certificates are sent."""
        leaf = authority().create_child_ca().issue_cert("localhost")
        self.file("chain.pem", b"".join(it.bytes() for it in leaf.cert_chain_pems))
        self.file("key.pem", leaf.private_key_pem.bytes())
        server = self.serve("--tls-cert=chain.pem", "--tls-key=key.pem", "--framing=line")
        self.assertIn("Verification: OK", self.s_client(server).messages)

    def test_a_mistake(self) -> None:
        """A file without a key ends the start with one line."""
        self.file("it.pem", authority().cert_pem.bytes())
        server = self.stopped(live.start(self.directory, "reqresp", "--tls-cert=it.pem"))
        self.assertEqual(server.wait(), 1)
        path = self.directory / "it.pem"
        self.assertRegex(
            server.log.text(),
            rf"^reqresp: .*{path.name}: contains no private key; expected an unencrypted .*$",
        )

    def test_abort(self) -> None:
        """`Abort` sends a TCP reset and no close_notify."""
        self.file("it.toml", b"rule = [{ do = [{ abort = true }] }]")
        server = self.serve_tls("--script=it.toml")
        arrived, leaving = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.maximum_version = ssl.TLSVersion.TLSv1_2  # 1.3 sends tickets after the handshake
        authority().configure_trust(context)
        tls = context.wrap_bio(arrived, leaving, server_hostname="localhost")
        client = self.connect(server)
        for _ in range(2):
            with self.assertRaises(ssl.SSLWantReadError):
                tls.do_handshake()
            client.send(leaving.read())
            # All messages that the server sends in one write.
            arrived.write(client.socket.recv(65536))
        tls.do_handshake()
        tls.write(b"request\n")
        client.send(leaving.read())
        with self.assertRaises(ConnectionResetError):
            self.fail(f"it got {client.socket.recv(100)!r}")


class ClientCertificateTests(TLSTestCase):
    """``--client-ca`` with clients of OpenSSL and Python."""

    def setUp(self) -> None:
        super().setUp()
        self.server = self.serve_tls("--client-ca=ca.pem")

    def test_with_one(self) -> None:
        """A client with a certificate is accepted, and receives the CA's name."""
        leaf = authority().issue_cert("client@test")
        path = str(self.file("client.pem", pem(leaf)))
        for version in ("-tls1_2", "-tls1_3"):
            spoken = self.s_client(self.server, version, "-cert", path, "-key", path)
            self.assertEqual(spoken.output, b"response\r\n" * 2)
        self.assertEqual(self.ask(self.wrapped(self.server, leaf)), b"response\r\n")
        subprocess_output = subprocess.run(
            [
                *(self.openssl, "s_client", "-connect", f"127.0.0.1:{self.server.port}"),
                *("-CAfile", str(self.ca), "-cert", path, "-key", path),
            ],
            input=b"",
            capture_output=True,
            timeout=live.PATIENCE,
            check=False,
        ).stdout.decode()
        names = subprocess_output.partition("Acceptable client certificate CA names\n")[2]
        self.assertIn("trustme", names.partition("\n")[0])

    def test_without(self) -> None:
        """A client without a certificate gets no reply, and one log line."""
        for version in ("-tls1_2", "-tls1_3"):
            spoken = self.s_client(self.server, version)
            self.assertEqual(spoken.output, b"")
            self.assertRegex(spoken.messages, "alert handshake failure|alert certificate required")
        self.server.log.wait("TLS handshake failed: peer did not return a certificate")
        self.assertNotIn("Traceback", self.server.log.text())

    def test_with_one_of_another_ca(self) -> None:
        """A certificate of another CA is refused."""
        leaf = stranger().issue_cert("client@test")
        path = str(self.file("client.pem", pem(leaf)))
        for version in ("-tls1_2", "-tls1_3"):
            spoken = self.s_client(self.server, version, "-cert", path, "-key", path)
            self.assertEqual(spoken.output, b"")
            self.assertIn("alert unknown ca", spoken.messages)
        with self.assertRaisesRegex(ssl.SSLError, "UNKNOWN_CA"):
            self.ask(self.wrapped(self.server, leaf))
        self.server.log.wait("TLS handshake failed: certificate verify failed")
        self.assertNotIn("Traceback", self.server.log.text())


class ReloadTests(TLSTestCase):
    """SIGHUP reloads the certificates."""

    def test_a_renewal(self) -> None:
        """New clients receive the new certificate; connected ones continue."""
        server = self.serve_tls()
        before = self.wrapped(server)
        self.assertEqual(self.ask(before), b"response\r\n")
        for number in range(1, 4):
            new = self.renew()
            server.signal(signal.SIGHUP)
            server.log.wait("reloaded .*it.pem for new connections", number)
            self.assertEqual(self.shown(self.wrapped(server)), new)
            self.assertEqual(self.ask(before), b"response\r\n")
        self.assertNotEqual(self.shown(before), new)

    def test_half_a_renewal(self) -> None:
        """With half a certificate the reload fails, and the current one is kept."""
        server = self.serve_tls()
        old = self.shown(self.wrapped(server))
        whole = pem(authority().issue_cert("localhost"))
        self.file("it.pem", whole[: len(whole) * 2 // 3])
        server.signal(signal.SIGHUP)
        server.log.wait(
            "reload failed; keeping the current certificate: .*it.pem: contains a malformed"
        )
        client = self.wrapped(server)
        self.assertEqual((self.shown(client), self.ask(client)), (old, b"response\r\n"))
        self.file("it.pem", whole)
        server.signal(signal.SIGHUP)
        server.log.wait("reloaded .*it.pem")
        self.assertNotEqual(self.shown(self.wrapped(server)), old)
        self.assertNotIn("Traceback", server.log.text())

    def test_another_authority(self) -> None:
        """A certificate of the replaced CA is refused in new handshakes."""
        server = self.serve_tls("--client-ca=ca.pem")
        leaf = authority().issue_cert("client@test")
        before = self.wrapped(server, leaf)
        self.assertEqual(self.ask(before), b"response\r\n")
        self.file("ca.pem", stranger().cert_pem.bytes())
        server.signal(signal.SIGHUP)
        server.log.wait("reloaded ")
        with self.assertRaisesRegex(ssl.SSLError, "UNKNOWN_CA"):
            self.ask(self.wrapped(server, leaf))
        after = self.wrapped(server, stranger().issue_cert("client@test"))
        self.assertEqual(self.ask(after), b"response\r\n")
        self.assertEqual(self.ask(before), b"response\r\n")
