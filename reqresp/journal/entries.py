"""
Entries: what can be said of a server's past, one thing at a time.

Values only, as in `steps`; and how each is written as JSON.
"""

import base64
from typing import Any

from attrs import frozen
from twisted.internet.interfaces import IAddress

from reqresp._text import format_address
from reqresp.exchanges import UNMATCHED, Exchange
from reqresp.steps import Request, Send, Step, Wait


@frozen
class Connected:
    """A client connected; *at* is seconds since the epoch, here and in all others."""

    at: float
    peer: IAddress
    connection: int


@frozen
class Refused:
    """A client was turned away over a limit."""

    at: float
    peer: IAddress
    reason: str


@frozen
class Answered:
    """
    A request was answered.

    :param at: when it was taken up.
    :param sent: when the last of its reply was handed to the transport.
    """

    at: float
    sent: float
    exchange: Exchange

    @property
    def is_miss(self) -> bool:
        """Whether no rule of a script answered."""
        return self.exchange.by == UNMATCHED


@frozen
class Unanswered:
    """A request was taken up, and not answered (yet, or before its connection was gone)."""

    at: float
    request: Request


@frozen
class Failed:
    """A connection was ended over a malformed request, or over what a responder raised."""

    at: float
    peer: IAddress
    connection: int
    reason: str


@frozen
class Disconnected:
    """A connection is gone."""

    at: float
    peer: IAddress
    connection: int
    reason: str


Entry = Connected | Refused | Answered | Unanswered | Failed | Disconnected


def as_json(entry: Entry) -> dict[str, Any]:
    """
    Give *entry* as `json` takes it.

    Bytes are a string where they are UTF-8, else ``{"base64": ...}``; steps are what a script has
    under ``do``.  What is seldom true is left out when it is not: ``miss``, ``faults``, ``raw``.
    """
    line: dict[str, Any] = {"event": type(entry).__name__.lower(), "at": entry.at}
    match entry:
        case Answered(exchange=exchange):
            line |= {"sent": entry.sent} | _request(exchange.request)
            line |= {"by": exchange.by, "steps": [_step(step) for step in exchange.steps]}
            if entry.is_miss:
                line["miss"] = True
            if exchange.injected:
                line["faults"] = list(exchange.injected)
        case Unanswered():
            line |= _request(entry.request)
        case Refused():
            line |= {"peer": format_address(entry.peer), "reason": entry.reason}
        case _:
            line |= {"connection": entry.connection, "peer": format_address(entry.peer)}
            if not isinstance(entry, Connected):
                line["reason"] = entry.reason
    return line


def _request(request: Request) -> dict[str, Any]:
    # A command of Redis as it came, not as rules see it.
    data = getattr(request.data, "raw", request.data)
    return {
        "connection": request.connection,
        "peer": format_address(request.peer),
        "number": request.number,
        "request": _bytes(data),
    }


def _bytes(data: bytes) -> str | dict[str, Any]:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}


def _step(step: Step) -> dict[str, Any]:
    match step:
        case Send(data=data, raw=False):
            return {"send": _bytes(data)}
        case Send(data=data):
            payload = _bytes(data)
            table = {"text": payload} if isinstance(payload, str) else payload
            return {"send": table | {"raw": True}}
        case Wait(seconds=seconds):
            return {"wait": seconds}
        case _:
            return {step.key: True}
