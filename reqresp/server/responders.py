"""
Responders: what answers a request.

A responder turns a request's bytes into steps, at once or later, and performs none of them.  It
knows no framing, no transport and no clock.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol, final, get_args

from attrs import define, field, frozen

from reqresp.server.state_properties import NO_PROPERTIES, StateProperties
from reqresp.server.triggers import Timer, Trigger
from reqresp.steps import Close, RuleReply, Send, Step, Steps

if TYPE_CHECKING:  # a script is checked without Twisted
    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IAddress

    from reqresp.server.config import ServerConfig

#: A reply as a user's function returns it, or as the result of its coroutine or Deferred.
Reply = bytes | Step | tuple[bytes | Step, ...] | None

#: The reply of `fixed` to every request.
RESPONSE = b"response"
#: The request after whose reply `fixed` closes.
CLOSE_ON = b"close"


def as_steps(reply: Reply) -> Steps:
    """
    Return *reply* as steps: bytes mean `Send`, None means no step.

    :raises TypeError: *reply* is not a `Reply`.
    """
    match reply:
        case None:
            return ()
        case bytes():
            return (Send(reply),)
        case RuleReply():
            return reply
        case tuple():
            return tuple(_as_step(item) for item in reply)
        case _:
            return (_as_step(reply),)


def _as_step(item: bytes | Step) -> Step:
    if isinstance(item, bytes):
        return Send(item)
    if type(item) not in _STEP_TYPES:  # a connection performs no other, not even a subclass
        raise TypeError(f"expected bytes, a step, a tuple of these, or None; found {item!r}")
    return item


def check_steps(answer: object) -> Steps:
    """
    Return *answer*, with which a responder has answered, if it is a tuple of steps.

    :raises TypeError: it is not.
    """
    if not isinstance(answer, tuple):
        raise TypeError(f"expected a tuple of steps or a Deferred of one, found {answer!r}")
    return answer


_STEP_TYPES = frozenset(get_args(Step))


class ConnectionContext(Protocol):
    """What a responder may know of the connection that a request came from."""

    peer: "IAddress"
    number: int
    #: How many requests were taken up so far, the one being answered included.
    taken: int
    #: What the responder noted for itself; None at first.
    notes: Any

    @property
    def config(self) -> "ServerConfig | None":
        """How its server answers, with the seed of what is random; None: unknown."""


@define
class PastConnection:
    """The `ConnectionContext` of a past request, or of one that is made up."""

    peer: "IAddress"
    number: int
    taken: int
    notes: Any = None
    config: "ServerConfig | None" = None


class Responder(ABC):
    """Answers requests.  A function of one `Request` can be used instead of a subclass."""

    #: Its name in exchanges, journals and logs.
    name = "responder"
    #: Whether its replies may have faults of their own (see `RuleReply`), or random values.
    faulty = False
    #: Whether it answers clients that are refused; without that, they are reset at once.
    answers_refused = False
    #: Whether `timers` returns any in some state.
    has_timers = False
    #: Whether all connections are in one state.
    shares_state = False
    #: Whether it forwards requests, so that the server needs a service to forward them to.
    forwards = False
    #: Whether it can start TLS, so that connections begin without it.
    starts_tls = False
    #: What `properties` can return besides `NO_PROPERTIES`.  A connection that is made while this
    #: is empty never asks for its properties.
    state_properties: Collection[StateProperties] = ()

    def properties(self, connection: ConnectionContext) -> StateProperties:  # noqa: ARG002 (for those that override it)
        """
        Return what is different on *connection*, whose conversation is in some state.

        It is asked before each request is taken, and applies from the byte after the request that
        was answered last.
        """
        return NO_PROPERTIES

    @abstractmethod
    def respond(self, data: bytes, connection: ConnectionContext) -> "Steps | Deferred[Steps]":
        """
        Answer the request *data* of *connection*.

        An exception, raised here or through the Deferred, is logged and aborts that connection.
        """

    def answer_alike(
        self,
        requests: Sequence[bytes],  # noqa: ARG002 (for those that override it)
        connection: ConnectionContext,  # noqa: ARG002
    ) -> Steps | None:
        """
        Return the steps that only forward, if they answer each of *requests*.

        This takes less time than `respond` for each of them, which is called if None is returned.
        """
        return None

    def greet(self, connection: ConnectionContext) -> Steps:  # noqa: ARG002 (for those that override it)
        """Return the steps that are performed when a client connects; none by default."""
        return ()

    def react(self, trigger: Trigger, connection: ConnectionContext) -> Steps:
        """
        Return the steps that *trigger*, which is not a request, calls for.

        By default they are those of `greet` when a client connects, and none otherwise.  After
        those for a client that is refused (see `answers_refused`), idle or malformed, the
        connection ends.
        """
        return self.greet(connection) if trigger is Trigger.CONNECT else ()

    def state(self, connection: ConnectionContext) -> str:  # noqa: ARG002 (for those that override it)
        """Return the state of the conversation on *connection*; empty: there are no states."""
        return ""

    def timers(self, connection: ConnectionContext) -> Sequence[Timer]:  # noqa: ARG002 (for those that override it)
        """
        Return the timers of *connection* in its state: the same object while they are the same.

        It is called only if `has_timers`.
        """
        return ()

    def tick(self, timer: Timer, connection: ConnectionContext) -> Steps | None:  # noqa: ARG002 (likewise)
        """Return the steps that *timer* calls for now; None: it stops for good."""
        return None

    def constants(self) -> "Table | None":
        """
        Return the replies that do not depend on the connection or on earlier requests.

        If such replies only send, and all requests of a read have one, the connection answers them
        together, without `respond`.  For a request that `respond` must answer, the table has at
        least one step that is not a `Send`.  Return None if no reply is constant.
        """
        return None

    def check(self, encode: Callable[[bytes], bytes]) -> None:  # noqa: B027 (nothing, by default)
        """
        Check that *encode* accepts every constant reply.

        :raises FrameError: it refuses one; the message says which.
        """


def _as_table(replies: Mapping[bytes, Reply]) -> Mapping[bytes, Steps]:
    return MappingProxyType({request: as_steps(reply) for request, reply in replies.items()})


@final
@frozen
class Table(Responder):
    """
    Answers a request that is a key of *replies* with its value, any other with *otherwise*.

    All replies are constants, so a connection can answer all requests of a read together.

    :raises TypeError: a value is not a `Reply`.
    """

    name = "table"

    replies: Mapping[bytes, Steps] = field(converter=_as_table)
    otherwise: Steps = field(default=None, converter=as_steps)

    def respond(self, data: bytes, connection: ConnectionContext) -> Steps:  # noqa: ARG002 (constant)
        return self.steps(data)

    def steps(self, data: bytes) -> Steps:
        """Return the steps that answer *data*."""
        return self.replies.get(data, self.otherwise)

    def react(self, trigger: Trigger, connection: ConnectionContext) -> Steps:  # noqa: ARG002 (to nothing)
        return ()

    def constants(self) -> "Table":
        return self

    def check(self, encode: Callable[[bytes], bytes]) -> None:
        for steps in (self.otherwise, *self.replies.values()):
            for step in steps:
                if isinstance(step, Send) and not step.raw:
                    encode(step.data)


def fixed(reply: bytes = RESPONSE, *, close_on: bytes | None = CLOSE_ON) -> Table:
    """
    Return a responder that answers every request with *reply*.

    :param close_on: the request after whose reply the connection is closed; None: no request.
    """
    closing: dict[bytes, Reply] = {} if close_on is None else {close_on: (reply, Close())}
    return Table(closing, otherwise=reply)
