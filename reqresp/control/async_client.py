"""
AsyncControlClient: the methods of `ControlClient` as coroutines, for asyncio.

Each call waits in a thread of asyncio, so that the event loop and its clients go on.
"""

import asyncio
from collections.abc import Callable, Coroutine, Generator, Mapping
from functools import wraps
from types import TracebackType
from typing import Any, Concatenate, Literal, ParamSpec, Self, TypeVar, Unpack

from reqresp.control._remote_expectation import RemoteExpectation
from reqresp.control.client import (
    CALLER,
    ControlClient,
    RemoteFault,
    expectation_table,
)
from reqresp.control.client_connections import RemoteConnection
from reqresp.expectations.caller import calling_line
from reqresp.expectations.futures import AwaitableFuture
from reqresp.script.rule_parts import PayloadLike, PayloadsLike, PredicateArguments
from reqresp.steps import Request

T = TypeVar("T")
P = ParamSpec("P")

# pytest shows the line of the test that called, and no frame of this module.
__tracebackhide__ = True


async def _in_thread(function: Callable[..., T], *arguments: Any, **keywords: Any) -> T:
    """Return what *function* returns, called in a thread on behalf of this line of the test."""
    token = CALLER.set(calling_line())
    try:
        return await asyncio.to_thread(function, *arguments, **keywords)
    finally:
        CALLER.reset(token)


def _coroutine(
    method: Callable[Concatenate[ControlClient, P], T],
) -> Callable[Concatenate["AsyncControlClient", P], Coroutine[Any, Any, T]]:
    """Return *method* as a coroutine of `AsyncControlClient`."""

    @wraps(method)
    async def call(self: "AsyncControlClient", /, *arguments: P.args, **keywords: P.kwargs) -> T:
        return await _in_thread(method, self._client, *arguments, **keywords)

    return call


class AsyncExpectation(RemoteExpectation):
    """An expectation that is added when it is awaited: ``await client.on("STAT").reply("+OK")``."""

    def __init__(
        self, table: Mapping[str, Any], add: Callable[[Mapping[str, Any]], object]
    ) -> None:
        super().__init__(table, lambda _table, _method: None)
        self._add_table = add

    def __await__(self) -> Generator[Any, None, object]:
        return _in_thread(self._add_table, self.table()).__await__()


class AsyncFault:
    """
    A fault of a service; made by `AsyncControlClient.fault`.

    As an asynchronous context manager, it removes itself at the end of the block.
    """

    def __init__(self, fault: RemoteFault) -> None:
        self._fault = fault

    @property
    def name(self) -> str:
        """Its name, which no other fault of the service has."""
        return self._fault.name

    async def change(self, **parameters: Any) -> None:
        """Change *parameters*, as `RemoteFault.change` does."""
        await _in_thread(self._fault.change, **parameters)

    async def remove(self) -> None:
        """Remove it; what it holds is sent on.  Do nothing if it was removed."""
        await _in_thread(self._fault.remove)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.remove()


class AsyncConnection:
    """A connection of a client; made by `AsyncControlClient.connections`."""

    def __init__(self, connection: RemoteConnection) -> None:
        self._connection = connection
        #: Its number; the first of a service is 1.
        self.number = connection.number
        #: The client's address.
        self.peer = connection.peer
        #: When it was opened, in seconds since the epoch.
        self.since = connection.since

    async def is_open(self) -> bool:
        """Return whether the client is connected."""
        return await _in_thread(lambda: self._connection.is_open)

    async def requests(self) -> list[Request]:
        """Return the requests that came on it so far."""
        return await _in_thread(lambda: self._connection.requests)

    async def send(self, *payloads: PayloadLike, raw: Literal[True]) -> None:
        """Send *payloads* to the client now, as `RemoteConnection.send` does."""
        await _in_thread(self._connection.send, *payloads, raw=raw)

    async def close(self) -> None:
        """Close it after what was sent is delivered; do nothing if it is closed."""
        await _in_thread(self._connection.close)

    async def abort(self) -> None:
        """Reset it now; do nothing if it is closed."""
        await _in_thread(self._connection.abort)


class AsyncControlClient:
    """
    A service of a process that runs with ``--control``, for asyncio.

    The parameters and the methods are those of `ControlClient`.
    """

    def __init__(
        self, url: str = "http://127.0.0.1:8474", service: str = "default", token: str | None = None
    ) -> None:
        self._client = ControlClient(url, service, token)

    @property
    def service(self) -> str:
        """The name of the service."""
        return self._client.service

    async def addresses(self) -> list[str]:
        """Return where the service listens, such as ``127.0.0.1:2525``."""
        return await _in_thread(lambda: self._client.addresses)

    reset = _coroutine(ControlClient.reset)
    clear = _coroutine(ControlClient.clear)

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

    def _expect(
        self,
        kind: str,
        equals: PayloadsLike | None,
        predicates: Mapping[str, Any],
        times: int | None,
    ) -> AsyncExpectation:
        table = expectation_table(kind, equals, predicates, times)
        return AsyncExpectation(table, self._client.add)

    requests = _coroutine(ControlClient.requests)
    wait_for = _coroutine(ControlClient.wait_for)
    assert_received = _coroutine(ControlClient.assert_received)
    verify = _coroutine(ControlClient.verify)
    entries = _coroutine(ControlClient.entries)

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
        return [AsyncConnection(it) for it in await _in_thread(lambda: self._client.connections)]

    async def fault(
        self, kind: str, *, stream: str = "downstream", name: str | None = None, **parameters: Any
    ) -> AsyncFault:
        """Let something go wrong, as `ControlClient.fault` does."""
        made = await _in_thread(
            lambda: self._client.fault(kind, stream=stream, name=name, **parameters)
        )
        return AsyncFault(made)

    async def faults(self) -> list[dict[str, Any]]:
        """Return what goes wrong at present, in the order in which it applies."""
        return await _in_thread(lambda: self._client.faults)
