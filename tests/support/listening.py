"""Endpoints and ports that listen on nothing, and what is logged meanwhile."""

from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IStreamServerEndpoint
from twisted.logger import ILogObserver, LogLevel, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer, provider


def text_of(event: Any) -> str:
    """Return the text of a logged event."""
    text: str = event["log_format"].format(**event)
    return text


class FakePort:
    """A port that closes when *closed* fires."""

    def __init__(self, closed: "Deferred[None] | None" = None, host: str = "127.0.0.1") -> None:
        self.open = True
        self.closed = closed
        self.host = host

    def getHost(self) -> IPv4Address | IPv6Address:
        kind = IPv6Address if ":" in self.host else IPv4Address
        return kind("TCP", self.host, 9999)

    def stopListening(self) -> "Deferred[None] | None":
        self.open = False
        return self.closed


@implementer(IStreamServerEndpoint)
class FakeEndpoint:
    """An endpoint whose `listen` has this *result*, and records the factory."""

    def __init__(self, result: Any) -> None:
        self.result = result
        self.factories: list[Any] = []

    def listen(self, protocolFactory: Any) -> "Deferred[Any]":  # noqa: N803, the interface names it
        self.factories.append(protocolFactory)
        if isinstance(self.result, FakePort):
            return succeed(self.result)
        if isinstance(self.result, Deferred):
            return self.result
        if callable(self.result):
            raise self.result()
        return fail(self.result)


def logged_events(test: SynchronousTestCase, least: Any = LogLevel.error) -> list[Any]:
    """Return the list of events of level *least* or above that are logged until *test* ends."""
    events: list[Any] = []

    @provider(ILogObserver)
    def note(event: Any) -> None:
        if event["log_level"] >= least:
            events.append(event)

    globalLogPublisher.addObserver(note)
    test.addCleanup(globalLogPublisher.removeObserver, note)
    return events
