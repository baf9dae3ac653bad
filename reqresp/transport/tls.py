"""
TLS: connections encrypted with certificates that may change while they are open.

Makes OpenSSL's contexts of what is in files, and puts TLS between a factory and its transports.  It
knows nothing of requests.
"""

from datetime import UTC, datetime
from secrets import token_bytes
from typing import Any, cast

from twisted.internet.interfaces import (
    IAddress,
    IOpenSSLServerConnectionCreator,
    IProtocolFactory,
    IReactorTime,
    ITCPTransport,
)
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from reqresp._text import format_address
from reqresp.transport.pem import Credentials, TLSFileError, TLSFiles, read

try:
    from OpenSSL import SSL
    from OpenSSL.crypto import X509, X509Store
    from twisted.protocols.tls import BufferingTLSTransport, TLSMemoryBIOFactory
except ImportError as error:
    raise ImportError(f"{error} (pip install 'reqresp[tls]')") from None

__all__ = ["Certificates", "TLSFileError", "TLSFiles", "wrap"]

#: Seconds between log lines about handshakes that failed.
FAILURES_EVERY = 1.0

#: Of TLS 1.2: what leaves nobody who gets the key later able to read what was said before, and
#: tells a forgery before it decrypts it.  (TLS 1.3 has nothing else.)
CIPHERS = b"ECDHE+AESGCM:ECDHE+CHACHA20"

_OPTIONS = (
    # A client that starts new handshakes without end costs the server much and itself little.
    SSL.OP_NO_RENEGOTIATION
    # The size of what was compressed tells what is in it.
    | SSL.OP_NO_COMPRESSION
    | SSL.OP_CIPHER_SERVER_PREFERENCE
)


@implementer(IOpenSSLServerConnectionCreator)
class Certificates:
    """
    What new connections are encrypted with: what was in *files* when they were last read.

    It has to be loaded before the first client connects.
    """

    _log = Logger()

    def __init__(self, files: TLSFiles) -> None:
        self.files = files
        self._context: SSL.Context | None = None

    def load(self) -> None:
        """
        Read the files, and use what is in them for handshakes from now on.

        Open connections go on with what they began with.  A certificate that is not valid now is
        used all the same, and logged.

        :raises TLSFileError: they cannot be used; nothing has changed.
        """
        credentials = read(self.files)
        self._context = _make_context(credentials)
        for problem in credentials.warnings(datetime.now(UTC)):
            # Not as "warning": trial takes that for one of Python's.
            self._log.warn("{problem}", problem=problem)

    def reload(self) -> None:
        """Do the same, or, where the files cannot be used, log that and change nothing."""
        try:
            self.load()
        except TLSFileError as error:
            self._log.error("not reloaded, the old certificate goes on: {error}", error=error)
            return
        self._log.info("reloaded {path}, for new connections", path=self.files.certificate)

    def serverConnectionForTLS(self, protocol: Any) -> SSL.Connection:  # noqa: ARG002, N802 (Twisted's)
        if self._context is None:
            raise RuntimeError("no certificates are loaded")
        return SSL.Connection(self._context)


def _make_context(credentials: Credentials) -> SSL.Context:
    """
    Make what new connections begin with.

    Not with Twisted's CertificateOptions, which pass pyOpenSSL what it warns of; they do as much,
    but for their longer list of ciphers.

    :raises TLSFileError: OpenSSL finds what is in the files too weak.
    """
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_options(_OPTIONS)
    context.set_cipher_list(CIPHERS)
    # A connection that is idle holds no buffers, which were 34 kB each.
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    # Clients keep their sessions, encrypted with a key that each context makes for itself: what
    # began with an old one is not gone on with, and whoever was let in by an old authority has to
    # show a certificate again.  Sessions of another context with the same key (there is none) would
    # be told by this.
    context.set_session_id(token_bytes(16))
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    path = credentials.files.certificate
    try:
        context.use_certificate(credentials.chain[0])
        for certificate in credentials.chain[1:]:
            context.add_extra_chain_cert(certificate)
        path = credentials.files.key or path
        context.use_privatekey(credentials.key)
        context.check_privatekey()
    except (SSL.Error, TypeError, ValueError) as error:
        raise TLSFileError(f"{path}: OpenSSL does not take it: {_reason(error)}") from None
    if credentials.files.client_ca is not None:
        _require_certificates(context, credentials)
    return context


def _require_certificates(context: SSL.Context, credentials: Credentials) -> None:
    store = cast(X509Store, context.get_cert_store())
    for authority in credentials.authorities:
        store.add_cert(X509.from_cryptography(authority))
        # Its name: clients that have several certificates choose by it.
        context.add_client_ca(authority)
    context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT)


def _reason(error: BaseException) -> str:
    """What OpenSSL says, the last of what it has to say."""
    try:
        return str(error.args[0][-1][-1]) or type(error).__name__
    except (LookupError, TypeError):
        return type(error).__name__


def wrap(
    factory: IProtocolFactory, certificates: IOpenSSLServerConnectionCreator, clock: IReactorTime
) -> TLSMemoryBIOFactory:
    """
    Put TLS between *factory* and the transports of its connections.

    :param certificates: loaded, if they are `Certificates`.
    :param clock: the reactor.
    """
    return _Site(certificates, False, factory, clock)


class _Connection(BufferingTLSTransport):
    """TLS on one connection."""

    factory: "_Site"
    #: The client, who may be another than at the transport's other end: a balancer is there.
    peer: IAddress

    def abortConnection(self) -> None:
        # First: Twisted would say goodbye, and to a client that makes an end in order of a reset.
        cast(ITCPTransport, self.transport).abortConnection()
        super().abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        why = None if self._handshakeDone else self._reason
        super().connectionLost(reason)
        # Who goes before the handshake, as those do who only look whether a port is open, is no
        # error of TLS.
        if why is not None and why.check(SSL.Error):
            self.factory.handshake_failed(self.peer, why.value)


class _Site(TLSMemoryBIOFactory):
    """TLS on all connections of a factory."""

    protocol = _Connection
    _log = Logger()

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        #: How many handshakes failed.
        self.failed = 0
        self._failure_logged = -FAILURES_EVERY

    def buildProtocol(self, addr: Any) -> _Connection:
        connection = cast(_Connection, super().buildProtocol(addr))
        connection.peer = addr
        return connection

    def handshake_failed(self, peer: IAddress, error: BaseException) -> None:
        """Count a client with whom TLS was not to be had, and log it, if none was just now."""
        self.failed += 1
        now = self._clock.seconds()
        if now - self._failure_logged < FAILURES_EVERY:
            return
        self._failure_logged = now
        self._log.warn(
            "{peer}: the TLS handshake failed, {reason} ({failed} failed in all)",
            peer=format_address(peer),
            reason=_reason(error),
            failed=self.failed,
        )
