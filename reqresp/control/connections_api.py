"""
The routes of connections: which are open, and how to push to them or end them.

Knows the connections of a service.  Must not know HTTP.
"""

from typing import Any

from attrs import frozen

from reqresp._errors import FieldError
from reqresp.control._schemas import array, table
from reqresp.control.errors import ApiError
from reqresp.control.routes import Call, Route
from reqresp.control.services_api import service_of
from reqresp.script.files import ScriptFiles
from reqresp.script.payloads import read_payload
from reqresp.script.schema import PayloadTable
from reqresp.server.pushes import PushError
from reqresp.services.registry import Services
from reqresp.services.service import Service

_CONNECTIONS = "/api/services/{service}/connections"
_ONE = f"{_CONNECTIONS}/{{connection:int}}"

_COUNT = {"type": "integer", "minimum": 0}


@frozen(kw_only=True)
class PushBody:
    """
    Bytes to send.

    :param data: as text, hex or base64.
    """

    data: str | PayloadTable


class ConnectionsApi:
    """The routes of the connections of *services*."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def routes(self) -> list[Route]:
        """Return the routes."""
        connection = table(
            number=_COUNT,
            peer={"type": "string"},
            since={"type": "number"},
            requests=_COUNT,
            received=_COUNT,
            sent=_COUNT,
        )
        return [
            Route(
                method="GET",
                path=_CONNECTIONS,
                answer=self._list,
                summary="List the open connections.",
                reply=table(connections=array(connection)),
            ),
            Route(
                method="POST",
                path=f"{_ONE}/push",
                answer=self._push,
                summary="Send bytes to a client, as they are, after the reply that is under way.",
                status=204,
                body=PushBody,
                errors=(409,),
            ),
            Route(
                method="POST",
                path=f"{_ONE}/close",
                answer=self._close,
                summary="Close a connection after what was sent is delivered.",
                status=204,
            ),
            Route(
                method="POST",
                path=f"{_ONE}/reset",
                answer=self._reset,
                summary="Reset a connection now.",
                status=204,
            ),
        ]

    def _list(self, call: Call) -> Any:
        connections = self._service(call).factory.connections
        return {"connections": [it.as_json() for it in connections]}

    def _push(self, call: Call) -> None:
        data = _payload(call.body.data)
        connections = self._service(call).factory.connections
        try:
            connections.push(call.path["connection"], data)
        except KeyError:
            raise _not_open(call) from None
        except PushError as error:
            raise ApiError(409, str(error)) from None

    def _close(self, call: Call) -> None:
        service, number = self._service(call), call.path["connection"]
        try:
            service.factory.connections.close(number)
        except KeyError:
            raise _not_open(call) from None
        service.note(f"connection {number} closed")

    def _reset(self, call: Call) -> None:
        service, number = self._service(call), call.path["connection"]
        try:
            service.factory.connections.reset(number)
        except KeyError:
            raise _not_open(call) from None
        service.note(f"connection {number} reset")

    def _service(self, call: Call) -> Service:
        return service_of(self._services, call.path["service"])


def _not_open(call: Call) -> ApiError:
    return ApiError(404, f"no open connection has the number {call.path['connection']}")


def _payload(written: str | PayloadTable) -> bytes:
    """Return the bytes that *written* stands for; it can be neither a template nor a file."""
    try:
        payload = read_payload(written, ScriptFiles(None), None)
    except ValueError as error:
        raise FieldError("data", str(error)) from None
    if not isinstance(payload, bytes):
        raise FieldError("data", "expected text, hex or base64, found a template")
    return payload
