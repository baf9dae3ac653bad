"""
RequestLog: what happens on connections, as lines in Twisted's log.

Knows entries and the log.  It must not know how a line is written; that is `lines`.  A log event
takes as long as several requests, so all lines of a short time share one.
"""

import time
from collections.abc import Callable, Iterable, Sequence

from twisted.internet.interfaces import IAddress, IReactorCore, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from reqresp.exchanges import Exchanges
from reqresp.journal._observer import EntryObserver, Times
from reqresp.journal.entries import Entry
from reqresp.journal.lines import MAX_TEXT_SIZE, MAX_TEXTS, LogFormat, make_lines
from reqresp.server.config import ServerConfig

#: The longest time before a line is logged, in seconds.
LOG_DELAY = 0.05
#: The most lines in one log event.
MAX_LINES_PER_EVENT = 4000
#: The most characters that wait, besides lines of known reads, whose texts are shared.
MAX_WAITING_CHARACTERS = 256 * 1024

_AFTER_NUMBER = " < "

#: How a line begins that has the name of its service.
_NAMED = {LogFormat.PLAIN: "{} ", LogFormat.JSON: '{{"service":"{}",'}


class RequestLog(EntryObserver):
    """
    Logs each exchange, and that clients connect and disconnect, in the order of events.

    A line is ``#NUMBER < REQUEST  > REPLY  (RULE)`` with the number of the connection, or JSON as
    in a journal.  Lines that the server itself logs about connections keep their place among them.
    Other lines may be logged up to `LOG_DELAY` earlier.

    :param clock: times the lines; the reactor.
    :param log_format: how a line is written; a `LogFormat` or its value.
    :param now: returns the time, in seconds since the epoch.
    :param service: a name that each line has, too; empty: none.
    :raises ValueError: *log_format* is unknown.
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        log_format: LogFormat | str = LogFormat.PLAIN,
        now: Callable[[], float] = time.time,
        service: str = "",
    ) -> None:
        super().__init__(now)
        self._clock = clock
        self._format = LogFormat(log_format)
        self._named = _NAMED[self._format].format(service) if service else None
        self._lines = make_lines(self._format, clock.seconds)
        # The lines that wait, two parts each: a line of a known read begins as all lines of its
        # connection do, and ends as all lines of such a read do.
        self._parts: list[str] = []
        self._size = 0  # characters of those that are not shared
        self._beginnings: dict[int, str] = {}
        # The ends, of reads that were one whole request, as a config answers them.
        self._config: ServerConfig | None = None
        self._ends: dict[bytes, str] = {}
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
        data: bytes,
        is_whole: bool,
    ) -> None:
        # This is called for each read.  Nearly always its line is known, and is written later.
        end = self._ends.get(data) if is_whole and config is self._config else None
        if end is None:
            self._next[connection] = first + len(requests)
            lines = self._lines.constants(peer, connection, config, first, requests, self._now)
            self._add(lines if not is_whole else self._remember(config, data, lines))
            return
        # The number of the next request is left out: no plain line has it.
        parts = self._parts
        parts.append(self._beginnings.get(connection) or self._begin(connection))
        parts.append(end)
        if not self._is_scheduled:
            self._schedule()

    def before_log_line(self) -> None:
        self.flush()

    def disconnected(self, peer: IAddress, connection: int, reason: Failure) -> None:
        self._beginnings.pop(connection, None)
        super().disconnected(peer, connection, reason)

    def flush(self) -> None:
        """Log the lines that wait."""
        parts, self._parts = self._parts, []
        self._size = 0
        self._name(parts)
        size = 2 * MAX_LINES_PER_EVENT
        for start in range(0, len(parts), size):
            lines = "".join(parts[start : start + size])
            self._log.info("{lines}", lines=lines[:-1])

    def _name(self, parts: list[str]) -> None:
        """Begin each line of *parts* with the name of the service, if there is one."""
        if self._named is None:
            return
        # A line of JSON is an object: its first character opens it.
        start = 0 if self._format is LogFormat.PLAIN else 1
        parts[::2] = [f"{self._named}{part[start:]}" for part in parts[::2]]

    def _record(self, entry: Entry) -> None:
        self._add(self._lines.entry(entry))

    def _record_answers(self, exchanges: Exchanges, times: Times, sent: float) -> None:
        self._add(self._lines.answers(exchanges, times, sent))

    def _remember(self, config: ServerConfig, read: bytes, lines: Iterable[str]) -> Sequence[str]:
        """Return *lines*, of a whole *read*; remember a single one, which has no time."""
        lines = [*lines]
        if len(lines) != 1 or self._format is not LogFormat.PLAIN:
            return lines
        if config is not self._config or len(self._ends) >= MAX_TEXTS:
            self._config, self._ends = config, {}
        end = lines[0].partition(_AFTER_NUMBER)[2] + "\n"
        if len(read) + len(end) <= MAX_TEXT_SIZE:
            self._ends[read] = end
        return lines

    def _begin(self, connection: int) -> str:
        """Return how the lines of exchanges of *connection* begin, and remember it."""
        beginning = self._beginnings[connection] = f"#{connection}{_AFTER_NUMBER}"
        return beginning

    def _add(self, lines: Iterable[str]) -> None:
        before = len(self._parts)
        for line in lines:
            self._parts += (line, "\n")
            self._size += len(line)
        if len(self._parts) > before:
            self._schedule()

    def _schedule(self) -> None:
        """Log the lines that wait soon, or now if they are many or long."""
        is_much = self._size >= MAX_WAITING_CHARACTERS
        if is_much or len(self._parts) >= 2 * MAX_LINES_PER_EVENT:
            self.flush()
        elif not self._is_scheduled:
            self._is_scheduled = True
            self._clock.callLater(LOG_DELAY, self._end_delay)

    def _end_delay(self) -> None:
        self._is_scheduled = False
        self.flush()
