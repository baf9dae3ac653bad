"""
OpenAPI: the document that describes the API, made from its routes.

Must not know services.  OpenAPI 3.1 has the schemas of JSON Schema 2020-12.
"""

from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from attrs import frozen

from reqresp import __version__
from reqresp.control._schemas import MAX_NUMBER, SCHEMAS, array, described, nullable, ref, table
from reqresp.control.routes import EVENTS, JSON, RawBody, Route
from reqresp.script.json_schema import Schema

#: The statuses that any request can have: from another origin, with another method, with a body
#: that is too large though none is read; and without a token, unless the page is public.
_ALWAYS = (403, 405, 413)
_WITHOUT_TOKEN = 401


def _header(name: str, description: str) -> dict[str, Schema]:
    return {name: {"description": description, "schema": {"type": "string"}}}


#: The headers that responses of a status have besides those of all.
_HEADERS = {
    401: _header("WWW-Authenticate", "Bearer"),
    405: _header("Allow", "the methods of the path"),
}
#: Streams resume where a client says.
_LAST_EVENT_ID = {
    "name": "Last-Event-ID",
    "in": "header",
    "description": "continue after this entry; it replaces the parameter after",
    "required": False,
    "schema": {"type": "integer", "minimum": 0, "maximum": MAX_NUMBER},
}
_ERROR = table(
    error=described("what is wrong, and what is expected, in one line", {"type": "string"}),
    problems=described(
        "all that is wrong in the body or the query",
        array(
            table(
                line=described("of a script; null: none", nullable({"type": "integer"})),
                path=described("the key, such as rule[3].reply", {"type": "string"}),
                problem=described("what is wrong there", {"type": "string"}),
            )
        ),
    ),
)
_DESCRIPTION = (
    "Shows and changes the services of one reqresp process. Bytes are a string if they are UTF-8, "
    'else {"base64": "..."}. Times are seconds since the epoch. HEAD is answered as GET. A path '
    "that is too long is answered with 414, and headers that are too large with 431, both "
    "without a body. The paths from /version to /reset are those of toxiproxy: HEAD is not allowed "
    "there, times are in milliseconds, and an error has the key status."
)


@frozen(kw_only=True)
class PlainPage:
    """
    A page of the site that is text, besides the routes.

    :param summary: one sentence of what it shows.
    :param replies: the content types that each status has.
    :param is_public: whether it needs no token.
    """

    summary: str
    replies: Mapping[int, Sequence[str]]
    is_public: bool = False


def make_document(
    routes: Iterable[Route],
    toxiproxy: Iterable[Route],
    components: Mapping[str, Schema],
    pages: Mapping[str, PlainPage],
) -> dict[str, Any]:
    """
    Return the document of *routes*, *toxiproxy* and *pages*.

    :param toxiproxy: the routes of toxiproxy, whose errors are as there.
    :param components: the schemas that those of the routes refer to, by name.
    :param pages: by their paths.
    """
    paths: dict[str, dict[str, Any]] = {}
    answered = [(it, _responses(it)) for it in routes]
    answered += [(it, _toxiproxy_responses(it)) for it in toxiproxy]
    for route, responses in answered:
        path = paths.setdefault(route.path.replace(":int}", "}"), {})
        path[route.method.lower()] = _operation(route, responses)
    paths |= {path: {"get": _page_operation(path, page)} for path, page in pages.items()}
    return {
        "openapi": "3.1.0",
        "info": {"title": "reqresp", "version": __version__, "description": _DESCRIPTION},
        "paths": paths,
        "components": {
            "schemas": {"Error": _ERROR, **SCHEMAS.definitions, **components},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    }


def _operation(route: Route, responses: dict[str, Any]) -> dict[str, Any]:
    parameters: list[dict[str, Any]] = [
        {"name": it.name, "in": "path", "required": True, "schema": _path_schema(it.is_integer)}
        for it in route.parameters
    ]
    if route.query is not None:
        parameters += _query_parameters(route.query)
    if route.content_type == EVENTS:
        parameters.append(_LAST_EVENT_ID)
    operation: dict[str, Any] = {
        "summary": route.summary,
        "operationId": _operation_id(route),
        "responses": responses,
    }
    if parameters:
        operation["parameters"] = parameters
    if route.body is not None:
        schema = route.body.schema if isinstance(route.body, RawBody) else SCHEMAS.of(route.body)
        content = {JSON: {"schema": schema}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _query_parameters(query: type[Any]) -> list[dict[str, Any]]:
    table_of = SCHEMAS.table(query)
    required = table_of.get("required", ())
    return [
        {
            "name": name,
            "in": "query",
            "description": schema["description"],
            "required": name in required,
            "schema": schema,
        }
        for name, schema in table_of["properties"].items()
    ]


def _path_schema(is_integer: bool) -> Schema:
    if is_integer:
        return {"type": "integer", "minimum": 0, "maximum": MAX_NUMBER}
    return {"type": "string", "minLength": 1}


def _operation_id(route: Route) -> str:
    words = [it if isinstance(it, str) else f"by_{it.name}" for it in route.segments]
    return "_".join([route.method.lower(), *words]).replace(".", "_")


def _page_operation(path: str, page: PlainPage) -> dict[str, Any]:
    text: Schema = {"type": "string"}
    replies = {
        str(status): _response(status, dict.fromkeys(types, text))
        for status, types in page.replies.items()
    }
    operation = {
        "summary": page.summary,
        "operationId": f"get_{path.removeprefix('/')}",
        "responses": replies | _errors([] if page.is_public else [_WITHOUT_TOKEN]),
    }
    return operation | ({"security": []} if page.is_public else {})


def _responses(route: Route) -> dict[str, Any]:
    statuses = [route.status, *([201] if route.creates else [])]
    # 422: an unknown parameter of the query, at least.
    errors = {_WITHOUT_TOKEN, 422, *route.errors}
    if route.parameters:
        errors.add(404)
    if route.method != "GET":
        errors |= {400, 415}
    return {str(it): _response(it, _content(route)) for it in statuses} | _errors(errors)


def _toxiproxy_responses(route: Route) -> dict[str, Any]:
    """Return those of a route of toxiproxy; its own errors are not ours."""
    success = {str(route.status): _response(route.status, _content(route))}
    errors = _errors([_WITHOUT_TOKEN]) | {
        "403": _response(403, {JSON: ref("Error"), "text/plain": {"type": "string"}}),
        "405": _response(405, {}),
        **{str(it): _response(it, {JSON: ref("ToxiproxyError")}) for it in route.errors},
    }
    return success | dict(sorted(errors.items()))


def _content(route: Route) -> dict[str, Schema]:
    """Return the schema of what a route replies, by its content type."""
    return {} if route.reply is None else {route.content_type: route.reply}


def _errors(statuses: Iterable[int]) -> dict[str, Any]:
    found = sorted({*_ALWAYS, *statuses})
    return {str(it): _response(it, {JSON: ref("Error")}) for it in found}


def _response(status: int, content: Mapping[str, Schema]) -> dict[str, Any]:
    """Return the response of a *status*, with the schema of each content type."""
    response: dict[str, Any] = {"description": HTTPStatus(status).phrase}
    if status in _HEADERS:
        response["headers"] = _HEADERS[status]
    if content:
        response["content"] = {kind: {"schema": schema} for kind, schema in content.items()}
    return response
