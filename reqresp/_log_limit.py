"""How often the same kind of event is logged."""

from collections import Counter
from collections.abc import Callable
from math import inf

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

#: The shortest time between two log lines about the same kind of event, in seconds.
LOG_INTERVAL = 1.0
#: After so many seconds without a line of the kind, the number of events left out is logged alone.
_OLD = 2 * LOG_INTERVAL


class LogLimit:
    """
    Says which events are logged: of each kind one a second.

    How many others there were is in the next line of the kind, or in a line of its own if none has
    followed a few seconds later.

    :param clock: returns the clock.
    :param log: receives the lines with these numbers alone.
    """

    def __init__(self, clock: Callable[[], IReactorTime], log: Logger) -> None:
        self._clock = clock
        self._log = log
        self._logged: dict[str, float] = {}
        self._left_out: Counter[str] = Counter()
        self._timer: IDelayedCall | None = None

    def suffix(self, kind: str) -> str | None:
        """
        Return what to add to the log line about an event of *kind*; None: do not log it.

        The text says how many events of the kind were not logged since the line before.
        """
        now = self._clock().seconds()
        if now - self._logged.get(kind, -inf) < LOG_INTERVAL:
            self._left_out[kind] += 1
            self._schedule()
            return None
        self._logged[kind] = now
        left_out = self._left_out.pop(kind, 0)
        return f" ({left_out} more like the last one)" if left_out else ""

    def flush(self) -> None:
        """Log now how many events were not logged."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        for kind in [*self._left_out]:
            self._report(kind)

    def _schedule(self) -> None:
        if self._timer is None:
            self._timer = self._clock().callLater(LOG_INTERVAL, self._report_old)

    def _report_old(self) -> None:
        self._timer = None
        now = self._clock().seconds()
        for kind in [*self._left_out]:
            if now - self._logged[kind] >= _OLD:
                self._logged[kind] = now
                self._report(kind)
        if self._left_out:
            self._schedule()

    def _report(self, kind: str) -> None:
        count = self._left_out.pop(kind)
        self._log.warn("{count} more like the last one ({kind})", count=count, kind=kind)
