"""The real services that live tests forward to."""

import errno
import socket
import ssl
from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from tests.support import live, services
from tests.support.live import PATIENCE
from tests.support.services import Service

ADDRESSES = """\
 mode http
 http-request return status 200 content-type text/plain lf-string "%[src]:%[src_port]"
"""


class ServicesTests(SynchronousTestCase):
    """Each service answers once it was started, and is gone once it was stopped."""

    def exchange(self, start: Callable[[], Service], request: bytes, reply: bytes) -> None:
        """Send *request* to the service, expect *reply*, and stop the service."""
        with start() as service:
            addresses: list[tuple[str, int] | str] = [service.address]
            if service.path is not None:
                addresses.append(str(service.path))
            for address in addresses:
                family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
                with socket.socket(family) as client:
                    client.settimeout(PATIENCE)
                    client.connect(address)
                    client.sendall(request)
                    received = b""
                    while len(received) < len(reply) and (data := client.recv(1000)):
                        received += data
                    self.assertEqual(received[: len(reply)], reply)
        with socket.socket() as client:
            self.assertEqual(client.connect_ex(service.address), errno.ECONNREFUSED)
        self.assertIsNotNone(service.process.returncode)
        self.assertFalse(service.directory.exists())

    def test_redis(self) -> None:
        """redis-server has a port and a UNIX socket."""
        self.exchange(services.redis_server, b"PING\r\n", b"+PONG\r\n")

    def test_memcached(self) -> None:
        """memcached is empty."""
        self.exchange(services.memcached, b"get a\r\n", b"END\r\n")

    def test_postgresql(self) -> None:
        """PostgreSQL refuses TLS, and has a port and a UNIX socket."""
        self.exchange(services.postgresql, b"\0\0\0\x08\x04\xd2\x16\x2f", b"N")

    def test_smtp(self) -> None:
        """aiosmtpd sends its greeting."""
        self.exchange(services.smtp_server, b"QUIT\r\n", b"220 mail.example ESMTP\r\n221 ")

    def test_haproxy(self) -> None:
        """HAProxy reports the address in the PROXY header."""
        with (
            services.haproxy(ADDRESSES, "accept-proxy") as service,
            socket.create_connection(service.address, PATIENCE) as client,
        ):
            client.sendall(b"PROXY TCP4 192.0.2.1 192.0.2.2 11 22\r\nGET / HTTP/1.0\r\n\r\n")
            with client.makefile("rb") as reply:
                self.assertEqual(reply.read().partition(b"\r\n\r\n")[2], b"192.0.2.1:11")

    def test_openssl(self) -> None:
        """``openssl s_server`` sends lines back reversed, with a certificate for localhost."""
        with services.tls_echo() as service:
            context = ssl.create_default_context(cadata=live.pem().decode())
            with (
                socket.create_connection(service.address, PATIENCE) as plain,
                context.wrap_socket(plain, server_hostname="localhost") as client,
            ):
                client.sendall(b"abc\n")
                self.assertEqual(client.recv(100), b"cba\n")
