"""
Wire: a client's end of a connection whose other end is a real Twisted transport, all in memory.

The socket and the reactor are ours, the buffering, producing, half-closing and aborting Twisted's
own: what a test sees is what a peer would see.  Nothing moves unless a method here is called.
"""

from collections import deque
from errno import ECONNRESET, EPIPE, EWOULDBLOCK
from socket import IPPROTO_TCP, SO_LINGER, SOL_SOCKET, TCP_NODELAY
from typing import Any, cast

from twisted.internet import tcp
from twisted.internet.address import IPv4Address
from twisted.internet.posixbase import _DisconnectSelectableMixin
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock


class FakeSocket:
    """The kernel's part: what arrived, what was sent, and how much of it the client lets in."""

    def __init__(self) -> None:
        self.arrived: deque[bytes] = deque()
        self.sent = bytearray()
        self.room = 2**62
        self.largest = 0  # bytes of the largest send
        self.eof_arrived = False
        self.eof_sent = False
        self.closed = False
        self.reset = False  # ours: SO_LINGER was set to send one
        self.reset_by_client = False
        self.nodelay = False

    def fileno(self) -> int:
        return -1

    def setblocking(self, _flag: bool) -> None:
        """It never blocks."""

    def getsockname(self) -> tuple[str, int]:
        return "127.0.0.1", 9999

    def recv(self, size: int) -> bytes:
        if self.reset_by_client:
            raise OSError(ECONNRESET, "reset")
        if self.arrived:
            data = self.arrived.popleft()
            if len(data) > size:
                self.arrived.appendleft(data[size:])
            return data[:size]
        if self.eof_arrived:
            return b""
        raise OSError(EWOULDBLOCK, "nothing there")

    def send(self, data: Any) -> int:
        if self.reset_by_client or self.eof_sent:
            raise OSError(EPIPE, "broken pipe")
        self.largest = max(self.largest, len(data))
        taken = bytes(data[: self.room])
        if data and not taken:
            raise OSError(EWOULDBLOCK, "full")
        self.room -= len(taken)
        self.sent += taken
        return len(taken)

    def shutdown(self, _how: int) -> None:
        self.eof_sent = True

    def setsockopt(self, level: int, option: int, value: Any) -> None:
        self.nodelay = self.nodelay or (level, option) == (IPPROTO_TCP, TCP_NODELAY)
        self.reset = self.reset or (level, option) == (SOL_SOCKET, SO_LINGER)

    def close(self) -> None:
        self.closed = True


class FakeReactor(Clock, _DisconnectSelectableMixin):
    """A clock that knows who wants to read and to write."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: set[Any] = set()
        self.writers: set[Any] = set()
        self.addReader = self.readers.add
        self.removeReader = self.readers.discard
        self.addWriter = self.writers.add
        self.removeWriter = self.writers.discard


class Wire:
    """
    A client connected to *factory*.

    `send` and the others play the client; each lets the server do all that it can without time
    passing.  `received` is what the client got so far.
    """

    def __init__(
        self,
        factory: Factory,
        reactor: FakeReactor,
        host: str = "127.0.0.1",
        transport: type[tcp.Server] = tcp.Server,
    ) -> None:
        self.reactor = reactor
        self.socket = FakeSocket()
        address = IPv4Address("TCP", host, 50000)
        protocol = factory.buildProtocol(address)
        assert protocol is not None
        #: The connection itself, within what may wrap it.
        self.protocol: Any = getattr(protocol, "wrappedProtocol", protocol)
        self.transport = transport(
            cast(Any, self.socket), protocol, (host, 50000), cast(Any, None), 0, cast(Any, reactor)
        )
        protocol.makeConnection(self.transport)
        self.turn()

    def turn(self) -> None:
        """Let the server read and write until it can do no more, and due calls be called."""
        busy = True
        while busy:
            self.reactor.advance(0)
            busy = self._read() or self._write()
        self.reactor.advance(0)

    def _read(self) -> bool:
        if self.transport not in self.reactor.readers:
            return False
        if not (self.socket.arrived or self.socket.eof_arrived or self.socket.reset_by_client):
            return False
        why = self.transport.doRead()
        if why:
            self.reactor._disconnectSelectable(self.transport, why, True)
        return True

    def _write(self) -> bool:
        if self.transport not in self.reactor.writers:
            return False
        if not self.socket.room:
            return False
        why = self.transport.doWrite()
        if why:
            self.reactor._disconnectSelectable(self.transport, why, False)
        return True

    # What a client does

    def send(self, *pieces: bytes) -> None:
        """Send *pieces*, each arriving as a segment of its own."""
        for piece in pieces:
            self.socket.arrived.append(piece)
            self.turn()

    def send_eof(self) -> None:
        """Send no more, yet go on reading."""
        self.socket.eof_arrived = True
        self.turn()

    def reset(self) -> None:
        """Go, without a word."""
        self.socket.reset_by_client = True
        self.turn()

    def stop_reading(self, room: int = 0) -> None:
        """Let *room* bytes more into the kernel's buffers."""
        self.socket.room = room

    def read_on(self, room: int = 2**62) -> None:
        """Read what was sent, and *room* bytes more."""
        self.socket.room = room
        self.turn()

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.reactor.advance(seconds)
        self.turn()

    # What a client sees

    def received(self) -> bytes:
        """What came since this was last asked for."""
        data = bytes(self.socket.sent)
        self.socket.sent.clear()
        return data

    @property
    def got_eof(self) -> bool:
        """Whether the server's side has ended in order."""
        return self.socket.eof_sent or (self.socket.closed and not self.socket.reset)

    @property
    def got_reset(self) -> bool:
        """Whether the server reset the connection."""
        return self.socket.closed and self.socket.reset

    @property
    def is_open(self) -> bool:
        """Whether the server has its socket still."""
        return not self.socket.closed

    # What a machine sees

    @property
    def reading(self) -> bool:
        """Whether the server wants to read."""
        return self.transport in self.reactor.readers

    @property
    def buffered(self) -> int:
        """Bytes that the server holds because the client does not read them."""
        return len(self.transport.dataBuffer) - self.transport.offset + self.transport._tempDataLen
