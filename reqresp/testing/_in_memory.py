"""
Memory: a server that a test moves, for clients that are Twisted protocols.

What it does is said and asked as in `BaseServer`.  No reactor runs, no thread, no socket is opened.
"""

from types import TracebackType
from typing import Any, Self, TypeVar, Unpack, cast, overload

from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import BaseProtocol, ClientFactory, Factory
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from reqresp.testing._base import BaseServer, Behaving
from reqresp.testing._expectation import Payloads, Predicating
from reqresp.testing._memory_reactor import HOST, LoopbackReactor

P = TypeVar("P", bound=BaseProtocol)


class _Once(ClientFactory[Any]):
    """Builds the protocol that a test gave, or has its factory do so."""

    noisy = False

    def __init__(self, client: Any) -> None:
        self._client = client
        self.failure: Failure | None = None

    def buildProtocol(self, addr: IAddress | None) -> Any:
        is_factory = isinstance(self._client, Factory)
        return self._client.buildProtocol(addr) if is_factory else self._client

    def clientConnectionFailed(  # noqa: N802, Twisted's name
        self,
        connector: Any,  # noqa: ARG002
        reason: Failure,
    ) -> None:
        self.failure = reason


class MemoryServer(BaseServer):
    """
    A server in memory.

    It listens when it is made.  Nothing moves by itself: what a client or the server wrote arrives
    when `pump` or `advance` is called, and time passes in `advance` alone.  Connecting pumps, too,
    and so does asking what came.

    As a context manager it verifies at the end of a block that raises nothing.

    :param port: the number that clients connect to; left out: any.
    :param reactor: another one's `reactor`, for clients that talk to several servers.
    :param what: the parameters of `BaseServer`.
    """

    #: The address that clients connect to, though any other leads here, too.
    host = HOST

    def __init__(
        self, *, port: int = 0, reactor: LoopbackReactor | None = None, **what: Unpack[Behaving]
    ) -> None:
        #: For clients that are given a reactor: a ``MemoryReactorClock`` that connects to here.
        self.reactor = reactor or LoopbackReactor()
        #: The port's number.
        self.port = port or self.reactor.free_port()
        super().__init__(cast(Any, self.reactor), **what)
        self.start()

    @property
    def name(self) -> str:  # type: ignore[override]  # known once it has a port
        return f"{self.host}:{self.port}"

    @property
    def clock(self) -> Clock:
        """What keeps the server's time, for clients that are given a clock: the reactor."""
        return self.reactor

    def _call(self, function: Any, *arguments: Any) -> Any:
        self.pump()
        return function(*arguments)

    # Its life

    def start(self) -> None:
        """Listen; nothing happens if it does."""
        if not self._listening:
            self.reactor.listenTCP(self.port, self.factory)

    def stop(self) -> None:
        """Listen no more, and reset all connections; clients are refused until it is started."""
        for listening in self._listening:
            self.reactor.tcpServers.remove(listening)
        self.disconnect_all()

    def disconnect_all(self) -> None:
        """Reset all connections."""
        self._disconnect()
        self.pump()

    @property
    def _listening(self) -> list[Any]:
        return [it for it in self.reactor.tcpServers if it[1] is self.factory]

    @overload
    def connect(self, client: P) -> P: ...

    @overload
    def connect(self, client: Factory[Any]) -> Any: ...

    def connect(self, client: Any) -> Any:
        """
        Connect *client*, a protocol or a factory, and give the protocol.

        To a ``ClientFactory`` it is told like any other when connecting fails or connections end.

        :raises ConnectionRefusedError: the server is stopped (unless a ``ClientFactory`` was told).
        """
        factory = client if isinstance(client, ClientFactory) else _Once(client)
        connector = self.reactor.connectTCP(self.host, self.port, factory)
        self.pump()
        if isinstance(factory, _Once) and factory.failure is not None:
            factory.failure.raiseException()
        return connector.protocol

    def pump(self) -> None:
        """Deliver all that was written, and what is written in answer, until nothing moves."""
        self.reactor.advance(0)

    def advance(self, seconds: float) -> None:
        """Let so many *seconds* pass, and do all that is due in between, at its time."""
        self.reactor.advance(seconds)

    # What was

    def assert_received(
        self,
        equals: Payloads | None = None,
        *,
        times: int | None = None,
        **predicates: Unpack[Predicating],
    ) -> None:
        """
        Assert that requests like this (see `on`) came, as often as *times* says; once at least.

        :raises AssertionError: they came less often, or more often.
        """
        __tracebackhide__ = True
        came = len(self.requests(equals, **predicates))
        least = 1 if times is None else times
        if came < least or (times is not None and came > times):
            raise AssertionError(self._missed(equals, predicates, least, came))

    def verify(self) -> None:
        """
        Assert that all that was expected came, and nothing else.

        :raises AssertionError: it is not so; the message tells the conversation.
        """
        __tracebackhide__ = True
        self._verify()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        __tracebackhide__ = True
        if kind is None:
            self.verify()
