"""The reactor of twistd: its time, and what the garbage collector looks at while it runs."""

import gc
import time
from typing import Any

from twisted.internet.pollreactor import PollReactor
from twisted.internet.task import Clock
from twisted.internet.test.reactormixins import ReactorBuilder
from twisted.python import runtime
from twisted.trial.unittest import SynchronousTestCase

from reqresp.daemon.reactor import install_default, prepare, use_monotonic_time


class MonotonicTimeTests(ReactorBuilder, SynchronousTestCase):
    """Waits are timed by a clock that cannot be set."""

    reactorFactory: Any = PollReactor  # noqa: N815, Twisted's name

    def test_a_clock_that_is_set_back_puts_nothing_off(self) -> None:
        """A stock reactor uses the time of day until it is changed."""
        reactor: Any = self.buildReactor()
        self.assertIs(reactor.seconds, runtime.seconds)
        use_monotonic_time(reactor)
        reactor.callLater(0.01, reactor.stop)
        self.patch(time, "time", lambda: 0.0)
        self.runReactor(reactor, timeout=60)
        self.assertLessEqual(reactor.seconds(), time.monotonic())

    def test_a_reactor_in_use_keeps_its_time(self) -> None:
        """Calls that an application has scheduled are still due when they were."""
        reactor: Any = self.buildReactor()
        reactor.callLater(0.01, reactor.stop)
        use_monotonic_time(reactor)
        self.assertIs(reactor.seconds, runtime.seconds)
        self.runReactor(reactor, timeout=60)

    def test_a_reactor_with_its_own_time_keeps_it(self) -> None:
        """As the loop of asyncio, which uses monotonic time itself."""
        clock = Clock()
        use_monotonic_time(clock)
        self.assertEqual(clock.seconds(), 0.0)


class PrepareTests(ReactorBuilder, SynchronousTestCase):
    """A reactor is prepared before it runs."""

    reactorFactory: Any = PollReactor  # noqa: N815, Twisted's name

    def test_what_exists_is_no_garbage(self) -> None:
        """Once the reactor runs, a collection does not look at objects that existed before."""
        self.addCleanup(gc.unfreeze)
        gc.unfreeze()
        reactor: Any = self.buildReactor()
        prepare(reactor)
        self.assertEqual(gc.get_freeze_count(), 0)
        reactor.callLater(0.01, reactor.stop)
        self.runReactor(reactor, timeout=60)
        self.assertGreater(gc.get_freeze_count(), 1000)
        self.assertLessEqual(reactor.seconds(), time.monotonic())


class InstallTests(SynchronousTestCase):
    """A reactor that was chosen stays."""

    def test_a_reactor_that_is_installed_stays(self) -> None:
        """This process has one."""
        from twisted.internet import reactor

        install_default()
        from twisted.internet import reactor as after

        self.assertIs(after, reactor)
