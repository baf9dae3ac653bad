"""
Entries: the events of a server's past, and how each is written as JSON.

Values only: nothing here does I/O or keeps time.
"""

import base64
import json
import sys
from codecs import utf_8_decode as _utf8_decode
from typing import Any, get_args

from attrs import frozen
from twisted.internet.interfaces import IAddress

from reqresp._text import format_address
from reqresp.exchanges import UNMATCHED, Exchange
from reqresp.faults import Direction
from reqresp.framing import Command
from reqresp.server.observers import Unasked
from reqresp.steps import Broadcast, FaultEffect, Forward, Request, Send, Step, Steps, Wait

#: The bytes that an entry counts for, besides those of its request and its reply.  Python needs
#: about as many for a request that arrives alone, with a reply that is made for it.
ENTRY_OVERHEAD = 1000


@frozen
class Connected:
    """
    A client connected.

    :param at: when, in seconds since the epoch, as in all entries.
    :param connection: the connection's number, as in `Request`.
    """

    at: float
    peer: IAddress
    connection: int


@frozen
class Sent:
    """
    *data* was sent without a request.

    :param by: what it is, one of `reqresp.server.observers.Unasked`.
    """

    at: float
    peer: IAddress
    connection: int
    data: bytes
    by: Unasked


@frozen
class Changed:
    """The server was changed while it runs; *what* says how, for people."""

    at: float
    what: str


@frozen
class Refused:
    """A client was refused; *reason* names the limit."""

    at: float
    peer: IAddress
    reason: str


@frozen
class Answered:
    """
    A request was answered.

    :param at: when the request was received by the responder.
    :param sent: when the last of its reply was handed to the transport.
    """

    at: float
    sent: float
    exchange: Exchange

    @property
    def is_miss(self) -> bool:
        """Whether no rule of the script matched the request."""
        return self.exchange.by == UNMATCHED


@frozen
class Unanswered:
    """A request has no complete reply: not yet, or not before its connection was lost."""

    at: float
    request: Request


@frozen
class Failed:
    """A connection was ended because of a malformed request, or an error in a responder."""

    at: float
    peer: IAddress
    connection: int
    reason: str


@frozen
class Incomplete:
    """A connection ended within a request: *data* is what came of it, *missing* what it lacks."""

    at: float
    peer: IAddress
    connection: int
    data: bytes
    missing: str


@frozen
class Faulted:
    """A *fault* with this name affects what passes on a connection in one *direction*."""

    at: float
    peer: IAddress
    connection: int
    direction: Direction
    fault: str


@frozen
class UpstreamOpened:
    """A relay has connected to its service for a client."""

    at: float
    peer: IAddress
    connection: int


@frozen
class UpstreamFailed:
    """A relay cannot connect to its service; *reason* is Twisted's."""

    at: float
    peer: IAddress
    connection: int
    reason: str


@frozen
class Passed:
    """
    *data* has arrived at a relay, before any fault.

    :param direction: which way it passes.
    :param data: the bytes of one read; empty: EOF.
    """

    at: float
    peer: IAddress
    connection: int
    direction: Direction
    data: bytes


@frozen
class UpstreamEnded:
    """The connection of a relay to its service was closed or lost; *reason* is Twisted's."""

    at: float
    peer: IAddress
    connection: int
    reason: str


@frozen
class Disconnected:
    """A connection was closed or lost; *reason* is Twisted's."""

    at: float
    peer: IAddress
    connection: int
    reason: str


# ASCII only: some readers take other characters for the end of a line.
_encode = json.JSONEncoder(check_circular=False, separators=(",", ":")).encode

Entry = (
    Connected
    | Sent
    | Changed
    | Refused
    | Answered
    | Unanswered
    | Failed
    | Incomplete
    | UpstreamOpened
    | UpstreamFailed
    | Passed
    | Faulted
    | UpstreamEnded
    | Disconnected
)

#: What the key ``event`` is of those entries whose names are of two words.
_EVENTS: dict[type[Any], str] = {
    UpstreamOpened: "upstream_opened",
    UpstreamFailed: "upstream_failed",
    UpstreamEnded: "upstream_ended",
}
#: All values of the key ``event``.
EVENTS = tuple(_EVENTS.get(it, it.__name__.lower()) for it in get_args(Entry))


class _Payloads:
    """Writes the payloads of one entry: *limit* bytes of them in all, and the size of the rest."""

    def __init__(self, limit: int) -> None:
        self._left = limit

    def write_request(self, data: bytes, steps: Steps) -> str | dict[str, Any]:
        """Write a request, and leave half of the bytes to its reply, as far as that needs them."""
        room, half = self._left, self._left // 2
        if len(data) > half:
            room -= min(half, sum(len(bytes_of(it)) for it in steps))
        return self.write(data, room)

    def write(self, data: bytes, most: int = sys.maxsize) -> str | dict[str, Any]:
        size = len(data)
        kept = min(size, most, self._left)
        self._left -= kept
        if kept == size:
            return bytes_as_json(data)
        shown = bytes_as_json(data[:kept], is_cut=True)
        return _table(shown) | {"size": size, "truncated": True}


def as_json(entry: Entry, max_bytes: int = sys.maxsize) -> dict[str, Any]:
    """
    Return *entry* as a dict that `json` accepts.

    Bytes are a string if they are UTF-8, else ``{"base64": ...}``.  ``request`` is what rules see.
    Of a RESP command ``received`` has the bytes as they came, as far as there is room.  Steps are
    written as under ``do`` in a script, as they were before faults; ``delayed``, ``slices`` and
    ``altered`` say what faults have made of them.  These keys, ``received``, ``miss``, ``faults``
    and ``raw`` are left out if they are false or empty.

    :param max_bytes: how many bytes of request and reply are written in all; each has half of
        them, and what the other leaves.  What is longer ends there, and is a dict with its whole
        ``size`` and ``"truncated": true``.
    """
    payloads = _Payloads(max_bytes)
    line: dict[str, Any] = {"event": event_of(entry), "at": entry.at}
    match entry:
        case Answered(exchange=exchange):
            line["sent"] = entry.sent
            line |= _request(exchange.request, payloads, exchange.steps)
            line["by"] = exchange.by
            line["steps"] = [_step(step, payloads) for step in exchange.steps]
            if entry.is_miss:
                line["miss"] = True
            if exchange.injected:
                line["faults"] = list(exchange.injected)
            if exchange.effect is not None:
                line |= _effect(exchange.effect, payloads)
            _add_received(line, exchange.request, payloads)
        case Unanswered():
            line |= _request(entry.request, payloads)
            _add_received(line, entry.request, payloads)
        case Refused():
            line |= {"peer": format_address(entry.peer), "reason": entry.reason}
        case Changed():
            line["what"] = entry.what
        case Sent():
            line |= {"connection": entry.connection, "peer": format_address(entry.peer)}
            line |= {"data": payloads.write(entry.data), "by": entry.by.value}
        case Incomplete():
            line |= {"connection": entry.connection, "peer": format_address(entry.peer)}
            line |= {"request": payloads.write(entry.data), "missing": entry.missing}
        case Passed():
            line |= {"connection": entry.connection, "peer": format_address(entry.peer)}
            line["stream"] = entry.direction.value
            line |= {"data": payloads.write(entry.data)} if entry.data else {"eof": True}
        case Faulted():
            line |= {"connection": entry.connection, "peer": format_address(entry.peer)}
            line |= {"stream": entry.direction.value, "faults": [entry.fault]}
        case _:
            line |= {"connection": entry.connection, "peer": format_address(entry.peer)}
            if not isinstance(entry, Connected | UpstreamOpened):
                line["reason"] = entry.reason
    return line


def event_of(entry: Entry) -> str:
    """Return what the key ``event`` of *entry* is."""
    kind = type(entry)
    return _EVENTS.get(kind, kind.__name__.lower())


def encode_json(line: dict[str, Any]) -> str:
    """Return *line* as one line of JSON, in ASCII, without its end."""
    return _encode(line)


def _request(request: Request, payloads: _Payloads, steps: Steps = ()) -> dict[str, Any]:
    return {
        "connection": request.connection,
        "peer": format_address(request.peer),
        "number": request.number,
        "request": payloads.write_request(request.data, steps),
    }


def _add_received(line: dict[str, Any], request: Request, payloads: _Payloads) -> None:
    # The words of a RESP command, which rules see, do not tell how it came.
    if isinstance(request.data, Command):
        line["received"] = payloads.write(request.data.raw)


def bytes_of(step: Step) -> bytes:
    """Return the bytes that *step* sends, without frames; empty: it sends none."""
    match step:
        case Send(data=data) | Broadcast(data=data) | Forward(reply=bytes(data)):
            return data
        case _:
            return b""


def _effect(effect: FaultEffect, payloads: _Payloads) -> dict[str, Any]:
    line: dict[str, Any] = {}
    if effect.delay:
        line["delayed"] = round(effect.delay, 6)
    if effect.slices:
        line["slices"] = list(effect.slices)
    if effect.data is not None:
        line["altered"] = payloads.write(effect.data)
    return line


def bytes_as_json(data: bytes, is_cut: bool = False) -> str | dict[str, Any]:
    """
    Return *data* as a string if it is UTF-8, else in base64.

    :param is_cut: whether it is the beginning of more, and may end within a character.
    """
    try:
        return _utf8_decode(data, "strict", not is_cut)[0]
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}


def _table(payload: str | dict[str, Any]) -> dict[str, Any]:
    return {"text": payload} if isinstance(payload, str) else payload


def _sent(data: bytes, raw: bool, payloads: _Payloads) -> str | dict[str, Any]:
    written = payloads.write(data)
    return _table(written) | {"raw": True} if raw else written


def _step(step: Step, payloads: _Payloads) -> dict[str, Any]:
    match step:
        case Send(data=data, raw=raw):
            return {step.key: _sent(data, raw, payloads)}
        case Broadcast(data=data, to=to, raw=raw):
            return {Send.key: _sent(data, raw, payloads), "to": to}
        case Wait(seconds=seconds):
            return {step.key: seconds}
        case Forward(reply=bytes(reply)):
            return {step.key: payloads.write(reply)}
        case _:
            return {step.key: True}
