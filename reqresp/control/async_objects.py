"""
The objects of `AsyncControlClient`: expectations, connections, faults and requests that wait.

Each call waits in a thread of asyncio, so that the event loop and its clients go on.
"""

import asyncio
import warnings
from collections.abc import Callable, Generator, Mapping, MutableMapping
from types import TracebackType
from typing import Any, Self, TypeVar

from twisted.internet.interfaces import IAddress

from reqresp.control._remote_answer import RemoteAnswer
from reqresp.control._service_api import CALLER
from reqresp.control.client_connections import RemoteConnection
from reqresp.control.client_expectations import RemoteExpectations
from reqresp.control.client_faults import RemoteFault
from reqresp.control.client_held import RemoteHeldRequest
from reqresp.expectations.caller import calling_line, calling_place
from reqresp.faults import Fault
from reqresp.script.rule_parts import PayloadLike
from reqresp.steps import Request, Step

T = TypeVar("T")

# pytest shows the line of the test that called, and no frame of this module.
__tracebackhide__ = True


async def in_thread(function: Callable[..., T], *arguments: Any, **keywords: Any) -> T:
    """Return what *function* returns, called in a thread on behalf of this line of the test."""
    token = CALLER.set(calling_line())
    try:
        return await asyncio.to_thread(function, *arguments, **keywords)
    finally:
        CALLER.reset(token)


class AsyncExpectation(RemoteAnswer):
    """
    An expectation that is added when it is awaited: ``await client.on("STAT").reply("+OK")``.

    If it is changed then, it is awaited again.  One that is never awaited is a RuntimeWarning, and
    an error of `AsyncControlClient.verify`.

    :param unsent: the expectations that are not awaited yet, as messages name them.
    """

    def __init__(
        self,
        table: Mapping[str, Any],
        where: str,
        all_: RemoteExpectations,
        unsent: MutableMapping[object, str],
    ) -> None:
        super().__init__(table, where)
        self._all = all_
        self._unsent = unsent
        self._token = object()
        self._place = calling_place()
        #: Its number at the server; None: it was not awaited yet.
        self.number: int | None = None
        self._changed(self.kind)

    def _changed(self, method: str) -> None:  # noqa: ARG002, the answer's
        self._unsent[self._token] = f"{self} ({self.where})"

    def __await__(self) -> Generator[Any, None, Self]:
        self._unsent.pop(self._token, None)
        return self._send().__await__()

    async def _send(self) -> Self:
        self.number = await in_thread(self._all.put, self.table(), self.number, self._method)
        return self

    def __del__(self) -> None:
        if self._token in self._unsent:
            text = f"{self._unsent[self._token]} was never awaited: the server does not have it"
            warnings.warn_explicit(text, RuntimeWarning, *self._place)

    async def count(self) -> int:
        """Return the number of requests that it has answered; 0 if it was removed."""
        return await in_thread(self._all.count, self.number)

    async def is_met(self) -> bool:
        """Return whether it has answered as many requests as are expected."""
        return await self.count() >= (self.times or 0)


class AsyncHeldRequest:
    """A request whose client waits until the test answers it."""

    def __init__(self, held: RemoteHeldRequest) -> None:
        self._held = held

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.data!r}, connection {self.connection}>"

    @property
    def request(self) -> Request:
        """The request as it came."""
        return self._held.request

    @property
    def data(self) -> bytes:
        """Its bytes, without the framing."""
        return self._held.data

    @property
    def connection(self) -> int:
        """The number of its connection."""
        return self._held.connection

    @property
    def peer(self) -> IAddress:
        """The client's address."""
        return self._held.peer

    async def reply(
        self,
        *payloads: PayloadLike,
        raw: bool = False,
        to: str | None = None,
        **payload: str | bool,
    ) -> None:
        """Answer it with *payloads*, as `RemoteHeldRequest.reply` does."""
        await in_thread(self._held.reply, *payloads, raw=raw, to=to, **payload)

    async def answer(self, *steps: bytes | Step) -> None:
        """Answer it with bytes and *steps*, as `RemoteHeldRequest.answer` does."""
        await in_thread(self._held.answer, *steps)


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

    @property
    def stream(self) -> str:
        """Where it applies: ``upstream``, ``downstream`` or ``connection``."""
        return self._fault.stream

    async def fault(self) -> Fault:
        """Return what goes wrong, with the parameters that it has now, as `RemoteFault.fault`."""
        return await in_thread(lambda: self._fault.fault)

    async def change(self, **parameters: Any) -> None:
        """Change *parameters*, as `RemoteFault.change` does."""
        await in_thread(self._fault.change, **parameters)

    async def remove(self) -> None:
        """Remove it; what it holds is sent on.  Do nothing if it was removed."""
        await in_thread(self._fault.remove)

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
    """A connection of a client, open or closed; made by `AsyncControlClient.connections`."""

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
        return await in_thread(lambda: self._connection.is_open)

    async def requests(self) -> list[Request]:
        """Return the requests that came on it so far."""
        return await in_thread(lambda: self._connection.requests)

    async def state(self) -> str:
        """Return the state of its conversation, as `RemoteConnection.state` does."""
        return await in_thread(lambda: self._connection.state)

    async def send(self, *payloads: PayloadLike, raw: bool = False) -> None:
        """Send *payloads* to the client now, as `RemoteConnection.send` does."""
        await in_thread(self._connection.send, *payloads, raw=raw)

    async def close(self) -> None:
        """Close it after what was sent is delivered; do nothing if it is closed."""
        await in_thread(self._connection.close)

    async def abort(self) -> None:
        """Reset it now; do nothing if it is closed."""
        await in_thread(self._connection.abort)
