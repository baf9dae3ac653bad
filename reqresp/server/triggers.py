"""
Triggers: what makes a responder answer.

Values only.  Must not know what answers, or how it is sent.
"""

from enum import Enum


class Trigger(Enum):
    """What makes a responder answer; in a script it is the key ``on`` of a rule."""

    REQUEST = "request"  #: a request has arrived
    CONNECT = "connect"  #: a client has connected
    IDLE = "idle"  #: a timeout is about to close the connection
    REFUSED = "refused"  #: a client is refused, because of a limit or of its address
    MALFORMED = "malformed"  #: the client has sent bytes that are no request
