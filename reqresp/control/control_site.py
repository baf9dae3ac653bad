"""
Control site: the API of all services of a process, with its metrics and its health.

Connects what the other modules provide.  Has no behaviour of its own.
"""

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.web.resource import IResource, Resource
from twisted.web.server import Request, Site

from reqresp import __version__
from reqresp.control._describe import COMPONENTS
from reqresp.control._guard import Guard
from reqresp.control._hosts import AllowedHosts
from reqresp.control._limited_site import LimitedSite
from reqresp.control._schemas import described, table
from reqresp.control.connections_api import ConnectionsApi
from reqresp.control.dispatch import Dispatcher
from reqresp.control.entries_api import EntriesApi
from reqresp.control.errors import unknown_path
from reqresp.control.events import EventStreams
from reqresp.control.expectations_api import COMPONENTS as EXPECTATION_COMPONENTS
from reqresp.control.expectations_api import ExpectationsApi
from reqresp.control.faults_api import COMPONENTS as FAULT_COMPONENTS
from reqresp.control.faults_api import FaultsApi
from reqresp.control.openapi import PlainPage, make_document
from reqresp.control.page import page_resources
from reqresp.control.routes import Call, Route
from reqresp.control.services_api import DEFINITION, ServicesApi
from reqresp.control.site import Page
from reqresp.control.toxiproxy import COMPONENTS as TOXIPROXY_COMPONENTS
from reqresp.control.toxiproxy import toxiproxy_resources, toxiproxy_routes
from reqresp.services.registry import Services

#: Bytes that the body of a request may have.
MAX_BODY = 1024 * 1024

_PLAIN = "text/plain"
#: What the pages for programs that watch the process show.  A load balancer has no token.
PAGES = {
    "/metrics": PlainPage(
        summary="Show the metrics of the process and of its services, for Prometheus.",
        replies={200: (_PLAIN, "application/openmetrics-text")},
    ),
    "/healthz": PlainPage(
        summary="Show that the process runs.", replies={200: (_PLAIN,)}, is_public=True
    ),
    "/readyz": PlainPage(
        summary="Show whether new clients are accepted.",
        replies={200: (_PLAIN,), 503: (_PLAIN,)},
        is_public=True,
    ),
}

_TEXT = {"type": "string"}


def make_control_site(
    services: Services,
    *,
    clock: IReactorTime,
    pages: Mapping[str, Page],
    token: str | None = None,
    hosts: Collection[str] = (),
    now: Callable[[], float] = time.time,
) -> Site:
    """
    Return the site that shows and changes *services*.

    :param clock: times its connections.
    :param pages: from `make_pages`.
    :param token: what requests must have in ``Authorization``; None: nothing.
    :param hosts: names that requests may have in ``Host``, as for `make_site`.
    :param now: returns the time, in seconds since the epoch.
    """
    toxiproxy = toxiproxy_routes(services)
    routes = api_routes(services, EventStreams(clock), now(), toxiproxy)
    guard = Guard(AllowedHosts(hosts), token)
    page = page_resources()
    children: dict[bytes, IResource] = {
        **page,
        **toxiproxy_resources(toxiproxy),
        **{path.removeprefix("/").encode(): _PageResource(it) for path, it in pages.items()},
    }
    public = [path.removeprefix("/").encode() for path, it in PAGES.items() if it.is_public]
    dispatcher = Dispatcher(routes, guard, MAX_BODY, children, [*page, *public])
    return LimitedSite(dispatcher, clock, MAX_BODY, guard.allows)


def api_routes(
    services: Services,
    streams: EventStreams,
    started: float,
    toxiproxy: Sequence[Route],
) -> list[Route]:
    """
    Return the routes of the API, with that of their document.

    :param started: when the process was started, in seconds since the epoch.
    :param toxiproxy: the routes of toxiproxy, which the document has, too.
    """

    def index(call: Call) -> Any:
        return {
            "version": __version__,
            "started": started,
            "address": call.request.getHeader("Host") or "",
            "services": len(services),
        }

    routes = [
        Route(
            method="GET",
            path="/api",
            answer=index,
            summary="Show what runs.",
            reply=table(
                version=described("of reqresp", _TEXT),
                started=described("when, in seconds since the epoch", {"type": "number"}),
                address=described("of this server, as the request names it", _TEXT),
                services=described("how many there are", {"type": "integer"}),
            ),
        ),
        *ServicesApi(services).routes(),
        *EntriesApi(services, streams).routes(),
        *ConnectionsApi(services).routes(),
        *FaultsApi(services).routes(),
        *ExpectationsApi(services).routes(),
        Route(
            method="GET",
            path="/api/openapi.json",
            answer=lambda _: document,
            summary="Show this document.",
            reply={"type": "object"},
        ),
    ]
    document = document_of(routes, toxiproxy)
    return routes


def document_of(routes: Iterable[Route], toxiproxy: Iterable[Route]) -> dict[str, Any]:
    """Return the OpenAPI document of *routes*, and of the routes of *toxiproxy*."""
    components = {
        **COMPONENTS,
        **FAULT_COMPONENTS,
        **EXPECTATION_COMPONENTS,
        **TOXIPROXY_COMPONENTS,
        "Definition": DEFINITION,
    }
    return make_document(routes, toxiproxy, components, PAGES)


class _PageResource(Resource):
    """A page for programs that watch the process."""

    isLeaf = True  # noqa: N815, Twisted's name

    def __init__(self, page: Page) -> None:
        super().__init__()
        self._page = page

    def render_GET(self, request: Request) -> bytes:  # noqa: N802, Twisted's name
        if request.postpath:
            raise unknown_path(request.path)
        status, text, content_type = self._page(request)
        request.setResponseCode(status)
        request.setHeader("Content-Type", content_type)
        return text
