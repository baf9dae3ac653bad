"""
Requests, and the steps that a reply consists of.

Values only: nothing here does I/O or keeps time.  A reply is data: it can be built before it is
needed, changed on its way, compared in a test and written to a file.
Only a connection performs steps.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import inf
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self, get_args

from attrs import Attribute, field, frozen

from reqresp._errors import expect

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress


@frozen
class Request:
    """
    One request, as the framing found it.

    :param data: its bytes without the framing.
    :param peer: the client's address.
    :param connection: the number of the connection; the first of a factory is 1.
    :param number: the number of the request on its connection; the first is 1.
    """

    data: bytes
    peer: "IAddress"
    connection: int
    number: int


#: How an addressee begins that is a state.
STATE_PREFIX = "state:"


def is_addressee(to: str) -> bool:
    """Return whether a `Broadcast` can be *to* this."""
    return to in ("others", "all") or (to.startswith(STATE_PREFIX) and to != STATE_PREFIX)


def _check_bytes(_instance: object, attribute: "Attribute[Any]", value: object) -> None:
    if not isinstance(value, bytes):
        raise TypeError(f"{attribute.name}: expected bytes, found {value!r}")


class BaseStep:
    """What every step says of itself: its names, and what it ends (by default nothing)."""

    __slots__ = ()

    #: Its name in scripts (TOML) and in journals (JSON).
    key: ClassVar[str]
    #: Its name in messages.
    label: ClassVar[str]
    #: Whether no data is sent after it.
    ends_sending: ClassVar[bool] = False
    #: Whether no later request is answered.
    ends_requests: ClassVar[bool] = False
    #: Whether no step after it is performed.
    ends_reply: ClassVar[bool] = False


class _LastStep(BaseStep):
    """A step that ends its reply, and everything else on its connection."""

    __slots__ = ()

    ends_sending = True
    ends_requests = True
    ends_reply = True


@frozen
class Send(BaseStep):
    """
    Send *data*, wrapped by the framing, or as it is (*raw*).

    :raises TypeError: *data* is not bytes.
    """

    key = "send"
    label = "send"

    data: bytes = field(validator=_check_bytes)
    raw: bool = False


@frozen
class Wait(BaseStep):
    """
    Wait for *seconds* before the next step.

    :raises FieldError: *seconds* is negative, infinite or not a number.
    """

    key = "wait"
    label = "wait"

    seconds: float = field(
        validator=expect("a finite number >= 0", lambda seconds: 0 <= seconds < inf)
    )


@frozen
class Close(_LastStep):
    """Close after everything sent has been delivered.  Later requests are dropped."""

    key = "close"
    label = "close"


@frozen
class HalfClose(BaseStep):
    """Stop sending (the client sees EOF), and keep receiving.  Over TLS this is a `Close`."""

    key = "half_close"
    label = "half-close"
    ends_sending = True


@frozen
class Abort(_LastStep):
    """Reset the connection after everything sent has left: the client sees ECONNRESET."""

    key = "abort"
    label = "reset"


@frozen
class Hang(_LastStep):
    """Do nothing more: the connection stays open, without replies, until the client ends it."""

    key = "hang"
    label = "hang"


@frozen
class StopReading(BaseStep):
    """Stop reading: what the client sends from now on stays in the buffers of both systems."""

    key = "stop_reading"
    label = "stop reading"
    ends_requests = True


@frozen
class StartTLS(BaseStep):
    """
    Encrypt the connection from here on, with the certificate of the server.

    What was sent before has left unencrypted.  What the client has sent after the request is
    dropped: it could come from somebody else.
    """

    key = "start_tls"
    label = "start TLS"


@frozen
class Forward(BaseStep):
    """
    Forward the request to the real service, and send its reply as it came.

    The request is forwarded when it is taken up.  The steps of the reply are performed once the
    service has replied.

    :param reply: the frame with which the service has replied; None: not yet.
    """

    key = "forward"
    label = "forward"

    reply: bytes | None = None


@frozen
class Broadcast(BaseStep):
    """
    Send *data* to other connections, in a frame of its own, or as it is (*raw*).

    A connection whose client does not receive what was sent before is left out.

    :param to: ``others``: all connections but this one; ``all``; or ``state:NAME``: those in a
        state, this one included.
    :raises TypeError: *data* is not bytes.
    :raises FieldError: *to* is none of these.
    """

    key = "broadcast"
    label = "broadcast"

    data: bytes = field(validator=_check_bytes)
    to: str = field(
        default="others", validator=expect('"others", "all" or "state:NAME"', is_addressee)
    )
    raw: bool = False


Step = Send | Broadcast | Wait | Close | HalfClose | Abort | Hang | StopReading | StartTLS | Forward

#: A reply: steps, performed in order.
Steps = tuple[Step, ...]

#: What makes a step of each kind, by its key.
STEPS: Mapping[str, Callable[..., Step]] = {step.key: step for step in get_args(Step)}


class ReplyFault(Protocol):
    """A fault of one rule, as a reply carries it: `reqresp.faults.PlacedFault` is one."""

    @property
    def key(self) -> str:
        """Return the fault's place in its script, such as ``rule[2].faults[0]``."""

    @property
    def fault(self) -> Any:
        """Return the fault itself, which has a method `apply`."""

    @property
    def begins_later(self) -> bool:
        """Whether it does not apply to the first byte of its rule's replies on a connection."""

    @property
    def after(self) -> float:
        """Return the seconds since its rule's first reply before it begins."""

    @property
    def after_bytes(self) -> int:
        """Return the bytes of its rule's replies that pass before it begins."""


#: The most pieces of a reply whose sizes are kept.
MAX_SLICES = 256


@frozen
class FaultEffect:
    """
    What faults have made of a reply.

    :param delay: seconds that they have it wait.
    :param slices: the sizes of the first `MAX_SLICES` pieces, if they send it in more pieces; else
        empty.
    :param data: the bytes that are sent, if these are others; else None.
    """

    delay: float = 0.0
    slices: tuple[int, ...] = ()
    data: bytes | None = None

    @property
    def size(self) -> int:
        """Return the bytes that it takes in memory, roughly."""
        return len(self.data or b"") + 8 * len(self.slices)


class RuleReply(tuple[Step, ...]):
    """
    The steps of a reply, with the rule that they come from.

    :param by: the name of the rule.
    :param faults: faults that apply to this reply only, before those of all replies.
    :param injected: the names of the faults that changed this reply.
    :param effect: what these have made of it; None: nothing is known.
    :param place: where the rule is, for people, such as ``rule[3], line 12``; empty: unknown.
    :param explain: returns, for people, which rule is nearest to the request, which no rule
        matches; empty: no rule is.  None: a rule matches.
    :param warning: what is logged about the client when the reply begins; empty: nothing.
    :param encode: puts a `Send` of it into its frame; None: as every reply of the server.
    """

    by: str
    faults: Sequence[ReplyFault]
    injected: tuple[str, ...]
    effect: FaultEffect | None = None
    place: str
    explain: Callable[[], str] | None
    warning: str
    encode: Callable[[bytes], bytes] | None = None

    def __new__(
        cls,
        steps: Iterable[Step],
        by: str,
        faults: Sequence[ReplyFault] = (),
        injected: tuple[str, ...] = (),
        place: str = "",
        explain: Callable[[], str] | None = None,
        warning: str = "",
    ) -> Self:
        reply = super().__new__(cls, steps)
        reply.by = by
        reply.faults = faults
        reply.injected = injected
        reply.place = place
        reply.explain = explain
        reply.warning = warning
        return reply

    def __getnewargs__(self) -> tuple[Any, ...]:  # for copies
        given = tuple(self), self.by, self.faults, self.injected, self.place, self.explain
        return *given, self.warning

    def injected_with(self, names: tuple[str, ...], effect: FaultEffect | None = None) -> Self:
        """Return a copy that the faults with these *names* have changed, with this *effect*."""
        return self._copy(self, injected=names, effect=effect)

    def with_steps(self, steps: Iterable[Step]) -> Self:
        """Return a copy with other *steps*."""
        return self._copy(steps)

    def explained_by(self, explain: Callable[[], str]) -> Self:
        """Return a copy that answers a request which no rule matches."""
        return self._copy(self, explain=explain)

    def encoded_by(self, encode: Callable[[bytes], bytes]) -> Self:
        """Return a copy whose frames *encode* makes."""
        return self._copy(self, encode=encode)

    def _copy(self, steps: Iterable[Step], **changes: Any) -> Self:
        reply = type(self)(steps, self.by)
        vars(reply).update(vars(self), **changes)
        return reply
