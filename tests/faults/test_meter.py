"""A bandwidth that several share."""

from twisted.trial.unittest import SynchronousTestCase

from reqresp.faults.meter import Meter


class Waiting:
    """Waits for its turn, and counts how often it was told."""

    def __init__(self) -> None:
        self.wakes = 0

    def woken(self) -> None:
        self.wakes += 1


class MeterTests(SynchronousTestCase):
    """Whose turn it is."""

    def test_turns_go_round(self) -> None:
        """Who has sent a slice is the last of those that wait."""
        meter, (one, two) = Meter(), (Waiting(), Waiting())
        self.assertEqual((meter.is_turn_of(one), meter.is_turn_of(two)), (True, False))
        meter.pass_turn(one, 5)
        self.assertEqual((meter.free, two.wakes), (5, 1))
        self.assertEqual((meter.is_turn_of(one), meter.is_turn_of(two)), (False, True))

    def test_who_leaves_gives_its_turn(self) -> None:
        """Only the first is told, and only when its turn comes."""
        meter, (one, two, three) = Meter(), (Waiting(), Waiting(), Waiting())
        for it in (one, two, three):
            meter.is_turn_of(it)
        meter.leave(two)
        meter.leave(two)
        self.assertEqual((two.wakes, three.wakes), (0, 0))
        meter.leave(one)
        self.assertEqual(three.wakes, 1)
