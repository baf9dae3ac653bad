"""
Sockets: the kernel's part of a TCP connection, played in memory.

Knows errors and options as Linux gives them, and as far as Twisted asks for them; moves nothing by
itself, and knows nothing of Twisted, nor of ours.
"""

from collections.abc import Callable
from errno import ECONNREFUSED, ECONNRESET, EINPROGRESS, EPIPE, EWOULDBLOCK
from socket import SHUT_RD, SO_ERROR, SO_LINGER, SOL_SOCKET
from typing import Any

#: Bytes that one end may send before the other reads.
ROOM = 64 * 1024


class MemorySocket:
    """
    The kernel's part of one end, as far as Twisted asks for it.

    :param number: tells it from others, but not from its other end.
    :param name: its address and port.
    :param listener: gives what accepts connections to a port, if anybody listens on it; that is
        called with the other end of this one.
    """

    def __init__(
        self,
        number: int,
        name: tuple[str, int],
        listener: Callable[[int], "Accept | None"],
    ) -> None:
        self.number = number
        self.name = name
        self.peer: MemorySocket | None = None
        self.is_closed = False
        self._listener = listener
        self._port: int | None = None  # that it connects to
        self._inbox = bytearray()  # has arrived
        self._got_eof = False
        self._got_reset = False
        self._error = 0  # that is to be told, once
        self._sent_eof = False
        self._options: dict[tuple[int, int], Any] = {}

    # What a reactor asks

    @property
    def is_readable(self) -> bool:
        """Whether something has arrived, if only the end."""
        return bool(self._inbox or self._got_eof or self._got_reset)

    @property
    def is_writable(self) -> bool:
        """Whether something can be sent, or it is known that nothing can."""
        return self.peer is None or self.peer.is_closed or self._room > 0

    @property
    def _room(self) -> int:
        assert self.peer is not None  # noqa: S101, who sends is connected
        return ROOM - len(self.peer._inbox)

    # What a transport asks

    def connect_ex(self, address: tuple[str, int]) -> int:
        """Begin to connect, and the second time have connected."""
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
        """Tell what was set; an attempt to connect finds out here that nobody listens."""
        if (level, option) == (SOL_SOCKET, SO_ERROR) and self._port is not None:
            return 0 if self._listener(self._port) else ECONNREFUSED
        return self._options.get((level, option), 0)

    def setsockopt(self, level: int, option: int, value: Any) -> None:
        """Note it; only SO_LINGER means something here."""
        self._options[level, option] = value

    def recv(self, size: int) -> bytes:
        """Receive what came, even before a reset; an EOF is told again and again, a reset once."""
        if self._inbox:
            data = bytes(self._inbox[:size])
            del self._inbox[:size]
            return data
        if self._error:
            raise self._told()
        if self._got_eof or self._got_reset:
            return b""
        raise OSError(EWOULDBLOCK, "nothing there")

    def send(self, data: Any) -> int:
        """Send what there is room for; to who is gone all of it, which is answered by a reset."""
        if self._got_reset or self._sent_eof or self.peer is None:
            raise self._told()
        if self.peer.is_closed:
            self._be_reset()
            return len(data)
        sent = bytes(data[: self._room])
        if data and not sent:
            raise OSError(EWOULDBLOCK, "full")
        self.peer._inbox += sent
        return len(sent)

    def shutdown(self, how: int) -> None:
        """Send no more."""
        if how != SHUT_RD and self.peer is not None:
            self._sent_eof = True
            self.peer._got_eof = True

    def close(self) -> None:
        """End in order; with a reset if that was asked for, or something is unread."""
        if self.is_closed or self.peer is None:
            return
        self.is_closed = True
        if self._inbox or (SOL_SOCKET, SO_LINGER) in self._options:
            self.peer._be_reset()
        else:
            self.peer._got_eof = True

    def _be_reset(self) -> None:
        self._got_reset = True
        if not self._got_eof:
            self._error = ECONNRESET

    def _told(self) -> OSError:
        error, self._error = self._error or EPIPE, 0
        return OSError(error, "the connection is broken")

    def bind(self, address: tuple[str, int]) -> None:
        """Take a port of one's own choice."""
        self.name = address[0], address[1] or self.name[1]

    def getsockname(self) -> tuple[str, int]:
        """Tell the address of this end."""
        return self.name

    def fileno(self) -> int:
        """Tell that there is no descriptor."""
        return -1

    def setblocking(self, flag: bool) -> None:
        """It never blocks."""


Accept = Callable[[MemorySocket], object]
