"""
Site: the web pages that show a server's metrics and health.

Knows Twisted's HTTP server.  It must not know what is measured, or when a server is ready.  It
trusts no client: their number and their time are limited, uploads are discarded, and nothing that a
client sends is logged or shown.
"""

from collections.abc import Callable
from io import BytesIO
from typing import Any

from twisted.internet.interfaces import ITCPTransport
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web import http
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from reqresp.control.prometheus import expose, make_registry
from reqresp.server.counters import Counters
from reqresp.server.factory import ReqRespFactory

#: The time for a client to request a page and to receive it, in seconds.
REQUEST_TIMEOUT = 20.0
#: The most connections at a time; further ones are reset.
MAX_CLIENTS = 64

_PLAIN = "text/plain; charset=utf-8"

#: A function that returns the status, the text and the content type for a request.
Page = Callable[[Request], tuple[int, bytes, str]]


def make_site(factory: ReqRespFactory, counters: Counters, is_ready: Callable[[], bool]) -> Site:
    """
    Return the site of a server, with ``/metrics``, ``/healthz`` and ``/readyz``.

    Listen with it as with any factory.  It uses the clock of *factory*.

    :param factory: the server's factory.
    :param counters: the counters of *factory*.
    :param is_ready: returns whether new clients are accepted.
    """
    registry = make_registry(factory, counters, is_ready)

    def metrics(request: Request) -> tuple[int, bytes, str]:
        accept = b",".join(request.requestHeaders.getRawHeaders(b"Accept") or [])
        return http.OK, *expose(registry, accept.decode("latin-1"))

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
    return MetricsSite(_Pages(pages), reactor=factory.clock)


class _Pages(Resource):
    """All pages, by exact path."""

    isLeaf = True  # noqa: N815, Twisted's name

    def __init__(self, pages: dict[bytes, Page]) -> None:
        super().__init__()
        self._pages = pages

    def render(self, request: Request) -> bytes:
        # No render_GET: Twisted answers other methods in HTML that shows the request.
        status, text, content_type = self._find(request)
        request.setResponseCode(status)
        request.setHeader("Content-Type", content_type)
        request.setHeader("Content-Length", str(len(text)))
        request.setHeader("Cache-Control", "no-store")
        return b"" if request.method == b"HEAD" else text

    def _find(self, request: Request) -> tuple[int, bytes, str]:
        if request.method not in (b"GET", b"HEAD"):
            request.setHeader("Allow", "GET, HEAD")
            return http.NOT_ALLOWED, b"only GET and HEAD\n", _PLAIN
        page = self._pages.get(request.path)
        return (http.NOT_FOUND, b"not found\n", _PLAIN) if page is None else page(request)


class _Channel(http.HTTPChannel):
    """A connection of a client, with a fixed time for each request."""

    site: "MetricsSite"
    transport: ITCPTransport

    def connectionMade(self) -> None:
        super().connectionMade()
        self.site.clients += 1
        if self.site.clients > MAX_CLIENTS:
            self.transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.site.clients -= 1
        super().connectionLost(reason)

    def resetTimeout(self) -> None:  # noqa: N802, Twisted's name
        """Do nothing: received bytes must not extend the time.  The next request does."""

    def timeoutConnection(self) -> None:
        """Reset the connection without a log line, which a client could repeat at will."""
        self.transport.abortConnection()


class _DiscardingFile(BytesIO):
    """A file for uploads that stores nothing."""

    def write(self, data: Any) -> int:
        return len(data)


class MetricsSite(Site):
    """A site that logs nothing about its clients."""

    noisy = False
    protocol = _Channel  # type: ignore[assignment]  # Twisted's wrapper selects HTTP/2
    #: How many clients are connected.
    clients = 0

    def __init__(self, resource: Resource, reactor: Any) -> None:
        super().__init__(
            resource, timeout=REQUEST_TIMEOUT, reactor=reactor, parsePOSTFormSubmission=False
        )

    def startFactory(self) -> None:
        """Open no access log, and start no timer for it."""

    def stopFactory(self) -> None:
        """Do nothing: `startFactory` opened nothing."""

    def log(self, request: http.Request) -> None:
        """Log nothing."""

    def getContentFile(self, _length: int | None) -> BytesIO:
        """Return the file for the body of a request."""
        return _DiscardingFile()
