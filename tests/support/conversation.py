"""Conversation: a test case with a server in memory, its clients and an observer."""

from typing import Any

from twisted.internet import tcp
from twisted.internet.interfaces import IAddress
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from reqresp import (
    Exchange,
    Exchanges,
    Line,
    Observer,
    ReqRespFactory,
)
from reqresp.framing import Unfinished
from tests.support.wire import FakeReactor, Wire


class Heard(Observer):
    """Records every event."""

    def __init__(self) -> None:
        self.requests: list[list[bytes]] = []
        self.exchanges: list[Exchange] = []
        self.batches: list[int] = []
        self.failures: list[Failure] = []
        self.unfinished: list[Unfinished] = []
        self.events: list[str] = []

    def connected(self, peer: IAddress, connection: int) -> None:
        self.events.append("connected")

    def received(self, peer: IAddress, connection: int, requests: Any) -> None:
        self.events.append("received")
        self.requests.append(list(requests))

    def answered(self, exchanges: Exchanges) -> None:
        self.events.append("answered")
        self.batches.append(len(exchanges))
        self.exchanges += exchanges

    def failed(self, peer: IAddress, connection: int, failure: Failure) -> None:
        self.events.append("failed")
        self.failures.append(failure)

    def incomplete(self, peer: IAddress, connection: int, request: Unfinished) -> None:
        self.events.append("incomplete")
        self.unfinished.append(request)

    def disconnected(self, peer: IAddress, connection: int, reason: Failure) -> None:
        self.events.append("disconnected")


class Conversation(SynchronousTestCase):
    """Has a server on its own reactor, and clients connected to it."""

    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.heard = Heard()

    def factory(self, respond: Any = None, **options: Any) -> ReqRespFactory:
        options.setdefault("observers", [self.heard])
        return ReqRespFactory(respond, clock=self.reactor, **options)

    #: The class of the server's transport: Twisted's, or ours.
    transport: type[tcp.Server] = tcp.Server

    def connect(self, respond: Any = None, **options: Any) -> Wire:
        return self.join(self.factory(respond, **options))

    def join(self, factory: Any, host: str = "127.0.0.1") -> Wire:
        """Connect another client to *factory*."""
        return Wire(factory, self.reactor, host, self.transport)

    def lines(self, respond: Any, **options: Any) -> Wire:
        return self.connect(respond, framing=Line(), **options)
