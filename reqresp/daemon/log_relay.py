"""
Log pipe: one process's log, continued in another's.

Both ends: an observer that writes each event as a line of JSON, and what makes events of such lines
again.  Knows Twisted's logger and bytes; not whose processes these are.
"""

import json
import os
import threading
from collections.abc import Callable
from typing import Any

from attrs import field, frozen
from twisted.logger import ILogObserver, Logger, LogLevel, eventAsText
from zope.interface import implementer

_NEWLINE = b"\n"
_LEVELS = {level.name: level for level in LogLevel.iterconstants()}


@implementer(ILogObserver)
@frozen
class PipeObserver:
    """
    Writes events to *descriptor*, whole and in their order; it waits where the reader is slow.

    What nobody reads any more is lost, and is no error: there is nobody to tell.
    """

    descriptor: int
    # Reentrant: what is collected as garbage in the midst of a line may have something to log.
    _lock: Any = field(factory=threading.RLock, init=False)

    def __call__(self, event: Any) -> None:
        level = (event.get("log_level") or LogLevel.info).name
        system = event.get("log_system")
        self.write(
            level=level,
            system=f"{event.get('log_namespace')}#{level}" if system is None else str(system),
            text=eventAsText(event, includeTimestamp=False, includeSystem=False),
        )

    def write(self, **line: object) -> None:
        """Write a line, which is an event if it has a ``text``."""
        # All in ASCII: there may be surrogates.
        data = memoryview(json.dumps(line).encode() + _NEWLINE)
        with self._lock:
            try:
                while data:
                    data = data[os.write(self.descriptor, data) :]
            except OSError:
                return


class Lines:
    """
    Cuts what arrives into lines of any size.

    :param take: is given each, without its end.
    """

    def __init__(self, take: Callable[[bytes], object]) -> None:
        self._take = take
        self._pieces: list[bytes] = []

    def feed(self, data: bytes) -> None:
        """Take *data* in."""
        first, *more = data.split(_NEWLINE)
        self._pieces.append(first)
        for line in more:
            self._take(b"".join(self._pieces))
            self._pieces = [line]

    def end(self) -> None:
        """Take what is left for a line, unless it is empty: no more comes."""
        rest = b"".join(self._pieces)
        self._pieces.clear()
        if rest:
            self._take(rest)


class Continued:
    """
    Has what a process logs, and whatever else it says, in this one's log.

    :param name: the process's, for the log.
    :param on_word: is called with lines of its `PipeObserver` that are no events.
    """

    _log = Logger()

    def __init__(self, name: str, on_word: Callable[[dict[str, Any]], object]) -> None:
        self._name = name
        self._on_word = on_word
        self._streams = {1: Lines(self._hear), 2: Lines(self._say_error)}

    def feed(self, descriptor: int, data: bytes) -> None:
        """Take in what the process wrote to *descriptor*: 1 has its events, 2 is anything."""
        self._streams[descriptor].feed(data)

    def end(self) -> None:
        """Say what is left: no more comes."""
        for stream in self._streams.values():
            stream.end()

    def _hear(self, line: bytes) -> None:
        try:
            word = json.loads(line)
            text, level = word.get("text"), _LEVELS.get(word.get("level"))
        except (ValueError, AttributeError, TypeError):  # it is nothing of ours
            self._emit(LogLevel.info, "stdout", _shown(line))
            return
        if text is None or level is None:
            self._on_word(word)
            return
        self._emit(level, word.get("system"), text)

    def _say_error(self, line: bytes) -> None:
        self._emit(LogLevel.warn, "stderr", _shown(line))

    def _emit(self, level: Any, system: object, text: str) -> None:
        # What cannot be decoded came as surrogates, which no log can be written with.
        text = text.encode(errors="backslashreplace").decode()
        self._log.emit(level, "{text}", text=text, log_system=f"{self._name} {system}")


def _shown(line: bytes) -> str:
    return line.decode(errors="backslashreplace")
