"""
Reactors: one of its own, in a thread of its own, beside whatever else runs in a process.

Installs no reactor and touches none; what it is asked to do is done in its thread.
"""

import atexit
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from twisted.internet import tcp
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.python import threadable
from twisted.python.failure import Failure

T = TypeVar("T")

#: Seconds that a call may take in the reactor's thread.
PATIENCE = 10.0


class ThreadedReactor:
    """
    A reactor that runs in a thread until it is stopped.

    :raises RuntimeError: from `call` and `stop`, in its own thread: it would wait for itself.
    """

    def __init__(self) -> None:
        self.reactor: Any = _make()
        started: Future[None] = Future()
        self.reactor.callWhenRunning(started.set_result, None)
        self._thread = threading.Thread(target=self._run, name="reqresp", daemon=True)
        self._thread.start()
        started.result(PATIENCE)

    @property
    def is_here(self) -> bool:
        """Whether this is the reactor's thread."""
        return threading.current_thread() is self._thread

    def call(self, function: Callable[..., Any], *arguments: Any, timeout: float = PATIENCE) -> Any:
        """
        Call *function* in the reactor's thread, and wait for what it, or its Deferred, gives.

        :raises TimeoutError: it takes longer than *timeout* seconds.
        """
        if self.is_here:
            raise RuntimeError("this waits for the server: it cannot be called by a handler of it")
        done: Future[Any] = Future()

        def fail(failure: Failure) -> None:
            done.set_exception(failure.value)

        def run() -> None:
            deferred: Deferred[Any] = maybeDeferred(function, *arguments)
            deferred.addCallbacks(done.set_result, fail)

        self.reactor.callFromThread(run)
        return done.result(timeout)

    def stop(self) -> None:
        """Stop it, and wait until its thread has ended and its descriptors are closed."""
        self.call(self.reactor.callLater, 0, self.reactor.stop)
        self._thread.join(PATIENCE)

    def _run(self) -> None:
        # A reactor takes its thread for the process's only one that does I/O.
        before = threadable.ioThread
        try:
            self.reactor.run(installSignalHandlers=False)
        finally:
            threadable.ioThread = before
            self._close()

    def _close(self) -> None:
        """Close the descriptors that a reactor takes for itself, and keeps when it stops."""
        self.reactor.waker.connectionLost(None)
        poller = getattr(self.reactor, "_poller", None)  # of epoll
        if poller is not None:
            poller.close()


def _release() -> None:
    """Close the descriptor that Twisted reserves for bad days, which would be a ResourceWarning."""
    reserved: Any = getattr(tcp, "_reservedFD", None)
    if reserved is not None and reserved.available():
        reserved.__enter__()


atexit.register(_release)


def _make() -> Any:
    if sys.platform == "linux":
        from twisted.internet.epollreactor import EPollReactor

        return EPollReactor()
    from twisted.internet.selectreactor import SelectReactor

    return SelectReactor()
