"""
The reactor of twistd and of its workers.

It must not know services.
"""

import gc
import sys
from time import monotonic
from typing import Any

from twisted.python import runtime


def install_default() -> None:
    """Install the lean reactor if none was chosen, as by ``--reactor``, and there is epoll."""
    if "twisted.internet.reactor" in sys.modules:
        return
    try:
        from reqresp.transport import lean_reactor
    except ImportError:
        return
    lean_reactor.install()


def prepare(reactor: Any) -> None:
    """
    Prepare *reactor*, which is about to run, for serving.

    The garbage collector will not look at objects that exist when *reactor* begins to run.  To look
    at them all takes tens of milliseconds, in which no client is served.
    """
    use_monotonic_time(reactor)
    reactor.callWhenRunning(gc.freeze)


def use_monotonic_time(reactor: Any) -> None:
    """
    Make *reactor* use monotonic time if it uses the time of day.

    Otherwise a system clock that is set back puts off every timeout of the server.  A reactor that
    an application uses already keeps its time: calls that it has scheduled would never be due.
    """
    if reactor.seconds is runtime.seconds and not reactor.getDelayedCalls():
        reactor.seconds = monotonic
