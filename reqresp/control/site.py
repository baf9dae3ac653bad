"""
Site: the web pages that show a server's metrics and health.

Knows Twisted's HTTP server.  It must not know what is measured, or when a server is ready.  It
trusts no client: their number is limited, a name in ``Host`` that may be a web site's is refused,
and nothing else that a client sends is logged or shown.
"""

from collections.abc import Callable, Collection

from twisted.web import http
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from reqresp.control._hosts import AllowedHosts, why_not_allowed
from reqresp.control._limited_site import LimitedSite
from reqresp.control.prometheus import Exposition, make_registry, make_services_registry
from reqresp.server.counters import Counters
from reqresp.server.front_factory import FrontFactory
from reqresp.services.registry import Services

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
    pages = make_pages(exposition, is_ready)
    return LimitedSite(_Pages(pages, AllowedHosts(hosts)), reactor=factory.clock)


def make_services_site(
    services: Services, is_ready: Callable[[], bool], hosts: Collection[str] = ()
) -> Site:
    """
    Return the site of several services, with the pages of `make_site`.

    Each metric of a service has the label ``service``.
    """
    clock = services.environment.reactor
    exposition = Exposition(make_services_registry(services, is_ready), clock)
    pages = make_pages(exposition, is_ready)
    return LimitedSite(_Pages(pages, AllowedHosts(hosts)), reactor=clock)


def make_pages(exposition: Exposition, is_ready: Callable[[], bool]) -> dict[str, Page]:
    """
    Return the pages ``/metrics``, ``/healthz`` and ``/readyz``, by their paths.

    :param is_ready: returns whether new clients are accepted.
    """

    def metrics(request: Request) -> tuple[int, bytes, str]:
        accept = b",".join(request.requestHeaders.getRawHeaders(b"Accept") or [])
        return http.OK, *exposition.render(accept.decode("latin-1"))

    def ready(_request: Request) -> tuple[int, bytes, str]:
        if is_ready():
            return http.OK, b"ready\n", _PLAIN
        return http.SERVICE_UNAVAILABLE, b"not ready\n", _PLAIN

    return {
        "/metrics": metrics,
        # A process that can answer is healthy: its reactor runs.
        "/healthz": lambda _request: (http.OK, b"ok\n", _PLAIN),
        "/readyz": ready,
    }


class _Pages(Resource):
    """All pages, by exact path."""

    isLeaf = True  # noqa: N815, Twisted's name

    def __init__(self, pages: dict[str, Page], hosts: AllowedHosts) -> None:
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
        hosts = request.requestHeaders.getRawHeaders(b"Host") or []
        if not self._hosts.allow(hosts):
            return http.FORBIDDEN, f"{why_not_allowed(hosts)}\n".encode(), _PLAIN
        if request.method not in (b"GET", b"HEAD"):
            request.setHeader("Allow", "GET, HEAD")
            return http.NOT_ALLOWED, b"only GET and HEAD\n", _PLAIN
        page = self._pages.get(request.path.decode("latin-1"))
        return (http.NOT_FOUND, b"not found\n", _PLAIN) if page is None else page(request)
