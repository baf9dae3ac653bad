"""
Messages: a request, the steps of its reply, and the exchange that both make.

Values only: nothing here does I/O, keeps time or imports another module of ours.  A reply is data,
so it can be built before it is needed, changed on its way, compared in a test and written down.
"""

from collections.abc import Iterable, Sequence
from math import inf
from typing import TYPE_CHECKING, Any, Self

from attrs import Attribute, field, frozen, validators
from twisted.internet.interfaces import IAddress

if TYPE_CHECKING:
    from reqresp.faults.faults import PlacedFault


@frozen
class Request:
    """
    One request, as the framing found it.

    *data* is its bytes without the framing, *peer* the client's address, *connection* the
    connection's number (the factory's first is 1) and *number* the request's on that connection
    (likewise).
    """

    data: bytes
    peer: IAddress
    connection: int
    number: int


def _finite(_instance: object, attribute: "Attribute[Any]", value: float) -> None:
    if not 0 <= value < inf:
        raise ValueError(f"{attribute.name} must be 0 or more, and finite: {value!r}")


@frozen
class Send:
    """
    Send *data*, wrapped by the framing, or as it is (*raw*).

    :raises TypeError: *data* is not bytes.
    """

    data: bytes = field(validator=validators.instance_of(bytes))
    raw: bool = False


@frozen
class Wait:
    """
    Let *seconds* pass before the next step.

    :raises ValueError: *seconds* is negative, infinite or not a number.
    """

    seconds: float = field(validator=_finite)


@frozen
class Close:
    """Close once everything sent has been delivered; requests that follow are dropped."""


@frozen
class HalfClose:
    """Send no more (the client sees EOF), yet go on receiving.  Over TLS this is a `Close`."""


@frozen
class Abort:
    """Reset the connection once everything sent has left: the client sees ECONNRESET."""


@frozen
class Hang:
    """Do nothing more: the connection stays open, unanswered, until the client ends it."""


@frozen
class StopReading:
    """Read no more: what the client sends from now on fills its own buffers."""


Step = Send | Wait | Close | HalfClose | Abort | Hang | StopReading

#: What a reply is: steps, performed in order.
Steps = tuple[Step, ...]


class RuleReply(tuple[Step, ...]):
    """
    Steps that know who chose them.

    *by* names it, *faults* are to strike these steps alone, before those that strike all, and
    *struck* are the names of those that did strike.
    """

    by: str
    faults: "Sequence[PlacedFault]"
    struck: tuple[str, ...]

    def __new__(
        cls,
        steps: Iterable[Step],
        by: str,
        faults: "Sequence[PlacedFault]" = (),
        struck: tuple[str, ...] = (),
    ) -> Self:
        chosen = super().__new__(cls, steps)
        chosen.by = by
        chosen.faults = faults
        chosen.struck = struck
        return chosen

    def __getnewargs__(self) -> tuple[Any, ...]:  # for copies
        return tuple(self), self.by, self.faults, self.struck
