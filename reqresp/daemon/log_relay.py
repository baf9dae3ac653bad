"""
Log relay: events that one process logs, in the log of another.

Has both ends: an observer that writes each event as a line of JSON, and the reader that logs the
events of such lines.  It must not know what the processes do.
"""

import json
import os
import threading
from collections.abc import Callable
from typing import Any

from attrs import field, frozen
from twisted.logger import ILogObserver, Logger, LogLevel, eventAsText
from zope.interface import implementer

from reqresp._text import printable

_NEWLINE = b"\n"
_LEVELS = {level.name: level for level in LogLevel.iterconstants()}
_STDOUT = 1
_STDERR = 2


@implementer(ILogObserver)
@frozen
class PipeObserver:
    """
    Writes log events to *descriptor*, whole and in order; it waits for a slow reader.

    If the reader has gone, events are lost without an error.
    """

    descriptor: int
    # Reentrant: objects that are garbage-collected while a line is written may log, too.
    _lock: Any = field(factory=threading.RLock, init=False)

    def __call__(self, event: Any) -> None:
        level = (event.get("log_level") or LogLevel.info).name
        system = event.get("log_system")
        self.write(
            level=level,
            system=f"{event.get('log_namespace')}#{level}" if system is None else str(system),
            text=eventAsText(event, includeTimestamp=False, includeSystem=False),
        )

    def write(self, **message: object) -> None:
        """Write a line; it is an event if it has a ``text``, and else a message."""
        # Escaped to ASCII: text may contain surrogates, which UTF-8 cannot encode.
        data = memoryview(json.dumps(message).encode() + _NEWLINE)
        with self._lock:
            try:
                while data:
                    data = data[os.write(self.descriptor, data) :]
            except OSError:
                return


class LineSplitter:
    """
    Splits a stream into lines of any size.

    :param receive: called with each line, without its newline.
    """

    def __init__(self, receive: Callable[[bytes], object]) -> None:
        self._receive = receive
        self._pieces: list[bytes] = []

    def feed(self, data: bytes) -> None:
        """Add *data* to the stream."""
        first, *more = data.split(_NEWLINE)
        self._pieces.append(first)
        for line in more:
            self._receive(b"".join(self._pieces))
            self._pieces = [line]

    def end(self) -> None:
        """End the stream; an unfinished line counts as a line unless it is empty."""
        rest = b"".join(self._pieces)
        self._pieces.clear()
        if rest:
            self._receive(rest)


class LogRelay:
    """
    Logs what another process writes: its events, and any other line.

    :param name: of that process, for the log.
    :param on_message: called with each message of its `PipeObserver` that is not an event.
    """

    _log = Logger()

    def __init__(self, name: str, on_message: Callable[[dict[str, Any]], object]) -> None:
        self._name = name
        self._on_message = on_message
        self._streams = {
            _STDOUT: LineSplitter(self._received),
            _STDERR: LineSplitter(self._error_received),
        }

    def feed(self, descriptor: int, data: bytes) -> None:
        """Add what the process wrote to *descriptor*: 1 has its events, 2 any text."""
        self._streams[descriptor].feed(data)

    def end(self) -> None:
        """Log unfinished lines: the process has ended."""
        for stream in self._streams.values():
            stream.end()

    def _received(self, line: bytes) -> None:
        try:
            message = json.loads(line)
            text, level = message.get("text"), _LEVELS.get(message.get("level"))
        except (ValueError, AttributeError, TypeError):  # not a line of a PipeObserver
            self._emit(LogLevel.info, "stdout", _decode(line))
            return
        if text is None or level is None:
            self._on_message(message)
            return
        self._emit(level, message.get("system"), text)

    def _error_received(self, line: bytes) -> None:
        self._emit(LogLevel.warn, "stderr", _decode(line))

    def _emit(self, level: Any, system: object, text: str) -> None:
        # Undecodable bytes came as surrogates, which a log file cannot contain.
        text = text.encode(errors="backslashreplace").decode()
        self._log.emit(level, "{text}", text=text, log_system=f"{self._name} {system}")


def _decode(line: bytes) -> str:
    return printable(line.decode(errors="backslashreplace"))
