"""How the text of one option is converted."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from reqresp._defaults import LOG_FORMATS
from reqresp.daemon.option_types import factor, one_of, path, port, seconds, whole_number, workers
from reqresp.journal import LogFormat


class ConversionsTests(SynchronousTestCase):
    """Conversions of an option's text."""

    def check(self, convert: Callable[[str], Any], good: dict[str, Any], bad: list[str]) -> None:
        """Each of *good* has its value; each of *bad* is refused with a line that shows it."""
        self.assertEqual({text: convert(text) for text in good}, good)
        for text in bad:
            error = self.assertRaises(ValueError, convert, text)
            self.assertIn(f"found {text!r}", str(error))
            self.assertIn("expected ", str(error))
            self.assertNotIn("\n", str(error))

    def test_whole_numbers(self) -> None:
        """A whole number has only ASCII digits, and is not below the least."""
        self.check(
            whole_number(1), {"1": 1, "007": 7}, ["0", "-1", "+1", "1.0", "", "1_0", "\u0661"]
        )

    def test_seconds(self) -> None:
        """Seconds are any finite number >= 0."""
        self.check(seconds(0), {"0": 0, "1.5": 1.5, "1e3": 1000}, ["-1", "inf", "nan", "", "1s"])

    def test_least_seconds(self) -> None:
        """Seconds below the least are refused."""
        self.check(seconds(0.001), {"0.001": 0.001, "2": 2}, ["0", "0.0009", "-1", "x"])

    def test_factors(self) -> None:
        """Any number that is not negative, and finite."""
        self.check(factor, {"0": 0, "1": 1, "0.5": 0.5}, ["-1", "inf", "nan", "", "2x"])

    def test_ports(self) -> None:
        """A port is a port number, or has a colon and may be an endpoint description."""
        self.check(port, {"0": "0", "65535": "65535", "tcp:1": "tcp:1"}, ["65536", "-1", "tcp", ""])

    def test_one_of_several_words(self) -> None:
        """The formats of the log, for example, are those of the request log."""
        words = {it.value: it.value for it in LogFormat}
        self.check(one_of(*LOG_FORMATS), words, ["", "JSON", "text"])

    def test_workers(self) -> None:
        """Workers are a number, or ``auto`` for the processors that this process may use."""
        here = len(os.sched_getaffinity(0))
        self.check(
            workers, {"1": 1, "1024": 1024, "auto": here}, ["0", "1025", "-1", "", "many", "AUTO"]
        )

    def test_paths(self) -> None:
        """A path is made absolute."""
        self.assertEqual(path("a/b"), Path.cwd() / "a" / "b")
        self.assertEqual(path("/no/such"), Path("/no/such"))

    def test_empty_path(self) -> None:
        """An empty path is refused, and does not mean the current directory."""
        self.check(path, {}, [""])
