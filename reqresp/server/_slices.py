"""
Slices: constant replies to large reads, and to requests that have waited.

A read of up to `SLICE` bytes takes the shorter way in `Connection`.  This module must not know
states.
"""

from typing import Protocol

from reqresp.server import _report
from reqresp.server._backlog import Backlog
from reqresp.server._fast_path import Batch
from reqresp.server._turns import QUANTUM_SECONDS
from reqresp.transport.stream import Stream


class Answering(_report.Reporter, Protocol):
    """What `answer_slices` needs of a connection."""

    backlog: Backlog
    stream: Stream
    taken: int


def answer_slices(connection: Answering, batch: Batch, started: float, began: float) -> None:
    """
    Answer the backlog of *connection*, a slice at a time, for a quantum.

    Stop at a slice that *batch* does not answer, which then waits as requests, or when the stream
    is full.

    :param started: when the turn began, by the clock of the host.
    :param began: the same by the clock of the counters.
    """
    host, backlog, stream = connection.host, connection.backlog, connection.stream
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
        if host.now() - started > QUANTUM_SECONDS:
            break
    if not answered:
        return
    first = connection.taken + 1
    connection.taken += len(answered)
    if host.counters is not None:
        host.counters.sent += sent
        host.counters.count_replies(len(answered), began)
    _report.requests(connection, answered, answered, batch.steps, first, before - after)
