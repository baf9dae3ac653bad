"""What a client sees over TLS, where Twisted's transport is another."""

import socket
import ssl
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from reqresp import Script
from reqresp.testing import Server, serve


class TLSTests(SynchronousTestCase):
    """A server in a thread of its own, and a blocking client."""

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
