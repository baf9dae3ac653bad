"""
ThreadedReactor: a reactor in a thread of its own, beside any other reactor or event loop.

Installs no reactor, and must not use the global one.
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

#: The number of seconds that a call in the reactor's thread may take.
CALL_TIMEOUT = 10.0


def when_read(reactor: Any, seconds: float) -> Deferred[None]:
    """
    Wait until *reactor* has read everything that has arrived, and has made all calls that are due.

    A connection that gives way to others continues in such a call.

    :returns: fires then, or after *seconds* if there is always more to do.
    """
    deadline = reactor.seconds() + seconds
    read: Deferred[None] = Deferred()

    def look() -> None:
        if (_has_due_calls(reactor) or _has_unread(reactor)) and reactor.seconds() < deadline:
            reactor.callLater(0, look)
        else:
            read.callback(None)

    look()
    return read


def _has_due_calls(reactor: Any) -> bool:
    now = reactor.seconds()
    return any(call.getTime() <= now for call in reactor.getDelayedCalls())


def _has_unread(reactor: Any) -> bool:
    poll = select.poll()
    for reader in reactor.getReaders():
        if reader is not reactor.waker:  # its bytes wake the reactor, and are not input
            poll.register(reader, select.POLLIN)
    return bool(poll.poll(0))


class ThreadedReactor:
    """
    A reactor that runs in a thread of its own until it is stopped.

    :param timeout: the number of seconds that a call in that thread may take.
    """

    def __init__(self, timeout: float = CALL_TIMEOUT) -> None:
        #: The number of seconds that a call in the thread may take.
        self.timeout = timeout
        self.reactor: Any = _make_reactor()
        started: Future[None] = Future()
        self.reactor.callWhenRunning(started.set_result, None)
        self._thread = threading.Thread(target=self._run, name="reqresp", daemon=True)
        try:
            self._thread.start()
        except BaseException:  # the system may refuse another thread
            self._close()
            raise
        try:
            started.result(self.timeout)
        except BaseException:  # such as KeyboardInterrupt
            self.stop_later()
            raise

    def check(self) -> None:
        """:raises RuntimeError: this is the reactor's thread, which cannot wait for itself."""
        if threading.current_thread() is self._thread:
            raise RuntimeError(
                "this method waits for the server's thread: a handler, which runs in that thread,"
                " cannot call it"
            )

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """
        Call *function* in the reactor's thread, and return its result, or that of its Deferred.

        :raises RuntimeError: this is that thread.
        :raises TimeoutError: it takes longer than `timeout` seconds; the message has the line that
            the thread is at.
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
            return done.result(self.timeout)
        except TimeoutError:
            if done.done():  # *function* raised it
                raise
            raise TimeoutError(self._busy()) from None

    def stop(self) -> None:
        """
        Stop the reactor, and wait until its thread has ended and its descriptors are closed.

        :raises RuntimeError: this is its thread.
        :raises TimeoutError: the thread is busy; the reactor stops when it is not.
        """
        self.call(self.reactor.callLater, 0, self.reactor.stop)
        self._thread.join(self.timeout)
        if self._thread.is_alive():
            raise TimeoutError(self._busy())

    def stop_later(self) -> None:
        """Stop the reactor, without waiting for it; can be called in any thread."""
        self.reactor.callFromThread(self.reactor.stop)

    def when_read(self, seconds: float) -> Deferred[None]:
        """Call `when_read`; must be called in the reactor's thread."""
        return when_read(self.reactor, seconds)

    def _busy(self) -> str:
        frame = sys._current_frames().get(self._thread.ident or 0)
        at = f", at {Path(frame.f_code.co_filename).name}:{frame.f_lineno}" if frame else ""
        return (
            f"the server's thread has been busy for {self.timeout:g} s{at}: does a handler block?"
        )

    def _run(self) -> None:
        try:
            self.reactor.run(installSignalHandlers=False)
        finally:
            self._close()

    def _close(self) -> None:
        """Close the descriptors that a reactor keeps open for itself when it stops."""
        self.reactor.waker.connectionLost(None)
        poller = getattr(self.reactor, "_poller", None)  # of epoll
        if poller is not None:
            poller.close()


def _make_reactor() -> Any:
    reactor = _reactor_class()()
    # Otherwise Twisted takes this thread for the one that runs the global reactor.
    reactor._registerAsIOThread = False
    # Timers do not depend on the time of day, which can be set, or patched by a test.
    reactor.seconds = time.monotonic
    return reactor


def _reactor_class() -> Any:
    if sys.platform == "linux":
        from twisted.internet.epollreactor import EPollReactor

        return EPollReactor
    from twisted.internet.selectreactor import SelectReactor

    return SelectReactor


def _release() -> None:
    """Close the descriptor that Twisted keeps in reserve: left open, it is a ResourceWarning."""
    reserved: Any = getattr(tcp, "_reservedFD", None)
    if reserved is not None and reserved.available():
        reserved.__enter__()


atexit.register(_release)
