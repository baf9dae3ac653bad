"""Faults: what a client sees of a reply into which one was injected."""

from collections.abc import Sequence
from itertools import accumulate
from math import inf, nan
from random import Random
from typing import Any

from attrs import fields
from attrs.exceptions import FrozenInstanceError
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from reqresp._errors import FieldError
from reqresp.faults.faults import (
    KINDS,
    MAX_SECONDS,
    Bandwidth,
    Blackhole,
    Corrupt,
    Fault,
    Latency,
    LimitData,
    ResetPeer,
    Slicer,
    SlowClose,
    StopReadingFault,
    Timeout,
)
from reqresp.steps import Abort, Close, HalfClose, Hang, Send, Step, Steps, StopReading, Wait
from tests.support.faults import DICE, PROPERTY, REPLY, SILENCE, Seen, apply_all, dice_of, raw, see

#: One fault of each kind; each changes any reply that sends something and closes.
EVERY: tuple[Fault, ...] = (
    Latency(delay=1, jitter=0.5),
    Bandwidth(rate=7),
    Slicer(size=2, variation=1),
    LimitData(bytes=1),
    ResetPeer(bytes=1),
    Timeout(seconds=1),
    Blackhole(),
    SlowClose(delay=1),
    Corrupt(),
    StopReadingFault(),
)


PAYLOADS = st.binary(max_size=60)
PAUSES = st.sampled_from([Wait(0), Wait(0.5), StopReading()])
ENDINGS = st.sampled_from([Close(), Abort(), Hang(), HalfClose()])
#: Replies of any steps, with or without a last step that ends sending.
REPLIES = st.builds(
    lambda steps, ending: (*steps, *ending),
    st.lists(PAYLOADS.map(raw) | PAUSES, max_size=6),
    st.lists(ENDINGS, max_size=1),
)
#: Replies without a step that ends sending.
GOING_ON = st.lists(PAYLOADS.map(raw) | PAUSES, max_size=6).map(tuple)
SEEDS = st.integers(0, 2**64 - 1)


def others(steps: Steps) -> list[Step]:
    """Return the steps that neither send nor wait."""
    return [step for step in steps if not isinstance(step, Send | Wait)]


def differences(one: bytes, other: bytes) -> int:
    return sum(a != b for a, b in zip(one, other, strict=True))


class LatencyTests(SynchronousTestCase):
    """`Latency` delays replies."""

    def test_a_reply_is_delayed_as_a_whole(self) -> None:
        """The bytes, the pauses and the end of a reply are all delayed by the same time."""
        changed = Latency(delay=2).apply(REPLY, DICE, 0)
        self.assertEqual(
            see(changed), Seen([(2, b"Hello"), (2.25, b", world\r\n")], (2.25, Close()))
        )

    def test_an_end_alone_is_delayed(self) -> None:
        """A reply that only closes is delayed, too."""
        self.assertEqual(see(Latency(delay=2).apply((Close(),), DICE, 0)).end, (2, Close()))

    def test_silence_is_not_delayed(self) -> None:
        """An empty reply is not delayed, because that would delay the next reply."""
        self.assertIs(Latency(delay=2).apply(SILENCE, DICE, 0), SILENCE)

    def test_no_delay_is_no_fault(self) -> None:
        """A delay of 0 returns the same reply."""
        self.assertIs(Latency(delay=0).apply(REPLY, DICE, 0), REPLY)

    def test_jitter_goes_both_ways(self) -> None:
        """With jitter, delays fill the range around the delay, and stay within it."""
        fault, dice = Latency(delay=10, jitter=4), dice_of(5)
        delays = sorted(see(fault.apply((raw(b"a"),), dice, 0)).arrivals[0][0] for _ in range(2000))
        self.assertTrue(6 <= delays[0] < 6.1 < 13.9 < delays[-1] <= 14, delays[:: len(delays) - 1])
        self.assertTrue(9.8 < sum(delays) / len(delays) < 10.2)

    def test_no_reply_comes_early(self) -> None:
        """With a jitter above the delay, the smallest delay is 0."""
        fault, dice = Latency(delay=1, jitter=4), dice_of(5)
        delays = [see(fault.apply((raw(b"a"),), dice, 0)).arrivals[0][0] for _ in range(100)]
        self.assertEqual(min(delays), 0)
        self.assertLessEqual(max(delays), 5)

    @given(REPLIES, SEEDS)
    @PROPERTY
    def test_nothing_else_changes(self, reply: Steps, seed: int) -> None:
        """After the delay, the steps of the reply are unchanged."""
        changed = Latency(delay=1, jitter=0.5).apply(reply, dice_of(seed), 0)
        self.assertEqual(changed[1:] if reply else changed, reply)


class BandwidthTests(SynchronousTestCase):
    """`Bandwidth` limits the bytes sent in a second."""

    def test_bytes_leave_when_their_time_has_passed(self) -> None:
        """At 100 bytes a second, 5 bytes are sent each 0.05 s, and the last 2 bytes sooner."""
        seen = see(Bandwidth(rate=100).apply((raw(b"123456789012"), Close()), DICE, 0))
        self.assertEqual(seen.segments, [b"12345", b"67890", b"12"])
        for (moment, _), expected in zip(seen.arrivals, (0.05, 0.1, 0.12), strict=True):
            self.assertAlmostEqual(moment, expected)
        self.assertEqual(seen.end[1], Close())

    def test_a_slow_line_sends_byte_by_byte(self) -> None:
        """At 2 bytes a second, one byte is sent each 0.5 s."""
        seen = see(Bandwidth(rate=2).apply((raw(b"abc"),), DICE, 0))
        self.assertEqual(seen.arrivals, [(0.5, b"a"), (1.0, b"b"), (1.5, b"c")])

    def test_the_slices_in_a_second_are_limited(self) -> None:
        """At any rate, at most twenty slices are sent in a second."""
        for rate in (1, 19, 20, 21, 39, 40, 41, 999, 10**6, 10**400):
            size = min(5 * rate, 10**5)
            seen = see(Bandwidth(rate=rate).apply((raw(bytes(size)),), DICE, 0))
            self.assertLessEqual(len(seen.segments), 20 * seen.arrivals[-1][0] + 1.001, rate)

    def test_nothing_to_send_takes_no_time(self) -> None:
        """A reply that sends no bytes is returned unchanged."""
        for reply in (SILENCE, (Wait(1), Close()), (raw(b""),)):
            self.assertIs(Bandwidth(rate=1).apply(reply, DICE, 0), reply)

    def test_nothing_is_sent_at_a_rate_of_zero(self) -> None:
        """A reply stops before its first byte; one that only closes is returned unchanged."""
        fault = Bandwidth(rate=0)
        self.assertEqual(fault.apply((Wait(1), raw(b"abc"), Close()), DICE, 0), (Wait(1), Hang()))
        self.assertEqual(fault.apply((Wait(1), Close()), DICE, 0), (Wait(1), Close()))

    @given(REPLIES, st.integers(1, 200))
    @PROPERTY
    def test_no_byte_is_too_early_or_too_late(self, reply: Steps, rate: int) -> None:
        """At no time has more been sent than the rate allows; the last byte is on time."""
        seen = see(Bandwidth(rate=rate).apply(reply, DICE, 0))
        for (moment, _), sent in zip(
            seen.arrivals, accumulate(map(len, seen.segments)), strict=True
        ):
            self.assertLessEqual(sent, rate * moment + 1e-6)
        before = see(reply)
        self.assertAlmostEqual(seen.end[0], before.end[0] + len(before.data) / rate)

    @given(REPLIES, st.integers(1, 200))
    @PROPERTY
    def test_bytes_and_ends_are_the_same(self, reply: Steps, rate: int) -> None:
        """The client receives the same bytes, and the other steps are unchanged."""
        changed = Bandwidth(rate=rate).apply(reply, DICE, 0)
        self.assertEqual(see(changed).data, see(reply).data)
        self.assertEqual(others(changed), others(reply))


class SlicerTests(SynchronousTestCase):
    """`Slicer` sends a reply in pieces."""

    def test_pieces_are_segments_of_their_own(self) -> None:
        """Time passes between pieces, also between two sends of a reply."""
        seen = see(Slicer(size=3).apply((raw(b"Hello"), raw(b", you"), Close()), DICE, 0))
        self.assertEqual(seen.segments, [b"Hel", b"lo", b", y", b"ou"])
        self.assertEqual(seen.end[1], Close())

    def test_replies_are_segments_of_their_own(self) -> None:
        """The last piece of a reply and the first of the next are separate segments."""
        replies = apply_all(Slicer(size=3), [(raw(b"one\n"),), (raw(b"2\n"),)])
        self.assertEqual(see(*replies).segments, [b"one", b"\n", b"2\n"])

    def test_pieces_keep_a_delay(self) -> None:
        """The delay between pieces also stands between two replies."""
        replies = apply_all(Slicer(size=1, delay=2), [(raw(b"ab"),), (raw(b"c"),)])
        self.assertEqual(see(*replies).arrivals, [(0, b"a"), (2, b"b"), (4, b"c")])

    def test_sizes_vary(self) -> None:
        """Sizes fill the range around the size, and stay within it; the last piece is the rest."""
        changed = Slicer(size=5, variation=2).apply((raw(bytes(5000)),), dice_of(3), 0)
        *sizes, _last = map(len, see(changed).segments)
        self.assertEqual(set(sizes), {3, 4, 5, 6, 7})
        self.assertTrue(4.8 < sum(sizes) / len(sizes) < 5.2)

    def test_sizes_are_not_the_same_for_every_reply(self) -> None:
        """Two equal replies are cut at different places."""
        fault, dice = Slicer(size=5, variation=4), dice_of(3)
        cuts = [see(fault.apply((raw(bytes(50)),), dice, 0)).segments for _ in range(2)]
        self.assertNotEqual(*cuts)

    def test_nothing_to_send_is_left_alone(self) -> None:
        """A reply that sends no bytes is returned unchanged."""
        for reply in (SILENCE, (Wait(1), Close()), (raw(b""),)):
            self.assertIs(Slicer(size=1, delay=1).apply(reply, DICE, 0), reply)

    @given(REPLIES, st.integers(1, 9), st.integers(0, 8), SEEDS)
    @PROPERTY
    def test_bytes_and_ends_are_the_same(
        self, reply: Steps, size: int, variation: int, seed: int
    ) -> None:
        """No piece is empty or too large, and the pieces joined are what was sent."""
        fault = Slicer(size=size, variation=min(variation, size))
        changed = fault.apply(reply, dice_of(seed), 0)
        seen = see(changed)
        self.assertEqual(seen.data, see(reply).data)
        self.assertEqual(others(changed), others(reply))
        sizes = set(map(len, seen.segments))
        self.assertLessEqual(sizes, {*range(1, size + fault.variation + 1)})


class LimitDataTests(SynchronousTestCase):
    """`LimitData` closes a connection after a number of bytes."""

    def test_a_reply_is_cut_in_its_midst(self) -> None:
        """A FIN follows the last byte within the limit, and the steps before it are unchanged."""
        changed = LimitData(bytes=7).apply((*REPLY[:-1], Wait(9), HalfClose()), DICE, 0)
        self.assertEqual(see(changed), Seen([(0, b"Hello"), (0.25, b", ")], (0.25, Close())))
        self.assertEqual(changed[-1], Close())

    def test_closes_after_the_last_byte(self) -> None:
        """A reply that reaches the limit exactly is closed at once."""
        for reply in ((raw(b"Hello"),), (raw(b"Hello"), Wait(1), Abort())):
            changed = LimitData(bytes=5).apply(reply, DICE, 0)
            self.assertEqual(changed, (raw(b"Hello"), Close()))

    def test_less_is_left_alone(self) -> None:
        """A reply below the limit is the same object, also if it closes."""
        self.assertIs(LimitData(bytes=15).apply(REPLY, DICE, 0), REPLY)

    def test_what_passed_before_counts(self) -> None:
        """Bytes of earlier replies count towards the limit."""
        changed = LimitData(bytes=15).apply(REPLY, DICE, 8)
        self.assertEqual(see(changed), Seen([(0, b"Hello"), (0.25, b", ")], (0.25, Close())))

    def test_no_byte_at_all(self) -> None:
        """A limit of 0 closes at once, also in place of a reply that sends nothing."""
        for reply in (SILENCE, (raw(b"Hello"),), (raw(b""),), (Hang(),), (Close(), raw(b"late"))):
            self.assertEqual(see(LimitData(bytes=0).apply(reply, DICE, 0)), Seen([], (0, Close())))

    def test_what_never_leaves_does_not_count(self) -> None:
        """Bytes after a step that ends sending do not count."""
        for ending in (Close(), HalfClose(), Abort(), Hang()):
            reply = raw(b"abc"), ending, raw(b"defgh")
            self.assertIs(LimitData(bytes=4).apply(reply, DICE, 0), reply)

    @given(st.lists(GOING_ON, max_size=8), st.integers(0, 300))
    @PROPERTY
    def test_never_lets_more_out(self, replies: Sequence[Steps], limit: int) -> None:
        """For any replies, exactly the bytes within the limit are sent, then the FIN."""
        replies = [*replies, (raw(bytes(301)),)]
        seen = see(*apply_all(LimitData(bytes=limit), replies))
        self.assertEqual(seen.data, see(*replies).data[:limit])
        self.assertEqual(seen.end[1], Close())


class ResetPeerTests(SynchronousTestCase):
    """`ResetPeer` resets a connection after a number of bytes."""

    def test_at_once(self) -> None:
        """Without parameters it resets at once, also in place of an empty or a closing reply."""
        for reply in (SILENCE, (raw(b"Hello"),), (Close(),), (Hang(),), (HalfClose(), raw(b"x"))):
            self.assertEqual(ResetPeer().apply(reply, DICE, 0), (Abort(),))

    def test_in_place_of_the_first_byte(self) -> None:
        """The steps before the first byte are unchanged."""
        reply = StopReading(), Wait(1), raw(b"Hello"), Close()
        self.assertEqual(ResetPeer().apply(reply, DICE, 0), (StopReading(), Wait(1), Abort()))

    def test_after_the_last_byte(self) -> None:
        """The reset follows the last byte within the limit, in a reply or at its end."""
        for size in (6, 14):
            seen = see(ResetPeer(bytes=size).apply(REPLY, DICE, 0))
            self.assertEqual((seen.data, seen.end), (see(REPLY).data[:size], (0.25, Abort())))

    def test_what_passed_before_counts(self) -> None:
        """Bytes of earlier replies count towards the limit."""
        replies = apply_all(ResetPeer(bytes=5), [(raw(b"abc"),)] * 3)
        self.assertEqual(replies, [(raw(b"abc"),), (raw(b"ab"), Abort())])

    def test_less_is_left_alone(self) -> None:
        """A reply below the limit is returned unchanged."""
        self.assertIs(ResetPeer(bytes=15).apply(REPLY, DICE, 0), REPLY)

    def test_time_to_read(self) -> None:
        """The reset follows the last byte after the delay."""
        seen = see(ResetPeer(bytes=3, delay=2).apply(REPLY, DICE, 0))
        self.assertEqual(seen, Seen([(0, b"Hel")], (2, Abort())))


class TimeoutTests(SynchronousTestCase):
    """`Timeout` sends nothing."""

    def test_swallows_and_closes(self) -> None:
        """No byte arrives, and the FIN arrives after the time."""
        for reply in (SILENCE, REPLY, (Close(),), (HalfClose(), Abort())):
            self.assertEqual(see(Timeout(seconds=3).apply(reply, DICE, 0)).arrivals, [])
            self.assertEqual(see(Timeout(seconds=3).apply(reply, DICE, 0)).end, (3, Close()))

    def test_for_good(self) -> None:
        """With 0 seconds the connection is never closed."""
        for reply in (SILENCE, REPLY, (Abort(),)):
            self.assertEqual(Timeout(seconds=0).apply(reply, DICE, 0), (Hang(),))

    def test_in_place_of_the_first_byte(self) -> None:
        """The steps before the first byte are unchanged."""
        changed = Timeout(seconds=0).apply((StopReading(), Wait(1), raw(b"a")), DICE, 0)
        self.assertEqual(changed, (StopReading(), Wait(1), Hang()))


class SlowCloseTests(SynchronousTestCase):
    """`SlowClose` delays the end of a connection."""

    def test_a_fin_is_delayed(self) -> None:
        """A close or a half-close is delayed; the bytes before it are not."""
        for ending in (Close(), HalfClose()):
            seen = see(SlowClose(delay=2).apply((raw(b"bye"), ending), DICE, 0))
            self.assertEqual(seen, Seen([(0, b"bye")], (2, ending)))

    def test_only_the_first_is_delayed(self) -> None:
        """Only the first step that sends a FIN is delayed."""
        changed = SlowClose(delay=2).apply((HalfClose(), Wait(1), Close()), DICE, 0)
        self.assertEqual(changed, (Wait(2), HalfClose(), Wait(1), Close()))

    def test_nothing_else_is_delayed(self) -> None:
        """A reply without a close or half-close is returned unchanged."""
        for reply in (SILENCE, (raw(b"a"), Abort()), (raw(b"a"), Hang()), (raw(b"a"), Wait(1))):
            self.assertIs(SlowClose(delay=2).apply(reply, DICE, 0), reply)


class LargeTests(SynchronousTestCase):
    """Faults of large replies."""

    def test_the_number_of_pieces_is_limited(self) -> None:
        """A large payload is cut into at most 10,000 pieces, because each piece takes memory."""
        data = bytes(10**6)
        for fault in (Slicer(size=1), Bandwidth(rate=20)):
            changed = fault.apply((raw(data),), DICE, 0)
            pieces = [step for step in changed if isinstance(step, Send)]
            self.assertEqual(len(pieces), 10_000)
            self.assertEqual(see(changed).data, data)


class CorruptTests(SynchronousTestCase):
    """`Corrupt` changes bytes of a reply."""

    def test_every_byte_can_change(self) -> None:
        """Any byte can change, the first and the last too, and to any other value."""
        fault, dice = Corrupt(), dice_of(1)
        changed = [see(fault.apply((raw(b"\0\0"), raw(b"\0")), dice, 0)).data for _ in range(6000)]
        self.assertEqual({len(data.rstrip(b"\0")) for data in changed}, {1, 2, 3})
        self.assertEqual({max(data) for data in changed}, {*range(1, 256)})

    def test_nothing_to_send_is_left_alone(self) -> None:
        """A reply that sends no bytes is returned unchanged."""
        for reply in (SILENCE, (Wait(1), Close()), (raw(b""),), (Close(), raw(b"late"))):
            self.assertIs(Corrupt(bytes=3).apply(reply, DICE, 0), reply)

    def test_what_is_not_sent_is_not_changed(self) -> None:
        """Only bytes that are sent are changed, so that the client sees the change."""
        reply = raw(b"a"), Close(), raw(bytes(1000))
        for seed in range(20):
            changed = Corrupt().apply(reply, dice_of(seed), 0)
            self.assertNotEqual(see(changed).data, b"a")

    @given(REPLIES, st.integers(1, 80), SEEDS)
    @PROPERTY
    def test_exactly_so_many_bytes_differ(self, reply: Steps, count: int, seed: int) -> None:
        """The given number of bytes differ, or all of a shorter reply; sizes are unchanged."""
        changed = Corrupt(bytes=count).apply(reply, dice_of(seed), 0)
        before, after = see(reply), see(changed)
        self.assertEqual(differences(before.data, after.data), min(count, len(before.data)))
        self.assertEqual(
            [len(step.data) if isinstance(step, Send) else step for step in changed],
            [len(step.data) if isinstance(step, Send) else step for step in reply],
        )


class StopReadingTests(SynchronousTestCase):
    """`StopReadingFault` stops reading."""

    def test_the_reply_is_sent(self) -> None:
        """Reading stops, and the reply is unchanged."""
        self.assertEqual(StopReadingFault().apply(REPLY, DICE, 0), (StopReading(), *REPLY))

    def test_it_applies_to_silence(self) -> None:
        """It applies to an empty reply, too."""
        self.assertEqual(StopReadingFault().apply(SILENCE, DICE, 0), (StopReading(),))


class EveryKindTests(SynchronousTestCase):
    """What holds for every kind of fault."""

    def test_every_kind_has_its_name(self) -> None:
        """The table of kinds has every class of the module, by its name in scripts."""
        self.assertEqual(
            [*KINDS],
            [
                *("latency", "bandwidth", "slicer", "limit_data", "reset_peer", "timeout"),
                *("blackhole", "slow_close", "corrupt", "stop_reading"),
            ],
        )
        self.assertEqual([*KINDS.values()], [type(fault) for fault in EVERY])
        ours = {kind for kind in Fault.__subclasses__() if kind.__module__ == Fault.__module__}
        self.assertEqual({*KINDS.values()}, ours)

    def test_what_is_sent_stays_framed(self) -> None:
        """Every `Send` of a changed reply is raw."""
        for fault in EVERY:
            for step in fault.apply(REPLY, dice_of(0), 0):
                self.assertTrue(not isinstance(step, Send) or step.raw, fault)

    def test_nothing_follows_an_end(self) -> None:
        """No step follows a step that a fault adds to end a reply."""
        for fault in EVERY:
            changed = fault.apply((*REPLY[:-1], Wait(1)), dice_of(0), 0)
            for step in changed[:-1]:
                self.assertNotIsInstance(step, Close | Abort | Hang)

    def test_unlikely_to_certain(self) -> None:
        """Probability 0 is never, 1 is always, and 0.3 is about three times in ten."""
        for kind in EVERY:
            for probability, least, most in ((0, 0, 0), (0.3, 270, 330), (1, 1000, 1000)):
                known = {each.name: getattr(kind, each.name) for each in fields(type(kind))}
                fault = type(kind)(**{**known, "probability": probability})
                dice = dice_of(7)
                changed = sum(fault.apply(REPLY, dice, 0) is not REPLY for _ in range(1000))
                self.assertTrue(least <= changed <= most, (fault, changed))

    def test_never_is_never(self) -> None:
        """Probability 0 never applies, even if the dice show 0."""

        class Lowest(Random):
            def random(self) -> float:
                return 0.0

        for dice, probability, changed in (
            (Lowest(), 0, SILENCE),
            (Lowest(), 1e-300, (StopReading(),)),
        ):
            self.assertEqual(
                StopReadingFault(probability=probability).apply(SILENCE, dice, 0), changed
            )

    def test_it_is_certain_by_default(self) -> None:
        """The default probability is 1."""
        for fault in EVERY:
            self.assertEqual(fault.probability, 1, fault)

    @given(REPLIES, REPLIES, st.sampled_from(EVERY), st.floats(0, 1), SEEDS)
    @PROPERTY
    def test_no_reply_changes_the_dice_of_the_next(
        self, one: Steps, other: Steps, kind: Fault, probability: float, seed: int
    ) -> None:
        """A fault throws the same number of dice for any reply, changed or not."""
        known = {each.name: getattr(kind, each.name) for each in fields(type(kind))}
        fault = type(kind)(**{**known, "probability": probability})
        dice, same = dice_of(seed), dice_of(seed)
        fault.apply(one, dice, 0)
        kind.apply(other, same, 10**6)
        self.assertEqual(dice.getstate(), same.getstate())

    def test_faults_are_values(self) -> None:
        """Faults compare by value and cannot be changed, so connections can share them."""
        self.assertEqual(Corrupt(bytes=2), Corrupt(bytes=2))
        self.assertNotEqual(Corrupt(bytes=2), Corrupt(bytes=3))
        fault = Latency(delay=1)
        with self.assertRaises(FrozenInstanceError):
            fault.delay = 2  # type: ignore[misc]


SECONDS = f"seconds from 0 to {MAX_SECONDS}"
COUNT = "an integer >= 0"
POSITIVE = "an integer >= 1"
SHARE = "a number from 0 to 1"

NO_SECONDS = (-0.001, -1, inf, -inf, nan, MAX_SECONDS + 1, 1e300, 10**400, "1", None)
NO_COUNT = (-1, 1.5, 1.0, inf, nan, "1", None)

SOME = "an integer from 1 to 65536"
SINCE = '"turn" or "arrival"'
#: Every parameter: its other arguments, good values, bad values, and the expectation in errors.
PARAMETERS: list[tuple[type[Fault], str, dict[str, Any], tuple[Any, ...], tuple[Any, ...], str]] = [
    (Latency, "delay", {}, (0, 0.5, MAX_SECONDS), NO_SECONDS, SECONDS),
    (Latency, "jitter", {"delay": 1}, (0, 0.5, MAX_SECONDS), NO_SECONDS, SECONDS),
    (Latency, "since", {"delay": 1}, ("turn", "arrival"), ("", "Turn", 0, None), SINCE),
    (Bandwidth, "rate", {}, (0, 1, 2**63), NO_COUNT, COUNT),
    (Slicer, "size", {}, (1, 2**63), (0, *NO_COUNT), POSITIVE),
    (Slicer, "variation", {"size": 10}, (0, 10), NO_COUNT, COUNT),
    (Slicer, "variation", {"size": 10}, (0, 10), (11, 2**63), "at most size (10)"),
    (Slicer, "delay", {"size": 10}, (0, 0.5, MAX_SECONDS), NO_SECONDS, SECONDS),
    (LimitData, "bytes", {}, (0, 2**63), NO_COUNT, COUNT),
    (ResetPeer, "bytes", {}, (0, 2**63), NO_COUNT, COUNT),
    (ResetPeer, "delay", {}, (0, 0.5, MAX_SECONDS), NO_SECONDS, SECONDS),
    (Timeout, "seconds", {}, (0, 0.5, MAX_SECONDS), NO_SECONDS, SECONDS),
    (SlowClose, "delay", {}, (0, 0.5, MAX_SECONDS), NO_SECONDS, SECONDS),
    (Corrupt, "bytes", {}, (1, 2**16), (0, 2**16 + 1, *NO_COUNT), SOME),
    (StopReadingFault, "probability", {}, (0, 0.3, 1), (-0.1, 1.1, 2, inf, nan, "1", None), SHARE),
]


class KindTests(SynchronousTestCase):
    """A fault knows its name."""

    def test_a_fault_of_a_user_has_the_name_of_its_class(self) -> None:
        """Unless it has a kind of its own; what a subclass inherits is another fault's name."""

        class Mine(Latency):
            pass

        class Named(Latency):
            kind = "named"

        self.assertEqual(
            [it.kind for it in (Latency(delay=1), Mine(delay=1), Named(delay=1))],
            ["latency", "Mine", "named"],
        )


class ParameterTests(SynchronousTestCase):
    """The ranges of parameters, and the errors outside of them."""

    def test_every_parameter_is_looked_at_here(self) -> None:
        """The table of this test has every parameter of every kind."""
        self.assertEqual(
            {(kind, each.name) for kind in KINDS.values() for each in fields(kind)}
            - {(kind, "probability") for kind in KINDS.values()},
            {(kind, name) for kind, name, *_ in PARAMETERS} - {(StopReadingFault, "probability")},
        )

    def test_what_makes_sense(self) -> None:
        """Both ends of each range are accepted."""
        for kind, name, known, good, _, _ in PARAMETERS:
            for value in good:
                self.assertEqual(getattr(kind(**known, **{name: value}), name), value)

    def test_what_does_not(self) -> None:
        """The parameter is named, what is expected, and what was said."""
        for kind, name, known, _, bad, expected in PARAMETERS:
            for value in bad:
                with self.assertRaises(FieldError) as caught:
                    kind(**known, **{name: value})
                self.assertEqual(
                    str(caught.exception), f"{name}: expected {expected}, found {value!r}"
                )

    def test_what_must_be_said(self) -> None:
        """A parameter without a default is required."""
        kinds: list[Any] = [Latency, Bandwidth, Slicer, LimitData, Timeout, SlowClose]
        for kind in kinds:
            with self.assertRaises(TypeError):
                kind()

    def test_parameters_are_named(self) -> None:
        """Parameters are keyword-only."""
        with self.assertRaises(TypeError):
            Latency(1)  # type: ignore[call-arg]
