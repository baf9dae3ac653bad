"""
The routes of connections: which are open, and how to send to them or end them.

Knows the connections of a service.  Must not know HTTP.
"""

from collections.abc import Sequence
from typing import Any

from attrs import field, frozen

from reqresp._errors import FieldError
from reqresp._text import unknown
from reqresp.control._schemas import array, described, described_by, nullable, table
from reqresp.control.errors import ApiError
from reqresp.control.routes import Call, Route
from reqresp.framing import FrameError
from reqresp.script.files import ScriptFiles
from reqresp.script.payloads import read_payload
from reqresp.script.schema import PayloadTable, WrittenPayload, WrittenPayloads
from reqresp.script.toml_positions import join
from reqresp.server.broadcasts import broadcast, check_unasked, framed
from reqresp.server.connection_table import ConnectionInfo
from reqresp.server.factory import ReqRespFactory
from reqresp.server.front_factory import front_of
from reqresp.server.pushes import PushError
from reqresp.services.registry import Services
from reqresp.services.service import Service
from reqresp.steps import STATE_PREFIX, Send

_CONNECTIONS = "/api/services/{service}/connections"
_ONE = f"{_CONNECTIONS}/{{connection:int}}"

_COUNT = {"type": "integer", "minimum": 0}


@frozen(kw_only=True)
class PushBody:
    """
    Bytes to send.

    :param data: as text, hex or base64; a list: all of them are sent, or none.
    :param framed: whether each is sent in a frame, as a reply is, unless it is raw.
    """

    data: WrittenPayloads
    framed: bool = False


@frozen(kw_only=True)
class BroadcastBody(PushBody):
    """
    Bytes to send to several clients.

    :param to: ``all``, or ``state:NAME``: those in a state.
    """

    to: str = field(default="all", metadata={"schema": {"pattern": "^(all|state:.+)$"}})


class ConnectionsApi:
    """The routes of the connections of *services*."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def routes(self) -> list[Route]:
        """Return the routes."""
        connection = table(
            **described_by(
                ConnectionInfo,
                number=_COUNT,
                peer={"type": "string"},
                since={"type": "number"},
                requests=_COUNT,
                received=_COUNT,
                sent=_COUNT,
            ),
            state=described(
                "of the conversation; null: there are no states", nullable({"type": "string"})
            ),
        )
        return [
            Route(
                method="GET",
                path=_CONNECTIONS,
                answer=self._list,
                summary="List the open connections.",
                reply=table(connections=described("by their numbers", array(connection))),
            ),
            Route(
                method="POST",
                path=f"{_CONNECTIONS}/push",
                answer=self._broadcast,
                summary="Send bytes to clients that are connected, and say to how many.",
                body=BroadcastBody,
                reply=table(sent=described("to how many connections", _COUNT)),
                errors=(409,),
            ),
            Route(
                method="POST",
                path=f"{_ONE}/push",
                answer=self._push,
                summary="Send bytes to a client after the reply that is under way.",
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
        factory = self._service(call).factory
        states = factory.states() if isinstance(factory, ReqRespFactory) else {}
        return {
            "connections": [
                {**it.as_json(), "state": states.get(it.number)} for it in factory.connections
            ]
        }

    def _push(self, call: Call) -> None:
        steps, number = _steps(call.body), call.path["connection"]
        service = self._service(call)
        try:
            service.factory.connections.push(number, _data(service, number, steps))
        except KeyError:
            raise _not_open(call) from None
        except PushError as error:
            raise ApiError(409, str(error)) from None
        except FrameError as error:
            raise FieldError("data", str(error)) from None

    def _broadcast(self, call: Call) -> Any:
        steps, to = _steps(call.body), call.body.to
        service = self._service(call)
        factory = _request_factory(service)
        check_unasked(to)
        _check_state(service, factory, to)
        try:
            return {"sent": broadcast(front_of(factory), to, steps)}
        except FrameError as error:
            raise FieldError("data", str(error)) from None

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
        return self._services[call.path["service"]]


def _request_factory(service: Service) -> ReqRespFactory:
    """:raises ApiError: *service* forwards all bytes, and knows no frames."""
    if isinstance(service.factory, ReqRespFactory):
        return service.factory
    raise ApiError(409, f"{service.name} forwards all bytes, and knows no frames and no states")


def _check_state(service: Service, factory: ReqRespFactory, to: str) -> None:
    """:raises FieldError: *to* names a state that no connection of *service* can have."""
    if not to.startswith(STATE_PREFIX):
        return
    state = to.removeprefix(STATE_PREFIX)
    rules = () if service.script is None else service.script.rules.states
    known = {*rules, *service.expectations.states, *factory.states().values()}
    if state not in known:
        raise FieldError("to", unknown("state", state, sorted(known - {""})))


def _not_open(call: Call) -> ApiError:
    return ApiError(404, f"no open connection has the number {call.path['connection']}")


def _steps(body: PushBody) -> Sequence[Send]:
    """Return the steps that send what *body* has."""
    if not isinstance(body.data, list):
        return [_send(body.data, "data", body)]
    if not body.data:
        raise FieldError("data", "expected at least one element, found an empty list")
    return [_send(it, join("data", at), body) for at, it in enumerate(body.data)]


def _send(written: WrittenPayload, path: str, body: PushBody) -> Send:
    """Return the step that sends *written*, which can be neither a template nor a file."""
    if written == PayloadTable():
        raise FieldError(path, "expected text, hex or base64")
    try:
        payload = read_payload(written, ScriptFiles(None), None)
    except ValueError as error:
        raise FieldError(path, str(error)) from None
    if not isinstance(payload, bytes):
        raise FieldError(path, "expected text, hex or base64, found a template")
    is_raw = isinstance(written, PayloadTable) and written.raw
    return Send(payload, raw=is_raw or not body.framed)


def _data(service: Service, number: int, steps: Sequence[Send]) -> bytes:
    """
    Return the data of *steps* for a connection of *service*.

    :raises KeyError: no connection with this *number* is open.
    :raises FrameError: its framing cannot express the data.
    """
    if all(it.raw for it in steps):
        return b"".join(it.data for it in steps)
    return framed(steps, _request_factory(service).framings()[number])
