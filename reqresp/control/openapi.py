"""
OpenAPI: the document that describes the API, made from its routes.

Must not know services.  OpenAPI 3.1 has the schemas of JSON Schema 2020-12.
"""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from reqresp import __version__
from reqresp.control._schemas import SCHEMAS, array, described, nullable, ref, table
from reqresp.control.routes import JSON, RawBody, Route
from reqresp.script.json_schema import Schema

#: The statuses that any request can have: without a token, and from another origin.
_ALWAYS = (401, 403)
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
    'else {"base64": "..."}. Times are seconds since the epoch.'
)


def make_document(routes: Iterable[Route], components: Mapping[str, Schema]) -> dict[str, Any]:
    """
    Return the document of *routes*.

    :param components: the schemas that those of the routes refer to, by name.
    """
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        path = paths.setdefault(route.path.replace(":int}", "}"), {})
        path[route.method.lower()] = _operation(route)
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


def _operation(route: Route) -> dict[str, Any]:
    parameters: list[dict[str, Any]] = [
        {"name": it.name, "in": "path", "required": True, "schema": _path_schema(it.is_integer)}
        for it in route.parameters
    ]
    if route.query is not None:
        parameters += _query_parameters(route.query)
    operation: dict[str, Any] = {
        "summary": route.summary,
        "operationId": _operation_id(route),
        "responses": _responses(route),
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
        return {"type": "integer", "minimum": 0, "maximum": 10**18 - 1}
    return {"type": "string", "minLength": 1}


def _operation_id(route: Route) -> str:
    words = [it if isinstance(it, str) else f"by_{it.name}" for it in route.segments]
    return "_".join([route.method.lower(), *words]).replace(".", "_")


def _responses(route: Route) -> dict[str, Any]:
    success: dict[str, Any] = {"description": HTTPStatus(route.status).phrase}
    if route.reply is not None:
        success["content"] = {route.content_type: {"schema": route.reply}}
    errors = {*_ALWAYS, *route.errors}
    if route.parameters:
        errors.add(404)
    if route.method != "GET":
        errors |= {400, 413, 415}
    if route.method == "GET":
        errors.add(413)  # a body is dropped, unless it is too large
    errors.add(422)  # an unknown parameter of the query, at least
    return {
        str(route.status): success,
        **{
            str(status): {
                "description": HTTPStatus(status).phrase,
                "content": {JSON: {"schema": ref("Error")}},
            }
            for status in sorted(errors)
        },
    }
