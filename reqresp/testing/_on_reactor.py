"""
Local: a server on the reactor that runs the test, as trial and pytest-twisted have it.

What it does is said and asked as in `BaseServer`.  Nothing here blocks, and nothing is left in the
reactor when it has stopped.
"""

from concurrent.futures import Future
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack, cast

from twisted.internet import defer
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IListeningPort
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from reqresp.steps import Request
from reqresp.testing._base import BaseServer, Behaving
from reqresp.testing._expectation import Payloads, Predicating
from reqresp.testing._reactor_thread import when_read
from reqresp.transport.eager import EagerServerEndpoint

#: Seconds that a test waits for what it asserts, unless it says otherwise.
PATIENCE = 1.0
#: Turns of the reactor in which all that has arrived is read, and clients hear that they were left.
TURNS = 5

T = TypeVar("T")


class LocalServer(BaseServer):
    """
    A server on the reactor that runs the test: of trial, of pytest-twisted.

    What takes time gives a Deferred.  As an asynchronous context manager it starts and stops, and
    verifies at the end of a block that raises nothing.

    :param reactor: left out: the global one.
    :param host: the address to listen on.
    :param what: the parameters of `BaseServer`.
    """

    def __init__(
        self, reactor: Any = None, *, host: str = "127.0.0.1", **what: Unpack[Behaving]
    ) -> None:
        if reactor is None:
            from twisted.internet import reactor
        self._reactor: Any = reactor
        self.host = host
        #: The port's number, once it has started.
        self.port = 0
        self._listening: IListeningPort | None = None
        super().__init__(self._reactor, **what)

    @property
    def name(self) -> str:  # type: ignore[override]  # known once it has started
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    # Its life

    def start(self) -> Deferred[Self]:
        """
        Listen, on a port that is free, or the same as before; nothing happens if it does.

        :returns: fires with this server when clients can connect.
        """
        return Deferred.fromCoroutine(self._start())

    async def _start(self) -> Self:
        if self._listening is None:
            endpoint = EagerServerEndpoint(self._reactor, self.port, interface=self.host)
            self._listening = await endpoint.listen(self.factory)
            self.port = cast(Any, self._listening.getHost()).port
        return self

    def stop(self) -> Deferred[None]:
        """
        Listen no more, and reset all connections.

        :returns: fires when nothing is left of them in the reactor, the clients' ends included if
            these are its own.
        """
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        if self._listening is not None:
            listening, self._listening = self._listening, None
            await _deferred(listening.stopListening())
        await self.disconnect_all()

    def disconnect_all(self) -> Deferred[None]:
        """Reset all connections; fires when they are gone."""
        return self._disconnect().addCallback(lambda _: self._turns())

    def _turns(self) -> Deferred[None]:
        """Wait until all that has arrived is read."""
        turns: Deferred[None] = deferLater(self._reactor, 0)
        for _ in range(TURNS - 1):
            turns.addCallback(lambda _: deferLater(self._reactor, 0))
        return turns

    # What was

    def received(
        self,
        equals: Payloads | None = None,
        *,
        times: int = 1,
        timeout: float = PATIENCE,
        **predicates: Unpack[Predicating],
    ) -> Deferred[list[Request]]:
        """
        Wait until requests like this (see `on`) came so many *times*.

        :returns: fires with them, those that came before included; fails with an AssertionError
            that tells what came if it were fewer within *timeout* seconds.
        """

        def fail(failure: Failure) -> list[Request]:
            failure.trap(defer.TimeoutError)
            came = len(self.requests(equals, **predicates))
            raise AssertionError(self._missed(equals, predicates, times, came))

        came = self._fired(self.when(equals, times=times, **predicates), timeout)
        return came.addErrback(fail)

    def _fired(self, future: "Future[T]", timeout: float) -> Deferred[T]:
        """Give a Deferred of *future*, which may take so long."""
        # Without a canceller: a Deferred that was cancelled takes one result, and drops it.
        fired: Deferred[T] = Deferred()

        def fire(_: object) -> None:
            # A turn later: the server is in the midst of answering.
            self._reactor.callLater(0, lambda: fired.callback(future.result()))

        future.add_done_callback(fire)
        return fired.addTimeout(timeout, self._reactor)

    def verify(self, timeout: float = PATIENCE) -> Deferred[None]:
        """
        Assert that all that was expected came, and nothing else.

        While a client is connected, what is missing is waited for, *timeout* seconds at most.

        :returns: fails with an AssertionError if it is not so; the message tells the conversation.
        """
        return Deferred.fromCoroutine(self._verify_all(timeout))

    async def _verify_all(self, timeout: float) -> None:
        await when_read(self._reactor, PATIENCE)
        await self._turns()
        with suppress(defer.TimeoutError):
            await self._fired(self._watch.until(lambda: self._is_settled), timeout)
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
        finally:
            await self.stop()


def _deferred(result: Any) -> Deferred[Any]:
    """Give a Deferred; a port that has stopped at once gives None."""
    deferred: Deferred[Any] = Deferred()
    if isinstance(result, Deferred):
        return result
    deferred.callback(result)
    return deferred
