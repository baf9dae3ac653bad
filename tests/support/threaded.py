"""A blocking client of a test server that runs in a thread of its own."""

from reqresp.testing import Server
from tests.support.live import Client


def ask(server: Server, *requests: str) -> bytes:
    """Send lines, and return what is received until the server ends its side."""
    with Client((server.host, server.port)) as client:
        client.send("".join(f"{it}\r\n" for it in requests).encode())
        client.half_close()
        return client.rest()
