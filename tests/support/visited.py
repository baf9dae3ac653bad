"""Visited: a test case with a metrics site in memory, and its clients."""

from typing import Any, cast

from reqresp.control.site import make_site
from tests.support.metered import Metered
from tests.support.wire import Wire

#: A whole request for a page that is always there.
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: it\r\n\r\n"


class Visited(Metered):
    """A site in memory, and its clients."""

    ready = True
    #: The names that the site allows in addition.
    hosts: tuple[str, ...] = ()

    def setUp(self) -> None:
        super().setUp()
        self.site = make_site(self.factory(), self.counters, lambda: self.ready, self.hosts)
        self.site.startFactory()
        self.addCleanup(self.site.stopFactory)

    def visit(self, host: str = "127.0.0.1") -> Wire:
        """Return a new client of the site, with this address."""
        return Wire(cast(Any, self.site), self.reactor, host)

    def get(
        self, path: str, method: str = "GET", *headers: str, host: str = "it"
    ) -> tuple[int, dict[str, str], str]:
        """Request a page; return its status, headers and text."""
        wire = self.visit()
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *headers, "", ""]
        wire.send("\r\n".join(lines).encode())
        self.assertTrue(wire.got_eof)
        return parsed(wire.received())


def parsed(response: bytes) -> tuple[int, dict[str, str], str]:
    """Return the status, the headers and the text of an HTTP response."""
    head, _, text = response.decode().partition("\r\n\r\n")
    status, *lines = head.split("\r\n")
    return int(status.split()[1]), dict(line.split(": ", 1) for line in lines), text
