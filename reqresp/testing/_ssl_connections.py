"""
TLS for Twisted with an ``ssl.SSLContext``, as tests have it.

Twisted's TLS works with an ``OpenSSL.SSL.Connection``.  This module has the part of one that
Twisted uses, for an ``ssl.SSLObject``.  It must not know requests.
"""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from zope.interface import implementer


@implementer(IOpenSSLServerConnectionCreator)
class SSLConnections:
    """Makes the connections of a server that has *context*."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context

    def serverConnectionForTLS(self, protocol: Any) -> SSL.Connection:  # noqa: ARG002, N802 (Twisted's)
        return cast(SSL.Connection, _Connection(self._context))


class _Connection:
    """
    The server's side of one connection; what arrives and what leaves is passed on by Twisted.

    Its methods are those of ``OpenSSL.SSL.Connection``, and raise the same errors.
    """

    def __init__(self, context: ssl.SSLContext) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._shutdown = 0

    def set_accept_state(self) -> None:
        """Do nothing: it is a server's."""

    def set_app_data(self, data: object) -> None:
        """Do nothing: only callbacks of pyOpenSSL use them."""

    def do_handshake(self) -> None:
        with _errors_of_openssl():
            self._tls.do_handshake()

    def send(self, data: bytes) -> int:
        with _errors_of_openssl():
            return self._tls.write(data)

    def recv(self, size: int) -> bytes:
        with _errors_of_openssl():
            data = self._tls.read(size)
        if not data:
            self._shutdown = SSL.RECEIVED_SHUTDOWN
            raise SSL.ZeroReturnError
        return data

    def get_shutdown(self) -> int:
        """Return ``RECEIVED_SHUTDOWN`` once the client has sent a close_notify, else 0."""
        return self._shutdown

    def shutdown(self) -> bool:
        """Send a close_notify; return whether the client has sent one."""
        try:
            self._tls.unwrap()
        except ssl.SSLError:  # it waits for the client's, or data arrives before that
            return False
        return True

    def bio_read(self, size: int) -> bytes:
        data = self._outgoing.read(size)
        if not data:
            raise SSL.WantReadError
        return data

    def bio_write(self, data: bytes) -> int:
        return self._incoming.write(data)

    def bio_shutdown(self) -> None:
        self._incoming.write_eof()

    def get_alpn_proto_negotiated(self) -> bytes:
        return (self._tls.selected_alpn_protocol() or "").encode()


@contextmanager
def _errors_of_openssl() -> Iterator[None]:
    """Raise the errors of pyOpenSSL instead of those of ``ssl``."""
    try:
        yield
    except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
        raise SSL.WantReadError from None
    except ssl.SSLZeroReturnError:
        raise SSL.ZeroReturnError from None
    except ssl.SSLEOFError:
        raise SSL.SysCallError(-1, "Unexpected EOF") from None
    except ssl.SSLError as error:
        # As pyOpenSSL has it: library, function and reason of each error.
        reason = (error.reason or "unknown").lower().replace("_", " ")
        raise SSL.Error([(error.library or "", "", reason)]) from None
