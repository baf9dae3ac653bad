"""Fake processes, and a reactor that starts them."""

import signal
from typing import Any

from twisted.internet.task import Clock


class FakeProcess:
    """A process that records commands and signals."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.written: list[bytes] = []
        self.signals: list[str] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def signalProcess(self, number: str) -> None:  # noqa: N802, Twisted's name
        self.signals.append(number)


class SpawningReactor(Clock):
    """A clock that starts processes, or fails to."""

    def __init__(self) -> None:
        super().__init__()
        self.started: list[Any] = []
        self.masks: list[Any] = []
        self.error: OSError | None = None

    def spawnProcess(self, protocol: Any, *_: Any, **how: Any) -> None:  # noqa: N802, likewise
        self.masks.append(signal.pthread_sigmask(signal.SIG_BLOCK, ()))
        if self.error is not None:
            raise self.error
        self.started.append((protocol, how))
        protocol.makeConnection(FakeProcess(100 + len(self.started)))
