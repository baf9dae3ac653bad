"""The factory embedded in an application with a running reactor, and Twisted's clients."""

from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest_twisted  # type: ignore[import-untyped]
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import clientFromString, connectProtocol, serverFromString
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from reqresp import (
    Abort,
    Close,
    Limits,
    Line,
    Netstring,
    Observer,
    ReqRespFactory,
    Request,
    Send,
    Wait,
)

#: Seconds that anything waits for at most.
PATIENCE = 60


def live(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """Run a test on the reactor that pytest-twisted runs."""
    run: Callable[[], None] = pytest_twisted.ensureDeferred(test)
    return run


class Client(Protocol):
    """A client that records what it receives, and waits for a number of bytes or for the end."""

    transport: Any

    def __init__(self) -> None:
        self.received = bytearray()
        self.lost: Deferred[BaseException | None] = Deferred()
        self._enough: tuple[int, Deferred[None]] | None = None

    def dataReceived(self, data: bytes) -> None:
        self.received += data
        self._tell()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        # As a value: a failure would be one of the test.
        self.lost.callback(reason.value)

    def _tell(self) -> None:
        if self._enough is not None and len(self.received) >= self._enough[0]:
            (_size, told), self._enough = self._enough, None
            told.callback(None)

    async def ask(self, data: bytes, size: int) -> bytes:
        """Send *data*; return *size* bytes."""
        from twisted.internet import reactor

        told: Deferred[None] = Deferred()
        self._enough = size, told
        self.transport.write(data)
        self._tell()
        await told.addTimeout(PATIENCE, reactor)
        reply = bytes(self.received[:size])
        del self.received[:size]
        return reply

    async def end(self) -> BaseException | None:
        """Wait until the connection is lost; return the reason."""
        from twisted.internet import reactor

        return await self.lost.addTimeout(PATIENCE, reactor)


class Serving:
    """A factory that listens, and its clients."""

    def __init__(self, factory: ReqRespFactory, port: Any) -> None:
        self.factory = factory
        self.port = port
        self._clients: list[Client] = []

    async def connect(self) -> Client:
        """Return a new client."""
        from twisted.internet import reactor

        where = clientFromString(reactor, f"tcp:127.0.0.1:{self.port.getHost().port}")
        client: Client = await connectProtocol(where, Client())
        self._clients.append(client)
        return client

    async def close(self) -> None:
        """Stop listening, end all connections, and wait for their end on both sides."""
        await self.port.stopListening()
        drained = self.factory.drain(0)
        for client in self._clients:
            if not client.lost.called:
                client.transport.abortConnection()
                await client.end()
        await drained


@asynccontextmanager
async def serving(respond: Any = None, **options: Any) -> AsyncIterator[Serving]:
    """Serve with *respond* and the other *options* of the factory, on a free port."""
    from twisted.internet import reactor

    factory = ReqRespFactory(respond, **options)
    port = await serverFromString(reactor, "tcp:0:interface=127.0.0.1").listen(factory)
    running = Serving(factory, port)
    try:
        yield running
    finally:
        await running.close()


@live
async def test_a_factory_without_arguments_answers() -> None:
    """A factory without arguments answers every request with ``response``."""
    async with serving() as it:
        client = await it.connect()
        assert await client.ask(b"request", 8) == b"response"
        assert await client.ask(b"close", 8) == b"response"
        assert isinstance(await client.end(), ConnectionDone)


@live
async def test_request_tells_who_asks() -> None:
    """A request knows its bytes, its peer, and the numbers of its connection and its own."""
    asked: list[Request] = []

    def respond(request: Request) -> bytes:
        asked.append(request)
        return b"%d.%d" % (request.connection, request.number)

    async with serving(respond, framing=Line()) as it:
        one, two = await it.connect(), await it.connect()
        replies = [await one.ask(b"a\nb\n", 10), await two.ask(b"c\n", 5)]
        peers = [client.transport.getHost() for client in (one, one, two)]
        assert sorted(b"".join(replies).split()) in (
            [b"1.1", b"1.2", b"2.1"],
            [b"1.1", b"2.1", b"2.2"],
        )
    assert [request.data for request in asked] == [b"a", b"b", b"c"]
    assert [request.peer for request in asked] == peers
    assert all(isinstance(request.peer, IPv4Address) for request in asked)


@live
async def test_late_reply_is_not_overtaken() -> None:
    """Replies are sent in the order of their requests, however long one takes."""
    from twisted.internet import reactor

    async def respond(request: Request) -> bytes:
        if request.number == 1:
            await deferLater(reactor, 0.05)
        return request.data

    async with serving(respond, framing=Netstring()) as it:
        client = await it.connect()
        assert await client.ask(b"4:slow,4:fast,", 14) == b"4:slow,4:fast,"


@live
async def test_one_clients_wait_is_no_others() -> None:
    """While one client waits for its reply, another gets its own."""
    reply: Deferred[bytes] = Deferred()

    async with serving(lambda request: reply if request.data == b"late" else b"soon") as it:
        late, soon = await it.connect(), await it.connect()
        late.transport.write(b"late")
        assert await soon.ask(b"soon", 4) == b"soon"
        assert bytes(late.received) == b""
        reply.callback(b"here")
        assert await late.ask(b"", 4) == b"here"


@live
async def test_steps() -> None:
    """Steps are performed in their order."""

    def respond(_request: Request) -> object:
        return Send(b"one"), Wait(0.01), b"two", Close(), b"never"

    async with serving(respond) as it:
        client = await it.connect()
        assert await client.ask(b"request", 6) == b"onetwo"
        assert isinstance(await client.end(), ConnectionDone)
        assert bytes(client.received) == b""


@live
async def test_abort() -> None:
    """An abort resets the connection; what was sent before it arrives."""
    async with serving(lambda _request: (b"before", Abort())) as it:
        client = await it.connect()
        assert await client.ask(b"request", 6) == b"before"
        assert isinstance(await client.end(), ConnectionLost)


@live
async def test_hundred_clients_at_once() -> None:
    """Each of a hundred clients gets its own replies when all send at the same time."""
    async with serving(lambda request: request.data[::-1], framing=Line()) as it:
        clients = [await it.connect() for _ in range(100)]
        asking = [
            Deferred.fromCoroutine(client.ask(b"%03d\nabc\n" % number, 10))
            for number, client in enumerate(clients)
        ]
        replies = await gatherResults(asking)
        assert replies == [b"%b\r\ncba\r\n" % (b"%03d" % number)[::-1] for number in range(100)]


@live
async def test_observers_hear_of_a_life() -> None:
    """An observer is notified of connections, requests, replies and disconnections."""
    heard: list[object] = []

    class Ear(Observer):
        def connected(self, peer: IAddress, connection: int) -> None:
            heard.append(("connected", connection))

        def received(self, peer: IAddress, connection: int, requests: Sequence[bytes]) -> None:
            heard.append(("received", connection, [*requests]))

        def answered(self, exchanges: Any) -> None:
            heard.append(("answered", [exchange.steps for exchange in exchanges]))

        def disconnected(self, peer: IAddress, connection: int, reason: Failure) -> None:
            heard.append(("disconnected", connection))

    async with serving(framing=Line(), observers=[Ear()]) as it:
        client = await it.connect()
        assert await client.ask(b"a\nb\n", 20) == b"response\r\n" * 2
    assert heard == [
        ("connected", 1),
        ("received", 1, [b"a", b"b"]),
        ("answered", [(Send(b"response"),)] * 2),
        ("disconnected", 1),
    ]


@live
async def test_limit_resets_who_comes_too_late() -> None:
    """A client over the limit is reset and counted; clients within it are still served."""
    async with serving(limits=Limits(max_connections=1)) as it:
        client = await it.connect()
        assert await client.ask(b"request", 8) == b"response"
        other = await it.connect()
        assert isinstance(await other.end(), ConnectionLost)
        assert it.factory.refused == 1
        assert await client.ask(b"request", 8) == b"response"


@live
async def test_drain() -> None:
    """``drain`` waits until the pending reply has been sent."""
    reply: Deferred[bytes] = Deferred()
    asked: Deferred[None] = Deferred()

    def respond(_request: Request) -> Deferred[bytes]:
        asked.callback(None)
        return reply

    async with serving(respond) as it:
        client, idle = await it.connect(), await it.connect()
        client.transport.write(b"request")
        await asked
        drained = it.factory.drain(PATIENCE)
        # The idle one is closed at once.
        assert isinstance(await idle.end(), ConnectionDone)
        assert not drained.called
        reply.callback(b"late")
        assert isinstance(await client.end(), ConnectionDone)
        assert bytes(client.received) == b"late"
        await drained


@live
async def test_drain_gives_up() -> None:
    """A connection that is still busy after the time to drain is reset."""
    asked: Deferred[None] = Deferred()

    def respond(_request: Request) -> Deferred[bytes]:
        asked.callback(None)
        return Deferred()

    async with serving(respond) as it:
        client = await it.connect()
        client.transport.write(b"request")
        await asked
        await it.factory.drain(0.01)
        assert isinstance(await client.end(), ConnectionLost)
