"""What the text of an option stands for."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from reqresp.daemon.conversions import path, port, seconds, some_seconds, whole, workers


class ConversionsTests(SynchronousTestCase):
    """Each conversion."""

    def check(self, convert: Callable[[str], Any], good: dict[str, Any], bad: list[str]) -> None:
        """*good* texts come out so, and *bad* ones are named in a line."""
        self.assertEqual({text: convert(text) for text in good}, good)
        for text in bad:
            error = self.assertRaises(ValueError, convert, text)
            self.assertIn(repr(text), str(error))
            self.assertIn("expected ", str(error))
            self.assertNotIn("\n", str(error))

    def test_whole_numbers(self) -> None:
        """Digits alone, and no less than the least."""
        self.check(whole(1), {"1": 1, "007": 7}, ["0", "-1", "+1", "1.0", "", "1_0", "\u0661"])

    def test_seconds(self) -> None:
        """Any number that time can have."""
        self.check(seconds, {"0": 0, "1.5": 1.5, "1e3": 1000}, ["-1", "inf", "nan", "", "1s"])

    def test_some_seconds(self) -> None:
        """No less than a millisecond."""
        self.check(some_seconds, {"0.001": 0.001, "2": 2}, ["0", "0.0009", "-1", "x"])

    def test_ports(self) -> None:
        """A number that a port can have, or what has a colon and may be a description."""
        self.check(port, {"0": "0", "65535": "65535", "tcp:1": "tcp:1"}, ["65536", "-1", "tcp", ""])

    def test_workers(self) -> None:
        """A number, or as many as there are processors for this process."""
        here = len(os.sched_getaffinity(0))
        self.check(
            workers, {"1": 1, "1024": 1024, "auto": here}, ["0", "1025", "-1", "", "many", "AUTO"]
        )

    def test_paths(self) -> None:
        """Where they are now."""
        self.assertEqual(path("a/b"), Path.cwd() / "a" / "b")
        self.assertEqual(path("/no/such"), Path("/no/such"))

    def test_no_path(self) -> None:
        """Nothing is no name of a file, and not that of the directory one is in."""
        self.check(path, {}, [""])
