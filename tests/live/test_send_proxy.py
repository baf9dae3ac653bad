"""``--send-proxy``, with HAProxy behind the relay, which reports the addresses in the header."""

import socket

from tests.support import live, services
from tests.support.live import PATIENCE
from tests.support.live_case import LiveTestCase

#: HAProxy answers with the client's address and the address that the client connected to.
ADDRESSES = """\
 mode http
 http-request return status 200 content-type text/plain \
 lf-string "%[src] %[src_port] %[dst] %[dst_port]"
"""


class HAProxyTests(LiveTestCase):
    """The service sees who the client is."""

    def assert_addresses(self, version: int, host: str) -> None:
        """Assert that HAProxy sees the client's socket, and the address of the relay."""
        with services.haproxy(ADDRESSES, "accept-proxy", host) as service:
            self.serve_and_ask(service.forward, version, host)

    def serve_and_ask(self, forward: str, version: int, host: str) -> None:
        """Ask through a relay to *forward*, and check the reply."""
        relay = self.serve(
            *(f"--forward={forward}", f"--send-proxy={version}"),
            *("--port=0", f"--interface={host}"),
        )
        with socket.create_connection((host, relay.port), PATIENCE) as client:
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            with client.makefile("rb") as reply:
                found = reply.read().partition(b"\r\n\r\n")[2].decode().split()
            own = client.getsockname()
        self.assertEqual(found, [host, str(own[1]), host, str(relay.port)])

    def test_version_1(self) -> None:
        """The text of version 1, with addresses of IPv4."""
        self.assert_addresses(1, "127.0.0.1")

    def test_version_2(self) -> None:
        """The bytes of version 2, with addresses of IPv4."""
        self.assert_addresses(2, "127.0.0.1")

    def test_version_1_with_ipv6(self) -> None:
        """The text of version 1, with addresses of IPv6."""
        self.assert_addresses(1, "::1")

    def test_version_2_with_ipv6(self) -> None:
        """The bytes of version 2, with addresses of IPv6."""
        self.assert_addresses(2, "::1")

    def test_the_address_that_a_balancer_reports(self) -> None:
        """With ``--proxy-protocol``, the header names the client of the balancer before."""
        with services.haproxy(ADDRESSES, "accept-proxy") as service:
            relay = self.serve(f"--forward={service.forward}", "--send-proxy=2", "--proxy-protocol")
            with socket.create_connection(("127.0.0.1", relay.port), PATIENCE) as client:
                client.sendall(
                    b"PROXY TCP4 192.0.2.1 192.0.2.2 11 22\r\nGET / HTTP/1.0\r\n\r\n",
                )
                with client.makefile("rb") as reply:
                    found = reply.read().partition(b"\r\n\r\n")[2].decode().split()
        self.assertEqual(found[:2], ["192.0.2.1", "11"])

    def test_a_header_before_tls(self) -> None:
        """
        The service reads the header, and then decrypts.

        HAProxy ends TLS in order, and its socket at once: no reset reaches the client.
        """
        path = self.directory / "it.pem"
        path.write_bytes(live.pem())
        bind = f"accept-proxy ssl crt {path}"
        with services.haproxy(ADDRESSES, bind) as service:
            relay = self.serve(
                *(f"--forward={service.forward}", "--send-proxy=2", "--forward-tls"),
                *("--forward-ca=it.pem", "--forward-name=localhost"),
            )
            with socket.create_connection(("127.0.0.1", relay.port), PATIENCE) as client:
                client.sendall(b"GET / HTTP/1.0\r\n\r\n")
                with client.makefile("rb") as reply:
                    found = reply.read().partition(b"\r\n\r\n")[2].decode().split()
                self.assertEqual(found[1], str(client.getsockname()[1]))
