"""
Pipelining: clients that send numbered requests without waiting, until the server ends.

Knows sockets, and the replies of `SCRIPT`.
"""

import selectors
import socket
import time
from collections.abc import Callable, Sequence
from random import Random

from tests.reliability.crowd import connect
from tests.support.live import PATIENCE

#: A script that replies with the request.  Some replies are delayed, and later ones wait for them.
SCRIPT = """
[[rule]]
matches = 'late \\d+'
delay   = 0.01
reply   = { template = "re: {0}" }

[[rule]]
matches = '\\d+'
reply   = { template = "re: {0}" }
"""
_LATE = 40
#: The most requests of a client without a reply.
_DEPTH = 32


class Talker:
    """A client: what it sent and received, and how its connection ended."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.address = "{}:{}".format(*sock.getsockname())
        self.ended: str | None = None
        self._asked = 0
        self._unsent = b""
        self._received = bytearray()

    def ask(self, random: Random) -> None:
        """Send requests up to the limit; the last one may be incomplete."""
        room = _DEPTH - (self._asked - self.replies)
        self._unsent += b"".join(_request(self._asked + n) for n in range(1, room + 1))
        self._asked += room
        # Sometimes all of it, so that no request stays incomplete.
        size = len(self._unsent) - random.choice((0, random.randrange(len(self._unsent) + 1)))
        try:
            self._unsent = self._unsent[self.socket.send(self._unsent[:size]) :]
        except OSError:  # the buffer is full, or the connection has ended and more may be readable
            return

    def receive(self) -> None:
        """Receive all available bytes."""
        try:
            data = self.socket.recv(64 * 1024)
        except OSError as error:
            self.ended = type(error).__name__
            return
        self._received += data
        if not data:
            self.ended = "EOF"

    @property
    def replies(self) -> int:
        """How many complete replies were received."""
        return self._received.count(b"\n")

    def is_right(self) -> bool:
        """Return whether all received bytes are correct; the last reply may be incomplete."""
        right = b"".join(map(_reply, range(1, self.replies + 2)))
        return right.startswith(self._received)

    def is_whole(self) -> bool:
        """Return whether the last reply is complete."""
        return not self._received or self._received.endswith(b"\n")


def _request(number: int) -> bytes:
    return b"%b%d\n" % (b"" if number % _LATE else b"late ", number)


def _reply(number: int) -> bytes:
    return b"re: " + _request(number)[:-1] + b"\r\n"


def talk(
    port: int,
    count: int,
    seconds: float,
    stop: Callable[[], object],
    random: Random,
    is_enough: Callable[[], bool] = lambda: True,
) -> Sequence[Talker]:
    """
    Send requests from *count* clients for *seconds*, call *stop*, and receive until the end.

    *stop* is called no sooner than *is_enough* returns true.
    If a connection does not end within the timeout, the client's ``ended`` is None.
    """
    with selectors.DefaultSelector() as selector:
        talkers = [Talker(connect(port)) for _ in range(count)]
        for talker in talkers:
            talker.socket.setblocking(False)
            selector.register(talker.socket, selectors.EVENT_READ, talker)
            talker.ask(random)
        stopping, deadline = time.monotonic() + seconds, time.monotonic() + PATIENCE
        stopped = False
        while selector.get_map() and time.monotonic() < deadline:
            if not stopped and time.monotonic() >= stopping and is_enough():
                stop()
                stopped = True
            for key, _ in selector.select(0.005):
                _go_on(key.data, selector, random)
        for talker in talkers:
            talker.socket.close()
    return talkers


def _go_on(talker: Talker, selector: selectors.BaseSelector, random: Random) -> None:
    talker.receive()
    if talker.ended is None:
        talker.ask(random)
        return
    selector.unregister(talker.socket)
    talker.socket.close()
