"""
MemoryPeer: a client in memory that a test controls byte by byte.

For what Twisted's clients cannot do: segments of a chosen size, a slow reader, a reset at any
moment.  Must not know requests.
"""

from socket import SHUT_WR, SO_LINGER, SOL_SOCKET
from typing import Protocol

from reqresp.testing._memory_socket import MemorySocket

# The capacity of a client that reads everything at once.
_UNLIMITED = 2**62


class Network(Protocol):
    """What moves the data of a peer."""

    def advance(self, amount: float) -> None:
        """Let *amount* seconds pass, and do everything that is due."""


class MemoryPeer:
    """
    A client on *socket*, which is connected.

    Each method lets the server do everything that it can without time passing.
    """

    def __init__(self, network: Network, socket: MemorySocket) -> None:
        assert socket.peer is not None  # noqa: S101, it is connected
        self._network = network
        self.socket = socket
        socket.peer.capacity = _UNLIMITED  # `send` never has to wait
        self.resume_reading()

    def send(self, *pieces: bytes) -> None:
        """Send *pieces*; a server that reads receives each in a read of its own."""
        for piece in pieces:
            self.socket.send(piece)
            self._network.advance(0)

    def half_close(self) -> None:
        """Send EOF, and keep receiving."""
        self.socket.shutdown(SHUT_WR)
        self._network.advance(0)

    def close(self) -> None:
        """Close: in order if everything has been received, else with a reset, as a kernel does."""
        self.socket.close()
        self._network.advance(0)

    def reset(self) -> None:
        """Reset the connection."""
        self.socket.setsockopt(SOL_SOCKET, SO_LINGER, True)
        self.close()

    def stop_reading(self, room: int = 0) -> None:
        """Accept only *room* more bytes."""
        self.socket.capacity = self.socket.unread + room

    def resume_reading(self, room: int | None = None) -> None:
        """Accept *room* more bytes; None: everything."""
        self.stop_reading(_UNLIMITED if room is None else room)
        self._network.advance(0)

    def received(self) -> bytes:
        """Return what has been received since the last call."""
        size = self.socket.unread
        self.socket.capacity -= size  # the room stays the same
        return self.socket.recv(size) if size else b""

    @property
    def got_eof(self) -> bool:
        """Whether the server has ended its side, or closed in order."""
        return self.socket.got_eof

    @property
    def got_reset(self) -> bool:
        """Whether the server has reset the connection."""
        return self.socket.got_reset
