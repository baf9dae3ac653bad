"""
Messages: a request, the steps of its reply, and the exchange that both make.

Values only: nothing here does I/O, keeps time or imports another module of ours.  A reply is data,
so it can be built before it is needed, changed on its way, compared in a test and written down.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from math import inf
from typing import TYPE_CHECKING, Any, Self

from attrs import Attribute, field, frozen, validators
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IAddress

if TYPE_CHECKING:
    from reqresp.faults.faults import Placed


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


class Chosen(tuple[Step, ...]):
    """
    Steps that know who chose them.

    *by* names it, *faults* are to strike these steps alone, before those that strike all, and
    *struck* are the names of those that did strike.
    """

    by: str
    faults: "Sequence[Placed]"
    struck: tuple[str, ...]

    def __new__(
        cls,
        steps: Iterable[Step],
        by: str,
        faults: "Sequence[Placed]" = (),
        struck: tuple[str, ...] = (),
    ) -> Self:
        chosen = super().__new__(cls, steps)
        chosen.by = by
        chosen.faults = faults
        chosen.struck = struck
        return chosen

    def __getnewargs__(self) -> tuple[Any, ...]:  # for copies
        return tuple(self), self.by, self.faults, self.struck


@frozen
class Exchange:
    """
    A request and the steps that answered it.

    *by* names the rule or the responder that gave them, and *struck* the faults that changed what
    became of them.
    """

    request: Request
    steps: Steps
    by: str = ""
    struck: tuple[str, ...] = ()


class Exchanges:
    """
    Consecutive exchanges of one connection: iterate over them, or take their `len`.

    Built once for each read, so it is cheap to make and to keep: `Exchange` values come into being
    when somebody looks.
    """

    __slots__ = ("_size", "_steps", "by", "connection", "first", "peer", "requests")

    def __init__(
        self,
        peer: IAddress,
        connection: int,
        first: int,
        requests: Sequence[bytes],
        steps: Callable[[Sequence[bytes]], Iterable[Steps]],
        by: str = "",
        size: int | None = None,
    ) -> None:
        """
        :param first: the number of the first request on its connection.
        :param steps: called with *requests* at each look; gives the steps of each, in order.
        :param by: names who gave the steps that don't know.
        :param size: what `size` is to be; counted when left out.
        """
        self.peer = peer
        self.connection = connection
        self.first = first
        self.requests = requests
        self.by = by
        self._size = size
        self._steps = steps

    @property
    def size(self) -> int:
        """Bytes that are held with these: requests, and replies that are no constants."""
        if self._size is None:
            sends = (step for steps in self._steps(self.requests) for step in steps)
            replies = sum(len(step.data) for step in sends if isinstance(step, Send))
            self._size = sum(map(len, self.requests)) + replies
        return self._size

    def __len__(self) -> int:
        return len(self.requests)

    def __iter__(self) -> Iterator[Exchange]:
        exchanges = zip(self.requests, self._steps(self.requests), strict=True)
        for number, (data, steps) in enumerate(exchanges, self.first):
            request = Request(data, self.peer, self.connection, number)
            if isinstance(steps, Chosen):
                yield Exchange(request, steps, steps.by, steps.struck)
            else:
                yield Exchange(request, steps, self.by)


def show(peer: IAddress) -> str:
    """Write an address the way people do: ``127.0.0.1:9999``, ``[::1]:9999``, a path."""
    match peer:
        case IPv4Address(host=host, port=port):
            return f"{host}:{port}"
        case IPv6Address(host=host, port=port):
            return f"[{host}]:{port}"
        case UNIXAddress(name=bytes(name)) if name:
            # A client chooses its own: what it holds must not look like a line of a log.
            path = os.fsdecode(name)
            return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in path)
        case UNIXAddress():
            return "a UNIX socket"
        case _:
            return str(peer)
