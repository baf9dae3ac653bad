"""
Slices: constant replies to large reads, and to requests that have waited.

A read of up to `SLICE` bytes takes the shorter way in `Connection`.  This module must not know
states.
"""

from collections.abc import Callable
from typing import NamedTuple

from reqresp.server._backlog import Backlog
from reqresp.server._fast_path import Batch
from reqresp.server._turns import QUANTUM_SECONDS, Turns
from reqresp.transport.stream import Stream


class Answered(NamedTuple):
    """
    The requests that were answered.

    :param size: bytes of the requests, with their framing.
    :param sent: bytes of the replies.
    """

    requests: list[bytes]
    size: int
    sent: int


def answer_slices(
    backlog: Backlog,
    stream: Stream,
    batch: Batch,
    turns: Turns,
    now: Callable[[], float],
    started: float,
) -> Answered:
    """
    Answer *backlog* on *stream*, a slice at a time, for a quantum.

    Stop at a slice that *batch* does not answer, which then waits as requests, or when the stream
    is full.

    :param turns: says when this turn of the reactor is over for all connections.
    :param now: returns seconds of a monotonic clock.
    :param started: when the turn began, by this clock.
    """
    answered: list[bytes] = []
    before, sent = backlog.size, 0
    after = before
    while backlog.size and not stream.is_blocked:
        requests = backlog.take_slice()
        wire = batch.answer(requests) if backlog.error is None else None
        if wire is None:
            backlog.put_back(requests, backlog.error)
            break
        stream.write(wire)
        answered += requests
        sent += len(wire)
        after = backlog.size
        time = now()
        if time - started > QUANTUM_SECONDS or time > turns.deadline:
            break
    return Answered(answered, before - after, sent)
