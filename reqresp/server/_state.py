"""
States: what holds a connection, and what happens to that when the connection ends.

Values only.  The table of all states and events is in docs/connection.rst.
"""

from collections.abc import Callable
from enum import Enum
from typing import NamedTuple

from twisted.python.failure import Failure

from reqresp.server.host import Cancellable
from reqresp.transport.stream import Stream


class State(Enum):
    """What holds a connection."""

    IDLE = "idle"  #: nothing: a read is answered at once
    TURN = "turn"  #: its own work, which is under way
    TIMER = "timer"  #: a step that waits
    REPLY = "reply"  #: the Deferred of a responder
    YIELDED = "yielded"  #: other connections, whose turn it is
    FULL = "full"  #: the stream, which accepts no more for now
    HANGING = "hanging"  #: nothing will follow: what arrives is dropped
    ENDED = "ended"  #: the stream is closing: what arrives is dropped
    LOST = "lost"  #: the connection is gone


class Hold(NamedTuple):
    """
    The *state* that follows a turn.

    :param awaited: what is waited for; cancelled if the connection ends first.
    :param end: ends the stream, in the state ENDED.
    :param reason: why the connection was lost, in the state LOST.
    :param failure: of the responder, which ends the connection.
    """

    state: State
    awaited: Cancellable | None = None
    end: Callable[[Stream], None] | None = None
    reason: Failure | None = None
    failure: Failure | None = None


HANG = Hold(State.HANGING)
CLOSE = Hold(State.ENDED, end=Stream.close)
ABORT = Hold(State.ENDED, end=Stream.abort)
