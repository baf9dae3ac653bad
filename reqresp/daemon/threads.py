"""
Threads: work that takes long, beside the reactor.

Must not know what the work is.
"""

import threading
from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.python.failure import Failure

T = TypeVar("T")


def defer_to_daemon_thread(
    reactor: IReactorFromThreads, function: Callable[..., T], *arguments: Any
) -> Deferred[T]:
    """
    Call *function* in a thread of its own, and return a Deferred of what it returns or raises.

    A process ends without waiting for this thread.  (It waits for the threads of the reactor.)
    """
    done: Deferred[T] = Deferred()

    def work() -> None:
        try:
            result = function(*arguments)
        except Exception:
            reactor.callFromThread(done.errback, Failure())
            return
        reactor.callFromThread(done.callback, result)

    threading.Thread(target=work, name=function.__name__, daemon=True).start()
    return done
