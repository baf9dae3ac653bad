"""Work beside the reactor, which the end of a process does not wait for."""

import subprocess
import sys
import threading
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from reqresp.daemon.threads import defer_to_daemon_thread

reactor: Any = _reactor  # its interfaces are not declared

ENDLESS = """
import threading
from twisted.internet import reactor
from reqresp.daemon.threads import defer_to_daemon_thread

defer_to_daemon_thread(reactor, threading.Event().wait)
reactor.callWhenRunning(reactor.stop)
reactor.run()
print("ended")
"""


class DaemonThreadTests(TestCase):
    """`defer_to_daemon_thread`."""

    async def test_what_it_returns(self) -> None:
        """The Deferred has the function's result, and fires in the reactor's thread."""
        threads = []

        def add(a: int, b: int) -> int:
            threads.append(threading.current_thread())
            return a + b

        done = defer_to_daemon_thread(reactor, add, 1, 2)
        self.assertEqual(await done, 3)
        self.assertIsNot(threads[0], threading.current_thread())

    def test_what_it_raises(self) -> "Deferred[Any]":
        """The Deferred fails with the function's exception."""

        def fail() -> None:
            raise KeyError("a")

        done: Deferred[Any] = defer_to_daemon_thread(reactor, fail)
        return self.assertFailure(done, KeyError)

    def test_the_process_ends_without_it(self) -> None:
        """A process whose thread never ends still ends when its reactor stops."""
        ran = subprocess.run(
            [sys.executable, "-c", ENDLESS], capture_output=True, text=True, timeout=60, check=True
        )
        self.assertEqual(ran.stdout, "ended\n")
