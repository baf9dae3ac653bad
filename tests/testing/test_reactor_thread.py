"""A reactor in a thread of its own."""

import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from socket import socket, socketpair
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.python import threadable
from twisted.trial.unittest import SynchronousTestCase

from reqresp.testing._reactor_thread import ThreadedReactor
from tests.support.live import PATIENCE


def descriptors() -> set[str]:
    """What this process has open, as far as the system tells; sockets by their number."""
    fds = Path("/proc/self/fd")
    found = (
        {str(it.readlink()) for it in fds.iterdir() if it.is_symlink()} if fds.exists() else set()
    )
    return {it for it in found if not it.startswith("/proc/")}


class Reader:
    """Calls *read* when there is something to read from *of*."""

    def __init__(self, of: socket, read: Callable[[], object]) -> None:
        self.fileno = of.fileno
        self.doRead = read

    def logPrefix(self) -> str:
        return "reader"

    def connectionLost(self, reason: Any) -> None:
        """It ends with the reactor."""


class ThreadedReactorTests(SynchronousTestCase):
    """It does what it is asked to, in its thread."""

    def start(self) -> ThreadedReactor:
        made = ThreadedReactor()
        self.addCleanup(made.stop)
        return made

    def test_calls_are_made_in_its_thread(self) -> None:
        """And give what the function gives, or the Deferred."""
        made = self.start()
        self.assertEqual(made.call(lambda: threading.current_thread().name), "reqresp")
        self.assertEqual(made.call(divmod, 7, 3), (2, 1))
        self.assertEqual(made.call(succeed, "later"), "later")

    def test_what_is_raised_comes_back(self) -> None:
        """Also through a Deferred, and also if it is a TimeoutError."""
        made = self.start()
        self.assertRaises(ZeroDivisionError, made.call, divmod, 1, 0)
        self.assertRaises(KeyError, made.call, fail, KeyError("x"))
        with self.assertRaisesRegex(TimeoutError, "^mine$"):
            made.call(fail, TimeoutError("mine"))

    def test_it_waits_for_itself_never(self) -> None:
        """Whoever would is told so."""
        made = self.start()
        with self.assertRaisesRegex(RuntimeError, "a handler"):
            made.call(made.call, int)
        with self.assertRaisesRegex(RuntimeError, "a handler"):
            made.call(made.stop)

    def test_what_keeps_it_is_told(self) -> None:
        """By the line in which its thread is."""
        made = self.start()
        busy, go_on = threading.Event(), threading.Event()

        def block() -> None:
            busy.set()
            go_on.wait(PATIENCE)

        made.reactor.callFromThread(block)
        busy.wait(PATIENCE)
        with self.assertRaisesRegex(TimeoutError, r"busy for 0\.01 s, at threading\.py:\d+: does"):
            made.call(int, timeout=0.01)
        go_on.set()
        self.assertEqual(made.call(int), 0)

    def test_a_deferred_that_never_fires_is_not_waited_for_in_vain(self) -> None:
        """Not longer than was said."""
        never: Deferred[None] = Deferred()
        self.assertRaises(TimeoutError, self.start().call, lambda: never, timeout=0.01)

    def test_other_systems(self) -> None:
        """Do without epoll."""
        before = descriptors()
        self.patch(sys, "platform", "darwin")
        made = ThreadedReactor()
        self.assertEqual(type(made.reactor).__name__, "SelectReactor")
        self.assertEqual(made.call(divmod, 7, 3), (2, 1))
        made.stop()
        self.assertEqual(descriptors(), before)

    def test_the_end_of_its_thread(self) -> None:
        """And of all that it had open."""
        before, threads = descriptors(), threading.active_count()
        made = ThreadedReactor()
        self.assertNotEqual(descriptors(), before)
        made.stop()
        self.assertEqual(descriptors(), before)
        self.assertEqual(threading.active_count(), threads)

    def test_no_thread_no_descriptors(self) -> None:
        """If the system grants no more threads."""
        before = descriptors()

        def refuse(thread: object) -> None:
            raise RuntimeError("can't start new thread")

        self.patch(threading.Thread, "start", refuse)
        self.assertRaises(RuntimeError, ThreadedReactor)
        self.assertEqual(descriptors(), before)

    def test_the_thread_that_does_io_stays_who_it_was(self) -> None:
        """Others ask Twisted for it."""
        self.patch(threadable, "ioThread", None)
        made = self.start()
        self.assertIsNone(made.call(lambda: threadable.ioThread))

    def test_a_clock_that_is_set_back_delays_nothing(self) -> None:
        """What is due is not a matter of the time of day."""
        self.assertIs(self.start().reactor.seconds, time.monotonic)

    def read(self, made: ThreadedReactor, data: bytes, size: int, seconds: float) -> bytes:
        """Give what was read of *data*, of which each turn takes *size* bytes, in *seconds*."""
        received = bytearray()
        ours, theirs = socketpair()
        with ours, theirs:
            ours.sendall(data)
            reader = Reader(theirs, lambda: received.extend(theirs.recv(size) if size else b""))
            made.call(made.reactor.addReader, reader)
            made.call(made.when_read, seconds)
            made.call(made.reactor.removeReader, reader)
        return bytes(received)

    def test_what_has_arrived_is_read(self) -> None:
        """All of it, however many turns that takes."""
        self.assertEqual(self.read(self.start(), b"x" * 100, 1, PATIENCE), b"x" * 100)

    def test_who_never_ends_to_send_is_left(self) -> None:
        """When the time is over."""
        self.assertEqual(self.read(self.start(), b"x", 0, 0.01), b"")
