"""How often the same kind of event is logged."""

from collections import Counter
from collections.abc import Callable

#: The shortest time between two log lines about the same kind of event, in seconds.
LOG_INTERVAL = 1.0


class LogLimit:
    """
    Says which events are logged: of each kind one a second.

    :param seconds: returns the time in seconds, as ``IReactorTime.seconds``.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._logged: dict[str, float] = {}
        self._left_out: Counter[str] = Counter()

    def suffix(self, kind: str) -> str | None:
        """
        Return what to add to the log line about an event of *kind*; None: do not log it.

        The text says how many events of the kind were not logged since the line before.
        """
        now = self._seconds()
        if now - self._logged.get(kind, now - LOG_INTERVAL) < LOG_INTERVAL:
            self._left_out[kind] += 1
            return None
        self._logged[kind] = now
        left_out = self._left_out.pop(kind, 0)
        return f" ({left_out} more like the last one)" if left_out else ""
