"""
Triggers: what makes a responder answer.

Values only.  Must not know what answers, or how it is sent.
"""

from enum import Enum

from attrs import frozen


class Trigger(Enum):
    """What makes a responder answer; in a script it is the key ``on`` of a rule."""

    REQUEST = "request"  #: a request has arrived
    CONNECT = "connect"  #: a client has connected
    IDLE = "idle"  #: a timeout is about to close the connection
    REFUSED = "refused"  #: a client is refused, because of a limit or of its address
    MALFORMED = "malformed"  #: the client has sent bytes that are no request
    TIMER = "timer"  #: a time has passed


@frozen
class Timer:
    """
    A trigger that comes again and again while a connection is in a state.

    :param name: tells it from other timers of the connection, and seeds its jitter.
    :param seconds: from one time to the next.
    :param jitter: up to how many seconds later it comes, at random.
    """

    name: str
    seconds: float
    jitter: float = 0.0
