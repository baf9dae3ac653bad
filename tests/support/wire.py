"""
Wire: a client in memory that a test controls, connected to a factory on a real Twisted transport.

What a test sees is what a peer would see.  Nothing moves unless a method here is called.
"""

from contextlib import suppress
from socket import IPPROTO_TCP, TCP_NODELAY
from typing import Any

from twisted.internet import tcp
from twisted.internet.protocol import Factory

from reqresp.testing import InMemoryReactor

#: The port of the client, and that of the server.
CLIENT_PORT = 50000
SERVER_PORT = 9999


class FakeReactor(InMemoryReactor):
    """The network and the clock of a test."""


class _Recorder(Factory):  # Factory[Any] needs a newer Twisted
    """Keeps the protocol that *factory* builds."""

    def __init__(self, factory: "Factory[Any]") -> None:
        self._factory = factory
        self.protocol: Any = None

    def buildProtocol(self, addr: Any) -> Any:
        self.protocol = self._factory.buildProtocol(addr)
        return self.protocol


class Wire:
    """
    A client connected to *factory*.

    `send` and the others play the client; each lets the server do everything that it can without
    time passing.  `received` is what the client has received.

    :param host: the address of the client.
    :param transport: the class of the server's transport.
    """

    def __init__(
        self,
        factory: "Factory[Any]",
        reactor: FakeReactor,
        host: str = "127.0.0.1",
        transport: type[tcp.Server] = tcp.Server,
    ) -> None:
        #: The factory that the client is connected to.
        self.factory: Any = factory
        self.reactor = reactor
        reactor.server_transport = transport
        recorder = _Recorder(factory)
        reactor.listenTCP(SERVER_PORT, recorder)
        self._peer = reactor.connect_peer(SERVER_PORT, (host, CLIENT_PORT))
        #: The server's transport.
        self.transport: Any = reactor.accepted
        #: The connection itself, without what may wrap it.
        self.protocol: Any = getattr(recorder.protocol, "wrappedProtocol", recorder.protocol)
        assert self._peer.socket.peer is not None
        #: The server's socket.
        self.server_socket = self._peer.socket.peer

    def turn(self) -> None:
        """Let the server do everything that it can."""
        self.reactor.advance(0)

    def read_once(self) -> None:
        """Let the server read once, although its reactor would not do it now."""
        self.transport.doRead()

    # What a client does

    def send(self, *pieces: bytes) -> None:
        """Send *pieces*; each is received in a read of its own, if the server reads."""
        for piece in pieces:
            self.put(piece)
            self.turn()

    def put(self, data: bytes) -> None:
        """Send *data*, which arrives before the server does anything."""
        with suppress(OSError):  # the connection may have ended
            self._peer.socket.send(data)

    def send_eof(self) -> None:
        """End the client's side, and keep receiving."""
        self._peer.half_close()

    def reset(self) -> None:
        """Reset the connection."""
        self._peer.reset()

    def stop_reading(self, room: int = 0) -> None:
        """Accept only *room* more bytes."""
        self._peer.stop_reading(room)

    def read_on(self, room: int | None = None) -> None:
        """Accept *room* more bytes; None: everything."""
        self._peer.resume_reading(room)

    def wait(self, seconds: float) -> None:
        """Let *seconds* pass."""
        self.reactor.advance(seconds)

    def pass_seconds(self, seconds: int, data: bytes = b"") -> None:
        """Let *seconds* pass one at a time, as for timers that repeat; send *data* before each."""
        for _ in range(seconds):
            if data:
                self.send(data)
            self.wait(1)

    # What a client sees

    def received(self) -> bytes:
        """Return what has been received since the last call."""
        return self._peer.received()

    @property
    def has_received(self) -> bool:
        """Whether `received` would return anything."""
        return self._peer.socket.unread > 0

    @property
    def got_eof(self) -> bool:
        """Whether the server has ended its side, or closed in order."""
        return self._peer.got_eof

    @property
    def got_reset(self) -> bool:
        """Whether the server has reset the connection."""
        return self.server_socket.has_reset

    @property
    def is_open(self) -> bool:
        """Whether the server has not closed its socket."""
        return not self.server_socket.is_closed

    # What the server's machine sees

    @property
    def reading(self) -> bool:
        """Whether the server wants to read."""
        return self.transport in self.reactor.getReaders()

    @property
    def buffered(self) -> int:
        """The number of bytes that the server holds because the client does not read them."""
        transport = self.transport
        size: int = len(transport.dataBuffer) - transport.offset + transport._tempDataLen
        return size

    @property
    def unread(self) -> int:
        """The number of bytes that have arrived and that the server has not read."""
        return self.server_socket.unread

    @property
    def largest_send(self) -> int:
        """The size of the largest piece that the server has passed to its socket."""
        return self.server_socket.largest_send

    @property
    def is_nodelay(self) -> bool:
        """Whether the server has switched off Nagle's algorithm."""
        return bool(self.server_socket.getsockopt(IPPROTO_TCP, TCP_NODELAY))
