"""
Slices: constant replies to large reads, and to requests that have waited.

A read of up to `SLICE` bytes, or `AT_ONCE` with observers, takes the shorter way in `Connection`.
This module must not know steps.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol

from reqresp.server import _report
from reqresp.server._backlog import Backlog
from reqresp.server._fast_path import Batch
from reqresp.server._state import Hold, State, Waiting
from reqresp.server._turns import QUANTUM_REPLIES, QUANTUM_SECONDS, Turns
from reqresp.transport.stream import Stream

#: Bytes that are answered at once, whatever other connections do.  Observers can take several
#: microseconds for each request.
AT_ONCE = 1024
#: Bytes of more than that which are answered when the budget of all connections is used up.
LAST_SLICE = 64


class Answered(NamedTuple):
    """
    The requests that were answered.

    :param data: what has arrived of them.
    :param sent: bytes of the replies.
    :param gives_way: whether more waits, and a quantum or the budget is used up.
    """

    requests: list[bytes]
    data: bytes
    sent: int
    gives_way: bool


class Sliced(_report.Reporter, Protocol):
    """What slices need of a connection."""

    backlog: Backlog
    hold: Hold | None
    sent: int
    stream: Stream
    taken: int

    def release(self) -> None:
        """Continue: the wait that held the connection is over."""


def answer_slices(connection: Sliced, batch: Batch, started: float, began: float) -> None:
    """
    Answer what waits with constants, and report it.

    :param started: when the turn began, by the clock that measures work.
    :param began: the same by the clock of the counters.
    """
    host = connection.host
    backlog, stream, turns, now = connection.backlog, connection.stream, host.turns, host.now
    answered = _answer(backlog, stream, batch, turns, now, started)
    if answered.gives_way:
        connection.hold = Waiting(State.YIELDED, turns.add(connection.release))
    requests = answered.requests
    if not requests:
        return
    first = connection.taken + 1
    connection.taken += len(requests)
    if host.counters is not None:
        host.counters.sent += answered.sent
        connection.sent += answered.sent
        host.counters.count_replies(len(requests), began)
    if host.events.reports_requests:
        peer, number, config = connection.peer, connection.number, connection.config
        host.events.answered_at_once(peer, number, config, first, requests, answered.data, False)


def _answer(
    backlog: Backlog,
    stream: Stream,
    batch: Batch,
    turns: Turns,
    now: Callable[[], float],
    started: float,
) -> Answered:
    """
    Answer *backlog* on *stream*, `AT_ONCE` bytes at a time, for a quantum.

    Stop at a slice that *batch* does not answer, which then waits as requests, or when the stream
    is full.  More than `AT_ONCE` shares the budget of *turns*: if that is used up, answer
    `LAST_SLICE` of it.

    :param turns: says when this turn of the reactor is over for all connections.
    :param now: returns seconds of a monotonic clock.
    :param started: when the turn began, by this clock.
    """
    requests: list[bytes] = []
    read: list[bytes] = []
    size, sent, is_over = AT_ONCE, 0, False
    if backlog.size > AT_ONCE:
        turns.share()
        if now() > turns.deadline:
            size = LAST_SLICE
    while backlog.size and not is_over and not stream.is_blocked:
        data = backlog.take(size)
        completed = backlog.decode(data)
        wire = batch.answer(completed) if backlog.error is None else None
        if wire is None:
            backlog.put_back(completed, backlog.error)
            break
        stream.write(wire)
        requests += completed
        read.append(data)
        sent += len(wire)
        time = now()
        is_late = time - started > QUANTUM_SECONDS or time > turns.deadline
        is_over = is_late or len(requests) >= QUANTUM_REPLIES
    return Answered(requests, b"".join(read), sent, is_over and backlog.size > 0)
