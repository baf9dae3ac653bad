"""Faults of one direction: which are usable, and what a wrong one is told."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from reqresp._errors import FieldError
from reqresp.faults import (
    KINDS,
    STREAM_KINDS,
    Bandwidth,
    DirectedFault,
    Direction,
    Latency,
    StopReadingFault,
    change_fault,
    make_fault,
    unique_name,
)


def directed(**changes: Any) -> DirectedFault:
    """Return a usable fault with *changes*."""
    usable: dict[str, Any] = {"fault": Latency(delay=1), "stream": "upstream", "name": "slow"}
    return DirectedFault(**{**usable, **changes})


class DirectedFaultTests(SynchronousTestCase):
    """The value."""

    def test_the_direction_is_a_word_or_a_member(self) -> None:
        """Both mean the same."""
        self.assertIs(directed().stream, Direction.UPSTREAM)
        self.assertIs(directed(stream=Direction.DOWNSTREAM).stream, Direction.DOWNSTREAM)

    def test_values_out_of_range(self) -> None:
        """Each is named, with what is expected."""
        for field, value, problem in (
            ("stream", "up", "expected upstream or downstream, found 'up'"),
            ("stream", 1, "expected upstream or downstream, found 1"),
            ("name", "", "expected a name of 1 to 60 printable characters, found ''"),
            ("name", "a\n", "expected a name of 1 to 60 printable characters, found 'a\\n'"),
            ("after", -1, "expected seconds from 0 to 1000000000, found -1"),
            ("after_bytes", 0.5, "expected an integer >= 0, found 0.5"),
            ("for_", -1, "expected seconds from 0 to 1000000000, found -1"),
            ("shared", True, "expected the kind bandwidth, found latency"),
        ):
            with self.assertRaises(FieldError) as caught:
                directed(**{field: value})
            self.assertEqual((caught.exception.field, caught.exception.problem), (field, problem))

    def test_delays_always_count_from_arrival(self) -> None:
        """A relay does not know turns: that a delay counts from arrival cannot be said."""
        with self.assertRaises(FieldError) as caught:
            directed(fault=Latency(delay=1, since="arrival"))
        self.assertEqual(
            str(caught.exception),
            "since: expected none: with stream, delays always count from arrival",
        )

    def test_a_window_has_one_beginning(self) -> None:
        """Seconds or bytes."""
        directed(after=1, for_=2)
        directed(after_bytes=1, for_=0)
        with self.assertRaises(FieldError) as caught:
            directed(after=1, after_bytes=1)
        self.assertEqual(
            caught.exception.problem, "expected one of after and after_bytes, found both"
        )

    def test_only_a_bandwidth_is_shared(self) -> None:
        """Other faults have nothing to share."""
        self.assertTrue(directed(fault=Bandwidth(rate=1), shared=True).shared)

    def test_kinds_that_need_frames(self) -> None:
        """All but one work on a stream of bytes."""
        self.assertEqual({*KINDS} - {*STREAM_KINDS}, {"stop_reading"})
        with self.assertRaises(FieldError) as caught:
            directed(fault=StopReadingFault())
        self.assertEqual(caught.exception.field, "kind")


class MakingTests(SynchronousTestCase):
    """Faults by their names."""

    def test_a_kind_and_its_parameters(self) -> None:
        """As in a script."""
        self.assertEqual(make_fault("latency", {"delay": 2}), Latency(delay=2))
        self.assertEqual(change_fault(Latency(delay=2), {"jitter": 1}), Latency(delay=2, jitter=1))

    def test_unknown_names(self) -> None:
        """One line says what is expected."""
        for kind, parameters, error, message in (
            ("latncy", {}, ValueError, "unknown kind of fault 'latncy'; did you mean latency?"),
            (
                *("latency", {"dely": 1}, TypeError),
                "latency: unknown parameter 'dely'; did you mean delay?",
            ),
            ("latency", {}, TypeError, "latency: the parameter delay is missing"),
            (
                *("latency", {"delay": -1}, ValueError),
                "delay: expected seconds from 0 to 1000000000, found -1",
            ),
        ):
            with self.assertRaises(error) as caught:
                make_fault(kind, parameters)
            self.assertEqual(str(caught.exception), message)
        with self.assertRaisesRegex(TypeError, "unknown parameter 'seconds'; expected one of: pro"):
            change_fault(Latency(delay=1), {"seconds": 1})

    def test_names_are_unique(self) -> None:
        """The second one of a kind has a number."""
        self.assertEqual(unique_name("latency", ()), "latency")
        self.assertEqual(unique_name("latency", ("latency", "latency-2")), "latency-3")
