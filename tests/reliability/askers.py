"""
Askers: the regular clients of a scenario, which must always get correct replies.

Each sends a request, waits for the reply, checks it, and repeats.  They run in a thread, beside the
scenario.
"""

import selectors
import socket
import threading
import time
from array import array
from collections import deque
from collections.abc import Callable
from ssl import SSLWantReadError
from types import TracebackType
from typing import Self

from tests.reliability.crowd import connect
from tests.reliability.serving import until
from tests.reliability.values import Figure, at_least, exactly, percentile, unbounded
from tests.support.live import PATIENCE

REQUEST = b"request\n"
REPLY = b"response\r\n"
#: The pause between the requests of a client that leaves the server time, in milliseconds.
CALM = 20
_TURN = 0.05


class Asker:
    """One regular client."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.received = b""
        self.asked = 0.0


class Askers:
    """
    Regular clients; a context manager that starts when each has a reply.

    :param depth: how many requests each sends without waiting.
    :param pause: the time from a reply to the next request, in milliseconds.
    :param opening: bytes that each sends before its first request.
    :param wrap: makes the socket that a client uses of its connected one.
    """

    def __init__(
        self,
        port: int,
        count: int = 50,
        *,
        depth: int = 1,
        pause: float = 0,
        request: bytes = REQUEST,
        reply: bytes = REPLY,
        opening: bytes = b"",
        wrap: Callable[[socket.socket], socket.socket] = lambda sock: sock,
    ) -> None:
        self.answered = 0
        #: The errors, one line for each.
        self.wrong: list[str] = []
        self._depth = depth
        self._request = request * depth
        self._reply = reply * depth
        self._pause = pause / 1000
        self._opening = opening
        self._times = array("d")
        self._selector = selectors.DefaultSelector()
        self._askers = [Asker(wrap(connect(port))) for _ in range(count)]
        self._resting: deque[Asker] = deque()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def times(self) -> list[float]:
        """Return the times of all replies since the last call, in seconds."""
        times, self._times = self._times, array("d")
        return [*times]

    def figures(self) -> list[Figure]:
        """Return figures: at least one reply for each client, and none lost or wrong."""
        return [
            at_least("replies to regular clients", self.answered, len(self._askers)),
            exactly("lost or wrong replies to regular clients", len(self.wrong), 0),
        ]

    def timed_figures(self) -> list[Figure]:
        """Return the same figures, and the 99th percentile of the times, without a bound."""
        slow = percentile([*self._times, 0.0], 99)
        return [unbounded("p99 of regular clients", slow * 1000, "ms"), *self.figures()]

    def _run(self) -> None:
        for asker in self._askers:
            asker.socket.setblocking(False)
            self._selector.register(asker.socket, selectors.EVENT_READ, asker)
            asker.socket.send(self._opening)
            self._ask(asker)
        while not self._ending.is_set():
            self._turn(self._until_next())

    def _until_next(self) -> float:
        if not self._resting:
            return _TURN
        return max(0.0, min(_TURN, self._resting[0].asked - time.perf_counter()))

    def _turn(self, patience: float) -> None:
        for key, _ in self._selector.select(patience):
            self._receive(key.data)
        now = time.perf_counter()
        while self._resting and self._resting[0].asked <= now:
            self._ask(self._resting.popleft())

    def _ask(self, asker: Asker) -> None:
        asker.received = b""
        asker.asked = time.perf_counter()
        try:
            asker.socket.send(self._request)
        except OSError as error:
            self._lose(asker, str(error))

    def _receive(self, asker: Asker) -> None:
        try:
            data = asker.socket.recv(64 * 1024)
        except SSLWantReadError:  # a part of a record
            return
        except OSError as error:
            self._lose(asker, str(error))
            return
        asker.received += data
        if asker.received == self._reply:
            self._count(asker)
        elif not data or not self._reply.startswith(asker.received):
            self._lose(asker, f"{bytes(asker.received[-80:])!r} instead of a reply")

    def _count(self, asker: Asker) -> None:
        now = time.perf_counter()
        self.answered += self._depth
        self._times.append(now - asker.asked)
        if not self._pause and not self._ending.is_set():
            self._ask(asker)
            return
        asker.asked = now + self._pause
        self._resting.append(asker)

    def _lose(self, asker: Asker, why: str) -> None:
        self.wrong.append(why)
        self._selector.unregister(asker.socket)
        asker.socket.close()

    def stop(self) -> None:
        """Wait for the last reply of each, and send no more requests."""
        self._ending.set()
        self._thread.join(PATIENCE)
        deadline = time.monotonic() + PATIENCE
        while self._waiting() and time.monotonic() < deadline:
            for key, _ in self._selector.select(_TURN):
                self._receive(key.data)
        self.wrong += ["no reply"] * self._waiting()

    def _waiting(self) -> int:
        standing = len(self._selector.get_map() or ())
        return standing - len(self._resting)

    def close(self) -> None:
        """Close all connections."""
        self._selector.close()
        for asker in self._askers:
            asker.socket.close()

    def __enter__(self) -> Self:
        self._thread.start()
        enough = self._depth * len(self._askers)
        until(lambda: self.answered >= enough or bool(self.wrong))
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.stop()
        self.close()
