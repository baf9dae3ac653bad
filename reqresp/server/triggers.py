"""
Triggers: what makes a responder answer.

Values only.  Must not know what answers, or how it is sent.
"""

from enum import Enum


class Trigger(Enum):
    """What makes a responder answer; in a script it is the key ``on`` of a rule."""

    REQUEST = "request"  #: a request has arrived
    CONNECT = "connect"  #: a client has connected
