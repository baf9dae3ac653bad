"""
Timeouts: which connections are idle, or wait too long for the rest of a request.

It counts the sweeps since something happened.  It must not know what calls its sweeps, or when.
"""

from typing import Protocol

from twisted.internet.interfaces import IAddress

from reqresp.server import _report
from reqresp.server._backlog import Backlog
from reqresp.server._forwarder import Forwarder
from reqresp.server._state import State
from reqresp.server._unordered import Unordered
from reqresp.server.host import SWEEPS_PER_TIMEOUT, ConnectionHost
from reqresp.transport.stream import Stream

# The client waits for the server itself: it is not idle.
_BUSY = (State.TIMER, State.REPLY, State.YIELDED)


class Swept(_report.Reporter, Protocol):
    """What timeouts need of a connection."""

    backlog: Backlog
    #: Of a request that has begun: how many came before it, and the sweeps since.
    begun: tuple[int, int] | None
    taker: Forwarder | Unordered | None
    host: ConnectionHost
    peer: IAddress
    #: Sweeps since something happened.
    quiet: int
    stream: Stream
    taken: int
    #: Bytes, at the last sweep.
    undelivered: int

    @property
    def state(self) -> State:
        """What holds the connection."""

    def close_finished(self) -> None:
        """Close: everything that was received is answered."""

    def say_farewell(self) -> None:
        """Send what the responder has for a connection that times out, then close."""


def sweep(connection: Swept) -> None:
    """Close *connection* after `SWEEPS_PER_TIMEOUT` calls between which nothing happened."""
    connection.quiet += 1
    taker = connection.taker
    to_service = 0 if taker is None else taker.undelivered
    undelivered = connection.stream.undelivered + to_service
    is_delivering = undelivered < connection.undelivered or connection.stream.has_deadline
    if connection.state in _BUSY or is_delivering:
        connection.quiet = 0
    connection.undelivered = undelivered
    if connection.quiet <= SWEEPS_PER_TIMEOUT:
        return
    _report.idle(connection)
    connection.quiet = 0
    if undelivered or connection.state is State.ENDED:
        connection.stream.reset()
    elif connection.state is State.IDLE and not connection.stream.is_shaking_hands:
        connection.say_farewell()
    else:
        connection.close_finished()


def sweep_request(connection: Swept) -> None:
    """Close *connection* after `SWEEPS_PER_TIMEOUT` calls during one unfinished request."""
    if connection.state is not State.IDLE or not len(connection.backlog.decoder):
        connection.begun = None  # no request has begun, or the client waits for the server
        return
    before, sweeps = connection.begun or (connection.taken, 0)
    if before != connection.taken:
        before, sweeps = connection.taken, 0
    connection.begun = before, sweeps + 1
    if sweeps >= SWEEPS_PER_TIMEOUT:
        reason = "its request took too long to arrive"
        connection.host.malformed("request_timeout", connection.peer, reason)
        connection.say_farewell()
