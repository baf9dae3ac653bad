"""
LocalServer: a test server on the reactor that runs the test, for trial and pytest-twisted.

Nothing here blocks, and nothing is left in the reactor after `LocalServer.stop`.
"""

from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack, cast

from twisted.internet import defer
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IListeningPort
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from reqresp.script.rule_parts import PayloadsLike, PredicateArguments
from reqresp.steps import Request
from reqresp.testing._arguments import ServerArguments, check_arguments, check_names
from reqresp.testing._base import ASSERT_TIMEOUT, BaseServer
from reqresp.testing._connections import ServerConnection, number_of
from reqresp.testing._expectation import ErrorsWithLine, check_timeout
from reqresp.testing._held import HeldRequest, not_held
from reqresp.testing._reactor_thread import when_read
from reqresp.transport.accept_modes import AcceptMode, AcceptName
from reqresp.transport.accepting import Acceptance
from reqresp.transport.eager import EagerServerEndpoint

#: Turns of the reactor after which what has arrived is read, and clients know of a reset.
SETTLING_TURNS = 5

# As in _base.
__tracebackhide__ = True

T = TypeVar("T")


class LocalServer(BaseServer):
    """
    A test server on the reactor that runs the test.

    Methods that take time return a Deferred.  As an asynchronous context manager, it starts and
    stops with the block, and verifies at the end of a block that raises nothing.  It takes all
    arguments of `BaseServer` but the clock.

    :param reactor: the reactor; None: the global one.
    :param host: the address to listen on.
    """

    def __init__(
        self, reactor: Any = None, *, host: str = "127.0.0.1", **arguments: Unpack[ServerArguments]
    ) -> None:
        check_names(arguments, "reactor", "host")
        check_arguments(host=host)
        if reactor is None:
            from twisted.internet import reactor
        self._reactor: Any = reactor
        #: The address that it listens on.
        self.host = host
        #: The port that it listens on, once it has started.
        self.port = 0
        self._listening: IListeningPort | None = None
        super().__init__(self._reactor, **arguments)

    @property
    def name(self) -> str:  # type: ignore[override]  # known once it has started
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def _condition(self) -> str:
        return "listening" if self._listening is not None else "not listening"

    # Starting and stopping

    def start(self) -> Deferred[Self]:
        """
        Listen on a free port, or on the same port as before; does nothing if the server listens.

        :returns: fires with this server when clients can connect.
        """
        return Deferred.fromCoroutine(self._start())

    async def _start(self) -> Self:
        if self._listening is None:
            endpoint = EagerServerEndpoint(self._reactor, self.port, interface=self.host)
            self._listening = await endpoint.listen(self.factory)
            self.port = cast(Any, self._listening.getHost()).port
            self._acceptance = Acceptance(self._listening)
            if self._script is not None:
                self._acceptance.set(self._script.accept)
        return self

    def stop(self) -> Deferred[None]:
        """
        Stop listening, and reset all connections.

        :returns: fires when nothing of them is left in the reactor, including clients of the same
            reactor.
        """
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        await self.stop_listening()
        await self.disconnect_all()

    def stop_listening(self) -> Deferred[None]:
        """Accept no more clients until `start`; open connections go on."""
        listening, self._listening = self._listening, None
        if listening is None:
            return defer.succeed(None)
        self._acceptance.close()
        stopped: Deferred[None] = maybeDeferred(cast(Any, listening.stopListening))
        return stopped

    def accepting(
        self, how: AcceptName | AcceptMode | None = None, *, after: float | None = None
    ) -> None:
        """
        Treat clients that connect from now on otherwise; open connections go on.

        The server has to listen.  The parameters are those of `Server.accepting`.

        :raises ScriptError: *how* is unknown, or *after* is out of range.
        :raises TypeError: both are given, or neither.
        :raises RuntimeError: the server does not listen.
        """
        if self._listening is None:
            raise RuntimeError("accepting: expected a server that listens; call start() first")
        with ErrorsWithLine("accepting"):
            self._acceptance.set(how, after=after)

    def disconnect_all(self) -> Deferred[None]:
        """Reset all connections; the Deferred fires when they are gone."""
        return self._disconnect().addCallback(lambda _: self._turns())

    def _turns(self) -> Deferred[None]:
        """Wait for `SETTLING_TURNS`."""
        turns: Deferred[None] = deferLater(self._reactor, 0)
        for _ in range(SETTLING_TURNS - 1):
            turns.addCallback(lambda _: deferLater(self._reactor, 0))
        return turns

    # Assertions

    def received(
        self,
        equals: PayloadsLike | None = None,
        *,
        times: int = 1,
        timeout: float = ASSERT_TIMEOUT,
        **predicates: Unpack[PredicateArguments],
    ) -> Deferred[list[Request]]:
        """
        Wait until at least *times* matching requests (see `on`) have been received.

        :param timeout: the number of seconds to wait at most.
        :returns: fires with all of them, including earlier ones; fails with an AssertionError that
            has the conversation if fewer were received.
        """

        def fail(failure: Failure) -> list[Request]:
            failure.trap(defer.TimeoutError)
            received = len(self.requests(equals, **predicates))
            raise self._wrong_number(equals, predicates, received, f"at least {times}")

        check_timeout("received", timeout)
        future = self.when(equals, times=times, **predicates)
        return self._as_deferred(future, timeout).addErrback(fail)

    def held(
        self,
        equals: PayloadsLike | None = None,
        *,
        timeout: float = ASSERT_TIMEOUT,
        **predicates: Unpack[PredicateArguments],
    ) -> Deferred[HeldRequest]:
        """
        Wait for the next request that the test has to answer; see `when_held`.

        :param timeout: the number of seconds to wait at most.
        :returns: fails with an AssertionError that has the conversation if none comes.
        """
        check_timeout("held", timeout)
        found = self.when_held(equals, **predicates)
        return self._expected(found, timeout, lambda: not_held(equals, predicates))

    def connected(
        self, times: int = 1, *, timeout: float = ASSERT_TIMEOUT
    ) -> Deferred[ServerConnection]:
        """
        Wait until *times* clients have connected since the start; the result is the last of these.

        :param timeout: the number of seconds to wait at most.
        :returns: fails with an AssertionError that has the conversation if fewer have.
        """
        check_timeout("connected", timeout)
        found = self.connections.when_opened(times)
        return self._expected(found, timeout, lambda: self.connections.not_opened(times))

    def closed(
        self, connection: ServerConnection | None = None, *, timeout: float = ASSERT_TIMEOUT
    ) -> Deferred[None]:
        """
        Wait until *connection* is closed; None: until no connection is open.

        :param timeout: the number of seconds to wait at most.
        :returns: fails with an AssertionError that has the conversation if it is still open.
        """
        check_timeout("closed", timeout)
        found = self.connections.when_closed(number_of("closed", connection))
        return self._expected(found, timeout, lambda: self.connections.not_closed(connection))

    def _expected(
        self, future: "Future[T]", timeout: float, problem: Callable[[], str]
    ) -> Deferred[T]:
        """Return a Deferred of *future*; its AssertionError begins with *problem*."""

        def fail(failure: Failure) -> T:
            failure.trap(defer.TimeoutError)
            raise self._not_so(problem())

        return self._as_deferred(future, timeout).addErrback(fail)

    def _as_deferred(self, future: "Future[T]", timeout: float) -> Deferred[T]:
        """Return a Deferred of *future* that fails after *timeout* seconds, and then cancels it."""

        def cancel(_: Deferred[T]) -> None:
            future.cancel()

        fired: Deferred[T] = Deferred(cancel)

        def fire() -> None:
            if not fired.called:  # by the timeout, or by a cancel
                fired.callback(future.result())

        def fire_later(_: object) -> None:
            # In the next turn, because the server is answering in this one.
            if not future.cancelled():
                self._reactor.callLater(0, fire)

        future.add_done_callback(fire_later)
        return fired.addTimeout(timeout, self._reactor)

    def verify(self, timeout: float | None = None) -> Deferred[None]:
        """
        Assert that every expectation is met, and that nothing unexpected was received.

        :param timeout: the number of seconds to wait for missing requests at most, also if no
            client is connected; None: as long as a client is connected, and a second at most.
        :returns: fails with an AssertionError that has the conversation if it is not so.
        """
        seconds = ASSERT_TIMEOUT if timeout is None else timeout
        check_timeout("verify", seconds)
        return Deferred.fromCoroutine(self._verify_all(seconds, timeout is not None))

    async def _verify_all(self, seconds: float, waits_for_clients: bool) -> None:
        await when_read(self._reactor, ASSERT_TIMEOUT)
        await self._turns()
        with suppress(defer.TimeoutError):
            settled = self._waiters.until(
                partial(self._is_settled, waits_for_clients=waits_for_clients)
            )
            await self._as_deferred(settled, seconds)
        self._verify()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                await self.verify()
                self.keep_recording()
        finally:
            await self.stop()
            self._finish_recording()
