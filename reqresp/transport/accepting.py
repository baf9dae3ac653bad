"""
Accepting: how a port that listens treats clients that connect, switched while it is open.

The kernel completes connections before a server accepts them, as many as its queue holds.  This
module must not know what serves the clients.
"""

import select
import socket
from contextlib import suppress
from enum import Enum
from typing import Any

#: Seconds in which a client of our own connects, on loopback, to fill a queue.
MAX_FILLING = 0.2


class Accept(Enum):
    """What happens to clients that connect to a port that listens."""

    NOW = "now"  #: they are accepted at once
    LATE = "late"  #: they connect, and wait in the kernel's queue until they are accepted
    HOLD = "hold"  #: they do not even connect: the queue is full


class Acceptance:
    """How *port*, of Twisted, treats clients; it accepts them at once when it is made."""

    def __init__(self, port: Any) -> None:
        self._port = port
        self._filler: socket.socket | None = None
        self.accept = Accept.NOW

    def set(self, accept: Accept) -> None:
        """
        Treat clients like that from now on; those that are connected go on.

        For `HOLD`, the queue is made as small as the kernel allows, which is one client, and filled
        by a client of our own.  Linux then ignores who connects: a client tries again after 1, 3,
        7 ... seconds, and connects once that is changed.
        """
        if accept is self.accept:
            return
        port = self._port
        if self.accept is Accept.HOLD:
            self._empty()
            port.socket.listen(port.backlog)
        if accept is Accept.NOW:
            port.startReading()
        else:
            port.stopReading()
            if accept is Accept.HOLD:
                self._fill()
        self.accept = accept

    def close(self) -> None:
        """Forget the client of our own; call it before the port is closed."""
        if self._filler is not None:
            self._filler.close()
            self._filler = None

    def _fill(self) -> None:
        """Leave no room in the kernel's queue."""
        own = self._port.socket
        own.listen(0)
        if _has_clients(own):
            return  # of a queue for one client, which is the least
        filler = socket.socket(own.family, socket.SOCK_STREAM)
        filler.settimeout(MAX_FILLING)
        try:
            filler.connect(own.getsockname())
        except OSError:  # another client was faster
            filler.close()
            return
        self._filler = filler

    def _empty(self) -> None:
        """Remove the client of our own from the kernel's queue, in which nobody is before it."""
        if self._filler is not None:
            with suppress(BlockingIOError):  # its kernel has given it up
                accepted, _ = self._port.socket.accept()
                accepted.close()
        self.close()


def _has_clients(listening: socket.socket) -> bool:
    poll = select.poll()
    poll.register(listening, select.POLLIN)
    return bool(poll.poll(0))
