"""How often the same kind of event is logged."""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from reqresp._log_limit import LogLimit


class LogLimitTests(SynchronousTestCase):
    """One event of each kind a second is logged."""

    def test_one_a_second_is_logged(self) -> None:
        """The next line says how many were not."""
        clock = Clock()
        limit = LogLimit(clock.seconds)
        self.assertEqual([limit.suffix("a") for _ in range(4)], ["", None, None, None])
        clock.advance(0.9)
        self.assertIsNone(limit.suffix("a"))
        clock.advance(0.1)
        self.assertEqual(limit.suffix("a"), " (4 more like the last one)")
        clock.advance(1)
        self.assertEqual(limit.suffix("a"), "")

    def test_kinds_are_limited_apart(self) -> None:
        """An event of one kind does not keep another from the log."""
        limit = LogLimit(Clock().seconds)
        self.assertEqual([limit.suffix(kind) for kind in "aab"], ["", None, ""])
