"""A real twistd with ``--forward`` and TLS, in front of real services."""

import signal
import socket
import ssl
from pathlib import Path

from tests.support import live, services
from tests.support.issued import authority, pem
from tests.support.live import PATIENCE, Server
from tests.support.live_case import LiveTestCase
from tests.support.services import Service


class TLSTests(LiveTestCase):
    """``openssl s_server``, which reverses lines, behind a relay."""

    def setUp(self) -> None:
        super().setUp()
        self.ca = self.file("ca.pem", live.pem())
        self.file("it.pem", pem(authority().issue_cert("localhost")))

    def file(self, name: str, data: bytes) -> Path:
        """Write a file; return its path."""
        path = self.directory / name
        path.write_bytes(data)
        return path

    def service(self, *arguments: str) -> Service:
        """Return the service."""
        service = services.tls_echo(*arguments)
        self.addCleanup(service.stop)
        return service

    def ask(self, relay: Server, *, tls: bool = False) -> bytes:
        """Return what a client gets for a line."""
        with socket.create_connection(("127.0.0.1", relay.port), PATIENCE) as plain:
            if not tls:
                plain.sendall(b"abc\n")
                return plain.recv(100)
            context = ssl.create_default_context(cadata=authority().cert_pem.bytes().decode())
            with context.wrap_socket(plain, server_hostname="localhost") as client:
                client.sendall(b"abc\n")
                return client.recv(100)

    def test_tls_on_either_side(self) -> None:
        """Of a plain client, and of one that speaks TLS with the relay; with workers, too."""
        forward = f"--forward={self.service().forward}"
        options = (forward, "--forward-tls", "--forward-ca=ca.pem", "--forward-name=localhost")
        for more in ((), ("--workers=1",)):
            relay = self.serve(*options, *more)
            self.assertEqual(self.ask(relay), b"cba\n")
            relay.stop()
        relay = self.serve(*options, "--tls-cert=it.pem")
        self.assertEqual(self.ask(relay, tls=True), b"cba\n")

    def test_a_script_with_workers(self) -> None:
        """A worker finds out from the script that it needs TLS."""
        self.file(
            "it.toml",
            f'[upstream]\naddress = "{self.service().forward}"\n'
            'tls = { ca = "ca.pem", name = "localhost" }'.encode(),
        )
        relay = self.serve("--script=it.toml", "--workers=1")
        self.assertEqual(self.ask(relay), b"cba\n")

    def test_a_client_certificate(self) -> None:
        """The service requires one."""
        cert = self.file("client.pem", live.pem())
        service = self.service("-Verify", "1", "-CAfile", str(cert), "-verify_return_error")
        relay = self.serve(
            *(f"--forward={service.forward}", "--forward-tls", "--forward-name=localhost"),
            *("--forward-ca=ca.pem", "--forward-cert=client.pem"),
        )
        self.assertEqual(self.ask(relay), b"cba\n")

    def test_certificates_are_read_again(self) -> None:
        """On SIGHUP, for new connections; a file that is unusable changes nothing."""
        forward = f"--forward={self.service().forward}"
        self.file("trusted.pem", authority().cert_pem.bytes())
        relay = self.serve(
            *(forward, "--forward-tls", "--forward-ca=trusted.pem", "--forward-name=localhost")
        )
        with relay.connect() as client:
            self.assertTrue(client.is_reset())
        relay.log.wait("has a certificate that no trusted CA has signed")
        self.file("trusted.pem", live.pem())
        relay.signal(signal.SIGHUP)
        relay.log.wait("reloaded the certificates of the service for new connections")
        self.assertEqual(self.ask(relay), b"cba\n")
        self.file("trusted.pem", b"")
        relay.signal(signal.SIGHUP)
        relay.log.wait("reload failed; keeping .*trusted.pem: contains no certificate")
        self.assertEqual(self.ask(relay), b"cba\n")
