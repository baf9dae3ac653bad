"""The reactor of twistd: time that does not depend on the system clock."""

import time
from typing import Any

from twisted.internet.pollreactor import PollReactor
from twisted.internet.task import Clock
from twisted.internet.test.reactormixins import ReactorBuilder
from twisted.python import runtime
from twisted.trial.unittest import SynchronousTestCase

from reqresp.daemon.reactor import install_default, use_monotonic_time


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


class InstallTests(SynchronousTestCase):
    """A reactor that was chosen stays."""

    def test_a_reactor_that_is_installed_stays(self) -> None:
        """This process has one."""
        from twisted.internet import reactor

        install_default()
        from twisted.internet import reactor as after

        self.assertIs(after, reactor)
