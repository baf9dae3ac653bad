"""
The routes of faults: what goes wrong, added, changed and removed while clients are connected.

Knows the faults of factories.  Must not know HTTP.
"""

from collections.abc import Mapping
from typing import Any

import attrs

from reqresp._errors import Bytes, FieldError, Seconds, Share
from reqresp.control._schemas import Schema, array, ref, schema_of, table
from reqresp.control.errors import ApiError, unusable
from reqresp.control.routes import Call, RawBody, Route
from reqresp.control.services_api import service_of
from reqresp.faults import KINDS, STREAM_KINDS, Bandwidth, DirectedFault, Fault
from reqresp.faults.faults import MAX_NAME
from reqresp.relay import RelayFactory
from reqresp.server.factory import ReqRespFactory
from reqresp.server.live_faults import LiveFault
from reqresp.services.registry import Services
from reqresp.services.service import Service

_FAULTS = "/api/services/{service}/faults"

#: Where faults of a service that answers go wrong, as its factory calls it: in its replies, or in
#: whole connections.
_PLACES = {"downstream": "reply", "connection": "connect"}
_STREAMS_OF_PLACES = {place: stream for stream, place in _PLACES.items()}
#: The directions of a relay.
_DIRECTIONS = ("upstream", "downstream")

#: What faults of a relay have besides the parameters of their kinds.
_PLACEMENT = ("after", "after_bytes", "for_", "shared")

_UNITS: Mapping[Any, str] = {Seconds: "seconds", Bytes: "bytes", Share: "share"}


def _parameter_schemas() -> dict[str, Schema]:
    """Return the schema of each parameter that some kind of fault has."""
    fields = [it for kind in KINDS.values() for it in attrs.fields(kind)]
    return {it.name: schema_of(it.type) for it in fields} | {
        "after": schema_of(Seconds),
        "after_bytes": schema_of(Bytes),
        "for": schema_of(Seconds),
        "shared": {"type": "boolean"},
    }


_PARAMETERS = _parameter_schemas()
_KEYS: Mapping[str, Schema] = {
    "name": {"type": "string", "minLength": 1, "maxLength": MAX_NAME},
    "kind": {"enum": [*KINDS]},
    "stream": {"enum": ["upstream", "downstream", "connection"]},
}

#: The schemas that the routes refer to.
COMPONENTS: Mapping[str, Schema] = {
    "Fault": {
        "type": "object",
        "description": "What goes wrong, and where; the other keys are parameters of its kind.",
        "properties": {**_KEYS, **_PARAMETERS, "for": {}},
        "required": ["name", "kind", "stream", "probability"],
    },
    "NewFault": {
        "type": "object",
        "properties": {**_KEYS, **_PARAMETERS},
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
                reply=table(faults=array(ref("Fault")), kinds={"type": "object"}),
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
        service = self._service(call)
        return {"faults": [_describe(it) for it in _faults(service)], "kinds": _kinds(service)}

    def _add(self, call: Call) -> Any:
        service = self._service(call)
        parameters = dict(call.body)
        kind, stream = (_taken(parameters, key) for key in ("kind", "stream"))
        name = parameters.pop("name", None)
        if name is not None:
            _check_name(service, name)
        live = _add(service, kind, stream, name, parameters)
        service.note(f"fault {live.name} added: {live.fault}, {_stream(live)}")
        return _describe(live)

    def _change(self, call: Call) -> Any:
        service, live = self._service(call), self._fault(call)
        try:
            live.change(**call.body)
        except FieldError:
            raise
        except (TypeError, ValueError) as error:
            raise ApiError(422, str(error)) from None
        service.note(f"fault {live.name} changed: {live.fault}, {_stream(live)}")
        return _describe(live)

    def _remove(self, call: Call) -> None:
        service, live = self._service(call), self._fault(call)
        live.remove()
        service.note(f"fault {live.name} removed")

    def _service(self, call: Call) -> Service:
        return service_of(self._services, call.path["service"])

    def _fault(self, call: Call) -> LiveFault[Any]:
        name = call.path["name"]
        found = next((it for it in _faults(self._service(call)) if it.name == name), None)
        if found is None:
            raise ApiError(404, f"no fault has the name {name!r}")
        return found


def _faults(service: Service) -> tuple[LiveFault[Any], ...]:
    factory = service.factory
    if isinstance(factory, RelayFactory | ReqRespFactory):
        return factory.faults
    return ()


def _add(
    service: Service, kind: str, stream: str, name: str | None, parameters: dict[str, Any]
) -> LiveFault[Any]:
    factory = service.factory
    streams = _DIRECTIONS if isinstance(factory, RelayFactory) else tuple(_PLACES)
    if stream not in streams:
        raise FieldError("stream", f"expected {' or '.join(streams)}, found {stream!r}")
    if "for" in parameters:
        parameters["for_"] = parameters.pop("for")
    try:
        if isinstance(factory, RelayFactory):
            return factory.fault(kind, stream=stream, name=name, **parameters)
        if isinstance(factory, ReqRespFactory):
            return factory.fault(kind, on=_PLACES[stream], name=name, **parameters)
    except TypeError as error:
        raise ApiError(422, str(error)) from None
    except ValueError as error:
        raise unusable(error) from None
    raise ApiError(422, "the service cannot have faults")


def _taken(parameters: dict[str, Any], key: str) -> str:
    """Take the text at *key* out of *parameters*."""
    if key not in parameters:
        raise FieldError(key, f"the key {key} is missing")
    value = parameters.pop(key)
    if not isinstance(value, str):
        raise FieldError(key, "expected a string")
    return value


def _check_name(service: Service, name: Any) -> None:
    if not (isinstance(name, str) and name.isprintable() and 0 < len(name) <= MAX_NAME):
        raise FieldError("name", f"expected a name of 1 to {MAX_NAME} printable characters")
    if name in [it.name for it in _faults(service)]:
        raise ApiError(409, f"expected another name: there is a fault {name!r}")


def _describe(live: LiveFault[Any]) -> dict[str, Any]:
    """Return a fault as JSON."""
    described = {"name": live.name, "kind": live.fault.kind, "stream": _stream(live)}
    described |= attrs.asdict(live.fault)
    if isinstance(live.placed, DirectedFault):
        described |= {it.removesuffix("_"): getattr(live.placed, it) for it in _PLACEMENT}
    return described


def _stream(live: LiveFault[Any]) -> str:
    return _STREAMS_OF_PLACES.get(live.where, live.where)


def _kinds(service: Service) -> dict[str, Any]:
    """Return, by stream and by kind, the parameters with their defaults and units."""
    is_relay = isinstance(service.factory, RelayFactory)
    kinds = STREAM_KINDS if is_relay else KINDS
    shown = {name: _describe_kind(kind) for name, kind in kinds.items()}
    return dict.fromkeys(_DIRECTIONS if is_relay else _PLACES, shown)


def _describe_kind(kind: type[Fault]) -> dict[str, Any]:
    return {
        it.name: {
            "default": None if it.default is attrs.NOTHING else it.default,
            "unit": "bytes a second" if kind is Bandwidth and it.name == "rate" else _unit(it.type),
        }
        for it in attrs.fields(kind)
    }


def _unit(kind: Any) -> str | None:
    return _UNITS.get(kind)
