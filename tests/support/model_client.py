"""
A client of the randomized model: a socket in memory, with or without TLS.

It sends when the server has room, and reads as much as it is allowed to.  It knows nothing of
requests.
"""

import ssl
from collections import deque
from contextlib import suppress
from errno import ECONNRESET, EWOULDBLOCK
from functools import cache
from socket import SHUT_WR, SO_LINGER, SOL_SOCKET
from typing import Any, cast

from OpenSSL import SSL
from twisted.internet import tcp
from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator, IProtocolFactory
from zope.interface import implementer

from reqresp.testing import MemorySocket
from reqresp.transport.tls import wrap
from tests.support.issued import authority

#: Bytes that a client reads at once.
READ_SIZE = 64 * 1024
_FIRST_PORT = 50_000


@implementer(IOpenSSLServerConnectionCreator)
class _Certificates:
    """The certificate that `wrap` uses for connections."""

    def serverConnectionForTLS(self, protocol: Any) -> SSL.Connection:  # noqa: N802, Twisted's name
        return SSL.Connection(_server_context())


@cache
def _server_context() -> SSL.Context:
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    authority().issue_cert("localhost").configure_cert(context)
    return context


@cache
def _client_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority().configure_trust(context)
    return context


class ModelClient:
    """
    A client's end of one connection to *factory*.

    :param transport: the class of the server's transport.
    :param is_tls: whether TLS lies between *factory* and that transport.
    """

    def __init__(
        self,
        reactor: Any,
        factory: IProtocolFactory,
        number: int,
        transport: type[tcp.Server],
        is_tls: bool,
    ) -> None:
        self.is_tls = is_tls
        #: Whether it reads all that arrives; otherwise it reads in `read` only.
        self.is_reading = True
        #: How many bytes its socket has taken.
        self.sent = 0
        #: The bytes received so far, decrypted.
        self.received = bytearray()
        #: How the connection ended, as far as the client has read: "eof" or "reset".
        self.ending = ""
        #: Whether a reset followed EOF at once, though the client had sent nothing after the close.
        #: On a real network such a reset can destroy replies that are not read yet.
        self.was_cut_off = False
        #: Whether it has closed its own socket.
        self.is_closed = False
        self.sent_eof = False
        self._pieces: deque[bytes] = deque()  # to be sent
        self._outgoing = b""  # the rest of one of these, encrypted
        self._wants_eof = False
        self._tls: ssl.SSLObject | None = None
        #: Whether the TLS handshake is complete; always true without TLS.
        self.has_shaken_hands = not is_tls
        self._cannot_send = False
        self._has_sent_too_late = False  # after the server had closed its socket
        self._was_reset = False  # which the socket reports only once
        self._reactor, self._transport = reactor, transport
        self._factory = wrap(factory, _Certificates(), reactor) if is_tls else factory
        self._socket = MemorySocket(number, ("127.0.0.1", _FIRST_PORT + number), self._listener)
        for _ in range(2):
            self._socket.connect_ex(("127.0.0.1", 7))
        if is_tls:
            self._incoming, self._encrypted = ssl.MemoryBIO(), ssl.MemoryBIO()
            self._tls = _client_context().wrap_bio(
                self._incoming, self._encrypted, server_hostname="localhost"
            )

    def _listener(self, _port: int) -> Any:
        return self._accept

    def _accept(self, accepted: MemorySocket) -> None:
        name = self._socket.name
        protocol = self._factory.buildProtocol(IPv4Address("TCP", *name))
        assert protocol is not None
        made = self._transport(
            cast(Any, accepted), protocol, name, cast(Any, None), accepted.number, self._reactor
        )
        protocol.makeConnection(made)

    # What it knows

    @property
    def is_settled(self) -> bool:
        """Whether the server has read all bytes that were sent."""
        return not self._waits and not self._peer.is_readable

    @property
    def is_idle(self) -> bool:
        """Whether nothing is left to send."""
        return not self._waits and self._wants_eof == self.sent_eof

    @property
    def _peer(self) -> MemorySocket:
        assert self._socket.peer is not None
        return self._socket.peer

    @property
    def _waits(self) -> bool:
        return bool(self._pieces or self._outgoing or not self.has_shaken_hands)

    # What it does

    def send(self, *pieces: bytes) -> None:
        """Send *pieces*, at most one in each turn."""
        if not (self._wants_eof or self.is_closed):
            self._pieces.extend(filter(None, pieces))
            self._send()

    def half_close(self) -> None:
        """Send what still waits, then EOF; go on reading."""
        self._wants_eof = True
        self._send()

    def close(self) -> None:
        """Close the socket, which resets the connection if anything is unread."""
        self.is_closed = True
        self._socket.close()

    def reset(self) -> None:
        """Reset the connection."""
        self._socket.setsockopt(SOL_SOCKET, SO_LINGER, 1)
        self.close()

    def read(self, size: int) -> bool:
        """Read up to *size* bytes; return whether there was anything."""
        if self.is_closed or self.ending:
            return False
        try:
            data = self._socket.recv(size)
        except OSError as error:
            if error.errno == EWOULDBLOCK:
                return False
            self.ending = "reset"
            return True
        if not data and self._was_reset:
            self.ending = "reset"
        elif self._tls is not None:
            self._read_tls(self._tls, data)
        elif data:
            self.received += data
        else:
            self._take_eof()
        return True

    def _take_eof(self) -> None:
        self.ending = "eof"
        if self.sent_eof or self._has_sent_too_late:
            return
        try:
            self._socket.send(b"")
        except OSError:
            self.was_cut_off = True

    def turn(self) -> bool:
        """Send and read what is possible; return whether anything moved."""
        moved = self._send()
        while (self.is_reading or not self.has_shaken_hands) and self.read(READ_SIZE):
            moved = True
        return moved

    def _send(self) -> bool:
        moved = False
        while not self.is_closed and not self._cannot_send:
            if not self._outgoing:
                self._outgoing = self._next()
            if not self._outgoing:
                break
            self._has_sent_too_late |= self._peer.is_closed
            try:
                sent = self._socket.send(self._outgoing)
            except OSError as error:
                self._cannot_send = error.errno != EWOULDBLOCK
                self._was_reset |= error.errno == ECONNRESET
                return moved
            self.sent += sent
            self._outgoing = self._outgoing[sent:]
            moved = True
            if not self._outgoing and self._pieces and self.has_shaken_hands:
                return moved  # the next piece is a segment of its own
        if self._wants_eof and not self.sent_eof and not (self._waits or self.is_closed):
            self._end()
            moved = True
        return moved

    def _next(self) -> bytes:
        if self._tls is None:
            return self._pieces.popleft() if self._pieces else b""
        if self.has_shaken_hands:
            if self._pieces:
                self._tls.write(self._pieces.popleft())
        else:
            self._shake_hands(self._tls)
        return self._encrypted.read()

    def _end(self) -> None:
        self.sent_eof = True
        if self._tls is not None:
            with suppress(ssl.SSLError):  # the answer to the goodbye comes later
                self._tls.unwrap()
            with suppress(OSError):
                self._socket.send(self._encrypted.read())
        self._socket.shutdown(SHUT_WR)

    # TLS

    def _shake_hands(self, tls: ssl.SSLObject) -> None:
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            return
        except ssl.SSLError:
            self.ending = "reset"
            return
        self.has_shaken_hands = True

    def _read_tls(self, tls: ssl.SSLObject, data: bytes) -> None:
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()
        if not self.has_shaken_hands:
            self._shake_hands(tls)
        while self.has_shaken_hands and not self.ending:
            try:
                read = tls.read(READ_SIZE)
            except ssl.SSLWantReadError:
                return
            except ssl.SSLZeroReturnError:
                self.ending = "eof"
                return
            except ssl.SSLError:
                self.ending = "reset"
                return
            if not read:
                self.ending = "eof"
                return
            self.received += read
