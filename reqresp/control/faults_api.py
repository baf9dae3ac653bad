"""
The routes of faults: what goes wrong, added, changed and removed while clients are connected.

Knows the faults of services.  Must not know HTTP.
"""

from collections.abc import Mapping
from typing import Any

from reqresp._errors import FieldError
from reqresp.control._schemas import SCHEMAS, array, described, nullable, ref, table
from reqresp.control.errors import ApiError
from reqresp.control.routes import Call, RawBody, Route
from reqresp.faults import KINDS
from reqresp.faults.faults import MAX_NAME
from reqresp.script.json_schema import Schema
from reqresp.script.schema import StreamFaultTable
from reqresp.services.registry import Services
from reqresp.services.service import Service

_FAULTS = "/api/services/{service}/faults"


def _parameter_schemas() -> dict[str, Schema]:
    """Return the schema of each parameter that some kind of fault has."""
    schemas: dict[str, Schema] = {}
    for kind in KINDS.values():
        for name, schema in SCHEMAS.table(kind)["properties"].items():
            # A parameter of several kinds can mean something else in each.
            texts = [schemas[name]["description"]] if name in schemas else []
            texts += [schema["description"]] if schema["description"] not in texts else []
            schemas[name] = described("; or ".join(texts), schema)
            schemas[name].pop("default", None)
    return schemas


_PARAMETERS = _parameter_schemas()
# When and where a fault applies; none of this can be changed.
_WINDOW: Mapping[str, Schema] = {
    name: SCHEMAS.table(StreamFaultTable)["properties"][name]
    for name in ("after", "after_bytes", "for", "shared")
}
_KEYS: Mapping[str, Schema] = {
    "name": described(
        "by which it is found; its kind, with a number if there is one, unless given",
        {"type": "string", "minLength": 1, "maxLength": MAX_NAME},
    ),
    "kind": described("what goes wrong", {"enum": [*KINDS]}),
    "stream": described(
        "where: a direction of a relay; of a service that answers, upstream is what clients send,"
        " downstream its replies, and connection its connections from their beginning",
        {"enum": ["upstream", "downstream", "connection"]},
    ),
}


def _by_name(schema: Schema) -> Schema:
    """Return the schema of an object that has a *schema* for each of some names."""
    return {"type": "object", "additionalProperties": schema}


_BOUND = nullable({"type": "number"})
_PARAMETER = table(
    default=described("the value unless one is given; null: it must be", {}),
    unit=described("seconds, bytes, bytes per second, share, or empty", {"type": "string"}),
    minimum=described("its smallest value; null: none", _BOUND),
    maximum=described("its largest value; null: none", _BOUND),
)

#: The schemas that the routes refer to.
COMPONENTS: Mapping[str, Schema] = {
    "Fault": {
        "type": "object",
        "description": "What goes wrong, and where; the other keys are parameters of its kind.",
        "properties": {**_KEYS, **_PARAMETERS, **_WINDOW},
        "required": ["name", "kind", "stream", "probability"],
    },
    "NewFault": {
        "type": "object",
        "properties": {**_KEYS, **_PARAMETERS, **_WINDOW},
        "required": ["kind", "stream"],
        "additionalProperties": False,
    },
    "FaultParameters": {
        "type": "object",
        "properties": _PARAMETERS,
        "additionalProperties": False,
    },
}


class FaultsApi:
    """The routes of the faults of *services*."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route(
                method="GET",
                path=_FAULTS,
                answer=self._list,
                summary="List the faults, and the kinds that each stream can have.",
                reply=table(
                    faults=described("in the order in which they apply", array(ref("Fault"))),
                    kinds=described(
                        "the kinds that each stream can have, and the default, the unit and the"
                        " bounds of each parameter",
                        _by_name(_by_name(_by_name(_PARAMETER))),
                    ),
                ),
            ),
            Route(
                method="POST",
                path=_FAULTS,
                answer=self._add,
                summary="Add a fault, which applies to open connections, too.",
                status=201,
                body=RawBody(ref("NewFault")),
                reply=ref("Fault"),
                errors=(409,),
            ),
            Route(
                method="PATCH",
                path=f"{_FAULTS}/{{name}}",
                answer=self._change,
                summary="Change parameters of a fault, for open connections, too.",
                body=RawBody(ref("FaultParameters")),
                reply=ref("Fault"),
            ),
            Route(
                method="DELETE",
                path=f"{_FAULTS}/{{name}}",
                answer=self._remove,
                summary="Remove a fault; what it holds is sent on.",
                status=204,
            ),
        ]

    def _list(self, call: Call) -> Any:
        faults = self._service(call).faults
        return {"faults": [it.as_json() for it in faults], "kinds": faults.kinds}

    def _add(self, call: Call) -> Any:
        service = self._service(call)
        parameters = dict(call.body)
        kind, stream = (_taken(parameters, key) for key in ("kind", "stream"))
        name = parameters.pop("name", None)
        if name is not None:
            _check_name(service, name)
        try:
            fault = service.faults.add(kind, stream, name, parameters)
        except ValueError as error:
            raise _refused(error) from None
        service.note(f"fault {fault.name} added: {fault}")
        return fault.as_json()

    def _change(self, call: Call) -> Any:
        service = self._service(call)
        try:
            fault = service.faults.change(call.path["name"], call.body)
        except KeyError as error:
            raise ApiError(404, error.args[0]) from None
        service.note(f"fault {fault.name} changed: {fault}")
        return fault.as_json()

    def _remove(self, call: Call) -> None:
        service, name = self._service(call), call.path["name"]
        try:
            service.faults.remove(name)
        except KeyError as error:
            raise ApiError(404, error.args[0]) from None
        service.note(f"fault {name} removed")

    def _service(self, call: Call) -> Service:
        return self._services[call.path["service"]]


def _refused(error: Exception) -> Exception:
    return error if isinstance(error, FieldError) else ApiError(422, str(error))


def _taken(parameters: dict[str, Any], key: str) -> str:
    """Take the text at *key* out of *parameters*."""
    if key not in parameters:
        raise FieldError(key, "the key is missing")
    value = parameters.pop(key)
    if not isinstance(value, str):
        raise FieldError(key, "expected a string")
    return value


def _check_name(service: Service, name: Any) -> None:
    if not (isinstance(name, str) and name.isprintable() and 0 < len(name) <= MAX_NAME):
        raise FieldError("name", f"expected a name of 1 to {MAX_NAME} printable characters")
    if name in [it.name for it in service.faults]:
        raise ApiError(409, f"expected another name: there is a fault {name!r}")
