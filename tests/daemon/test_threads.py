"""Work beside the reactor, which the end of a process does not wait for."""

import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from reqresp.daemon.threads import defer_to_daemon_thread
from reqresp.testing import ThreadedReactor

ENDLESS = """
import threading
from twisted.internet import reactor
from reqresp.daemon.threads import defer_to_daemon_thread

defer_to_daemon_thread(reactor, threading.Event().wait)
reactor.callWhenRunning(reactor.stop)
reactor.run()
print("ended")
"""


class DaemonThreadTests(SynchronousTestCase):
    """`defer_to_daemon_thread`, with a reactor of its own."""

    def setUp(self) -> None:
        self.thread = ThreadedReactor()
        self.addCleanup(self.thread.stop)

    def deferred(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Return what the Deferred fires with; raise the exception that it fails with."""
        try:
            return self.thread.call(
                defer_to_daemon_thread, self.thread.reactor, function, *arguments
            )
        finally:  # the thread wakes the reactor, which must not be closed by then
            for it in threading.enumerate():
                if it.name == function.__name__:
                    it.join(60)

    def test_what_it_returns(self) -> None:
        """The Deferred has the function's result, which another thread has computed."""
        threads = []

        def add(a: int, b: int) -> int:
            threads.append(threading.current_thread())
            return a + b

        self.assertEqual(self.deferred(add, 1, 2), 3)
        self.assertIsNot(threads[0], self.thread.call(threading.current_thread))

    def test_what_it_raises(self) -> None:
        """The Deferred fails with the function's exception."""

        def fail() -> None:
            raise KeyError("a")

        self.assertRaises(KeyError, self.deferred, fail)

    def test_the_process_ends_without_it(self) -> None:
        """A process whose thread never ends still ends when its reactor stops."""
        ran = subprocess.run(
            [sys.executable, "-c", ENDLESS], capture_output=True, text=True, timeout=60, check=True
        )
        self.assertEqual(ran.stdout, "ended\n")
