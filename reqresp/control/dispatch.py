"""
Dispatch: from a request to its route, and from what that returns to a response.

Knows Twisted's requests.  Must not know services.  Whatever a client sends, it gets JSON with a
status below 500.  What a client sends is not logged.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from attrs import NOTHING, fields, frozen
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.error import UnsupportedMethod
from twisted.web.resource import IResource, Resource, getChildForRequest
from twisted.web.server import NOT_DONE_YET, Request

from reqresp._text import quote
from reqresp.control._bodies import parse_json, read_body, read_query, read_table
from reqresp.control._guard import Guard
from reqresp.control._responses import end_response, write_head
from reqresp.control.errors import ApiError, refusal_of, unknown_path
from reqresp.control.routes import JSON, Call, Content, Created, Match, RawBody, Route, Router

_encode = json.JSONEncoder(check_circular=False, separators=(",", ":")).encode

#: Sent with every response: it is for this page alone, now, and is what it says to be.
HEADERS = (
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)


class Dispatcher(Resource):
    """
    Answers all requests of a site.

    :param routes: are looked at first.
    :param max_body: how many bytes of a body are accepted.
    :param children: resources of Twisted for the other paths, by the first segment of each.
    :param public: those of *children* that need no token.
    """

    isLeaf = True  # noqa: N815, Twisted's name
    _log = Logger()

    def __init__(
        self,
        routes: Iterable[Route],
        guard: Guard,
        max_body: int,
        children: Mapping[bytes, IResource] | None = None,
        public: Iterable[bytes] = (),
    ) -> None:
        super().__init__()
        routes = [*routes]
        #: Finds the routes of paths.
        self.router = Router(routes)
        self._paths = [*dict.fromkeys(it.path.replace(":int}", "}") for it in routes)]
        self._guard = guard
        self._max_body = max_body
        #: Renders the other paths.
        self.others = Resource()
        for name, child in (children or {}).items():
            self.others.putChild(name, child)
        self._public = frozenset(public)

    def render(self, request: Request) -> Any:
        for name, value in HEADERS:
            request.setHeader(name, value)
        try:
            found = self._answer(request)
        except Exception as error:  # a client must not see a traceback
            found = self._refuse(request, error)
        if isinstance(found, Deferred):
            _write_later(request, found, lambda error: self._refuse(request, error))
        elif found is not NOT_DONE_YET:
            # Not returned: Twisted would add a length to a response without content.
            end_response(request, found)
        return NOT_DONE_YET

    def _answer(self, request: Request) -> Any:
        match = self.router.find(request.path)
        first = request.path[1:].partition(b"/")[0] if request.path.startswith(b"/") else None
        self._guard.check(request, is_public=match is None and first in self._public)
        content = self._read_content(request)
        if match is None:
            return self._render_other(request, first)
        route = _route_of(match, request)
        if route is None:
            raise _not_allowed(match.allowed())
        query = read_query(route.query or _NoQuery, request.args or {})
        body = _read_body(route, request, content)
        answer = route.answer(Call(request, match.path, query, body))
        if isinstance(answer, Deferred):
            return answer.addCallback(lambda it: _respond(request, route, it))
        return _respond(request, route, answer)

    def _render_other(self, request: Request, first: bytes | None) -> Any:
        """Render the resource whose path begins with *first*."""
        if first not in self.others.children:
            raise unknown_path(request.path, self._paths)
        try:
            return getChildForRequest(self.others, request).render(request)
        except UnsupportedMethod as error:
            raise _not_allowed(b", ".join(sorted(error.allowedMethods)).decode()) from None

    def _read_content(self, request: Request) -> bytes:
        """Return the body of *request*, which others can read again."""
        content = b"" if request.content is None else request.content.read()
        length = request.getHeader(b"Content-Length") or b"0"
        if len(content) > self._max_body or int(length) > self._max_body:
            raise ApiError(413, f"expected a body of at most {self._max_body} bytes")
        if content and request.content is not None:
            request.content.seek(0)
        return content

    def _refuse(self, request: Request, error: Exception) -> bytes:
        refusal = refusal_of(error)
        if refusal is None:
            self._log.failure("error in the control server", Failure(error))
            refusal = ApiError(500, "internal error; see the log of the server")
        for name, value in refusal.headers:
            request.setHeader(name, value)
        return write_head(request, Content(refusal.status, encode(refusal.as_json())))


def _read_body(route: Route, request: Request, content: bytes) -> Any:
    if route.method == "GET":
        return None
    types = request.requestHeaders.getRawHeaders(b"Content-Type") or []
    is_json = [_media_type(it) for it in types] == [JSON]
    # A form on a page of another site can send three other types.
    if not is_json and (types or content or _needs_body(route)):
        found = quote(b", ".join(types).decode("latin-1")) if types else "none"
        raise ApiError(
            415, f"expected the header Content-Type: {JSON}, found {found} (curl: use --json)"
        )
    if isinstance(route.body, RawBody):
        return read_table(parse_json(content))
    if route.body is not None:
        says_nothing = not content and not _needs_body(route)
        return read_body(route.body, {} if says_nothing else parse_json(content))
    if content.strip() and parse_json(content) != {}:
        raise ApiError(400, "expected no body, or {}")
    return None


def _needs_body(route: Route) -> bool:
    """Return whether a request without a body says too little."""
    if route.body is None or isinstance(route.body, RawBody):
        return route.body is not None
    return any(it.default is NOTHING for it in fields(route.body))


def encode(value: Any) -> bytes:
    """Return *value* as JSON, in ASCII."""
    return _encode(value).encode()


def _not_allowed(allowed: str) -> ApiError:
    return ApiError(405, f"method not allowed; expected {allowed}", headers=[("Allow", allowed)])


def _route_of(match: Match, request: Request) -> Route | None:
    method = "GET" if request.method == b"HEAD" else request.method.decode("latin-1")
    return match.routes.get(method)


def _respond(request: Request, route: Route, answer: Any) -> Any:
    if answer is NOT_DONE_YET:
        return answer
    if isinstance(answer, Content):
        return write_head(request, answer)
    if isinstance(answer, Created):
        return write_head(request, Content(201, encode(answer.value)))
    if route.reply is None:
        return write_head(request, Content(route.status, b""))
    return write_head(request, Content(route.status, encode(answer)))


def _write_later(
    request: Request, answer: "Deferred[bytes]", refuse: Callable[[Exception], bytes]
) -> None:
    """Write what *answer* is called back with."""

    def write(data: Any) -> None:
        end_response(request, data)

    def fail(failure: Failure) -> None:
        error = failure.value
        write(refuse(error if isinstance(error, Exception) else RuntimeError(str(failure))))

    answer.addCallbacks(write, fail).addErrback(
        lambda failure: Dispatcher._log.failure("error in the control server", failure)
    )


def _media_type(value: bytes) -> str:
    return value.partition(b";")[0].strip().lower().decode("latin-1")


@frozen
class _NoQuery:
    """No parameters."""
