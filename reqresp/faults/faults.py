"""
Faults: what goes wrong with a reply on its way to the client.

Knows steps and nothing else: no framing, no transport, no clock.  A fault turns the steps of a
reply, which are framed by then (every `Send` is raw), into other steps.  All chance comes from
dice that are handed in, so that the same seed makes the same run.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from math import inf
from random import Random
from typing import Any, Protocol

from attrs import Attribute, field, frozen

from reqresp._errors import FieldError
from reqresp.faults._pieces import cut, find, joined, recut, refill, sent
from reqresp.steps import Abort, Close, HalfClose, Hang, Send, Step, Steps, StopReading, Wait

#: Seconds that a fault may take, at most: some thirty years.
LONGEST = 10**9
#: Seconds between pieces, at least: time for a transport that sends a turn later.
APART = 0.001
#: Pieces of one payload, at most: each takes time and memory of its own before the first leaves.
PIECES = 10_000
#: Slices in which a second's worth of a limited bandwidth leaves, at most.
SLICES = 20


def _number(
    kinds: Any, least: float, most: float, expected: str
) -> Callable[[object, "Attribute[Any]", Any], None]:
    def check(_instance: object, attribute: "Attribute[Any]", value: Any) -> None:
        if not (isinstance(value, kinds) and least <= value <= most):
            raise FieldError(attribute.name, f"expected {expected}, found {value!r}")

    return check


_SECONDS = _number(int | float, 0, LONGEST, f"seconds from 0 to {LONGEST}")
_SHARE = _number(int | float, 0, 1, "a number from 0 to 1")
_COUNT = _number(int, 0, inf, "an integer >= 0")
_POSITIVE = _number(int, 1, inf, "an integer >= 1")


_SOME = _number(int, 1, 2**16, "an integer from 1 to 65536")


def _smaller(instance: "Slicer", attribute: "Attribute[Any]", value: int) -> None:
    if value >= instance.size:
        raise FieldError(
            attribute.name, f"expected less than size ({instance.size}), found {value!r}"
        )


@frozen(kw_only=True)
class Fault(ABC):
    """
    What may go wrong with a reply, with the *probability* that it does (always: 1).

    :raises ValueError: a parameter is out of its range; the message names it and says which.
    """

    probability: float = field(default=1.0, validator=_SHARE)

    def strike(self, steps: Steps, dice: "Dice", passed: int) -> Steps:
        """
        Give what becomes of *steps*: the same object where the fault leaves them alone.

        As many of *dice* are thrown whatever *steps* hold and whether or not the fault strikes, so
        no reply decides over the luck of the next.

        :param passed: bytes that this fault has let out on this connection so far.
        """
        roll, luck = dice.random(), dice.getrandbits(64)
        return self._strike(steps, luck, passed) if roll < self.probability else steps

    @abstractmethod
    def _strike(self, steps: Steps, luck: int, passed: int) -> Steps:
        """Do it; `_dice` of *luck* for whatever else is left to chance."""


@frozen(kw_only=True)
class Latency(Fault):
    """Delays each reply by *delay* seconds, give or take up to *jitter*; silence is left alone."""

    delay: float = field(validator=_SECONDS)
    jitter: float = field(default=0.0, validator=_SECONDS)

    def _strike(self, steps: Steps, luck: int, passed: int) -> Steps:  # noqa: ARG002
        seconds = self.delay
        if self.jitter:
            seconds = max(0.0, seconds + _dice(luck).uniform(-self.jitter, self.jitter))
        return (Wait(seconds), *steps) if steps and seconds else steps


@frozen(kw_only=True)
class Bandwidth(Fault):
    """
    Sends no more than *rate* bytes a second, a slice at a time.

    A slice leaves when the time that it takes has passed, so the last byte of a reply of N bytes
    leaves after N / *rate* seconds, and at no moment has more left than the rate allows.
    """

    rate: int = field(validator=_POSITIVE)

    def _strike(self, steps: Steps, luck: int, passed: int) -> Steps:  # noqa: ARG002
        return recut(steps, self._slices)

    def _slices(self, data: bytes) -> Iterator[Step]:
        size = max(-(-self.rate // SLICES), -(-len(data) // PIECES))
        whole = Wait(size / self.rate)
        for start in range(0, len(data), size):
            piece = data[start : start + size]
            yield whole if len(piece) == size else Wait(len(piece) / self.rate)
            yield Send(piece, raw=True)


@frozen(kw_only=True)
class Slicer(Fault):
    """
    Cuts what is sent into pieces of *size* bytes, give or take up to *variation*.

    Of a payload so large that these would be more than `PIECES`, they are larger.

    After each piece *delay* seconds pass, or at least a millisecond, also before the next reply:
    otherwise neighbours would leave in one segment.
    """

    size: int = field(validator=_POSITIVE)
    variation: int = field(default=0, validator=[_COUNT, _smaller])
    delay: float = field(default=0.0, validator=_SECONDS)

    def _strike(self, steps: Steps, luck: int, passed: int) -> Steps:  # noqa: ARG002
        dice = _dice(luck) if self.variation else None
        return recut(steps, lambda data: self._pieces(data, dice))

    def _pieces(self, data: bytes, dice: Random | None) -> Iterator[Step]:
        gap = Wait(max(self.delay, APART))
        size = max(self.size, -(-len(data) // PIECES))
        start = 0
        while start < len(data):
            vary = dice.randint(-self.variation, self.variation) if dice else 0
            end = start + size + vary
            yield Send(data[start:end], raw=True)
            yield gap
            start = end


@frozen(kw_only=True)
class LimitData(Fault):
    """Lets so many *bytes* out on a connection, and closes right behind the last of them."""

    bytes: int = field(validator=_COUNT)

    def _strike(self, steps: Steps, luck: int, passed: int) -> Steps:  # noqa: ARG002
        return cut(steps, self.bytes - passed, Close())


@frozen(kw_only=True)
class ResetPeer(Fault):
    """
    Lets so many *bytes* out on a connection (none: resets at once), and resets it behind them.

    In the *delay* seconds between, a client can read what came: not every system lets it do so
    after a reset.
    """

    bytes: int = field(default=0, validator=_COUNT)
    delay: float = field(default=0.0, validator=_SECONDS)

    def _strike(self, steps: Steps, luck: int, passed: int) -> Steps:  # noqa: ARG002
        wait = (Wait(self.delay),) if self.delay else ()
        return cut(steps, self.bytes - passed, *wait, Abort())


@frozen(kw_only=True)
class Timeout(Fault):
    """Swallows what would be sent, and closes after so many *seconds*; never, if 0."""

    seconds: float = field(validator=_SECONDS)

    def _strike(self, steps: Steps, luck: int, passed: int) -> Steps:  # noqa: ARG002
        ending = (Wait(self.seconds), Close()) if self.seconds else (Hang(),)
        return cut(steps, 0, *ending)


@frozen(kw_only=True)
class SlowClose(Fault):
    """Lets *delay* seconds pass before a reply's `Close` or `HalfClose`."""

    delay: float = field(validator=_SECONDS)

    def _strike(self, steps: Steps, luck: int, passed: int) -> Steps:  # noqa: ARG002
        end = find(steps, Close, HalfClose)
        return (*steps[:end], Wait(self.delay), *steps[end:]) if steps[end:] else steps


@frozen(kw_only=True)
class Corrupt(Fault):
    """Changes that many *bytes* of a reply, all of a shorter one: some of the bits of each flip."""

    bytes: int = field(default=1, validator=_SOME)

    def _strike(self, steps: Steps, luck: int, passed: int) -> Steps:  # noqa: ARG002
        size = sent(steps)
        if not size:
            return steps
        dice = _dice(luck)
        data = bytearray(joined(steps))
        for position in dice.sample(range(size), min(size, self.bytes)):
            data[position] ^= dice.randint(1, 255)
        return refill(steps, bytes(data))


@frozen(kw_only=True)
class Deaf(Fault):
    """Reads no more from the client; the reply is sent."""

    def _strike(self, steps: Steps, luck: int, passed: int) -> Steps:  # noqa: ARG002
        return (StopReading(), *steps)


class Dice(Protocol):
    """What chance comes from; `random.Random` is one."""

    def random(self) -> float:
        """Give a number from 0 to 1, which it is not."""

    def getrandbits(self, k: int) -> int:
        """Give a number of *k* bits."""


@frozen
class PlacedFault:
    """
    A *fault*, and the *key*, such as ``fault[0]``, that its dice are made of.

    :param on_connect: it strikes connections, not replies: whether it does is left to chance once,
        when a client connects, and from then on it strikes all that is said there.
    """

    key: str
    fault: Fault
    on_connect: bool = False


#: What a script calls them.
KINDS: Mapping[str, type[Fault]] = {
    "latency": Latency,
    "bandwidth": Bandwidth,
    "slicer": Slicer,
    "limit_data": LimitData,
    "reset_peer": ResetPeer,
    "timeout": Timeout,
    "slow_close": SlowClose,
    "corrupt": Corrupt,
    "stop_reading": Deaf,
}


_NAMES = {kind: name for name, kind in KINDS.items()}


def name_of(fault: Fault) -> str:
    """Give what a script calls it, or the name of its class."""
    return _NAMES.get(type(fault), type(fault).__name__)


def _dice(luck: int) -> Random:
    return Random(luck)  # noqa: S311 (to be foreseen is what they are for)
