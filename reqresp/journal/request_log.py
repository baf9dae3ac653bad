"""
RequestLog: the requests of clients, as lines in Twisted's log.

Knows requests and the log.  It must not know replies.  A log event takes as long as several
requests, so all lines of one reactor turn share one.
"""

from collections.abc import Sequence

from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.logger import Logger, LogLevel
from twisted.python.failure import Failure

from reqresp._text import format_address
from reqresp.server.observers import Observer

#: The most bytes of a request that a line shows.
MAX_LOGGED_BYTES = 1024
#: The most lines in one log event.  A turn with more lines has several events.
MAX_LINES_PER_EVENT = 1000


class RequestLog(Observer):
    """
    Logs each request as ``from client ADDRESS: b'...'``.

    At debug level it also logs ``#NUMBER ADDRESS connected`` and ``#NUMBER ADDRESS disconnected:
    REASON``, with the number of the connection.

    :param clock: calls back after the reactor turn; the reactor.
    """

    _log = Logger()

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._connects: list[str] = []
        self._requests: list[str] = []
        self._disconnects: list[str] = []
        self._is_scheduled = False

    def connected(self, peer: IAddress, connection: int) -> None:
        self._add(self._connects, f"#{connection} {format_address(peer)} connected")

    def received(self, peer: IAddress, connection: int, requests: Sequence[bytes]) -> None:  # noqa: ARG002
        prefix = f"from client {format_address(peer)}: "
        for request in requests:
            self._add(self._requests, prefix + _format_request(request))

    def disconnected(self, peer: IAddress, connection: int, reason: Failure) -> None:
        client = f"#{connection} {format_address(peer)}"
        self._add(self._disconnects, f"{client} disconnected: {reason.getErrorMessage()}")

    def _add(self, lines: list[str], line: str) -> None:
        lines.append(line)
        if len(lines) >= MAX_LINES_PER_EVENT:
            self._write()
        elif not self._is_scheduled:
            self._is_scheduled = True
            self._clock.callLater(0, self._end_of_turn)

    def _end_of_turn(self) -> None:
        self._is_scheduled = False
        self._write()

    def _write(self) -> None:
        for level, lines in (
            (LogLevel.debug, self._connects),
            (LogLevel.info, self._requests),
            (LogLevel.debug, self._disconnects),
        ):
            if lines:
                self._log.emit(level, "{lines}", lines="\n".join(lines))
                lines.clear()


def _format_request(request: bytes) -> str:
    if len(request) <= MAX_LOGGED_BYTES:
        return repr(request)
    return f"{request[:MAX_LOGGED_BYTES]!r}... ({len(request)} bytes)"
