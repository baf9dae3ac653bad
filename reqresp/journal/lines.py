"""
Lines: how entries are written in a log, for people or as JSON.

Knows entries, exchanges and steps.  It must not know when a line is logged.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import Enum
from typing import Protocol

from twisted.internet.interfaces import IAddress

from reqresp._defaults import LOG_FORMATS
from reqresp._text import format_address
from reqresp.exchanges import UNMATCHED, Exchanges
from reqresp.faults import Direction
from reqresp.journal._observer import Times, answered_entries
from reqresp.journal.entries import (
    Connected,
    Disconnected,
    Entry,
    Faulted,
    Passed,
    Sent,
    Unanswered,
    UpstreamEnded,
    UpstreamOpened,
    as_json,
    encode_json,
)
from reqresp.server.config import ServerConfig
from reqresp.steps import Broadcast, Forward, RuleReply, Send, Steps, Wait

#: The most bytes of a request, and of a reply, that a line shows.  As JSON, of both together.
MAX_LOGGED_BYTES = 1024
#: The most steps of a reply that a line shows.
MAX_LOGGED_STEPS = 16
#: The seconds in each second in which the nearest rules of misses are searched; after that, the
#: lines of further misses lack them.
MAX_SEARCH_SECONDS = 0.01

#: The texts of constants that are remembered, and the size of each with its request.
MAX_TEXTS = 1000
MAX_TEXT_SIZE = 1000


class LogFormat(Enum):
    """How a line of the request log is written."""

    PLAIN, JSON = LOG_FORMATS


class Lines(Protocol):
    """Writes entries as lines."""

    def entry(self, entry: Entry) -> Iterable[str]:
        """Return the line for *entry*, which is not `Answered`, if it has one."""

    def answers(self, exchanges: Exchanges, times: Times, sent: float) -> Iterable[str]:
        """Return the lines for what `answered_entries` returns for these arguments."""

    def constants(
        self,
        peer: IAddress,
        connection: int,
        config: ServerConfig,
        first: int,
        requests: Sequence[bytes],
        now: Callable[[], float],
    ) -> Iterable[str]:
        """Return the lines for requests that were answered at once, with constants of *config*."""


def make_lines(log_format: LogFormat, seconds: Callable[[], float] = time.monotonic) -> Lines:
    """
    Return what writes lines in *log_format*.

    :param seconds: returns the time, to bound the search for the nearest rules.
    """
    return JsonLines() if log_format is LogFormat.JSON else PlainLines(seconds)


class JsonLines:
    """Writes each entry as in a journal file."""

    def entry(self, entry: Entry) -> Iterator[str]:
        yield encode_json(as_json(entry, MAX_LOGGED_BYTES))

    def answers(self, exchanges: Exchanges, times: Times, sent: float) -> Iterator[str]:
        for entry in answered_entries(exchanges, times, sent):
            yield encode_json(as_json(entry, MAX_LOGGED_BYTES))

    def constants(
        self,
        peer: IAddress,
        connection: int,
        config: ServerConfig,
        first: int,
        requests: Sequence[bytes],
        now: Callable[[], float],
    ) -> Iterator[str]:
        at = now()
        return self.answers(config.exchanges(peer, connection, first, requests), at, at)


class PlainLines:
    """
    Writes an exchange as ``#1 < 'STAT'  > '+OK 2 320'  (rule[3], line 12)``.

    What passes a relay is ``#1 < 'STAT'`` towards the service, and ``#1 > '+OK 2 320'`` back.  What
    is sent without a request is ``#1 > '+OK ready'  (greeting)``.

    What the server itself logs, errors, refused clients and changes, has no line.

    :param seconds: returns the time, to bound the search for the nearest rules.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._since = seconds()  # when the current second began
        self._searched = 0.0  # the seconds of it in which nearest rules were searched
        # What the constants of one config look like in a line, by their requests.
        self._config: ServerConfig | None = None
        self._texts: dict[bytes, str] = {}

    def entry(self, entry: Entry) -> Iterator[str]:
        match entry:
            case Connected():
                yield f"#{entry.connection} {format_address(entry.peer)} connected"
            case Disconnected():
                peer = format_address(entry.peer)
                yield f"#{entry.connection} {peer} disconnected: {entry.reason}"
            case Sent(connection=connection, data=data, by=by):
                yield f"#{connection} > {_bytes(data, MAX_LOGGED_BYTES)}  ({by.value})"
            case Faulted(connection=connection, direction=direction, fault=fault):
                yield f"#{connection} {direction.value}  (faults: {fault})"
            case UpstreamOpened():
                yield f"#{entry.connection} upstream connected"
            case Passed():
                shown = _bytes(entry.data, MAX_LOGGED_BYTES) if entry.data else "EOF"
                sign = "<" if entry.direction is Direction.UPSTREAM else ">"
                yield f"#{entry.connection} {sign} {shown}"
            case UpstreamEnded():
                yield f"#{entry.connection} upstream disconnected: {entry.reason}"
            case Unanswered(request=request):
                shown = _bytes(request.data, MAX_LOGGED_BYTES)
                yield f"#{request.connection} < {shown}  unanswered"

    def answers(self, exchanges: Exchanges, times: Times, sent: float) -> Iterator[str]:  # noqa: ARG002 (for JSON)
        for request, steps in zip(exchanges.requests, exchanges.replies, strict=True):
            yield f"#{exchanges.connection} < {self._exchange(request, steps)}"

    def constants(
        self,
        peer: IAddress,
        connection: int,
        config: ServerConfig,
        first: int,
        requests: Sequence[bytes],
        now: Callable[[], float],  # noqa: ARG002 (for JSON)
    ) -> Sequence[str]:
        texts = self._texts
        try:
            if config is self._config:
                if len(requests) == 1:  # nearly always, and this is called for each read
                    return (f"#{connection} < {texts[requests[0]]}",)
                return [f"#{connection} < {texts[request]}" for request in requests]
        except KeyError:
            pass
        return self._new_constants(config.exchanges(peer, connection, first, requests), config)

    def _new_constants(self, exchanges: Exchanges, config: ServerConfig) -> Sequence[str]:
        """Return the lines for *exchanges* of constants, and remember them."""
        if config is not self._config or len(self._texts) >= MAX_TEXTS:
            self._config, self._texts = config, {}
        lines = []
        for request, steps in zip(exchanges.requests, exchanges.replies, strict=True):
            text = self._exchange(request, steps)
            if len(request) + len(text) <= MAX_TEXT_SIZE:
                self._texts[request] = text
            lines.append(f"#{exchanges.connection} < {text}")
        return lines

    def _exchange(self, request: bytes, steps: Steps) -> str:
        return f"{_bytes(request, MAX_LOGGED_BYTES)}  > {_reply(steps)}{self._source(steps)}"

    def _source(self, steps: Steps) -> str:
        if not isinstance(steps, RuleReply):
            return ""
        parts = [", ".join(self._rule(steps))] if steps.place or steps.explain else []
        if steps.injected:
            parts.append(f"faults: {', '.join(steps.injected)}")
        if steps.explain is not None:
            parts.append(self._search(steps.explain))
        source = "; ".join(filter(None, parts))
        return f"  ({source})" if source else ""

    def _rule(self, steps: RuleReply) -> Iterator[str]:
        if steps.explain is not None:
            yield "no rule matches"
        if steps.place != UNMATCHED:  # a rule of the script answered
            yield steps.place

    def _search(self, explain: Callable[[], str]) -> str:
        started = self._seconds()
        if not 0 <= started - self._since < 1:
            self._since, self._searched = started, 0.0
        if self._searched >= MAX_SEARCH_SECONDS:
            return ""
        text = explain()
        self._searched += self._seconds() - started
        return text


def _reply(steps: Steps) -> str:
    if not steps:
        return "silence"
    shown = ", ".join(_steps(steps[:MAX_LOGGED_STEPS]))
    return shown if len(steps) <= MAX_LOGGED_STEPS else f"{shown}, ... ({len(steps)} steps)"


def _steps(steps: Steps) -> Iterator[str]:
    left = MAX_LOGGED_BYTES
    for step in steps:
        match step:
            case Send(data=data, raw=raw):
                yield f"{_bytes(data, left)}{' raw' if raw else ''}"
                left = max(0, left - len(data))
            case Broadcast(data=data, to=to, raw=raw):
                yield f"{_bytes(data, left)}{' raw' if raw else ''} to {to}"
                left = max(0, left - len(data))
            case Wait(seconds=seconds):
                yield f"{step.label} {seconds:g} s"
            case Forward(reply=bytes(reply)):
                yield f"upstream {_bytes(reply, left)}"
                left = max(0, left - len(reply))
            case _:
                yield step.label


def _bytes(data: bytes, most: int) -> str:
    if len(data) <= most:
        return repr(data)[1:]
    return f"{repr(data[:most])[1:]}... ({len(data)} bytes)"
