"""
Waits: responses that come once something has happened, or a time is over.

Knows the time that a request has.  Must not know what is waited for.
"""

from typing import Any

from twisted.internet.defer import Deferred

from reqresp.control._channel import REQUEST_TIMEOUT
from reqresp.control.routes import Call

#: The longest time that a client can wait, in seconds.
MAX_TIMEOUT = 600


def allow(call: Call, answer: Deferred[Any], seconds: float) -> None:
    """Let the client of *call* wait *seconds* for *answer*, which is cancelled when it leaves."""
    channel: Any = call.request.channel
    channel.allow_time(seconds + REQUEST_TIMEOUT)
    call.request.notifyFinish().addErrback(lambda _: answer.cancel())
