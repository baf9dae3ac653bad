"""
toxiproxy: the HTTP API of toxiproxy 2.12, for its clients.

Knows Twisted's requests.  Requests need no content type, as there; that a page of another origin
has sent them is what the site checks.  It must not know services.
"""

import json
from collections.abc import Callable, Coroutine, Mapping, Sequence
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
from reqresp.control._schemas import array, described, nullable, ref, table
from reqresp.control.errors import ApiError
from reqresp.control.proxies import PartlyRefusedError, Proxies
from reqresp.control.routes import Call, Content, RawBody, Route, Router
from reqresp.control.toxics import TYPES, RefusedError, bad_body
from reqresp.faults import Direction
from reqresp.script.json_schema import Schema
from reqresp.services.registry import Services

#: The version whose API this is; clients ask for it.
VERSION = "2.12.0"

_TEXT = "text/plain; charset=utf-8"
_encode = json.JSONEncoder(separators=(",", ":")).encode

_STRING: Schema = {"type": "string"}
_FLAG: Schema = {"type": "boolean"}
_FILLED: Schema = {"type": "string", "minLength": 1}


def _body(*required: str, **properties: Schema) -> Schema:
    """Return the schema of an object in a request; its other keys are ignored."""
    return {"type": "object", "properties": properties, "required": [*required]}


_ATTRIBUTES = described(
    "numbers by their names, such as latency in milliseconds, for each type its own",
    nullable({"type": "object"}),
)
_SHARE = nullable({"type": "number", "minimum": 0, "maximum": 1})

#: The schemas that the routes refer to.
COMPONENTS: Mapping[str, Schema] = {
    "Proxy": table(
        name=described("that of the service", _STRING),
        listen=described("where it listens; if it is disabled, where it would", _STRING),
        upstream=described("where its clients are forwarded to", _STRING),
        enabled=described("whether it listens", _FLAG),
        toxics=described("those of upstream first", array(ref("Toxic"))),
    ),
    "NewProxy": _body(
        "name",
        "upstream",
        name=described("1 to 100 letters, digits and . _ : -", _FILLED),
        listen=described(
            "HOST:PORT, where it listens; a free port of 127.0.0.1 unless given", nullable(_STRING)
        ),
        upstream=described("HOST:PORT, where its clients are forwarded to", _FILLED),
        enabled=described("whether it listens, true unless given", nullable(_FLAG)),
    ),
    "ProxyChange": _body(
        name=described("it is not changed", nullable(_STRING)),
        listen=described("HOST:PORT, where it listens", nullable(_STRING)),
        upstream=described("HOST:PORT, where its clients are forwarded to", nullable(_FILLED)),
        enabled=described("whether it listens", nullable(_FLAG)),
    ),
    "Toxic": table(
        attributes=described(
            "numbers by their names, such as latency in milliseconds",
            {"type": "object", "additionalProperties": {"type": "number"}},
        ),
        name=described("its name, which no other toxic of the proxy has", _STRING),
        type=described("what goes wrong", _STRING),
        stream=described("the direction: upstream or downstream", _STRING),
        toxicity=described("the share of the connections", {"type": "number"}),
    ),
    "NewToxic": _body(
        "type",
        name=described("its name; TYPE_STREAM unless given", nullable(_STRING)),
        type=described("what goes wrong", {"enum": [*TYPES]}),
        stream=described(
            "the direction, downstream unless given",
            nullable({"enum": [it.value for it in Direction]}),
        ),
        attributes=_ATTRIBUTES,
        toxicity=described("the share of the connections, 1 unless given", _SHARE),
    ),
    "ToxicChange": _body(
        attributes=_ATTRIBUTES, toxicity=described("the share of the connections", _SHARE)
    ),
    "ToxiproxyError": table(
        "proxies",
        error=described("what is wrong, in one line", _STRING),
        status=described("the status of the response", {"type": "integer"}),
        proxies=described(
            "of /populate: the proxies that were made before the one that could not be",
            array(ref("Proxy")),
        ),
    ),
}


def toxiproxy_resources(routes: Sequence[Route]) -> dict[bytes, IResource]:
    """Return what answers *routes*, those of toxiproxy, by the first segments of their paths."""
    resource = _Toxiproxy(routes)
    return {str(it.segments[0]).encode(): resource for it in routes}


class _Toxiproxy(Resource):
    """All paths of the API."""

    isLeaf = True  # noqa: N815, Twisted's name
    _log = Logger()

    def __init__(self, routes: Sequence[Route]) -> None:
        super().__init__()
        #: Finds what answers.
        self.router = Router(routes)

    def render(self, request: Request) -> Any:
        request.setHeader("X-Toxiproxy-Request-Id", token_hex(10))
        answer = maybeDeferred(self._answer, request)
        answer.addErrback(self._refuse)
        answer.addCallback(lambda content: end_response(request, write_head(request, content)))
        return NOT_DONE_YET

    def _answer(self, request: Request) -> Any:
        if (request.getHeader("User-Agent") or "").startswith("Mozilla/"):
            return Content(403, b"User agent not allowed\n", _TEXT)
        match = self.router.find(request.path)
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


def toxiproxy_routes(services: Services) -> list[Route]:
    """Return the routes of toxiproxy's API, whose proxies are among *services*."""
    proxies = Proxies(services)
    proxy, toxics, toxic = (
        f"/proxies/{{proxy}}{rest}" for rest in ("", "/toxics", "/toxics/{toxic}")
    )
    shown_proxy = partial(_route, reply=ref("Proxy"))
    shown_toxic = partial(_route, reply=ref("Toxic"))
    listed = table(proxies=described("those of the request", array(ref("Proxy"))))
    version = table(version=described("of toxiproxy", _STRING))
    return [
        _route(
            "GET",
            "/version",
            _version,
            summary="Show the version of toxiproxy that has this API.",
            reply=version,
        ),
        _route(
            "GET",
            "/proxies",
            proxies.show_all,
            summary="Show all proxies, by their names.",
            reply={"type": "object", "additionalProperties": ref("Proxy")},
        ),
        shown_proxy(
            "POST",
            "/proxies",
            proxies.create,
            summary="Create a proxy.",
            status=201,
            body=ref("NewProxy"),
            errors=(400, 409, 500),
        ),
        _route(
            "POST",
            "/populate",
            partial(_populate, proxies),
            summary="Create proxies; one that listens and forwards as it should stays as it is.",
            status=201,
            body=nullable(array(ref("NewProxy"))),
            reply=listed,
            errors=(400, 409, 500),
        ),
        shown_proxy(
            "GET", proxy, proxies.show, summary="Show a proxy, with its toxics.", errors=(404,)
        ),
        *(
            shown_proxy(
                method,
                proxy,
                proxies.update,
                summary="Change where a proxy listens or forwards to, or enable or disable it.",
                body=nullable(ref("ProxyChange")),
                find=proxies.show,
                errors=(400, 404, 500),
            )
            for method in ("POST", "PATCH")
        ),
        _route(
            "DELETE",
            proxy,
            proxies.delete,
            summary="Delete a proxy, and reset its connections.",
            status=204,
            errors=(404,),
        ),
        _route(
            "GET",
            toxics,
            proxies.show_toxics,
            summary="List the toxics of a proxy.",
            reply=array(ref("Toxic")),
            errors=(404,),
        ),
        shown_toxic(
            "POST",
            toxics,
            proxies.add_toxic,
            summary="Add a toxic, which applies to open connections, too.",
            body=ref("NewToxic"),
            find=proxies.show,
            errors=(400, 404, 409),
        ),
        shown_toxic("GET", toxic, proxies.show_toxic, summary="Show a toxic.", errors=(404,)),
        *(
            shown_toxic(
                method,
                toxic,
                proxies.change_toxic,
                summary="Change attributes of a toxic, for open connections, too.",
                body=nullable(ref("ToxicChange")),
                find=proxies.show_toxic,
                errors=(400, 404),
            )
            for method in ("POST", "PATCH")
        ),
        _route(
            "DELETE",
            toxic,
            proxies.remove_toxic,
            summary="Remove a toxic.",
            status=204,
            errors=(404,),
        ),
        _route(
            "POST",
            "/reset",
            proxies.reset,
            summary="Enable all proxies, and remove all toxics.",
            status=204,
            errors=(500,),
        ),
    ]


def _route(
    method: str,
    path: str,
    answer: Callable[..., Any],
    body: Schema | None = None,
    find: Callable[..., Any] | None = None,
    **more: Any,
) -> Route:
    """
    Return a route whose *answer* gets the parameters in *path*, and the body if it needs one.

    :param body: its schema; None: it needs none.
    :param find: raises a `RefusedError` for parameters that nothing has, whatever the body is.
    :param more: as for `Route`.
    """

    def call(it: Call) -> Any:
        if find is not None:
            find(*it.path.values())
        return answer(*it.path.values(), *([] if body is None else [_parse(it.body)]))

    written = None if body is None else RawBody(body)
    return Route(method=method, path=path, answer=call, body=written, **more)


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
