"""
Observers of the randomized model: one that checks the order of events, and one that raises.
"""

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.interfaces import IAddress
from twisted.python.failure import Failure

from reqresp import Exchanges, Observer


class Heard(Observer):
    """Notes what a factory's observers are told, and checks the order."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self.connections: dict[int, HeardConnection] = {}
        self.problems: list[str] = []

    def connected(self, peer: IAddress, connection: int) -> None:
        if connection != len(self.connections) + 1:
            self.problems.append(f"connection {connection} after {len(self.connections)}")
        self.connections[connection] = HeardConnection()

    def received(self, peer: IAddress, connection: int, requests: Sequence[bytes]) -> None:
        self._of(connection, "received").received += requests

    def answered(self, exchanges: Exchanges) -> None:
        heard = self._of(exchanges.connection, "answered")
        if exchanges.first != len(heard.answered) + 1:
            self.problems.append(f"answered {exchanges.first} after {len(heard.answered)}")
        for exchange in exchanges:
            heard.answered.append(exchange.steps)
            number = len(heard.answered)
            if exchange.request.number != number:
                self.problems.append(f"request {exchange.request.number} answered as {number}")
            if heard.received[number - 1 : number] != [exchange.request.data]:
                self.problems.append(f"request {number} was answered before it was received")

    def failed(self, peer: IAddress, connection: int, failure: Failure) -> None:
        self._of(connection, "failed").failures.append(failure)

    def disconnected(self, peer: IAddress, connection: int, reason: Failure) -> None:
        self._of(connection, "disconnected").gone_at = self.now()

    def _of(self, connection: int, event: str) -> "HeardConnection":
        heard = self.connections.get(connection)
        if heard is None:
            self.problems.append(f"{connection}: {event} before connected")
            return HeardConnection()
        if heard.gone_at is not None:
            self.problems.append(f"{connection}: {event} after disconnected")
        if heard.failures and event != "disconnected":
            self.problems.append(f"{connection}: {event} after failed")
        return heard


class HeardConnection:
    """What observers were told of one connection."""

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self.answered: list[Any] = []
        self.failures: list[Failure] = []
        self.gone_at: float | None = None
        #: How many of these have been compared with the model.
        self.checked = self.checked_replies = 0


class ObserverError(Exception):
    """What an observer raises on purpose."""


class Raising(Observer):
    """Raises whatever it is told."""

    def received(self, peer: IAddress, connection: int, requests: Sequence[bytes]) -> None:
        raise ObserverError

    def answered(self, exchanges: Exchanges) -> None:
        raise ObserverError

    def disconnected(self, peer: IAddress, connection: int, reason: Failure) -> None:
        raise ObserverError
