"""
States: what holds a connection, and what happens to that when the connection ends.

Values only.  The tables of all states and events are in docs/connection.rst.
"""

from collections.abc import Callable
from enum import Enum
from typing import NamedTuple

from twisted.python.failure import Failure

from reqresp.framing import Unfinished
from reqresp.server.host import Cancellable
from reqresp.transport.stream import Stream


class State(Enum):
    """What holds a connection."""

    IDLE = "idle"  #: nothing: a read is answered at once
    TURN = "turn"  #: its own work, which is under way
    TIMER = "timer"  #: a step that waits
    REPLY = "reply"  #: the Deferred of a responder
    UPSTREAM = "upstream"  #: the service, to which a request was forwarded
    YIELDED = "yielded"  #: other connections, whose turn it is
    FULL = "full"  #: the stream, which accepts no more for now
    HANGING = "hanging"  #: nothing will follow: what arrives is dropped
    ENDED = "ended"  #: the stream is closing: what arrives is dropped
    LOST = "lost"  #: the connection is gone


class Waiting(NamedTuple):
    """
    The connection enters *state* after a turn.

    :param awaited: what is waited for; cancelled if the connection ends first.
    """

    state: State
    awaited: Cancellable | None = None


class Ended(NamedTuple):
    """
    The connection is ended by *end* after a turn.

    :param failure: why, if the responder has failed.
    """

    end: Callable[[Stream], None]
    failure: Failure | None = None


class Lost(NamedTuple):
    """
    The connection was lost during a turn.

    :param reason: Twisted's.
    :param failure: of the responder, in the same turn.
    :param unfinished: the request that the client had begun.
    """

    reason: Failure
    failure: Failure | None = None
    unfinished: Unfinished | None = None


#: What follows a turn.
Hold = Waiting | Ended | Lost

HANG = Waiting(State.HANGING)
CLOSE = Ended(Stream.close)
ABORT = Ended(Stream.abort)
