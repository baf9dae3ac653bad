"""Fake processes, and a reactor that starts them."""

import os
import signal
import socket
from typing import Any

from twisted.internet.task import Clock


class FakeProcess:
    """
    A process that records commands and signals.

    :param stdin: the descriptor of the socket on which commands come.
    """

    def __init__(self, pid: int, stdin: int) -> None:
        self.pid = pid
        self.stdin = socket.socket(fileno=os.dup(stdin))
        self.signals: list[str] = []

    def commands(self) -> list[tuple[bytes, int]]:
        """Return the lines that have come, and how many descriptors came with each."""
        self.stdin.setblocking(False)
        found: list[tuple[bytes, int]] = []
        count = 0
        while True:
            try:
                byte, descriptors, _, _ = socket.recv_fds(self.stdin, 1, 10)
            except BlockingIOError:
                return found
            if not byte:
                return found
            for descriptor in descriptors:
                os.close(descriptor)
            count += len(descriptors)
            if not found or found[-1][0].endswith(b"\n"):
                found.append((b"", 0))
            found[-1] = (found[-1][0] + byte, count)
            if byte == b"\n":
                count = 0

    def signalProcess(self, number: str) -> None:  # noqa: N802, Twisted's name
        self.signals.append(number)


class SpawningReactor(Clock):
    """A clock that starts processes, or fails to."""

    def __init__(self) -> None:
        super().__init__()
        self.started: list[Any] = []
        self.processes: list[FakeProcess] = []
        self.masks: list[Any] = []
        self.error: OSError | None = None

    def spawnProcess(self, protocol: Any, *_: Any, **how: Any) -> None:  # noqa: N802, likewise
        self.masks.append(signal.pthread_sigmask(signal.SIG_BLOCK, ()))
        if self.error is not None:
            raise self.error
        self.started.append((protocol, how))
        process = FakeProcess(100 + len(self.started), how["childFDs"][0])
        self.processes.append(process)
        protocol.makeConnection(process)

    def close(self) -> None:
        """Close the sockets of all processes."""
        for process in self.processes:
            process.stdin.close()
        for protocol, _ in self.started:
            protocol.channel.close()
