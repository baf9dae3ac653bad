"""
Pages: the web pages that show a server's metrics, and whether it is well.

Knows HTTP as Twisted speaks it; nothing of what is measured, or of when a server is ready.  Its
clients are trusted with nothing: there are few at a time, none takes long, what they upload is
dropped, and nothing that they say is logged or shown.
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

from reqresp.control.prometheus import expose, registry
from reqresp.server.counters import Counters
from reqresp.server.factory import ReqRespFactory

#: Seconds that a client may take to ask for a page, and to fetch it.
PATIENCE = 20.0
#: Clients at a time; more are reset.
MOST = 64

_PLAIN = "text/plain; charset=utf-8"

#: A page's status, text and content type, for a request.
Page = Callable[[Request], tuple[int, bytes, str]]


def make_site(factory: ReqRespFactory, counters: Counters, is_ready: Callable[[], bool]) -> Site:
    """
    Make the site of a server: ``/metrics``, ``/healthz`` and ``/readyz``.

    It keeps the time by the clock of *factory*.

    :param factory: whose connections are counted.
    :param counters: the factory's.
    :param is_ready: tells whether new clients are welcome.
    """
    measured = registry(factory, counters, is_ready)

    def metrics(request: Request) -> tuple[int, bytes, str]:
        accept = b",".join(request.requestHeaders.getRawHeaders(b"Accept") or [])
        return http.OK, *expose(measured, accept.decode("latin-1"))

    def ready(_request: Request) -> tuple[int, bytes, str]:
        if is_ready():
            return http.OK, b"ready\n", _PLAIN
        return http.SERVICE_UNAVAILABLE, b"not ready\n", _PLAIN

    pages: dict[bytes, Page] = {
        b"/metrics": metrics,
        # Who can say so turns its reactor.
        b"/healthz": lambda _request: (http.OK, b"ok\n", _PLAIN),
        b"/readyz": ready,
    }
    return MetricsSite(_Pages(pages), reactor=factory.clock)


class _Pages(Resource):
    """All pages, by path: no path has anything below it."""

    isLeaf = True  # noqa: N815, Twisted's name

    def __init__(self, pages: dict[bytes, Page]) -> None:
        super().__init__()
        self._pages = pages

    def render(self, request: Request) -> bytes:
        # No render_GET: to other methods Twisted answers in HTML, and shows what it was asked for.
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


class _Client(http.HTTPChannel):
    """A client, who has `PATIENCE` seconds for each request, however fast he goes about it."""

    site: "MetricsSite"
    transport: ITCPTransport

    def connectionMade(self) -> None:
        super().connectionMade()
        self.site.clients += 1
        if self.site.clients > MOST:
            self.transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.site.clients -= 1
        super().connectionLost(reason)

    def resetTimeout(self) -> None:  # noqa: N802, Twisted's name
        """A byte buys no time: the next request does."""

    def timeoutConnection(self) -> None:
        """End without a word in the log, which its client could have as many of as he likes."""
        self.transport.abortConnection()


class _Nowhere(BytesIO):
    """Takes what is uploaded, and keeps nothing."""

    def write(self, data: Any) -> int:
        return len(data)


class MetricsSite(Site):
    """A site that logs nothing of its clients."""

    noisy = False
    protocol = _Client  # type: ignore[assignment]  # Twisted's can be turned into HTTP/2
    #: How many there are.
    clients = 0

    def __init__(self, resource: Resource, reactor: Any) -> None:
        super().__init__(resource, timeout=PATIENCE, reactor=reactor, parsePOSTFormSubmission=False)

    def startFactory(self) -> None:
        """Open no access log, and keep no time for it."""

    def stopFactory(self) -> None:
        """Nothing was opened."""

    def log(self, request: http.Request) -> None:
        """Log nothing."""

    def getContentFile(self, _length: int | None) -> BytesIO:
        """Give the file that a request's body is written to."""
        return _Nowhere()
