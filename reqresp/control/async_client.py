"""
AsyncControlClient: the methods of `ControlClient` as coroutines, for asyncio.
"""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import wraps
from threading import Event
from types import MappingProxyType
from typing import Any, Concatenate, ParamSpec, TypeVar, Unpack

from reqresp.control._remote_answer import as_predicates, expectation_table, timer
from reqresp.control.async_objects import (
    AsyncConnection,
    AsyncExpectation,
    AsyncFault,
    AsyncHeldRequest,
    in_thread,
)
from reqresp.control.client import ASSERT_TIMEOUT, ControlClient
from reqresp.exchanges import Exchange
from reqresp.expectations.caller import calling_line
from reqresp.expectations.futures import AwaitableFuture
from reqresp.expectations.unused import UnusedAction
from reqresp.faults import Direction, Fault
from reqresp.script.rule_parts import PayloadLike, PayloadsLike, PredicateArguments
from reqresp.steps import Request

T = TypeVar("T")
P = ParamSpec("P")

# pytest shows the line of the test that called, and no frame of this module.
__tracebackhide__ = True


def _coroutine(
    method: Callable[Concatenate[ControlClient, P], T],
) -> Callable[Concatenate["AsyncControlClient", P], Coroutine[Any, Any, T]]:
    """Return *method* as a coroutine of `AsyncControlClient`."""

    @wraps(method)
    async def call(self: "AsyncControlClient", /, *arguments: P.args, **keywords: P.kwargs) -> T:
        return await in_thread(method, self._client, *arguments, **keywords)

    return call


class AsyncControlClient:
    """
    A service of a process that runs with ``--control``, for asyncio.

    The parameters and the methods are those of `ControlClient`.
    """

    def __init__(
        self, url: str = "http://127.0.0.1:8474", service: str = "default", token: str | None = None
    ) -> None:
        self._client = ControlClient(url, service, token)
        self._unsent: dict[object, str] = {}

    @property
    def service(self) -> str:
        """The name of the service."""
        return self._client.service

    async def addresses(self) -> list[str]:
        """Return where the service listens, such as ``127.0.0.1:2525``."""
        return await in_thread(lambda: self._client.addresses)

    async def reset(self) -> None:
        """Make the service as it was at the start: between two tests."""
        self._unsent.clear()
        await in_thread(self._client.reset)

    start = _coroutine(ControlClient.start)
    stop = _coroutine(ControlClient.stop)
    accepting = _coroutine(ControlClient.accepting)
    disconnect_all = _coroutine(ControlClient.disconnect_all)

    async def clear(self, *expectations: AsyncExpectation) -> None:
        """Remove *expectations*, or all, as `ControlClient.clear` does."""
        if not expectations:
            self._unsent.clear()
            await in_thread(self._client.clear)
        for it in expectations:
            await in_thread(self._client._expectations.remove, it, it.number)

    def on(
        self, equals: PayloadsLike | None = None, **predicates: Unpack[PredicateArguments]
    ) -> AsyncExpectation:
        """Answer matching requests, any number of them, once this is awaited."""
        return self._expect("on", equals, predicates, None)

    def expect(
        self,
        equals: PayloadsLike | None = None,
        *,
        times: int = 1,
        **predicates: Unpack[PredicateArguments],
    ) -> AsyncExpectation:
        """Expect a matching request this number of *times*, once this is awaited."""
        return self._expect("expect", equals, predicates, times)

    def expect_next(
        self,
        equals: PayloadsLike | None = None,
        *,
        times: int = 1,
        **predicates: Unpack[PredicateArguments],
    ) -> AsyncExpectation:
        """Expect a matching request after those of earlier calls, once this is awaited."""
        return self._expect("expect_next", equals, predicates, times)

    def on_event(
        self, event: str, *, when: str | Sequence[str] = "*", times: int | None = None
    ) -> AsyncExpectation:
        """Answer an event, as `ControlClient.on_event` does, once this is awaited."""
        trigger = {"on": event}
        return self._expect("on", None, {"when": when}, times, trigger)

    def every(
        self,
        seconds: float,
        *,
        jitter: float = 0.0,
        when: str | Sequence[str] = "*",
        times: int | None = None,
    ) -> AsyncExpectation:
        """Send again and again, as `ControlClient.every` does, once this is awaited."""
        trigger = timer(seconds, jitter)
        return self._expect("on", None, {"when": when}, times, trigger)

    def _expect(
        self,
        kind: str,
        equals: PayloadsLike | None,
        predicates: Mapping[str, Any],
        times: int | None,
        trigger: Mapping[str, Any] = MappingProxyType({}),
    ) -> AsyncExpectation:
        where = calling_line()
        table = expectation_table(kind, equals, predicates, times, where, trigger)
        return AsyncExpectation(table, where, self._client._expectations, self._unsent)

    async def when_held(
        self, equals: PayloadsLike | None = None, **predicates: Unpack[PredicateArguments]
    ) -> AsyncHeldRequest:
        """Return the next request that waits for the test, as `ControlClient.when_held` does."""
        wanted = as_predicates(equals, predicates)
        await in_thread(self._client._expectations.hold_any)
        return AsyncHeldRequest(await self._client._when_held(wanted))

    async def next_request(
        self,
        equals: PayloadsLike | None = None,
        *,
        timeout: float = ASSERT_TIMEOUT,
        **predicates: Unpack[PredicateArguments],
    ) -> AsyncHeldRequest:
        """Return the next request that waits for the test, as `ControlClient.next_request` does."""
        left = Event()  # without the result: then no request is given
        try:
            found = await in_thread(
                self._client._next_request, equals, predicates, timeout, lambda: not left.is_set()
            )
        finally:
            left.set()
        return AsyncHeldRequest(found)

    requests = _coroutine(ControlClient.requests)
    wait_for = _coroutine(ControlClient.wait_for)
    assert_received = _coroutine(ControlClient.assert_received)
    entries = _coroutine(ControlClient.entries)
    conversation = _coroutine(ControlClient.conversation)
    problems = _coroutine(ControlClient.problems)
    report = _coroutine(ControlClient.report)
    assert_no_open_connections = _coroutine(ControlClient.assert_no_open_connections)

    async def verify(
        self, timeout: float | None = None, *, strict: bool = True, unused: UnusedAction = "warn"
    ) -> None:
        """
        Assert that every expectation is met, as `ControlClient.verify` does.

        :raises RuntimeError: an expectation was not awaited, so the server does not have it.
        """
        if self._unsent:
            raise RuntimeError(
                "expected await before each expectation; these were not awaited, so the server does"
                f" not have them: {', '.join(self._unsent.values())}"
            )
        await in_thread(self._client.verify, timeout, strict=strict, unused=unused)

    async def exchanges(self) -> list[Exchange]:
        """Return the requests that have been answered so far, with their replies."""
        return await in_thread(lambda: self._client.exchanges)

    def when(
        self,
        equals: PayloadsLike | None = None,
        *,
        times: int = 1,
        **predicates: Unpack[PredicateArguments],
    ) -> AwaitableFuture[list[Request]]:
        """Return a future to await, as `ControlClient.when` does."""
        return self._client.when(equals, times=times, **predicates)

    async def connections(self) -> list[AsyncConnection]:
        """Return the connections that are open at present, by their numbers."""
        found = await in_thread(lambda: [*self._client.connections])
        return [AsyncConnection(it) for it in found]

    async def push(self, *payloads: PayloadLike, connection: int, raw: bool = False) -> None:
        """Send *payloads* to the connection with this number, as `AsyncConnection.send` does."""
        await in_thread(self._client.push, *payloads, connection=connection, raw=raw)

    async def broadcast(self, *payloads: PayloadLike, to: str = "all", raw: bool = False) -> int:
        """Send *payloads* to clients; return to how many, as `RemoteConnections.broadcast` does."""
        return await in_thread(self._client.broadcast, *payloads, to=to, raw=raw)

    async def wait_for_connection(
        self, times: int = 1, *, timeout: float = ASSERT_TIMEOUT
    ) -> AsyncConnection:
        """Return the connection with this number, as `ControlClient.wait_for_connection` does."""
        found = await in_thread(self._client.wait_for_connection, times, timeout=timeout)
        return AsyncConnection(found)

    async def wait_for_close(
        self, connection: AsyncConnection | None = None, *, timeout: float = ASSERT_TIMEOUT
    ) -> None:
        """Wait until *connection* is closed, or all, as `ControlClient.wait_for_close` does."""
        wanted = None if connection is None else connection._connection
        await in_thread(self._client.wait_for_close, wanted, timeout=timeout)

    async def fault(
        self,
        kind: str | Fault,
        *,
        stream: str | Direction | None = None,
        on: str | None = None,
        name: str | None = None,
        **parameters: Any,
    ) -> AsyncFault:
        """Let something go wrong, as `ControlClient.fault` does."""
        made = await in_thread(
            lambda: self._client.fault(kind, stream=stream, on=on, name=name, **parameters)
        )
        return AsyncFault(made)

    async def faults(self) -> tuple[AsyncFault, ...]:
        """Return what goes wrong at present, in the order in which it applies."""
        found = await in_thread(lambda: self._client.faults)
        return tuple(map(AsyncFault, found))
