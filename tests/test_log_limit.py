"""How often the same kind of event is logged."""

from twisted.internet.task import Clock
from twisted.logger import Logger, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from reqresp._log_limit import LogLimit


class LogLimitTests(SynchronousTestCase):
    """One event of each kind a second is logged, and the number of the others."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.limit = LogLimit(lambda: self.clock, Logger())

    def happen(self, kinds: str) -> list[str | None]:
        """Return the suffixes of events of these *kinds*, a letter each."""
        return [self.limit.suffix(kind) for kind in kinds]

    def lines(self, seconds: float) -> list[str]:
        """Return what is logged in the next *seconds*, looked at each tenth of a second."""
        with capturedLogs() as events:
            self.clock.pump([0.1] * round(seconds * 10))
        return [event["log_format"].format(**event) for event in events]

    def test_one_a_second_is_logged(self) -> None:
        """The next line says how many were not."""
        self.assertEqual(self.happen("aaaa"), ["", None, None, None])
        self.clock.advance(0.9)
        self.assertEqual(self.happen("a"), [None])
        self.clock.advance(0.1)
        self.assertEqual(self.happen("a"), [" (4 more like the last one)"])
        self.clock.advance(1)
        self.assertEqual(self.happen("a"), [""])

    def test_kinds_are_limited_apart(self) -> None:
        """An event of one kind does not keep another from the log."""
        self.assertEqual(self.happen("aab"), ["", None, ""])

    def test_a_flood_that_ends(self) -> None:
        """A few seconds after the last line of a kind, another says how many followed it."""
        self.happen("aaaabbb")
        self.assertEqual(self.lines(1.9), [])
        expected = ["3 more like the last one (a)", "2 more like the last one (b)"]
        self.assertEqual(self.lines(1.1), expected)
        self.assertEqual(self.lines(5), [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_flood_that_goes_on(self) -> None:
        """While events of the kind are logged, the counts are in their lines."""
        with capturedLogs() as events:
            suffixes: list[str | None] = []
            for _ in range(40):
                suffixes += self.happen("aa")
                self.clock.advance(0.25)
        said = [suffix for suffix in suffixes if suffix is not None]
        self.assertEqual(said, ["", *[" (7 more like the last one)"] * 9])
        self.assertEqual(events, [])

    def test_kinds_end_apart(self) -> None:
        """The end of a flood is logged while another goes on."""
        self.happen("aab")
        with capturedLogs() as events:
            for _ in range(16):
                self.clock.advance(0.25)
                self.happen("b")
        self.assertEqual([event["kind"] for event in events], ["a"])

    def test_that_line_is_one_of_the_second(self) -> None:
        """For a second after a line with a count, no other of its kind is logged."""
        self.happen("aa")
        self.clock.advance(2)
        self.assertEqual(self.happen("aa"), [None, None])
        self.assertEqual(self.lines(3), ["2 more like the last one (a)"])

    def test_the_end(self) -> None:
        """At the end, the counts are logged at once."""
        self.happen("aabbb")
        with capturedLogs() as events:
            self.limit.flush()
            self.limit.flush()
        self.assertEqual([event["count"] for event in events], [1, 2])
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.lines(3), [])
