"""
Site: the web pages that show a server's metrics and health.

Knows Twisted's HTTP server.  It must not know what is measured, or when a server is ready.  It
trusts no client: their number is limited, a name in ``Host`` that may be a web site's is refused,
and nothing that a client sends is logged or shown.
"""

from collections import Counter
from collections.abc import Callable, Collection, Hashable
from typing import Any

from twisted.web import http
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from reqresp.control._channel import OneRequestChannel
from reqresp.control._hosts import AllowedHosts
from reqresp.control.prometheus import Exposition, make_registry
from reqresp.server.counters import Counters
from reqresp.server.front_factory import FrontFactory
from reqresp.transport.access import client_key

#: The most connections at a time.  A further one takes the place of the oldest one.
MAX_CLIENTS = 64

_PLAIN = "text/plain; charset=utf-8"

#: A function that returns the status, the text and the content type for a request.
Page = Callable[[Request], tuple[int, bytes, str]]


def make_site(
    factory: FrontFactory,
    counters: Counters,
    is_ready: Callable[[], bool],
    hosts: Collection[str] = (),
) -> Site:
    """
    Return the site of a server, with ``/metrics``, ``/healthz`` and ``/readyz``.

    Listen with it as with any factory.  It uses the clock of *factory*.

    :param factory: the server's factory.
    :param counters: the counters of *factory*.
    :param is_ready: returns whether new clients are accepted.
    :param hosts: names that requests may have in ``Host``, besides addresses, names without a dot,
        names in ``.localhost`` and the name of this machine.
    """
    exposition = Exposition(make_registry(factory, counters, is_ready), factory.clock)

    def metrics(request: Request) -> tuple[int, bytes, str]:
        accept = b",".join(request.requestHeaders.getRawHeaders(b"Accept") or [])
        return http.OK, *exposition.render(accept.decode("latin-1"))

    def ready(_request: Request) -> tuple[int, bytes, str]:
        if is_ready():
            return http.OK, b"ready\n", _PLAIN
        return http.SERVICE_UNAVAILABLE, b"not ready\n", _PLAIN

    pages: dict[bytes, Page] = {
        b"/metrics": metrics,
        # A process that can answer is healthy: its reactor runs.
        b"/healthz": lambda _request: (http.OK, b"ok\n", _PLAIN),
        b"/readyz": ready,
    }
    return MetricsSite(_Pages(pages, AllowedHosts(hosts)), reactor=factory.clock)


class _Pages(Resource):
    """All pages, by exact path."""

    isLeaf = True  # noqa: N815, Twisted's name

    def __init__(self, pages: dict[bytes, Page], hosts: AllowedHosts) -> None:
        super().__init__()
        self._pages = pages
        self._hosts = hosts

    def render(self, request: Request) -> bytes:
        # No render_GET: Twisted answers other methods in HTML that shows the request.
        status, text, content_type = self._find(request)
        request.setResponseCode(status)
        request.setHeader("Content-Type", content_type)
        request.setHeader("Content-Length", str(len(text)))
        request.setHeader("Cache-Control", "no-store")
        return b"" if request.method == b"HEAD" else text

    def _find(self, request: Request) -> tuple[int, bytes, str]:
        if not self._hosts.allow(request.requestHeaders.getRawHeaders(b"Host") or []):
            return http.FORBIDDEN, b"host not allowed\n", _PLAIN
        if request.method not in (b"GET", b"HEAD"):
            request.setHeader("Allow", "GET, HEAD")
            return http.NOT_ALLOWED, b"only GET and HEAD\n", _PLAIN
        page = self._pages.get(request.path)
        return (http.NOT_FOUND, b"not found\n", _PLAIN) if page is None else page(request)


class MetricsSite(Site):
    """A site that limits its clients, and logs nothing about them."""

    noisy = False
    protocol = OneRequestChannel  # type: ignore[assignment]  # Twisted's wrapper selects HTTP/2

    def __init__(self, resource: Resource, reactor: Any) -> None:
        # No timeout: a channel has its own.
        super().__init__(resource, timeout=None, reactor=reactor, parsePOSTFormSubmission=False)
        #: What identifies the client of each connection, the oldest one first.
        self._clients: dict[OneRequestChannel, Hashable] = {}

    def connected(self, channel: OneRequestChannel) -> None:
        """Count a new connection; reset another one if there are too many."""
        if len(self._clients) >= MAX_CLIENTS:
            self._reset_one()
        self._clients[channel] = client_key(channel.transport.getPeer())

    def disconnected(self, channel: OneRequestChannel) -> None:
        """Count a connection no more."""
        self._clients.pop(channel, None)

    def _reset_one(self) -> None:
        # Neither many silent clients nor one address can keep a load balancer out.
        [(busiest, _)] = Counter(self._clients.values()).most_common(1)
        oldest = next(channel for channel, key in self._clients.items() if key == busiest)
        del self._clients[oldest]
        oldest.stream.reset()

    def startFactory(self) -> None:
        """Open no access log, and start no timer for it."""

    def stopFactory(self) -> None:
        """Reset all connections: a client must not keep the server from stopping."""
        for channel in [*self._clients]:
            channel.stream.reset()

    def log(self, request: http.Request) -> None:
        """Log nothing."""
