"""
ServerConnections: the connections of a test server, as a test sees them.

Must not know how the server runs, nor what is expected of its clients.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, overload

from attrs import field, frozen
from twisted.internet.interfaces import IAddress

from reqresp._errors import FieldError, check_count
from reqresp.expectations.futures import AwaitableFuture
from reqresp.expectations.waiters import Waiters, requests_among
from reqresp.framing import FrameError, Framing
from reqresp.journal import Connected, Entry
from reqresp.script.rule_parts import PayloadLike, RuleParts
from reqresp.server.broadcasts import broadcast, check_unasked, framed
from reqresp.server.connections import Connections
from reqresp.server.factory import ReqRespFactory
from reqresp.server.front_factory import FrontFactory, front_of
from reqresp.server.responders import ConnectionContext
from reqresp.steps import Request
from reqresp.testing._expectation import ErrorsWithLine, unasked_sends

# As in _base.
__tracebackhide__ = True


def check_number(connection: object) -> None:
    """:raises FieldError: *connection* is not the number of one."""
    check_count(connection, "connection", 1)


def number_of(method: str, connection: "ServerConnection | None") -> int | None:
    """
    Return the number of *connection*, an argument of *method*; None: there is none.

    :raises ScriptError: it is not a connection.
    """
    if connection is None:
        return None
    with ErrorsWithLine(method):
        if not isinstance(connection, ServerConnection):
            expected = "a ServerConnection, such as server.connections[0]"
            raise FieldError("connection", f"expected {expected}, found {connection!r}")
    return connection.number


class States(Protocol):
    """Knows the state of each conversation."""

    def state(self, connection: ConnectionContext) -> str:
        """Return the state of the conversation on *connection*."""


@frozen
class ServerConnection:
    """
    A connection of a client, open or closed.

    :param number: its number; the first of a server is 1.
    :param peer: the client's address.
    :param since: when it was opened, in seconds since the epoch.
    """

    number: int
    peer: IAddress
    since: float = field(eq=False)
    _all: "ServerConnections" = field(repr=False, eq=False)

    @property
    def is_open(self) -> bool:
        """Whether the client is connected."""
        return any(it.number == self.number for it in self._all)

    @property
    def requests(self) -> list[Request]:
        """The requests that came on it so far."""
        return [it for it in self._all.requests() if it.connection == self.number]

    @property
    def state(self) -> str:
        """
        The state of its conversation.

        :raises RuntimeError: it is closed.
        """
        return self._all.state(self.number)

    def send(self, *payloads: PayloadLike, raw: bool = False) -> None:
        """
        Send *payloads* to the client now, after the reply that is under way.

        :param raw: send them without frames.
        :raises RuntimeError: it is closed.
        :raises PushError: it sends no more, or its client does not read.
        :raises ScriptError: a payload is not usable.
        """
        self._all.send(self.number, payloads, raw=raw)

    def close(self) -> None:
        """Close it after what was sent is delivered; do nothing if it is closed."""
        self._all.end(self.number, is_reset=False)

    def abort(self) -> None:
        """Reset it now; do nothing if it is closed."""
        self._all.end(self.number, is_reset=True)


class ServerConnections(Sequence[ServerConnection]):
    """
    The open connections of a server, by their numbers; also those to come, and how many there were.

    :param call: calls a function where the server runs, and returns its result.
    :param entries: returns what has happened so far.
    :param parts: makes the steps that send payloads; its framing is that of a relay.
    """

    def __init__(
        self,
        factory: FrontFactory,
        call: Callable[..., Any],
        entries: Callable[[], Sequence[Entry]],
        parts: RuleParts,
        waiters: Waiters,
        states: States,
    ) -> None:
        self._factory = factory
        self._call = call
        self._entries = entries
        self._parts = parts
        self._waiters = waiters
        self._states = states

    @property
    def total(self) -> int:
        """How many clients have connected so far."""
        total: int = self._call(lambda: self._factory.accepted)
        return total

    def __len__(self) -> int:
        length: int = self._call(lambda: len(self._factory.connections))
        return length

    @overload
    def __getitem__(self, at: int) -> ServerConnection: ...

    @overload
    def __getitem__(self, at: slice) -> Sequence[ServerConnection]: ...

    def __getitem__(self, at: int | slice) -> ServerConnection | Sequence[ServerConnection]:
        found: list[ServerConnection] = self._call(self._open)
        return found[at]

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {len(self)} open of {self.total}>"

    # Until something happens

    def when_opened(self, times: int = 1) -> AwaitableFuture[ServerConnection]:
        """
        Return a future of the connection with the number *times*, done once it was opened.

        It is a ``concurrent.futures.Future``, which a coroutine of asyncio can await.

        :raises ScriptError: *times* is no integer >= 1.
        """
        with ErrorsWithLine():
            check_count(times, "times", 1)
        future: AwaitableFuture[ServerConnection] = self._call(
            self._waiters.until,
            lambda: self._factory.accepted >= times,
            lambda: self._find_past(times),
        )
        return future

    def when_closed(self, number: int | None = None) -> AwaitableFuture[None]:
        """
        Return a future that is done once the connection *number* is closed; None: once all are.

        :raises ScriptError: *number* is not an integer >= 1.
        """
        if number is not None:
            with ErrorsWithLine():
                check_number(number)

        def is_closed() -> bool:
            return not any(number in (None, it.number) for it in self._front)

        future: AwaitableFuture[None] = self._call(self._waiters.until, is_closed)
        return future

    def not_opened(self, times: int) -> str:
        """Return the message that fewer than *times* clients have connected."""
        return f"connections: expected {times}, found {self.total}"

    def not_closed(self, connection: ServerConnection | None) -> str:
        """Return the message that *connection*, or one of all, is open."""
        if connection is not None:
            return f"connection {connection.number} is open"
        return f"expected no open connection, found {len(self)}"

    # One connection, for `ServerConnection`

    def requests(self) -> list[Request]:
        """Return the requests that came so far, on all connections."""
        return requests_among(self._entries())

    def state(self, number: int) -> str:
        """Return the state of a conversation; see `ServerConnection.state`."""

        def find() -> str:
            found = next((it for it in self._front if it.number == number), None)
            if found is None:
                raise RuntimeError(f"connection {number} is closed")
            context: Any = found
            return self._states.state(context)

        state: str = self._call(find)
        return state

    def send(self, number: int, payloads: Sequence[PayloadLike], *, raw: bool) -> None:
        """Send payloads to a client; see `ServerConnection.send`."""
        steps = unasked_sends(self._parts, payloads, raw=raw)

        def push() -> None:
            try:
                data = framed(steps, self._framing_of(number))
                self._factory.connections.push(number, data)
            except KeyError:
                raise RuntimeError(f"connection {number} is closed") from None
            except FrameError as error:
                raise FieldError("send", str(error)) from None

        with ErrorsWithLine():
            check_number(number)
            self._call(push)

    def _framing_of(self, number: int) -> Framing:
        """:raises KeyError: no connection with this *number* is open."""
        factory = self._factory
        if isinstance(factory, ReqRespFactory):
            return factory.framings()[number]
        return self._parts.framing

    def push(self, *payloads: PayloadLike, connection: int, raw: bool = False) -> None:
        """Send *payloads* to the connection with this number, as `ServerConnection.send` does."""
        self.send(connection, payloads, raw=raw)

    def broadcast(self, *payloads: PayloadLike, to: str = "all", raw: bool = False) -> int:
        """
        Send *payloads* to clients that are connected, between the frames of each, or none of them.

        :param to: ``all``, or ``state:NAME``: those in a state.
        :param raw: send them without frames.
        :returns: how many receive all of them.
        :raises ScriptError: a payload is not usable.
        :raises TypeError: the server forwards all bytes.
        """
        steps = unasked_sends(self._parts, payloads, raw=raw)
        if not isinstance(self._factory, ReqRespFactory):
            raise TypeError("expected a server that answers requests, found a relay")

        def send() -> int:
            try:
                return broadcast(self._front, to, steps) if steps else 0
            except FrameError as error:
                raise FieldError("send", str(error)) from None

        with ErrorsWithLine():
            check_unasked(to)
            count: int = self._call(send)
        return count

    def end(self, number: int, *, is_reset: bool) -> None:
        """Close or reset a connection; do nothing if it is closed."""

        def end() -> None:
            for connection in [it for it in self._front if it.number == number]:
                connection.reset() if is_reset else connection.close()

        self._call(end)

    @property
    def _front(self) -> Connections:
        return front_of(self._factory)

    def _open(self) -> list[ServerConnection]:
        return [self._made(it.number, it.peer, it.since) for it in self._factory.connections]

    def _find_past(self, number: int) -> ServerConnection:
        entries = (it for it in self._entries() if isinstance(it, Connected))
        return next(
            self._made(it.connection, it.peer, it.at) for it in entries if it.connection == number
        )

    def _made(self, number: int, peer: IAddress, since: float) -> ServerConnection:
        return ServerConnection(number, peer, since, self)
