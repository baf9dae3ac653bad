"""
Reactors: one of its own, in a thread of its own, beside whatever else runs in a process.

Installs no reactor and touches none; what it is asked to do is done in its thread.
"""

import atexit
import select
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from twisted.internet import tcp
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.python.failure import Failure

#: Seconds that a call may take in the reactor's thread.
PATIENCE = 10.0


def when_read(reactor: Any, seconds: float) -> Deferred[None]:
    """
    Wait until all is read that has arrived at *reactor* by now.

    :returns: fires then, or after so many *seconds* of ever more to read.
    """
    deadline = reactor.seconds() + seconds
    read: Deferred[None] = Deferred()

    def look() -> None:
        if _has_unread(reactor) and reactor.seconds() < deadline:
            reactor.callLater(0, look)
        else:
            read.callback(None)

    look()
    return read


def _has_unread(reactor: Any) -> bool:
    poll = select.poll()
    for reader in reactor.getReaders():
        if reader is not reactor.waker:  # who is woken has something to do, not to read
            poll.register(reader, select.POLLIN)
    return bool(poll.poll(0))


class ThreadedReactor:
    """A reactor that runs in a thread until it is stopped."""

    def __init__(self) -> None:
        self.reactor: Any = _make()
        started: Future[None] = Future()
        self.reactor.callWhenRunning(started.set_result, None)
        self._thread = threading.Thread(target=self._run, name="reqresp", daemon=True)
        try:
            self._thread.start()
        except BaseException:  # there may be no more threads
            self._close()
            raise
        try:
            started.result(PATIENCE)
        except BaseException:  # Ctrl-C, for one
            self.reactor.callFromThread(self.reactor.stop)
            raise

    def check(self) -> None:
        """:raises RuntimeError: this is its thread: who waits for it would wait for itself."""
        if threading.current_thread() is self._thread:
            raise RuntimeError("this waits for the server: it cannot be called by a handler of it")

    def call(self, function: Callable[..., Any], *arguments: Any, timeout: float = PATIENCE) -> Any:
        """
        Call *function* in the reactor's thread, and wait for what it, or its Deferred, gives.

        :raises RuntimeError: this is that thread.
        :raises TimeoutError: it takes longer than *timeout* seconds; what keeps it is told.
        """
        self.check()
        done: Future[Any] = Future()

        def fail(failure: Failure) -> None:
            done.set_exception(failure.value)

        def run() -> None:
            deferred: Deferred[Any] = maybeDeferred(function, *arguments)
            deferred.addCallbacks(done.set_result, fail)

        self.reactor.callFromThread(run)
        try:
            return done.result(timeout)
        except TimeoutError:
            if done.done():  # it raised this itself
                raise
            raise TimeoutError(self._busy(timeout)) from None

    def stop(self) -> None:
        """
        Stop it, and wait until its thread has ended and its descriptors are closed.

        :raises RuntimeError: this is its thread.
        :raises TimeoutError: it has other things to do; it stops when these are done.
        """
        self.call(self.reactor.callLater, 0, self.reactor.stop)
        self._thread.join(PATIENCE)
        if self._thread.is_alive():
            raise TimeoutError(self._busy(PATIENCE))

    def when_read(self, seconds: float) -> Deferred[None]:
        """See `when_read`; to be called in its thread."""
        return when_read(self.reactor, seconds)

    def _busy(self, seconds: float) -> str:
        frame = sys._current_frames().get(self._thread.ident or 0)
        at = f", at {Path(frame.f_code.co_filename).name}:{frame.f_lineno}" if frame else ""
        return f"the server's thread was busy for {seconds:g} s{at}: does a handler block?"

    def _run(self) -> None:
        try:
            self.reactor.run(installSignalHandlers=False)
        finally:
            self._close()

    def _close(self) -> None:
        """Close the descriptors that a reactor takes for itself, and keeps when it stops."""
        self.reactor.waker.connectionLost(None)
        poller = getattr(self.reactor, "_poller", None)  # of epoll
        if poller is not None:
            poller.close()


def _make() -> Any:
    reactor = _kind()()
    # Or it would take its thread for the only one of the process that does I/O.
    reactor._registerAsIOThread = False
    # A clock that is set, or that a test replaces, delays nothing then.
    reactor.seconds = time.monotonic
    return reactor


def _kind() -> Any:
    if sys.platform == "linux":
        from twisted.internet.epollreactor import EPollReactor

        return EPollReactor
    from twisted.internet.selectreactor import SelectReactor

    return SelectReactor


def _release() -> None:
    """Close the descriptor that Twisted reserves for bad days, which would be a ResourceWarning."""
    reserved: Any = getattr(tcp, "_reservedFD", None)
    if reserved is not None and reserved.available():
        reserved.__enter__()


atexit.register(_release)
