"""Sweeps: how often, and what a new timeout changes."""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from reqresp.server._sweeper import Sweeper


class SweeperTests(SynchronousTestCase):
    """Four sweeps in a timeout."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.times: list[float] = []
        self.sweeper = Sweeper(lambda: self.clock, lambda: self.times.append(self.clock.seconds()))

    def test_four_in_a_timeout(self) -> None:
        """From the start until the stop; a second start changes nothing."""
        self.sweeper.set(4)
        self.sweeper.start()
        self.sweeper.start()
        self.clock.pump([1] * 3)
        self.assertEqual(self.times, [1, 2, 3])
        self.sweeper.stop()
        self.clock.pump([1] * 3)
        self.assertEqual(self.times, [1, 2, 3])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_none_without_a_timeout(self) -> None:
        self.sweeper.set(None)
        self.sweeper.start()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_new_timeout_does_not_put_off_the_next_sweep(self) -> None:
        """A shorter one makes it sooner."""
        self.sweeper.set(4)
        self.sweeper.start()
        self.clock.advance(0.5)
        self.sweeper.set(400)
        self.clock.advance(0.5)
        self.assertEqual(self.times, [1])
        self.sweeper.set(0.4)
        self.clock.advance(0.125)
        self.assertEqual(self.times, [1, 1.125])
