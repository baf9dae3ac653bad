"""
Faults: what can go wrong with a reply on its way to the client.

Knows steps only: no framing, no transport, no clock.  A fault turns the steps of a reply into other
steps.  The reply is framed before, so every `Send` is raw.  All randomness comes from dice that the
caller passes, so the same seed makes the same run.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from math import inf
from random import Random
from typing import Any, ClassVar, Literal, Protocol

from attrs import Attribute, Factory, field, frozen

from reqresp._errors import Bytes, FieldError, Seconds, Share, expect
from reqresp.faults._pieces import cut, find, joined, recut, refill, sent
from reqresp.steps import Abort, Close, HalfClose, Hang, Send, Step, Steps, StopReading, Wait

#: Upper bound of every time parameter, in seconds: about thirty years.
MAX_SECONDS = 10**9
#: Lower bound of the time between pieces, in seconds, so that a transport sends them apart.
MIN_GAP = 0.001
#: Upper bound of the pieces of one payload: each takes time and memory before the first is sent.
MAX_PIECES = 10_000
#: Upper bound of the slices that `Bandwidth` sends in a second.
MAX_SLICES_PER_SECOND = 20


#: The longest name of a fault, in characters.
MAX_NAME = 60

#: Checks the name of a fault.
NAME = expect(
    f"a name of 1 to {MAX_NAME} printable characters",
    lambda value: isinstance(value, str) and value.isprintable() and 0 < len(value) <= MAX_NAME,
)


@frozen
class Bounds:
    """
    A validator of a parameter that is a number.

    :param types: what its values are instances of.
    :param least: the smallest value.
    :param most: the largest value; infinite: there is none.
    :param expected: what a value has to be, for messages.
    """

    types: Any
    least: float
    most: float
    expected: str

    def __call__(self, _instance: object, attribute: "Attribute[Any]", value: Any) -> None:
        """:raises FieldError: *value* is not within the bounds."""
        if not (isinstance(value, self.types) and self.least <= value <= self.most):
            raise FieldError(attribute.name, f"expected {self.expected}, found {value!r}")


_SECONDS = Bounds(int | float, 0, MAX_SECONDS, f"seconds from 0 to {MAX_SECONDS}")
_SHARE = Bounds(int | float, 0, 1, "a number from 0 to 1")
_COUNT = Bounds(int, 0, inf, "an integer >= 0")
_POSITIVE = Bounds(int, 1, inf, "an integer >= 1")
_SOME = Bounds(int, 1, 2**16, "an integer from 1 to 65536")

#: From when the delay of a reply counts.
Since = Literal["turn", "arrival"]
_SINCE = expect('"turn" or "arrival"', lambda value: value in ("turn", "arrival"))


@frozen(kw_only=True)
class Fault(ABC):
    """
    A fault that changes a reply with some *probability*, from 0 (never) to 1 (always).

    A fault of your own overrides `_change`, and has a `kind`.

    :param probability: how often it is injected, from 0 to 1.
    :raises ValueError: a parameter is out of range; the message names it and its range.
    """

    #: Its name in scripts, logs and metrics; the name of its class unless it has one of its own.
    kind: ClassVar[str]
    #: Whether it applies to a connection on which the server says nothing at first.
    affects_silence: ClassVar[bool] = True

    probability: Share = field(default=1.0, validator=_SHARE)

    def __init_subclass__(cls) -> None:
        if "kind" not in vars(cls):
            cls.kind = cls.__name__

    def apply(self, steps: Steps, dice: "Dice", passed: int) -> Steps:
        """
        Return the changed *steps*, or the same object where the fault does not change them.

        Each call throws the same number of *dice*, so a reply never changes what happens to the
        next one.

        :param passed: bytes that this fault has let through on this connection before.
        """
        roll, seed = dice.random(), dice.getrandbits(64)
        return self._change(steps, seed, passed) if roll < self.probability else steps

    @property
    def counts_from_arrival(self) -> bool:
        """Whether the time that a request has waited for its turn counts for the first `Wait`."""
        return False

    @abstractmethod
    def _change(self, steps: Steps, seed: int, passed: int) -> Steps:
        """Return the changed *steps*; all further randomness comes from *seed*, an integer."""


@frozen(kw_only=True)
class Latency(Fault):
    """
    Delays each reply that sends data by *delay* seconds, plus or minus up to *jitter*.

    :param delay: seconds before the reply.
    :param jitter: seconds that the delay differs at most.
    :param since: from when it counts: ``turn``, when the replies before it are complete, or
        ``arrival``, when its request has arrived.  Several requests that arrive together are then
        delayed together, and not one after the other.
    """

    kind = "latency"

    affects_silence: ClassVar[bool] = False  # the first reply is delayed by itself

    delay: Seconds = field(validator=_SECONDS)
    jitter: Seconds = field(default=0.0, validator=_SECONDS)
    since: Since = field(default="turn", validator=_SINCE)

    @property
    def counts_from_arrival(self) -> bool:
        return self.since == "arrival"

    def _change(self, steps: Steps, seed: int, passed: int) -> Steps:  # noqa: ARG002
        seconds = self.delay
        if self.jitter:
            seconds = max(0.0, seconds + _dice(seed).uniform(-self.jitter, self.jitter))
        return (Wait(seconds), *steps) if steps and seconds else steps


@frozen(kw_only=True)
class Bandwidth(Fault):
    """
    Sends at most *rate* bytes a second, one slice at a time; 0: sends nothing.

    A slice is sent after the time that it takes.  So the last byte of a reply of N bytes is sent
    after N / *rate* seconds, and at no time has more been sent than the rate allows.

    :param rate: bytes a second; 0: nothing is sent.
    """

    kind = "bandwidth"

    rate: int = field(validator=_COUNT)

    def _change(self, steps: Steps, seed: int, passed: int) -> Steps:  # noqa: ARG002
        if not self.rate:
            return cut(steps, 0, Hang()) if sent(steps) else steps
        return recut(steps, self._slices)

    def _slices(self, data: bytes) -> Iterator[Step]:
        size = max(-(-self.rate // MAX_SLICES_PER_SECOND), -(-len(data) // MAX_PIECES))
        whole = Wait(size / self.rate)
        for start in range(0, len(data), size):
            piece = data[start : start + size]
            yield whole if len(piece) == size else Wait(len(piece) / self.rate)
            yield Send(piece, raw=True)


@frozen(kw_only=True)
class Slicer(Fault):
    """
    Cuts what is sent into pieces of *size* bytes, plus or minus up to *variation*.

    A piece has one byte at least.  The pieces of a payload that would have more than `MAX_PIECES`
    are larger.

    After each piece, the last included, it waits for *delay* seconds, and at least for a
    millisecond: without a wait, two pieces would be sent in one segment.

    :param size: bytes of a piece.
    :param variation: bytes that a piece differs at most.
    :param delay: seconds after a piece.
    """

    kind = "slicer"

    size: Bytes = field(validator=_POSITIVE)
    variation: Bytes = field(default=0, validator=_COUNT)
    delay: Seconds = field(default=0.0, validator=_SECONDS)

    def __attrs_post_init__(self) -> None:
        if self.variation > self.size:
            raise FieldError(
                "variation", f"expected at most size ({self.size}), found {self.variation!r}"
            )

    def _change(self, steps: Steps, seed: int, passed: int) -> Steps:  # noqa: ARG002
        dice = _dice(seed) if self.variation else None
        return recut(steps, lambda data: self._pieces(data, dice))

    def _pieces(self, data: bytes, dice: Random | None) -> Iterator[Step]:
        gap = Wait(max(self.delay, MIN_GAP))
        size = max(self.size, -(-len(data) // MAX_PIECES))
        start = 0
        while start < len(data):
            vary = dice.randint(-self.variation, self.variation) if dice else 0
            end = start + max(1, size + vary)
            yield Send(data[start:end], raw=True)
            yield gap
            start = end


@frozen(kw_only=True)
class LimitData(Fault):
    """
    Lets *bytes* bytes through on a connection, then closes it.

    :param bytes: bytes that pass on a connection.
    """

    kind = "limit_data"

    bytes: Bytes = field(validator=_COUNT)

    def _change(self, steps: Steps, seed: int, passed: int) -> Steps:  # noqa: ARG002
        return cut(steps, self.bytes - passed, Close())


@frozen(kw_only=True)
class ResetPeer(Fault):
    """
    Lets *bytes* bytes through on a connection (0: none), then resets it after *delay* seconds.

    During the delay a client can read what was sent: not every system allows that after a reset.

    :param bytes: bytes that pass on a connection.
    :param delay: seconds before the reset.
    """

    kind = "reset_peer"

    bytes: Bytes = field(default=0, validator=_COUNT)
    delay: Seconds = field(default=0.0, validator=_SECONDS)

    def _change(self, steps: Steps, seed: int, passed: int) -> Steps:  # noqa: ARG002
        wait = (Wait(self.delay),) if self.delay else ()
        return cut(steps, self.bytes - passed, *wait, Abort())


@frozen(kw_only=True)
class Timeout(Fault):
    """
    Sends nothing, and closes after *seconds* seconds; 0: never closes.

    :param seconds: seconds before the close; 0: never.
    """

    kind = "timeout"

    seconds: Seconds = field(validator=_SECONDS)

    def _change(self, steps: Steps, seed: int, passed: int) -> Steps:  # noqa: ARG002
        ending = (Wait(self.seconds), Close()) if self.seconds else (Hang(),)
        return cut(steps, 0, *ending)


@frozen(kw_only=True)
class Blackhole(Fault):
    """Drops the bytes that a reply sends; its other steps, such as `Close`, are performed."""

    kind = "blackhole"

    def _change(self, steps: Steps, seed: int, passed: int) -> Steps:  # noqa: ARG002
        return tuple(step for step in steps if not isinstance(step, Send))


@frozen(kw_only=True)
class SlowClose(Fault):
    """
    Waits for *delay* seconds before the `Close` or `HalfClose` of a reply.

    :param delay: seconds before the close.
    """

    kind = "slow_close"

    delay: Seconds = field(validator=_SECONDS)

    def _change(self, steps: Steps, seed: int, passed: int) -> Steps:  # noqa: ARG002
        end = find(steps, Close, HalfClose)
        return (*steps[:end], Wait(self.delay), *steps[end:]) if steps[end:] else steps


@frozen(kw_only=True)
class Corrupt(Fault):
    """
    Flips bits in *bytes* bytes of a reply, or in all bytes of a shorter reply.

    :param bytes: bytes that are changed.
    """

    kind = "corrupt"

    bytes: Bytes = field(default=1, validator=_SOME)

    def _change(self, steps: Steps, seed: int, passed: int) -> Steps:  # noqa: ARG002
        size = sent(steps)
        if not size:
            return steps
        dice = _dice(seed)
        data = bytearray(joined(steps))
        for position in dice.sample(range(size), min(size, self.bytes)):
            data[position] ^= dice.randint(1, 255)
        return refill(steps, bytes(data))


@frozen(kw_only=True)
class StopReadingFault(Fault):
    """Stops reading from the client; the reply is still sent."""

    kind = "stop_reading"

    def _change(self, steps: Steps, seed: int, passed: int) -> Steps:  # noqa: ARG002
        return (StopReading(), *steps)


class Dice(Protocol):
    """A source of random numbers; `random.Random` is one."""

    def random(self) -> float:
        """Return a float in [0, 1)."""

    def getrandbits(self, k: int) -> int:
        """Return an integer of *k* bits."""


@frozen
class PlacedFault:
    """
    A fault, and its place in a script.

    :param key: the place, such as ``fault[0]``, or the name; it seeds the dice of the fault.
    :param on_connect: throw the dice once, when a client connects.  If the fault is drawn, it
        applies to every reply of the connection.
    :param name: by which it is found while the server runs; the kind, with a number if others of a
        server have it, unless given.
    :param after: seconds until it begins, after the client has connected or, if that is later,
        after the fault was added; for a rule's fault, after the first reply of the rule on the
        connection.
    :param after_bytes: bytes of replies that pass on a connection before it begins, instead of
        *after*; for a rule's fault, bytes of the replies of the rule.
    :raises FieldError: a value is out of range.
    """

    key: str
    fault: Fault
    on_connect: bool = False
    name: str = field(default=Factory(lambda it: it.fault.kind, takes_self=True), validator=NAME)
    after: Seconds = field(default=0.0, validator=_SECONDS)
    after_bytes: Bytes = field(default=0, validator=_COUNT)

    @after_bytes.validator
    def _check_window(self, _attribute: object, after_bytes: int) -> None:
        if after_bytes and self.after:
            raise FieldError("after_bytes", "expected one of after and after_bytes, found both")

    @property
    def begins_later(self) -> bool:
        """Whether it does not apply to a connection from its beginning."""
        return bool(self.after or self.after_bytes)

    @property
    def where(self) -> str:
        """Where it goes wrong, as in a script: ``reply`` or ``connect``."""
        return "connect" if self.on_connect else "reply"


#: Every kind of fault, by its ``kind`` in scripts.
KINDS: Mapping[str, type[Fault]] = {
    fault.kind: fault
    for fault in (
        *(Latency, Bandwidth, Slicer, LimitData, ResetPeer),
        *(Timeout, Blackhole, SlowClose, Corrupt, StopReadingFault),
    )
}


def _dice(seed: int) -> Random:
    return Random(seed)  # noqa: S311 (it must be predictable: the same seed, the same run)
