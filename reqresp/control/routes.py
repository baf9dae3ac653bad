"""
Routes: the paths of the API, each with what it expects and what it answers.

Requests are dispatched by the same table that the OpenAPI document is made of.  Must not know
services.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

from attrs import field, frozen
from twisted.web.server import Request

from reqresp.script.json_schema import Schema

#: The content types of responses.
JSON = "application/json"
EVENTS = "text/event-stream"

_PARAMETER = re.compile(r"\{(\w+)(:int)?\}")
#: An integer in a path, of 18 digits at most.
_INTEGER = re.compile(r"[0-9]{1,18}")


@frozen
class Call:
    """
    A request for a route.

    :param path: the values of the parameters in the route's path.
    :param query: a value of the route's class of queries.
    :param body: a value of the route's class of bodies, or a dict.
    """

    request: Request
    path: Mapping[str, Any]
    query: Any = None
    body: Any = None


@frozen
class Content:
    """A response that is not JSON, or has another status than its route's."""

    status: int
    data: bytes
    content_type: str = JSON


@frozen
class Created:
    """A response of 201: *value*, as JSON, of what was created."""

    value: Any


@frozen
class RawBody:
    """JSON that a route reads itself, with this schema."""

    schema: Schema


@frozen
class Parameter:
    """A parameter in a path: its name, and whether it is an integer."""

    name: str
    is_integer: bool = False

    def value(self, segment: str) -> Any:
        """Return the value that *segment* of a path has; None: it cannot be one."""
        if not self.is_integer:
            return segment or None
        return int(segment) if _INTEGER.fullmatch(segment) else None


@frozen(kw_only=True)
class Route:
    """
    A method and a path, and what answers.

    :param path: such as ``/api/services/{service}/entries/{id:int}``.
    :param answer: returns what `json` accepts, `Created`, `Content`, a Deferred of these, or
        ``NOT_DONE_YET``.  Raises errors that `refusal_of` knows.
    :param summary: one sentence of what it does.
    :param status: of the response.
    :param reply: the schema of the response; None: it has no content.
    :param content_type: of the response.
    :param body: the class of the JSON in the request, or its schema; None: there is none.
    :param query: the class of the query; None: there is none.
    :param creates: whether the status can be 201 as well.
    :param errors: statuses of errors, besides those that follow from the rest.
    """

    method: str
    path: str
    answer: Callable[[Call], Any] = field(repr=False)
    summary: str = field(repr=False)
    status: int = field(default=200, repr=False)
    reply: Schema | None = field(default=None, repr=False)
    content_type: str = field(default=JSON, repr=False)
    body: type[Any] | RawBody | None = field(default=None, repr=False)
    query: type[Any] | None = field(default=None, repr=False)
    creates: bool = field(default=False, repr=False)
    errors: tuple[int, ...] = field(default=(), repr=False)
    #: The segments of the path after the first slash.
    segments: tuple[str | Parameter, ...] = field(init=False, repr=False)

    @segments.default
    def _split(self) -> tuple[str | Parameter, ...]:
        return tuple(map(_segment, self.path[1:].split("/")))

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The parameters in the path."""
        return tuple(it for it in self.segments if isinstance(it, Parameter))

    def match(self, segments: list[str]) -> dict[str, Any] | None:
        """Return the values of the parameters in *segments* of a path; None: it is another path."""
        if len(segments) != len(self.segments):
            return None
        values: dict[str, Any] = {}
        for mine, segment in zip(self.segments, segments, strict=True):
            if isinstance(mine, str):
                if mine != segment:
                    return None
                continue
            value = mine.value(segment)
            if value is None:
                return None
            values[mine.name] = value
        return values


@frozen
class Match:
    """The routes of one path, by their methods, and the values of its parameters."""

    routes: Mapping[str, Route]
    path: Mapping[str, Any]

    def allowed(self) -> str:
        """Return the value of the header ``Allow``."""
        return ", ".join(sorted({*self.routes, *(["HEAD"] if "GET" in self.routes else [])}))


class Router:
    """Finds the routes of a path."""

    def __init__(self, routes: Iterable[Route]) -> None:
        by_path: dict[str, list[Route]] = {}
        for route in routes:
            by_path.setdefault(route.path, []).append(route)
        self._paths = [{it.method: it for it in same} for same in by_path.values()]

    @property
    def routes(self) -> list[Route]:
        """All routes that it finds."""
        return [route for same in self._paths for route in same.values()]

    def find(self, path: bytes) -> Match | None:
        """Return the routes of *path*, as it stands in a request; None: there are none."""
        segments = split_path(path)
        if segments is None:
            return None
        for routes in self._paths:
            values = next(iter(routes.values())).match(segments)
            if values is not None:
                return Match(routes, values)
        return None


def split_path(path: bytes) -> list[str] | None:
    """Return the segments of *path*, without their escapes; None: it is not a path."""
    if not path.startswith(b"/"):
        return None
    try:
        return [unquote_to_bytes(it).decode() for it in path[1:].split(b"/")]
    except UnicodeDecodeError:
        return None


def _segment(text: str) -> str | Parameter:
    match = _PARAMETER.fullmatch(text)
    return text if match is None else Parameter(match[1], match[2] is not None)
