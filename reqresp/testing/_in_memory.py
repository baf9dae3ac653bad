"""
MemoryServer: a test server in memory, for clients that are Twisted protocols.

It needs no running reactor, thread or socket: the test moves data and time.
"""

from types import TracebackType
from typing import Any, Self, TypeVar, Unpack, cast, overload

from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import BaseProtocol, ClientFactory, Factory
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from reqresp._errors import check_count
from reqresp.script.rule_parts import PayloadsLike, PredicateArguments
from reqresp.testing._arguments import ServerArguments, check_arguments, check_names
from reqresp.testing._base import BaseServer
from reqresp.testing._expectation import ErrorsWithLine, check_timeout
from reqresp.testing._held import HeldRequest, not_held
from reqresp.testing._memory_reactor import HOST, InMemoryReactor

P = TypeVar("P", bound=BaseProtocol)

# As in _base.
__tracebackhide__ = True


class _ConnectOnce(ClientFactory):  # ClientFactory[Any] needs a newer Twisted
    """Returns the protocol of a test, or has its factory build one; remembers a failure."""

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
    A test server in memory.

    It listens once it is made.  Nothing happens by itself: data that a client or the server has
    written arrives during `pump` and `advance`, and time passes during `advance` only.  `connect`
    and all methods that return what was received call `pump`.

    As a context manager, it verifies at the end of a block that raises nothing.  It takes all
    arguments of `BaseServer` but the clock.

    :param port: the port that clients connect to; 0: any.
    :param reactor: the `reactor` of another server, for clients that connect to several.
    """

    #: The address for clients; every other address leads to the same server.
    host = HOST

    def __init__(
        self,
        *,
        port: int = 0,
        reactor: InMemoryReactor | None = None,
        **arguments: Unpack[ServerArguments],
    ) -> None:
        check_names(arguments, "port", "reactor")
        check_arguments(port=port)
        #: For clients that take a reactor: a ``MemoryReactorClock`` that connects to this server.
        self.reactor = reactor or InMemoryReactor()
        #: The port that it listens on.
        self.port = port or self.reactor.free_port()
        super().__init__(cast(Any, self.reactor), **arguments)
        self.start()

    @property
    def name(self) -> str:  # type: ignore[override]  # known once it has a port
        return f"{self.host}:{self.port}"

    @property
    def clock(self) -> Clock:
        """The server's clock, for clients that take one: the reactor."""
        return self.reactor

    @property
    def _condition(self) -> str:
        return "listening" if self._listening else "stopped"

    def _call(self, function: Any, *arguments: Any) -> Any:
        self.pump()
        return function(*arguments)

    # Starting and stopping

    def start(self) -> None:
        """Listen again; does nothing if the server listens."""
        if not self._listening:
            self.reactor.listenTCP(self.port, self.factory)

    def stop(self) -> None:
        """Stop listening, and reset all connections; clients are refused until `start`."""
        self.stop_listening()
        self.disconnect_all()

    def stop_listening(self) -> None:
        """Accept no more clients until `start`; open connections go on."""
        for listening in self._listening:
            self.reactor.tcpServers.remove(listening)

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
    def connect(self, client: "Factory[Any]") -> Any: ...

    def connect(self, client: Any) -> Any:
        """
        Connect *client*, a protocol or a factory, and return the protocol.

        A ``ClientFactory`` is notified of a failure and of the end, as by every reactor.

        :raises ConnectionRefusedError: the server is stopped; a ``ClientFactory`` is
            notified instead.
        """
        factory = client if isinstance(client, ClientFactory) else _ConnectOnce(client)
        connector = self.reactor.connectTCP(self.host, self.port, factory)
        self.pump()
        if isinstance(factory, _ConnectOnce) and factory.failure is not None:
            factory.failure.raiseException()
        return connector.protocol

    def pump(self) -> None:
        """Deliver everything that was written, and the replies, until nothing is left to do."""
        self.reactor.advance(0)

    def advance(self, seconds: float) -> None:
        """Let *seconds* pass; every call that is due is made at its time."""
        check_timeout("advance", seconds, "")
        self.reactor.advance(seconds)

    # Assertions

    def assert_received(
        self,
        equals: PayloadsLike | None = None,
        *,
        times: int | None = None,
        **predicates: Unpack[PredicateArguments],
    ) -> None:
        """
        Assert that exactly *times* matching requests (see `on`) were received; None: at least one.

        :raises AssertionError: it is not so; the message has the conversation.
        """
        with ErrorsWithLine():
            check_count(0 if times is None else times, "times", 0)
        received = len(self.requests(equals, **predicates))
        if times is None and not received:
            raise self._wrong_number(equals, predicates, received, "at least 1")
        if times is not None and received != times:
            raise self._wrong_number(equals, predicates, received, str(times))

    def next_request(
        self, equals: PayloadsLike | None = None, **predicates: Unpack[PredicateArguments]
    ) -> HeldRequest:
        """
        Return the next request that the test has to answer; see `when_held`.

        :raises AssertionError: there is none; the message has the conversation.
        """
        future = self.when_held(equals, **predicates)
        if not future.done():
            future.cancel()
            raise self._not_so(not_held(equals, predicates))
        return future.result()

    def assert_no_open_connections(self) -> None:
        """
        Assert that every client has disconnected.

        :raises AssertionError: one is connected; the message has the conversation.
        """
        if len(self.connections):
            raise self._not_so(self.connections.not_closed(None))

    def verify(self) -> None:
        """
        Assert that every expectation is met, and that nothing unexpected was received.

        :raises AssertionError: it is not so; the message has the conversation.
        """
        self._verify()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self.verify()
                self.keep_recording()
        finally:
            self._finish_recording()
