"""
RequestLog: what clients sent, in Twisted's log, as the notebook prints it.

An observer that leans on the messages alone.  A log event costs as much as several requests, so
there is one for all requests of a reactor turn.
"""

from collections.abc import Sequence

from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.logger import Logger, LogLevel
from twisted.python.failure import Failure

from reqresp._text import format_address
from reqresp.server.observers import Observer

#: Bytes of a request that are shown; `Chunk` never has more.
SHOWN = 1024
#: Lines in one event; a turn that brings more is logged in several.
LINES = 1000


class RequestLog(Observer):
    """
    Logs requests as ``from client ADDRESS: b'...'``, and at debug level who comes and goes.

    :param clock: tells when a reactor turn is over; the reactor.
    """

    _log = Logger()

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._came: list[str] = []
        self._requests: list[str] = []
        self._went: list[str] = []
        self._due = False

    def connected(self, peer: IAddress, connection: int) -> None:
        self._note(self._came, f"client {format_address(peer)} connected, number {connection}")

    def received(self, peer: IAddress, connection: int, requests: Sequence[bytes]) -> None:  # noqa: ARG002
        prefix = f"from client {format_address(peer)}: "
        for request in requests:
            self._note(self._requests, prefix + _shown(request))

    def disconnected(self, peer: IAddress, connection: int, reason: Failure) -> None:
        name = format_address(peer)
        text = f"client {name} is gone, number {connection}: {reason.getErrorMessage()}"
        self._note(self._went, text)

    def _note(self, lines: list[str], line: str) -> None:
        lines.append(line)
        if len(lines) >= LINES:
            self._write()
        elif not self._due:
            self._due = True
            self._clock.callLater(0, self._turn_over)

    def _turn_over(self) -> None:
        self._due = False
        self._write()

    def _write(self) -> None:
        for level, lines in (
            (LogLevel.debug, self._came),
            (LogLevel.info, self._requests),
            (LogLevel.debug, self._went),
        ):
            if lines:
                self._log.emit(level, "{lines}", lines="\n".join(lines))
                lines.clear()


def _shown(request: bytes) -> str:
    if len(request) <= SHOWN:
        return repr(request)
    return f"{request[:SHOWN]!r}... ({len(request)} bytes)"
