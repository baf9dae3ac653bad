"""The real twistd with ``--tls-cert``, and what openssl and Python make of it."""

import signal
import socket
import ssl
import subprocess
from pathlib import Path

import trustme

from tests.live.test_server import LiveTestCase
from tests.support import live
from tests.support.issued import authority, pem, stranger
from tests.support.live import Server


class Spoken:
    """How openssl's client fared."""

    def __init__(self, output: bytes, errors: bytes) -> None:
        #: What the server sent.
        self.output = output
        #: What was said of TLS.
        self.told = errors.decode(errors="backslashreplace")


class TLSTestCase(LiveTestCase):
    """A server with a certificate, and clients that trust who signed it."""

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
        """Have a new certificate in the file, and give it."""
        leaf = authority().issue_cert("localhost")
        self.file("it.pem", pem(leaf))
        return leaf.cert_chain_pems[0].bytes()

    def serve_tls(self, *options: str) -> Server:
        return self.serve("--tls-cert=it.pem", "--framing=line", *options)

    def s_client(self, server: Server, *options: str, text: bytes = b"request\nclose\n") -> Spoken:
        """Have ``openssl s_client`` say *text*, and wait for the server's end."""
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
        return Spoken(done.stdout, done.stderr)

    def wrapped(self, server: Server, shown: trustme.LeafCert | None = None) -> ssl.SSLSocket:
        """Python's client."""
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
        """The certificate that it was shown."""
        der = client.getpeercert(binary_form=True)
        assert der is not None
        return ssl.DER_cert_to_PEM_cert(der).encode()


class VersionTests(TLSTestCase):
    """What is spoken."""

    def test_versions(self) -> None:
        """1.2 and 1.3, with a certificate that is verified."""
        server = self.serve_tls()
        for option, name in (("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")):
            spoken = self.s_client(server, option)
            self.assertEqual(spoken.output, b"response\r\n" * 2)
            self.assertIn(f"Protocol version: {name}", spoken.told)
            self.assertIn("Verification: OK", spoken.told)

    def test_versions_that_are_too_old(self) -> None:
        """1.1 is refused, with one line in the log."""
        server = self.serve_tls("--max-connections=100")
        spoken = self.s_client(server, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0")
        self.assertEqual(spoken.output, b"")
        self.assertIn("alert protocol version", spoken.told)
        server.log.wait("TLS handshake failed: unsupported protocol")
        self.assertEqual(self.s_client(server).output, b"response\r\n" * 2)
        self.assertEqual(server.log.text().count("handshake failed"), 1)
        self.assertNotIn("Traceback", server.log.text())

    def test_renegotiation(self) -> None:
        """A client that begins the handshake anew is told no, and gets no further."""
        server = self.serve_tls()
        # Not -brief, which takes no commands; R is one.
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
        """What stands between the certificate and whom clients trust is sent along."""
        leaf = authority().create_child_ca().issue_cert("localhost")
        self.file("chain.pem", b"".join(it.bytes() for it in leaf.cert_chain_pems))
        self.file("key.pem", leaf.private_key_pem.bytes())
        server = self.serve("--tls-cert=chain.pem", "--tls-key=key.pem", "--framing=line")
        self.assertIn("Verification: OK", self.s_client(server).told)

    def test_a_mistake(self) -> None:
        """It is one line, and the end."""
        self.file("it.pem", authority().cert_pem.bytes())
        server = self.stopped(live.start(self.directory, "reqresp", "--tls-cert=it.pem"))
        self.assertEqual(server.wait(), 1)
        path = self.directory / "it.pem"
        self.assertRegex(
            server.log.text(),
            rf"^reqresp: .*{path.name}: contains no private key; expected an unencrypted .*$",
        )

    def test_abort(self) -> None:
        """It is a reset of TCP, without a goodbye of TLS before it."""
        self.file("it.toml", b"rule = [{ do = [{ abort = true }] }]")
        server = self.serve_tls("--script=it.toml")
        arrived, leaving = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.maximum_version = ssl.TLSVersion.TLSv1_2  # 1.3 sends tickets behind the handshake
        authority().configure_trust(context)
        tls = context.wrap_bio(arrived, leaving, server_hostname="localhost")
        client = self.connect(server)
        for _ in range(2):
            with self.assertRaises(ssl.SSLWantReadError):
                tls.do_handshake()
            client.send(leaving.read())
            # All of a flight, which is one write of the server.
            arrived.write(client.socket.recv(65536))
        tls.do_handshake()
        tls.write(b"request\n")
        client.send(leaving.read())
        with self.assertRaises(ConnectionResetError):
            self.fail(f"it got {client.socket.recv(100)!r}")


class ClientCertificateTests(TLSTestCase):
    """``--client-ca``."""

    def setUp(self) -> None:
        super().setUp()
        self.server = self.serve_tls("--client-ca=ca.pem")

    def test_with_one(self) -> None:
        """Its holder is let in, by openssl as by Python, and is told who has to have signed it."""
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
        """Nothing is answered, and the log has a line of it."""
        for version in ("-tls1_2", "-tls1_3"):
            spoken = self.s_client(self.server, version)
            self.assertEqual(spoken.output, b"")
            self.assertRegex(spoken.told, "alert handshake failure|alert certificate required")
        self.server.log.wait("TLS handshake failed: peer did not return a certificate")
        self.assertNotIn("Traceback", self.server.log.text())

    def test_with_that_of_somebody_else(self) -> None:
        """As good as none."""
        leaf = stranger().issue_cert("client@test")
        path = str(self.file("client.pem", pem(leaf)))
        for version in ("-tls1_2", "-tls1_3"):
            spoken = self.s_client(self.server, version, "-cert", path, "-key", path)
            self.assertEqual(spoken.output, b"")
            self.assertIn("alert unknown ca", spoken.told)
        with self.assertRaisesRegex(ssl.SSLError, "UNKNOWN_CA"):
            self.ask(self.wrapped(self.server, leaf))
        self.server.log.wait("TLS handshake failed: certificate verify failed")
        self.assertNotIn("Traceback", self.server.log.text())


class ReloadTests(TLSTestCase):
    """SIGHUP."""

    def test_a_renewal(self) -> None:
        """The next client is shown the new certificate; one that is connected stays so."""
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
        """The log says what is wrong with it, and the old certificate is shown still."""
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
        """Who has a certificate of the old one is refused from then on."""
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
