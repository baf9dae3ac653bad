"""
toxiproxy: the HTTP API of toxiproxy 2.12, for its clients.

Knows Twisted's requests.  Requests need no content type, as there; that a page of another origin
has sent them is what the site checks.  It must not know services.
"""

import json
from collections.abc import Callable, Coroutine
from functools import partial
from secrets import token_hex
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET, Request

from reqresp.control._bodies import parse_json
from reqresp.control._responses import end_response, write_head
from reqresp.control.errors import ApiError
from reqresp.control.proxies import PartlyRefusedError, Proxies
from reqresp.control.routes import Call, Content, Route, Router
from reqresp.control.toxics import RefusedError, bad_body
from reqresp.services.registry import Services

#: The version whose API this is; clients ask for it.
VERSION = "2.12.0"

#: The first segments of its paths.
SEGMENTS = (b"version", b"proxies", b"populate", b"reset")

_TEXT = "text/plain; charset=utf-8"
#: Methods that change something, by what their body says.
_CHANGES = ("POST", "PATCH")
_encode = json.JSONEncoder(separators=(",", ":")).encode


def toxiproxy_resources(services: Services) -> dict[bytes, IResource]:
    """Return what answers toxiproxy's paths, by the first segment of each."""
    resource = _Toxiproxy(Proxies(services))
    return dict.fromkeys(SEGMENTS, resource)


class _Toxiproxy(Resource):
    """All paths of the API."""

    isLeaf = True  # noqa: N815, Twisted's name
    _log = Logger()

    def __init__(self, proxies: Proxies) -> None:
        super().__init__()
        self._router = Router(_routes(proxies))

    def render(self, request: Request) -> Any:
        request.setHeader("X-Toxiproxy-Request-Id", token_hex(10))
        answer = maybeDeferred(self._answer, request)
        answer.addErrback(self._refuse)
        answer.addCallback(lambda content: end_response(request, write_head(request, content)))
        return NOT_DONE_YET

    def _answer(self, request: Request) -> Any:
        if (request.getHeader("User-Agent") or "").startswith("Mozilla/"):
            return Content(403, b"User agent not allowed\n", _TEXT)
        match = self._router.find(request.path)
        if match is None:
            return Content(404, b"404 page not found\n", _TEXT)
        route = match.routes.get(request.method.decode("latin-1"))
        if route is None:
            request.setHeader("Allow", ", ".join(sorted(match.routes)))
            return Content(405, b"", _TEXT)
        body = b"" if request.content is None else request.content.read()
        found = route.answer(Call(request, match.path, body=body))
        if isinstance(found, Coroutine):
            found = Deferred.fromCoroutine(found)
        return maybeDeferred(lambda: found).addCallback(partial(_content, route))

    def _refuse(self, failure: Failure) -> Content:
        error = failure.value
        if not isinstance(error, RefusedError):
            self._log.failure("error in toxiproxy's API", failure)
            error = RefusedError(500, "internal error; see the log of the server")
        value: dict[str, Any] = {"error": error.error, "status": error.status}
        if isinstance(error, PartlyRefusedError):
            value["proxies"] = error.done
        return Content(error.status, f"{_encode(value)}\n".encode())


def _routes(proxies: Proxies) -> list[Route]:
    proxy, toxics, toxic = (
        f"/proxies/{{proxy}}{rest}" for rest in ("", "/toxics", "/toxics/{toxic}")
    )
    return [
        _route("GET", "/version", _version),
        _route("GET", "/proxies", proxies.show_all),
        _route("POST", "/proxies", proxies.create, 201),
        _route("POST", "/populate", partial(_populate, proxies), 201),
        _route("GET", proxy, proxies.show),
        *(_route(method, proxy, proxies.update) for method in _CHANGES),
        _route("DELETE", proxy, proxies.delete, 204),
        _route("GET", toxics, proxies.show_toxics),
        _route("POST", toxics, proxies.add_toxic),
        _route("GET", toxic, proxies.show_toxic),
        *(_route(method, toxic, proxies.change_toxic) for method in _CHANGES),
        _route("DELETE", toxic, proxies.remove_toxic, 204),
        _route("POST", "/reset", proxies.reset, 204),
    ]


def _route(method: str, path: str, answer: Callable[..., Any], status: int = 200) -> Route:
    """Return a route whose *answer* gets the parameters in *path*, and the body if it needs one."""
    has_body = method in _CHANGES and status != 204

    def call(it: Call) -> Any:
        return answer(*it.path.values(), *([_parse(it.body)] if has_body else []))

    return Route(method=method, path=path, answer=call, summary="", status=status)


def _version() -> Content:
    return Content(200, f'{{"version": "{VERSION}"}}\n'.encode(), "application/json;charset=utf-8")


async def _populate(proxies: Proxies, body: Any) -> dict[str, Any]:
    return {"proxies": await proxies.populate(body)}


def _parse(data: bytes) -> Any:
    if not data.strip():
        raise bad_body("EOF")
    try:
        return parse_json(data)
    except ApiError as error:
        raise bad_body(error.error) from None


def _content(route: Route, value: Any) -> Content:
    if isinstance(value, Content):
        return value
    return Content(route.status, b"" if route.status == 204 else _encode(value).encode())
