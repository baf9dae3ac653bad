"""The reactor in a thread of its own."""

import sys
import threading
import time
from collections.abc import Callable
from socket import socket, socketpair
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.python import threadable
from twisted.trial.unittest import SynchronousTestCase

from reqresp.testing._reactor_thread import ThreadedReactor
from tests.support.descriptors import descriptors
from tests.support.live import PATIENCE


class Reader:
    """A reader of a reactor that calls *read* when *of* is readable."""

    def __init__(self, of: socket, read: Callable[[], object]) -> None:
        self.fileno = of.fileno
        self.doRead = read

    def logPrefix(self) -> str:
        return "reader"

    def connectionLost(self, reason: Any) -> None:
        """Do nothing: it ends with the reactor."""


class ThreadedReactorTests(SynchronousTestCase):
    """Tests for `ThreadedReactor`."""

    def start(self) -> ThreadedReactor:
        threaded = ThreadedReactor()
        self.addCleanup(threaded.stop)
        return threaded

    def test_calls_are_made_in_its_thread(self) -> None:
        """A call runs in the reactor's thread, and returns the result, or that of a Deferred."""
        threaded = self.start()
        self.assertEqual(threaded.call(lambda: threading.current_thread().name), "reqresp")
        self.assertEqual(threaded.call(divmod, 7, 3), (2, 1))
        self.assertEqual(threaded.call(succeed, "later"), "later")

    def test_exceptions(self) -> None:
        """A call raises what the function raises, or what its Deferred fails with."""
        threaded = self.start()
        self.assertRaises(ZeroDivisionError, threaded.call, divmod, 1, 0)
        self.assertRaises(KeyError, threaded.call, fail, KeyError("x"))
        with self.assertRaisesRegex(TimeoutError, "^mine$"):
            threaded.call(fail, TimeoutError("mine"))

    def test_calls_from_its_own_thread(self) -> None:
        """A call in the reactor's thread raises instead of waiting for itself."""
        threaded = self.start()
        with self.assertRaisesRegex(RuntimeError, "a handler"):
            threaded.call(threaded.call, int)
        with self.assertRaisesRegex(RuntimeError, "a handler"):
            threaded.call(threaded.stop)

    def test_a_busy_thread(self) -> None:
        """The error of a call that times out has the line that the thread is at."""
        threaded = self.start()
        busy, go_on = threading.Event(), threading.Event()

        def block() -> None:
            busy.set()
            go_on.wait(PATIENCE)

        threaded.reactor.callFromThread(block)
        busy.wait(PATIENCE)
        threaded.timeout = 0.01
        with self.assertRaisesRegex(TimeoutError, r"busy for 0\.01 s, at threading\.py:\d+: does"):
            threaded.call(int)
        go_on.set()
        threaded.timeout = PATIENCE
        self.assertEqual(threaded.call(int), 0)

    def test_a_deferred_that_never_fires(self) -> None:
        """A call waits for a Deferred no longer than its timeout."""
        never: Deferred[None] = Deferred()
        threaded = self.start()
        threaded.timeout = 0.01
        self.assertRaises(TimeoutError, threaded.call, lambda: never)
        threaded.timeout = PATIENCE

    def test_other_operating_systems(self) -> None:
        """On a system other than Linux, the reactor does not use epoll."""
        before = descriptors()
        self.patch(sys, "platform", "darwin")
        threaded = ThreadedReactor()
        self.assertEqual(type(threaded.reactor).__name__, "SelectReactor")
        self.assertEqual(threaded.call(divmod, 7, 3), (2, 1))
        threaded.stop()
        self.assertEqual(descriptors(), before)

    def test_stop(self) -> None:
        """The thread ends, and all descriptors are closed."""
        before, threads = descriptors(), threading.active_count()
        threaded = ThreadedReactor()
        self.assertNotEqual(descriptors(), before)
        threaded.stop()
        self.assertEqual(descriptors(), before)
        self.assertEqual(threading.active_count(), threads)

    def test_no_thread(self) -> None:
        """If the system refuses a thread, nothing is left open."""
        before = descriptors()
        # No system has memory for such a stack.
        self.addCleanup(threading.stack_size, threading.stack_size(2**46))
        self.assertRaises(RuntimeError, ThreadedReactor)
        self.assertEqual(descriptors(), before)

    def test_the_io_thread_of_twisted(self) -> None:
        """Twisted's record of the thread that does I/O does not change."""
        self.patch(threadable, "ioThread", None)
        threaded = self.start()
        self.assertIsNone(threaded.call(lambda: threadable.ioThread))

    def test_the_clock_is_monotonic(self) -> None:
        """The timers do not depend on the time of day."""
        self.assertIs(self.start().reactor.seconds, time.monotonic)

    def read(self, threaded: ThreadedReactor, data: bytes, size: int, seconds: float) -> bytes:
        """Return what is read of *data* in *seconds*, with *size* bytes a turn."""
        received = bytearray()
        ours, theirs = socketpair()
        with ours, theirs:
            ours.sendall(data)
            reader = Reader(theirs, lambda: received.extend(theirs.recv(size) if size else b""))
            threaded.call(threaded.reactor.addReader, reader)
            threaded.call(threaded.when_read, seconds)
            threaded.call(threaded.reactor.removeReader, reader)
        return bytes(received)

    def test_what_has_arrived_is_read(self) -> None:
        """``when_read`` waits for all data that has arrived, however many turns that takes."""
        self.assertEqual(self.read(self.start(), b"x" * 100, 1, PATIENCE), b"x" * 100)

    def test_calls_that_are_due(self) -> None:
        """``when_read`` waits for work that goes on in later turns, but for no timer."""
        threaded = self.start()
        turns: list[int] = []

        def work(left: int) -> None:
            turns.append(left)
            if left:
                threaded.reactor.callLater(0, work, left - 1)

        def begin() -> Deferred[None]:
            threaded.reactor.callLater(PATIENCE, work, 0)
            work(9)
            return threaded.when_read(PATIENCE)

        threaded.call(begin)
        self.assertEqual(turns, [*range(9, -1, -1)])

    def test_data_that_never_ends(self) -> None:
        """``when_read`` waits no longer than its timeout."""
        self.assertEqual(self.read(self.start(), b"x", 0, 0.01), b"")
