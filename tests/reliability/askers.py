"""
Askers: the clients that have done nothing wrong, and are to notice nothing.

Each asks, waits for the reply, compares it and asks again; all in a thread of their own, so that a
scenario can be as nasty as it likes meanwhile.
"""

import selectors
import socket
import threading
import time
from array import array
from collections import deque
from types import TracebackType
from typing import Self

from tests.reliability.crowd import connect
from tests.reliability.serving import until
from tests.reliability.values import Figure, at_least, exactly, percentile, told
from tests.support.live import PATIENCE

REQUEST = b"request\n"
REPLY = b"response\r\n"
#: Milliseconds between an asker's requests, where the server is to have time for others.
CALM = 20
_TURN = 0.05


class Asker:
    """One of them."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.received = b""
        self.asked = 0.0


class Askers:
    """
    Clients that ask over and over; use them in a ``with``, which begins when each has a reply.

    :param depth: requests that each has on the way.
    :param pause: milliseconds from a reply to the next request.
    :param opening: what each sends before its first request.
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
    ) -> None:
        self.answered = 0
        #: What went wrong, a line for each time.
        self.wrong: list[str] = []
        self._depth = depth
        self._request = request * depth
        self._reply = reply * depth
        self._pause = pause / 1000
        self._opening = opening
        self._times = array("d")
        self._selector = selectors.DefaultSelector()
        self._askers = [Asker(connect(port)) for _ in range(count)]
        self._resting: deque[Asker] = deque()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def times(self) -> list[float]:
        """Give the seconds that each reply took since the last call."""
        times, self._times = self._times, array("d")
        return [*times]

    def figures(self) -> list[Figure]:
        """Judge what came of them: a reply for each at least, and none lost or wrong."""
        return [
            at_least("replies to the others", self.answered, len(self._askers)),
            exactly("replies to the others that were lost or wrong", len(self.wrong), 0),
        ]

    def timed_figures(self) -> list[Figure]:
        """Tell also how long nearly all of them took, of which nothing is promised."""
        slow = percentile([*self._times, 0.0], 99)
        return [told("p99 of the others", slow * 1000, "ms"), *self.figures()]

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
            self._hear(key.data)
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

    def _hear(self, asker: Asker) -> None:
        try:
            data = asker.socket.recv(64 * 1024)
        except OSError as error:
            self._lose(asker, str(error))
            return
        asker.received += data
        if asker.received == self._reply:
            self._count(asker)
        elif not data or not self._reply.startswith(asker.received):
            self._lose(asker, f"{bytes(asker.received[-80:])!r} where a reply belongs")

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
        """Let each have the reply it waits for, and ask no more."""
        self._ending.set()
        self._thread.join(PATIENCE)
        deadline = time.monotonic() + PATIENCE
        while self._waiting() and time.monotonic() < deadline:
            for key, _ in self._selector.select(_TURN):
                self._hear(key.data)
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
