"""Requests and steps: values that can be compared, and that say what they are called."""

from copy import copy

from attrs.exceptions import FrozenInstanceError
from twisted.trial.unittest import SynchronousTestCase

from reqresp.faults import Corrupt, PlacedFault
from reqresp.steps import (
    STEPS,
    Abort,
    Broadcast,
    Close,
    Forward,
    HalfClose,
    Hang,
    RuleReply,
    Send,
    StartTLS,
    Steps,
    StopReading,
    Wait,
)

#: A step of each kind without parameters.
FLAGS: Steps = (Close(), HalfClose(), Abort(), Hang(), StopReading())


class StepTests(SynchronousTestCase):
    """Steps are plain values."""

    def test_equal_steps_are_equal(self) -> None:
        """Replies with equal steps are equal."""
        self.assertEqual((Send(b"a"), Wait(1), Close()), (Send(b"a"), Wait(1), Close()))

    def test_different_steps_are_not(self) -> None:
        """Steps of different kinds, or with different parameters, differ."""
        steps = [Send(b"a"), Send(b"b"), Wait(1), Close(), HalfClose(), Abort(), Hang()]
        self.assertEqual(len(set(steps)), len(steps))

    def test_a_step_cannot_be_changed(self) -> None:
        """A step is immutable, because connections share replies."""
        step = Send(b"a")
        with self.assertRaises(FrozenInstanceError):
            step.data = b"b"  # type: ignore[misc]
        self.assertEqual(step, Send(b"a"))

    def test_text_cannot_be_sent(self) -> None:
        """Data that is not bytes is refused when the step is made."""
        with self.assertRaises(TypeError) as caught:
            Send("text")  # type: ignore[arg-type]
        self.assertEqual(str(caught.exception), "data: expected bytes, found 'text'")

    def test_waiting_for_no_time_is_allowed(self) -> None:
        """A wait of zero seconds is allowed."""
        self.assertEqual(Wait(0).seconds, 0)

    def test_a_wait_must_end(self) -> None:
        """A time that is negative, infinite or not a number is refused, and the value named."""
        for seconds in (-0.001, float("inf"), float("-inf"), float("nan")):
            problem = "seconds: expected a finite number >= 0, found "
            with self.assertRaisesRegex(ValueError, problem) as caught:
                Wait(seconds)
            self.assertIn(repr(seconds), str(caught.exception))


class StepNameTests(SynchronousTestCase):
    """What a step says of itself."""

    def test_every_step_has_its_key(self) -> None:
        """`STEPS` has a step of each kind, by the key that scripts and journals use."""
        self.assertEqual(
            STEPS,
            {
                "send": Send,
                "broadcast": Broadcast,
                "wait": Wait,
                "close": Close,
                "half_close": HalfClose,
                "abort": Abort,
                "hang": Hang,
                "stop_reading": StopReading,
                "start_tls": StartTLS,
                "forward": Forward,
            },
        )

    def test_every_step_has_a_label(self) -> None:
        """Messages use the label."""
        self.assertEqual(
            [step.label for step in (*FLAGS, Send(b""), Wait(0), StartTLS(), Forward())],
            [
                *("close", "half-close", "reset", "hang", "stop reading"),
                *("send", "wait", "start TLS", "forward"),
            ],
        )

    def test_what_a_step_ends(self) -> None:
        """A step can end sending, the answering of requests, or both, which ends the reply."""
        self.assertEqual([step for step in FLAGS if step.ends_sending], [*FLAGS[:4]])
        self.assertEqual([step for step in FLAGS if step.ends_requests], [FLAGS[0], *FLAGS[2:]])
        self.assertEqual([step for step in FLAGS if step.ends_reply], [Close(), Abort(), Hang()])
        for step in (Send(b"a"), Wait(1), StartTLS(), Forward()):
            self.assertFalse(step.ends_sending or step.ends_requests or step.ends_reply)


class RuleReplyTests(SynchronousTestCase):
    """A reply that knows its rule."""

    def test_it_is_a_reply(self) -> None:
        """It equals the plain tuple of its steps."""
        self.assertEqual(RuleReply([Send(b"a")], "rule[0]"), (Send(b"a"),))

    def test_a_copy_has_all(self) -> None:
        """A copy has the steps, the name, the faults and the names of the injected faults."""
        fault = PlacedFault("rule[0].faults[0]", Corrupt())
        other = copy(RuleReply([Send(b"a")], "rule[0]", (fault,), ("corrupt",)))
        self.assertEqual(other, (Send(b"a"),))
        self.assertEqual(
            (other.by, other.faults, other.injected), ("rule[0]", (fault,), ("corrupt",))
        )
