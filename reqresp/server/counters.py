"""
Counters: plain counters of what a server does, kept a read at a time.

Knows numbers and a clock: no connection, no request, no Prometheus.  Whoever serves tells it, and
whoever shows them reads them; nothing here is done for each request of a read.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Sequence
from time import perf_counter

from reqresp.exchanges import UNMATCHED

#: Seconds from request to reply: the upper bounds, themselves included, of what is counted apart.
BOUNDS = (
    *(0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025),
    *(0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
#: Replies given in one go that a time, once taken, stands for: to ask what time it is costs a
#: server more, between two system calls, than all that is counted.
TOGETHER = 2048


class Counters:
    """
    What a factory's connections have done since it was made; all that can be read only grows.

    The time from request to reply begins with the turn that takes the request up: the read that
    brought it, or what let it come to be first in the line, where it had to wait for others.  It
    ends when the last step of its reply was performed: what was sent is with the transport then.  A
    reply for which the transport's buffer has no room is done when there is room again.  What is
    taken up, or done, in the same turn is timed together.

    Constants that leave in one go, in a few microseconds, are all counted, and timed now and then:
    each time stands also for those that follow, until `TOGETHER` have, or times are asked for.

    :param now: gives seconds of a clock that never goes back.
    """

    __slots__ = (
        *("_given", "_latest", "_seconds", "_times", "faults", "frame_errors", "misses", "now"),
        *("received", "responder_errors", "sent", "unanswered", "until_timed"),
    )

    def __init__(self, now: Callable[[], float] = perf_counter) -> None:
        self.now = now
        #: Bytes that the transports of connections gave; under TLS, of what was decrypted.
        self.received = 0
        #: Bytes that they were given, whether or not they could deliver them.
        self.sent = 0
        #: Requests that were taken up, and whose reply is not done: not yet, or never.
        self.unanswered = 0
        #: Replies until those given in one go are timed: each of these counts as one less.
        self.until_timed = 0
        #: Requests that no rule of a script answered.
        self.misses = 0
        #: Connections closed over what is no request.
        self.frame_errors = 0
        #: Connections reset over what a responder raised, or gave that cannot be sent.
        self.responder_errors = 0
        #: Faults that struck a reply, a greeting or the silence in its place, by name.
        self.faults: Counter[str] = Counter()
        self._given = 0  # what `until_timed` was when all was in the two that follow
        self._times = [0] * (len(BOUNDS) + 1)
        self._seconds = 0.0
        self._latest = 0.0  # time taken of what was given in one go

    @property
    def times(self) -> Sequence[int]:
        """Replies done, by the time that they took: within each of `BOUNDS`, and over the last."""
        self._settle()
        self._given = self.until_timed = 0
        return tuple(self._times)

    @property
    def seconds(self) -> float:
        """What they took all together."""
        self._settle()
        return self._seconds

    @property
    def replies(self) -> int:
        """How many replies were done; silence is one, if that was the reply."""
        return sum(self.times)

    @property
    def requests(self) -> int:
        """How many requests were taken up."""
        return self.replies + self.unanswered

    def answered(self, count: int, began: float) -> None:
        """Count *count* requests, taken up at *began*, and their replies, done now."""
        seconds = self.now() - began
        # As _add does it: this is called often.
        self._times[bisect_left(BOUNDS, seconds)] += count
        self._seconds += seconds * count

    def sampled(self, count: int, began: float) -> None:
        """Time these, given in one go, which `until_timed` tells of; others took as long."""
        self.until_timed += count
        self._settle()
        self._latest = self.now() - began
        self._add(count, self._latest)
        self._given = self.until_timed = TOGETHER

    def turned(self, taken: int, done: int, began: float, since: float | None) -> float | None:
        """
        Count a turn of one connection, which answers its requests in their order.

        :param taken: requests that were taken up in it.
        :param done: replies that were done in it.
        :param began: when it began.
        :param since: when the one request was taken up that was being answered at its beginning.
        :returns: likewise for the one that is being answered at its end; None: there is none.
        """
        if since is None and taken == done:  # nearly always
            self.answered(done, began)
            return None
        waiting = 0 if since is None else 1
        self.unanswered += taken - done
        if done and since is not None:
            self.answered(1, since)
        if done > waiting:
            self.answered(done - waiting, began)
        if waiting + taken == done:
            return None
        return began if done or since is None else since

    def begun(self, by: str, injected: Sequence[str]) -> None:
        """Count a reply that *by* gave, and that faults of the names *injected* have changed."""
        if by == UNMATCHED:
            self.misses += 1
        for name in injected:
            self.faults[name] += 1

    def _settle(self) -> None:
        count, self._given = self._given - self.until_timed, self.until_timed
        self._add(count, self._latest)

    def _add(self, count: int, seconds: float) -> None:
        self._times[bisect_left(BOUNDS, seconds)] += count
        self._seconds += seconds * count
