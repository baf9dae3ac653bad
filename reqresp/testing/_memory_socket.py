"""
MemorySocket: one end of a TCP connection in memory, in place of a socket of the kernel.

Has the errors and options of Linux, as far as Twisted uses them.  Moves nothing by itself, and must
not know Twisted or the rest of reqresp.
"""

from collections.abc import Callable
from errno import ECONNREFUSED, ECONNRESET, EINPROGRESS, EPIPE, EWOULDBLOCK
from socket import SHUT_RD, SO_ERROR, SO_LINGER, SOL_SOCKET
from typing import Any

#: The number of bytes that one end can send before the other end reads.
CAPACITY = 64 * 1024


class MemorySocket:
    """
    One end of a connection.

    :param number: identifies the connection; its two ends have the same.
    :param name: the address and port of this end.
    :param listener: called with a port; returns what accepts a connection to that port, or None.
        What it returns is called with the other end.
    """

    def __init__(
        self,
        number: int,
        name: tuple[str, int],
        listener: Callable[[int], "Accept | None"],
    ) -> None:
        self.number = number
        self.name = name
        #: The other end, once it is connected.
        self.peer: MemorySocket | None = None
        #: Whether this end has been closed.
        self.is_closed = False
        #: The number of bytes that it accepts before they are read.
        self.capacity = CAPACITY
        #: The size of the largest piece that a `send` was called with.
        self.largest_send = 0
        #: Whether this end has reset the connection.
        self.has_reset = False
        self._listener = listener
        self._port: int | None = None  # that it connects to
        self._inbox = bytearray()  # received, and not read yet
        self._got_eof = False
        self._got_reset = False
        self._error = 0  # raised once
        self._sent_eof = False
        self._options: dict[tuple[int, int], Any] = {}

    # For a reactor, and for tests

    @property
    def is_readable(self) -> bool:
        """Whether data, EOF or a reset has arrived."""
        return bool(self._inbox or self._got_eof or self._got_reset)

    @property
    def is_writable(self) -> bool:
        """Whether data can be sent, or sending would fail at once."""
        return self.peer is None or self.peer.is_closed or self._room > 0

    @property
    def unread(self) -> int:
        """The number of bytes that have arrived and have not been read."""
        return len(self._inbox)

    @property
    def got_eof(self) -> bool:
        """Whether the other end has ended its side, or closed in order."""
        return self._got_eof

    @property
    def got_reset(self) -> bool:
        """Whether the other end has reset the connection."""
        return self._got_reset

    @property
    def _room(self) -> int:
        assert self.peer is not None  # noqa: S101, only a connected end sends
        return self.peer.capacity - len(self.peer._inbox)

    # For a transport

    def connect_ex(self, address: tuple[str, int]) -> int:
        """Start to connect; when called again, connect."""
        if self._port is None:
            self._port = address[1]
            return EINPROGRESS
        accept = self._listener(self._port)
        if accept is None:
            return ECONNREFUSED
        self.peer = MemorySocket(self.number, address, self._listener)
        self.peer.peer = self
        accept(self.peer)
        return 0

    def getsockopt(self, level: int, option: int) -> Any:
        """Return an option; SO_ERROR is ECONNREFUSED if nothing listens on the port."""
        if (level, option) == (SOL_SOCKET, SO_ERROR) and self._port is not None:
            return 0 if self._listener(self._port) else ECONNREFUSED
        return self._options.get((level, option), 0)

    def setsockopt(self, level: int, option: int, value: Any) -> None:
        """Store an option; only SO_LINGER has an effect."""
        self._options[level, option] = value

    def recv(self, size: int) -> bytes:
        """Return data, even if a reset has followed; return EOF each time, raise a reset once."""
        if self._inbox:
            data = bytes(self._inbox[:size])
            del self._inbox[:size]
            return data
        if self._error:
            raise self._take_error()
        if self._got_eof or self._got_reset:
            return b""
        raise OSError(EWOULDBLOCK, "no data")

    def send(self, data: Any) -> int:
        """Send as much as there is room for; data sent to a closed end is answered by a reset."""
        self.largest_send = max(self.largest_send, len(data))
        if self._got_reset or self._sent_eof or self.peer is None:
            raise self._take_error()
        if self.peer.is_closed:
            self._receive_reset()
            return len(data)
        sent = bytes(data[: max(self._room, 0)])
        if data and not sent:
            raise OSError(EWOULDBLOCK, "no room")
        self.peer._inbox += sent
        return len(sent)

    def shutdown(self, how: int) -> None:
        """Send EOF, unless *how* is SHUT_RD."""
        if how != SHUT_RD and self.peer is not None:
            self._sent_eof = True
            self.peer._got_eof = True

    def close(self) -> None:
        """Close in order, or with a reset if data is unread or SO_LINGER is set."""
        if self.is_closed or self.peer is None:
            return
        self.is_closed = True
        self.has_reset = bool(self._inbox) or (SOL_SOCKET, SO_LINGER) in self._options
        if self.has_reset:
            self.peer._receive_reset()
        else:
            self.peer._got_eof = True

    def _receive_reset(self) -> None:
        self._got_reset = True
        if not self._got_eof:
            self._error = ECONNRESET

    def _take_error(self) -> OSError:
        error, self._error = self._error or EPIPE, 0
        return OSError(error, "the connection is broken")

    def bind(self, address: tuple[str, int]) -> None:
        """Set the address of this end; port 0 keeps the port."""
        self.name = address[0], address[1] or self.name[1]

    def getsockname(self) -> tuple[str, int]:
        """Return the address of this end."""
        return self.name

    def fileno(self) -> int:
        """Return -1: there is no descriptor."""
        return -1

    def setblocking(self, flag: bool) -> None:
        """Do nothing: it never blocks."""


Accept = Callable[[MemorySocket], object]
