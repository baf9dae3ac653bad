"""
Observers of the randomized model: one checks the order of events, one raises.
"""

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.interfaces import IAddress
from twisted.python.failure import Failure

from reqresp import Exchanges, Observer, Unasked


class RecordingObserver(Observer):
    """Records the events of each connection, and checks their order."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self.connections: dict[int, RecordedConnection] = {}
        self.problems: list[str] = []

    def connected(self, peer: IAddress, connection: int) -> None:
        if connection != len(self.connections) + 1:
            self.problems.append(f"connection {connection} after {len(self.connections)}")
        self.connections[connection] = RecordedConnection()

    def sent(self, peer: IAddress, connection: int, data: bytes, by: Unasked) -> None:
        self._of(connection, by.value)

    def received(self, peer: IAddress, connection: int, requests: Sequence[bytes]) -> None:
        self._of(connection, "received").received += requests

    def answered(self, exchanges: Exchanges) -> None:
        record = self._of(exchanges.connection, "answered")
        if exchanges.first != len(record.answered) + 1:
            self.problems.append(f"answered {exchanges.first} after {len(record.answered)}")
        for exchange in exchanges:
            record.answered.append(exchange.steps)
            number = len(record.answered)
            if exchange.request.number != number:
                self.problems.append(f"request {exchange.request.number} answered as {number}")
            if record.received[number - 1 : number] != [exchange.request.data]:
                self.problems.append(f"request {number} was answered before it was received")

    def failed(self, peer: IAddress, connection: int, failure: Failure) -> None:
        self._of(connection, "failed").failures.append(failure)

    def disconnected(self, peer: IAddress, connection: int, reason: Failure) -> None:
        self._of(connection, "disconnected").gone_at = self.now()

    def _of(self, connection: int, event: str) -> "RecordedConnection":
        record = self.connections.get(connection)
        if record is None:
            self.problems.append(f"{connection}: {event} before connected")
            return RecordedConnection()
        if record.gone_at is not None:
            self.problems.append(f"{connection}: {event} after disconnected")
        if record.failures and event != "disconnected":
            self.problems.append(f"{connection}: {event} after failed")
        return record


class RecordedConnection:
    """The events of one connection."""

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self.answered: list[Any] = []
        self.failures: list[Failure] = []
        self.gone_at: float | None = None
        #: How many of these have been compared with the model.
        self.checked = self.checked_replies = 0


class ObserverError(Exception):
    """The error that an observer raises on purpose."""


class Raising(Observer):
    """Raises an error at each event."""

    def received(self, peer: IAddress, connection: int, requests: Sequence[bytes]) -> None:
        raise ObserverError

    def answered(self, exchanges: Exchanges) -> None:
        raise ObserverError

    def disconnected(self, peer: IAddress, connection: int, reason: Failure) -> None:
        raise ObserverError


class Acting(Observer):
    """Calls *act* at each event, while the connection is at work."""

    def __init__(self, act: Callable[[], object]) -> None:
        self._act = act

    def received(self, peer: IAddress, connection: int, requests: Sequence[bytes]) -> None:
        self._act()

    def answered(self, exchanges: Exchanges) -> None:
        self._act()

    def disconnected(self, peer: IAddress, connection: int, reason: Failure) -> None:
        self._act()
