"""
Counters: how many requests, replies, bytes, errors and faults a server has had.

Knows numbers and a clock.  It must not know connections, requests or Prometheus.  Connections
update the counters, and metrics and tests read them.  Counting costs the same for one request or
for all requests of a read.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Sequence
from time import perf_counter

from reqresp.exchanges import UNMATCHED

#: The upper bounds of the buckets of reply times, in seconds; each bucket includes its bound.
BUCKET_BOUNDS = (
    *(0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025),
    *(0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
#: How many constant replies one measured time counts for.  Reading the clock between two system
#: calls takes longer than all the counting.
REPLIES_PER_SAMPLE = 2048


#: The kinds of malformed input, as metrics name them.
MALFORMED = ("proxy_header", "request", "request_timeout", "tls_handshake")

#: Why a service could not be reached, as metrics name it.
UPSTREAM_FAILURES = ("name", "refused", "timeout", "tls", "unreachable")


class Counters:
    """
    The totals of all connections of a factory.  Every public number only grows.

    The time of a reply starts with the turn that passes its request to the responder: the read that
    brought the request, or the end of the reply before it.  It ends when the last step of the reply
    has been performed, with everything handed to the transport.  If the transport is full, it ends
    when the transport has room again.  Requests passed on, or replies completed, in the same turn
    share one time.

    Replies that are constants, sent together in a few microseconds, are all counted, but only some
    are timed.  A measured time counts for the replies that follow it, until there are
    `REPLIES_PER_SAMPLE` or the times are read.

    :param now: returns the seconds of a monotonic clock.
    """

    __slots__ = (
        *("_credited", "_seconds", "_time_counts", "_time_of_sample", "faults", "malformed"),
        *("misses", "now", "received", "responder_errors", "sent", "unanswered", "until_timed"),
        "upstream_failures",
    )

    def __init__(self, now: Callable[[], float] = perf_counter) -> None:
        self.now = now
        #: Bytes received from clients; over TLS, after decryption.
        self.received = 0
        #: Bytes handed to the transports, delivered or not.
        self.sent = 0
        #: Requests passed to the responder without a complete reply: not yet, or never.
        self.unanswered = 0
        #: How many more constant replies are counted before one is timed: subtract their number.
        self.until_timed = 0
        #: Requests that no rule of the script matched.
        self.misses = 0
        #: Connections closed because of something malformed, by the kinds of `MALFORMED`.
        self.malformed: Counter[str] = Counter()
        #: Connections reset because a responder raised an error, or returned an invalid reply.
        self.responder_errors = 0
        #: Faults that changed a greeting or a reply, or replaced it by silence, by name.
        self.faults: Counter[str] = Counter()
        #: Clients for which a service could not be reached, by the reasons of `UPSTREAM_FAILURES`.
        self.upstream_failures: Counter[str] = Counter()
        self._credited = 0  # the value of `until_timed` when the two below were complete
        self._time_counts = [0] * (len(BUCKET_BOUNDS) + 1)
        self._seconds = 0.0
        self._time_of_sample = 0.0  # of the constant replies that were timed last

    @property
    def times(self) -> Sequence[int]:
        """The number of replies in each bucket of `BUCKET_BOUNDS`, and over the last bound."""
        self._settle()
        self._credited = self.until_timed = 0
        return tuple(self._time_counts)

    @property
    def seconds(self) -> float:
        """The sum of the times of all replies, in seconds by the clock *now*."""
        self._settle()
        return self._seconds

    @property
    def frame_errors(self) -> int:
        """How many connections were closed because of a malformed request."""
        return self.malformed["request"]

    @property
    def replies(self) -> int:
        """How many replies were completed.  A reply without data counts, too."""
        return sum(self.times)

    @property
    def requests(self) -> int:
        """How many requests were passed to the responder."""
        return self.replies + self.unanswered

    def count_replies(self, count: int, began: float) -> None:
        """Count *count* replies, complete now, to requests passed to the responder at *began*."""
        seconds = self.now() - began
        # The code of _add, repeated here: this is called often.
        self._time_counts[bisect_left(BUCKET_BOUNDS, seconds)] += count
        self._seconds += seconds * count

    def time_sample(self, count: int, began: float) -> None:
        """Time *count* constant replies, already subtracted from `until_timed`."""
        self.until_timed += count
        self._settle()
        self._time_of_sample = self.now() - began
        self._add(count, self._time_of_sample)
        self._credited = self.until_timed = REPLIES_PER_SAMPLE

    def count_turn(self, taken: int, done: int, began: float, since: float | None) -> float | None:
        """
        Count one turn of a connection, which answers its requests in order.

        :param taken: how many requests were passed to the responder in the turn.
        :param done: how many replies were completed in the turn.
        :param began: when the turn began.
        :param since: when the request that had no complete reply before the turn was passed to the
            responder; None: there was none.
        :returns: the same for the request that has no complete reply after the turn.
        """
        if since is None and taken == done:  # nearly always
            self.count_replies(done, began)
            return None
        waiting = 0 if since is None else 1
        self.unanswered += taken - done
        if done and since is not None:
            self.count_replies(1, since)
        if done > waiting:
            self.count_replies(done - waiting, began)
        if waiting + taken == done:
            return None
        return began if done or since is None else since

    def count_misses_and_faults(self, by: str, injected: Sequence[str]) -> None:
        """Count a miss if the rule *by* is for unmatched requests; count the faults *injected*."""
        if by == UNMATCHED:
            self.misses += 1
        for name in injected:
            self.faults[name] += 1

    def _settle(self) -> None:
        """Add the constant replies since the last sample, with its time."""
        count, self._credited = self._credited - self.until_timed, self.until_timed
        self._add(count, self._time_of_sample)

    def _add(self, count: int, seconds: float) -> None:
        self._time_counts[bisect_left(BUCKET_BOUNDS, seconds)] += count
        self._seconds += seconds * count
