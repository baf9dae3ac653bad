"""
Reports: what a connection counts, logs and notifies observers of.

It must not know states, and decides nothing.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from operator import length_hint
from typing import NamedTuple, Protocol

from twisted.internet.interfaces import IAddress
from twisted.logger import Logger
from twisted.python.failure import Failure

from reqresp._text import printable, printable_lines
from reqresp.exchanges import Overtaking
from reqresp.framing import FrameError, Framing, Unfinished
from reqresp.server._backlog import Backlog
from reqresp.server._state import Ended, Hold
from reqresp.server.config import ServerConfig
from reqresp.server.host import Cancellable, ConnectionHost
from reqresp.server.observers import Unasked
from reqresp.steps import RuleReply, Send, Step, Steps

#: The most bytes of an unfinished request that a log line shows.
MAX_SHOWN_BYTES = 100

_log = Logger()


class Reporter(Protocol):
    """What reports need of a connection."""

    config: ServerConfig
    framing: Framing
    host: ConnectionHost
    peer: IAddress
    number: int


class Place(NamedTuple):
    """
    Which request was answered.

    :param number: of the request.
    :param overtaken: how many requests before it are not answered yet.
    """

    number: int
    overtaken: int


def requests(
    reporter: Reporter,
    received: Sequence[bytes],
    answered: Sequence[bytes],
    steps: Sequence[Steps],
    first: int | Sequence[Place],
) -> None:
    """
    Notify the observers of requests that were taken up, and of requests that were answered.

    :param steps: those that have answered each of *answered*.
    :param first: the number of the first of *answered*; or which these are, where the replies do
        not have the order of their requests.
    """
    events = reporter.host.events
    if received and events.reports_received:
        events.received(reporter.peer, reporter.number, received)
    if answered and events.reports_answered:
        peer, number = reporter.peer, reporter.number
        if not isinstance(first, int):
            _unordered(reporter, answered, steps, first)
            return
        exchanges = reporter.config.exchanges(peer, number, first, answered, lambda _: steps)
        events.answered(exchanges)


def _unordered(
    reporter: Reporter, answered: Sequence[bytes], steps: Sequence[Steps], places: Sequence[Place]
) -> None:
    """Notify the observers of each run of consecutive requests among *answered*."""
    start = 0
    for end, (number, overtaken) in enumerate(places, 1):
        if end < len(places) and places[end] == (number + 1, overtaken):
            continue
        exchanges = Overtaking(
            reporter.peer,
            reporter.number,
            places[start].number,
            answered[start:end],
            partial(_same, steps[start:end]),
            reporter.config.responder.name,
        )
        exchanges.overtaken = overtaken
        reporter.host.events.answered(exchanges)
        start = end


def _same(steps: Sequence[Steps], _requests: Sequence[bytes]) -> Sequence[Steps]:
    return steps


class Told(Iterator[Step]):
    """Yields *steps* to perform; notifies the observers of what was sent when no more will be."""

    def __init__(self, reporter: Reporter, steps: Iterator[Step], by: Unasked) -> None:
        self._reporter = reporter
        self._steps = steps
        self._by = by
        self._frames: list[bytes] = []
        self._is_sending = True

    def __next__(self) -> Step:
        step = next(self._steps, None)
        if step is None or step.ends_sending:
            self._report()
            self._is_sending = False
        if step is None:
            raise StopIteration
        if type(step) is Send and self._is_sending:
            frame = step.data if step.raw else self._reporter.framing.encode(step.data)
            self._frames.append(frame)
            step = Send(frame, raw=True)
        return step

    def __length_hint__(self) -> int:
        """Return how many steps are left."""
        return length_hint(self._steps)

    def _report(self) -> None:
        data, self._frames = b"".join(self._frames), []
        if data:
            reporter = self._reporter
            reporter.host.events.sent(reporter.peer, reporter.number, data, self._by)


def reply(reporter: Reporter, steps: Steps) -> None:
    """Count the miss and the faults of a reply that begins."""
    counters = reporter.host.counters
    if counters is not None and isinstance(steps, RuleReply):
        counters.count_misses_and_faults(steps.by, steps.injected)


def replies(reporter: Reporter, steps: Steps, count: int) -> None:
    """As `reply`, for *count* replies."""
    for _ in range(count):
        reply(reporter, steps)


def not_a_reply(reporter: Reporter, service: str, error: FrameError) -> None:
    """Log that *service* has sent bytes that are not a reply."""
    reporter.host.events.before_log_line()
    _log.warn(
        "{peer}: upstream {upstream} sent bytes that are not a reply: {reason}; resetting",
        peer=reporter.host.label(reporter.peer),
        upstream=service,
        reason=printable(str(error).replace("a request", "a reply", 1)),
    )


def incomplete(reporter: Reporter, request: Unfinished | None) -> None:
    """Log and report that the connection ends within *request*; None: it does not."""
    if request is None:
        return
    shown = repr(request.data[:MAX_SHOWN_BYTES]) + "..." * (len(request.data) > MAX_SHOWN_BYTES)
    reporter.host.events.before_log_line()
    _log.info(
        "{peer}: unfinished request {data}: {missing}",
        peer=reporter.host.label(reporter.peer),
        data=shown,
        missing=request.missing,
    )
    reporter.host.events.incomplete(reporter.peer, reporter.number, request)


def warning(reporter: Reporter, text: str) -> None:
    """Log *text* about the client."""
    reporter.host.events.before_log_line()
    _log.warn("{peer}: {text}", peer=reporter.host.label(reporter.peer), text=text)


def idle(reporter: Reporter) -> None:
    """Log that the connection is closed because it is idle."""
    reporter.host.events.before_log_line()
    _log.debug("{peer}: idle; closing", peer=reporter.host.label(reporter.peer))


def frame_error(reporter: Reporter, error: FrameError) -> None:
    """Count, log and report malformed bytes, because of which the connection is closed."""
    reporter.host.malformed("request", reporter.peer, str(error))
    reporter.host.events.failed(reporter.peer, reporter.number, Failure(error))


class _Printable(Failure):
    """A failure whose traceback is printable, whatever a request made an error say."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.value, failure.type, failure.getTracebackObject())

    def getTraceback(self, elideFrameworkCode: int = 0, detail: str = "default") -> str:  # noqa: N803 (Twisted's)
        return printable_lines(super().getTraceback(elideFrameworkCode, detail))


def failure(reporter: Reporter, failure: Failure, steps: Steps) -> None:
    """Count, log and report the *failure* of the responder, whose reply under way is *steps*."""
    if reporter.host.counters is not None:
        reporter.host.counters.responder_errors += 1
    by = reporter.config.responder.name
    if isinstance(steps, RuleReply):
        by = steps.by
    peer = reporter.host.label(reporter.peer)
    reporter.host.events.before_log_line()
    _log.failure("{peer}: {by} failed; aborting", _Printable(failure), peer=peer, by=by)
    reporter.host.events.failed(reporter.peer, reporter.number, failure)


def late_failure(reporter: Reporter, failure: Failure) -> None:
    """Count and log the *failure* of a responder after the loss of the connection."""
    if reporter.host.counters is not None:
        reporter.host.counters.responder_errors += 1
    peer, by = reporter.host.label(reporter.peer), reporter.config.responder.name
    reporter.host.events.before_log_line()
    _log.failure("{peer}: {by} failed after the connection was lost", failure, peer=peer, by=by)


def cancel(awaited: Cancellable) -> None:
    """Cancel *awaited*, which a connection will not need."""
    try:
        awaited.cancel()
    except BaseException:  # as the reactor does: the connection ends nevertheless
        stuck(Failure())


def stuck(failure: Failure) -> None:
    """Log that what a connection waited for cannot be cancelled."""
    _log.failure("cannot cancel the call or reply that a connection waits for", failure)


class Undecoded(Protocol):
    """What finding an unfinished request needs of a connection."""

    backlog: Backlog
    hold: Hold | None


def find_unfinished(connection: Undecoded) -> Unfinished | None:
    """Return the request that *connection* ends within; log that its decoder cannot say so."""
    if isinstance(connection.hold, Ended):
        return None  # what follows the last request is none
    try:
        return connection.backlog.find_unfinished()
    except BaseException:  # of a decoder that is not ours: the connection ends nevertheless
        _log.failure("cannot find out which request is unfinished", Failure())
        return None
