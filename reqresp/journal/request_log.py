"""
RequestLog: what happens on connections, as lines in Twisted's log.

Knows entries and the log.  It must not know how a line is written; that is `lines`.  A log event
takes as long as several requests, so all lines of a short time share one.
"""

import time
from collections.abc import Callable, Iterable, Sequence

from twisted.internet.interfaces import IAddress, IReactorCore, IReactorTime
from twisted.logger import Logger

from reqresp.exchanges import Exchanges
from reqresp.journal._observer import EntryObserver, Times
from reqresp.journal.entries import Entry
from reqresp.journal.lines import LogFormat, make_lines
from reqresp.server.config import ServerConfig

#: The longest time before a line is logged, in seconds.
LOG_DELAY = 0.02
#: The most lines in one log event.
MAX_LINES_PER_EVENT = 1000


class RequestLog(EntryObserver):
    """
    Logs each exchange, and that clients connect and disconnect, in the order of events.

    A line is ``#NUMBER < REQUEST  > REPLY  (RULE)`` with the number of the connection, or JSON as
    in a journal.  Lines that the server itself logs about connections keep their place among them.
    Other lines may be logged up to `LOG_DELAY` earlier.

    :param clock: times the lines; the reactor.
    :param log_format: how a line is written; a `LogFormat` or its value.
    :param now: returns the time, in seconds since the epoch.
    :raises ValueError: *log_format* is unknown.
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        log_format: LogFormat | str = LogFormat.PLAIN,
        now: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(now)
        self._clock = clock
        self._lines = make_lines(LogFormat(log_format), clock.seconds)
        self._waiting_lines: list[str] = []
        self._is_scheduled = False
        if IReactorCore.providedBy(clock):
            clock.addSystemEventTrigger("after", "shutdown", self.flush)

    def answered_at_once(
        self,
        peer: IAddress,
        connection: int,
        config: ServerConfig,
        first: int,
        requests: Sequence[bytes],
        data: bytes,  # noqa: ARG002 (the event's)
        is_whole: bool,  # noqa: ARG002 (the event's)
    ) -> None:
        self._answered_all(connection, first, len(requests))
        self._waiting_lines += self._lines.constants(
            peer, connection, config, first, requests, self._now
        )
        if not self._is_scheduled or len(self._waiting_lines) >= MAX_LINES_PER_EVENT:
            self._schedule()

    def before_log_line(self) -> None:
        self.flush()

    def flush(self) -> None:
        """Log the lines that wait."""
        lines = self._waiting_lines
        while lines:
            self._waiting_lines = lines[MAX_LINES_PER_EVENT:]
            self._log.info("{lines}", lines="\n".join(lines[:MAX_LINES_PER_EVENT]))
            lines = self._waiting_lines

    def _record(self, entry: Entry) -> None:
        self._add(self._lines.entry(entry))

    def _record_answers(self, exchanges: Exchanges, times: Times, sent: float) -> None:
        self._add(self._lines.answers(exchanges, times, sent))

    def _add(self, lines: Iterable[str]) -> None:
        for line in lines:
            self._waiting_lines.append(line)
            self._schedule()

    def _schedule(self) -> None:
        """Log the lines that wait soon, or now if they are many."""
        if len(self._waiting_lines) >= MAX_LINES_PER_EVENT:
            self.flush()
        elif not self._is_scheduled:
            self._is_scheduled = True
            self._clock.callLater(LOG_DELAY, self._end_delay)

    def _end_delay(self) -> None:
        self._is_scheduled = False
        self.flush()
