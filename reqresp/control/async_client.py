"""
AsyncControlClient: the methods of `ControlClient` as coroutines, for asyncio.

Each call waits in a thread of asyncio, so that the event loop and its clients go on.
"""

import asyncio
from collections.abc import Callable, Generator, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

from reqresp.control._remote_expectation import RemoteExpectation
from reqresp.control.client import (
    ASSERT_TIMEOUT,
    CALLER,
    ControlClient,
    RemoteFault,
    expectation_table,
)
from reqresp.expectations.caller import calling_line
from reqresp.script.rule_parts import PayloadsLike, PredicateArguments
from reqresp.steps import Request

T = TypeVar("T")

# pytest shows the line of the test that called, and no frame of this module.
__tracebackhide__ = True


async def _in_thread(function: Callable[..., T], *arguments: Any, **keywords: Any) -> T:
    """Return what *function* returns, called in a thread on behalf of this line of the test."""
    token = CALLER.set(calling_line())
    try:
        return await asyncio.to_thread(function, *arguments, **keywords)
    finally:
        CALLER.reset(token)


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

    async def reset(self) -> None:
        """Make the service as it was at the start: between two tests."""
        await _in_thread(self._client.reset)

    async def clear(self) -> None:
        """Remove all expectations, and forget what has come so far."""
        await _in_thread(self._client.clear)

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

    async def requests(
        self, equals: PayloadsLike | None = None, **predicates: Unpack[PredicateArguments]
    ) -> list[Request]:
        """Return the matching requests so far; without predicates, all."""
        return await _in_thread(self._client.requests, equals, **predicates)

    async def wait_for(
        self,
        equals: PayloadsLike | None = None,
        *,
        times: int = 1,
        timeout: float = ASSERT_TIMEOUT,
        **predicates: Unpack[PredicateArguments],
    ) -> list[Request]:
        """
        Wait until at least *times* matching requests have been received; return them.

        :param timeout: the number of seconds to wait at most.
        :raises AssertionError: fewer were received; the message has the requests.
        """
        return await _in_thread(
            lambda: self._client.wait_for(equals, times=times, timeout=timeout, **predicates)
        )

    async def assert_received(
        self,
        equals: PayloadsLike | None = None,
        *,
        times: int | None = None,
        timeout: float = ASSERT_TIMEOUT,
        **predicates: Unpack[PredicateArguments],
    ) -> None:
        """
        Assert that exactly *times* matching requests are received; None: at least one.

        :param timeout: the number of seconds to wait for them at most.
        :raises AssertionError: it is not so; the message has the requests.
        """
        await _in_thread(
            lambda: self._client.assert_received(equals, times=times, timeout=timeout, **predicates)
        )

    async def verify(self, timeout: float | None = None, *, strict: bool = True) -> None:
        """
        Assert that every expectation is met, and that nothing unexpected was received.

        :param timeout: the number of seconds to wait for missing requests at most, as for
            `ControlClient.verify`.
        :raises AssertionError: it is not so; the message has the conversation.
        """
        await _in_thread(self._client.verify, timeout, strict=strict)

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
