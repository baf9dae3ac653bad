"""The end of a TLS connection that a test controls record by record, on a peer in memory."""

import ssl
from contextlib import suppress
from typing import Any


class TLSEnd:
    """
    One end of TLS, without I/O; *context* says which.

    :param name: the name of the server, at the client's end; None: it is the server's end.
    """

    def __init__(self, context: ssl.SSLContext, name: str | None = None) -> None:
        self._arrived, self._leaving = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(
            self._arrived, self._leaving, server_side=name is None, server_hostname=name
        )
        #: Whether it has shaken hands.
        self.is_open = False
        #: What the other end has sent.
        self.got = b""
        #: Whether the other end has sent close_notify.
        self.eof = False

    def take(self, data: bytes) -> bytes:
        """Take *data*, which has arrived, and return what has to be sent now."""
        self._arrived.write(data)
        with suppress(ssl.SSLWantReadError):
            if not self.is_open:
                self._tls.do_handshake()
                self.is_open = True
            try:
                while more := self._tls.read(65536):
                    self.got += more
            except ssl.SSLZeroReturnError:
                pass
            self.eof = True
        return self._leaving.read()

    def encrypt(self, data: bytes, *, is_last: bool = False) -> bytes:
        """Return *data* as it is sent; if it *is_last*, with close_notify."""
        self._tls.write(data)
        if is_last:
            with suppress(ssl.SSLError):  # it would wait for the other end's
                self._tls.unwrap()
        return self._leaving.read()


class TLSClient:
    """A client of *peer*, a `MemoryPeer`, whose handshake has not begun."""

    def __init__(self, peer: Any, context: ssl.SSLContext) -> None:
        self.peer = peer
        self.end = TLSEnd(context, "localhost")

    def shake_hands(self) -> bytes:
        """Shake hands up to our last message, and return it: it is not sent yet."""
        self.peer.send(self.end.take(b""))
        return self.end.take(self.peer.received())

    def received(self) -> bytes:
        """Return all that has been received so far."""
        self.end.take(self.peer.received())
        return self.end.got
