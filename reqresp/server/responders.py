"""
Responders: what answers a request.

A responder turns a request's bytes into steps, at once or later, and performs none of them.  It
knows no framing, no transport and no clock.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Mapping
from types import MappingProxyType
from typing import Any, Protocol, final

from attrs import field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress

from reqresp.steps import Close, Request, RuleReply, Send, Step, Steps

#: What a user's function returns, or what its coroutine or Deferred gives.
Reply = bytes | Step | tuple[bytes | Step, ...] | None
#: What it returns, all in all.  (A Deferred's type tells no subtype from another.)
Answer = Reply | Coroutine[Any, Any, Reply] | Deferred[Any]


def as_steps(reply: Reply) -> Steps:
    """
    Turn *reply* into steps: bytes mean `Send`, None means silence.

    :raises TypeError: it is, or holds, something else.
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
    if not isinstance(item, Step):
        raise TypeError(f"a reply is bytes, a step, a tuple of these, or None; not {item!r}")
    return item


class ConnectionContext(Protocol):
    """What a responder may know of the connection that asks."""

    peer: IAddress
    number: int
    #: How many requests were taken up so far, the one being answered included.
    taken: int
    #: What the responder noted for itself; None at first.
    notes: Any


class Responder(ABC):
    """What answers requests, where it is more than a function of one `Request`."""

    #: What it is called where it is told who answered.
    name = "responder"
    #: Whether it may ask for faults of its own (see `RuleReply`).
    faulty = False

    @abstractmethod
    def respond(self, data: bytes, connection: ConnectionContext) -> Steps | Deferred[Steps]:
        """
        Answer the request *data* of *connection*.

        An exception, raised here or through the Deferred, is logged and aborts that connection.
        """

    def greet(self, connection: ConnectionContext) -> Steps:  # noqa: ARG002 (for those that override it)
        """Give the steps that are performed when a client connects: none, unless overridden."""
        return ()

    def constants(self) -> "Table | None":
        """
        Give the replies that are always the same, whoever asks and whatever came before.

        They are given in one go, without `respond`, where all requests of a read have such ones
        that do no more than send; a request that has none is ``otherwise`` a step that is no
        `Send`.  None: there are none.
        """
        return None

    def check(self, encode: Callable[[bytes], bytes]) -> None:  # noqa: B027 (nothing, by default)
        """
        Find out whether constant replies can be framed by *encode*.

        :raises FrameError: one cannot; the message says which.
        """


def _as_table(replies: Mapping[bytes, Reply]) -> Mapping[bytes, Steps]:
    return MappingProxyType({request: as_steps(reply) for request, reply in replies.items()})


@final
@frozen
class Table(Responder):
    """
    Answers a request that is a key of *replies* with its value, any other with *otherwise*.

    All its replies are constants, so a connection answers the requests of a read in one go.

    :raises TypeError: a value is no `Reply`.
    """

    name = "table"

    replies: Mapping[bytes, Steps] = field(converter=_as_table)
    otherwise: Steps = field(default=None, converter=as_steps)

    def respond(self, data: bytes, connection: ConnectionContext) -> Steps:  # noqa: ARG002 (never asked)
        return self.steps(data)

    def steps(self, data: bytes) -> Steps:
        """Give the steps that answer *data*."""
        return self.replies.get(data, self.otherwise)

    def constants(self) -> "Table":
        return self

    def check(self, encode: Callable[[bytes], bytes]) -> None:
        for steps in (self.otherwise, *self.replies.values()):
            for step in steps:
                if isinstance(step, Send) and not step.raw:
                    encode(step.data)


def fixed(reply: bytes = b"response", *, close_on: bytes | None = b"close") -> Table:
    """
    Answer whatever comes with *reply*; exactly *close_on* also closes (nothing does: None).

    :source: the notebook.
    """
    closing: dict[bytes, Reply] = {} if close_on is None else {close_on: (reply, Close())}
    return Table(closing, otherwise=reply)


class Function(Responder):
    """
    Answers with what a user's function returns for a `Request`.

    The function is plain, ``async def`` (it can await Deferreds) or returns a Deferred.
    """

    def __init__(self, function: Callable[[Request], Answer]) -> None:
        self._function = function
        self.name = getattr(function, "__qualname__", type(function).__name__)

    def respond(self, data: bytes, connection: ConnectionContext) -> Steps | Deferred[Steps]:
        request = Request(data, connection.peer, connection.number, connection.taken)
        reply: Any = self._function(request)
        if isinstance(reply, bytes):  # first: to ask an abstract class takes longer than all else
            return (Send(reply),)
        if isinstance(reply, Coroutine):
            reply = Deferred.fromCoroutine(reply)
        if isinstance(reply, Deferred):
            return reply.addCallback(as_steps)
        return as_steps(reply)
