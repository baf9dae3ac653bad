"""
TLS: encrypted connections, with certificates that can be replaced while connections are open.

Makes OpenSSL contexts from files, and adds TLS between a factory and its transports.  It must not
know requests.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from secrets import token_bytes
from typing import Any, cast

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IHandshakeListener,
    IOpenSSLClientConnectionCreator,
    IOpenSSLServerConnectionCreator,
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    ITCPTransport,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from reqresp._defaults import HANDSHAKE_TIMEOUT
from reqresp._errors import TLSFileError
from reqresp._log_limit import LogLimit
from reqresp._text import format_address
from reqresp.transport.pem import Credentials, TLSFiles, read_credentials
from reqresp.transport.stream import replace_protocol

try:
    from OpenSSL import SSL
    from OpenSSL.crypto import X509, X509Store
    from twisted.protocols.tls import BufferingTLSTransport, TLSMemoryBIOFactory
except ImportError as error:
    raise ImportError(f"{error} (pip install 'reqresp[tls]')") from None

__all__ = [
    "Certificates",
    "TLSFileError",
    "TLSFiles",
    "TLSStarter",
    "wrap",
]


#: The ciphers for TLS 1.2: only those with forward secrecy and authenticated encryption (AEAD).
#: TLS 1.3 has no others.
CIPHERS = b"ECDHE+AESGCM:ECDHE+CHACHA20"

_OPTIONS = (
    # Renegotiation costs a server much more than it costs a client.
    SSL.OP_NO_RENEGOTIATION
    # The size of compressed data reveals its contents.
    | SSL.OP_NO_COMPRESSION
    | SSL.OP_CIPHER_SERVER_PREFERENCE
)


@implementer(IOpenSSLServerConnectionCreator)
class Certificates:
    """
    The certificates for new connections, as *files* were when last loaded.

    Call `load` before the first client connects.
    """

    _log = Logger()

    def __init__(self, files: TLSFiles) -> None:
        self.files = files
        self._context: SSL.Context | None = None

    def load(self) -> None:
        """
        Read the files, and use their contents for new handshakes.

        Open connections keep the certificates that they started with.  A certificate that is not
        valid now is used, and logged as a warning.

        :raises TLSFileError: a file cannot be used; nothing has changed.
        """
        credentials = read_credentials(self.files)
        self._context = _make_context(credentials)
        for problem in credentials.warnings(datetime.now(UTC)):
            # Not with the key "warning": trial takes such an event for a Python warning.
            self._log.warn("{problem}", problem=problem)

    def reload(self) -> None:
        """Load the files again.  If they cannot be used, log why and change nothing."""
        try:
            self.load()
        except TLSFileError as error:
            self._log.error("reload failed; keeping the current certificate: {error}", error=error)
            return
        self._log.info("reloaded {path} for new connections", path=self.files.certificate)

    def serverConnectionForTLS(self, protocol: Any) -> SSL.Connection:  # noqa: ARG002, N802 (Twisted's)
        if self._context is None:
            raise RuntimeError("no certificates are loaded")
        return SSL.Connection(self._context)


def _make_context(credentials: Credentials) -> SSL.Context:
    """
    Return the OpenSSL context for new connections.

    Twisted's CertificateOptions does the same, with a longer list of ciphers, but uses pyOpenSSL in
    a way that raises deprecation warnings.

    :raises TLSFileError: OpenSSL rejects a certificate or key, as too weak for example.
    """
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_options(_OPTIONS)
    context.set_cipher_list(CIPHERS)
    # An idle connection then holds no buffers, which take 34 kB.
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    # Clients hold their sessions as tickets, encrypted with a key of this context.  So sessions end
    # when certificates are reloaded, and a client whose CA was removed must show a certificate
    # again.  OpenSSL requires a session id when it verifies client certificates.
    context.set_session_id(token_bytes(16))
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    use_credentials(context, credentials)
    if credentials.files.client_ca is not None:
        _require_certificates(context, credentials)
    return context


def use_credentials(context: SSL.Context, credentials: Credentials) -> None:
    """
    Let *context* show the certificate of *credentials*, with its chain.

    :raises TLSFileError: OpenSSL rejects a certificate or key, as too weak for example.
    """
    path = credentials.files.certificate
    try:
        context.use_certificate(credentials.chain[0])
        for certificate in credentials.chain[1:]:
            context.add_extra_chain_cert(certificate)
        path = credentials.files.key or path
        context.use_privatekey(credentials.key)
        context.check_privatekey()
    except (SSL.Error, TypeError, ValueError) as error:
        raise TLSFileError(path, f"rejected by OpenSSL: {describe(error)}") from None


def _require_certificates(context: SSL.Context, credentials: Credentials) -> None:
    store = cast(X509Store, context.get_cert_store())
    for authority in credentials.authorities:
        store.add_cert(X509.from_cryptography(authority))
        # The CA's name is sent to clients, which choose among several certificates by it.
        context.add_client_ca(authority)
    context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT)


def describe(error: BaseException) -> str:
    """Return the last reason in an error of OpenSSL, such as ``no shared cipher``."""
    try:
        return str(error.args[0][-1][-1]) or type(error).__name__
    except (LookupError, TypeError):
        return type(error).__name__


def wrap(
    factory: IProtocolFactory,
    certificates: IOpenSSLServerConnectionCreator,
    clock: IReactorTime,
    handshake_failed: Callable[[IAddress, str], object] | None = None,
    handshake_timeout: float = HANDSHAKE_TIMEOUT,
) -> TLSMemoryBIOFactory:
    """
    Return a factory that adds TLS between *factory* and the transports of its connections.

    :param certificates: `Certificates` that are loaded, or another creator of connections.
    :param clock: the reactor.
    :param handshake_failed: called with the client's address and the reason for each failed
        handshake; None: it is logged, one line a second.
    :param handshake_timeout: seconds that a client has for its handshake.
    """
    made = _TLSFactory(certificates, False, factory, clock)
    made.handshake_timeout = handshake_timeout
    if handshake_failed is not None:
        made.handshake_failed = handshake_failed
    return made


def wrap_client(
    protocol: IProtocol,
    creator: IOpenSSLClientConnectionCreator,
    clock: IReactorTime,
    handshake_timeout: float = HANDSHAKE_TIMEOUT,
) -> IProtocol:
    """
    Return a protocol that adds TLS between *protocol*, a client's, and its transport.

    A handshake that fails or takes too long is reported to *protocol* as a loss of the connection.

    :param creator: makes the connections of OpenSSL, which check the server's certificate.
    :param clock: the reactor.
    :param handshake_timeout: seconds until the handshake must be complete.
    """
    factory = TLSMemoryBIOFactory(creator, True, _Existing(protocol), clock)
    factory.protocol = _TLSTransport
    made = cast(_TLSTransport, factory.buildProtocol(None))
    made.handshake_timeout = handshake_timeout
    return cast(IProtocol, made)


class TLSStarter:
    """
    Adds TLS to connections that have begun without it.

    The parameters are those of `wrap`.
    """

    def __init__(
        self,
        certificates: IOpenSSLServerConnectionCreator,
        clock: IReactorTime,
        handshake_failed: Callable[[IAddress, str], object] | None = None,
        handshake_timeout: float = HANDSHAKE_TIMEOUT,
    ) -> None:
        self._arguments = certificates, clock, handshake_failed, handshake_timeout

    def start(
        self, transport: Any, protocol: IProtocol, peer: IAddress, attach: Callable[[Any], object]
    ) -> None:
        """
        Put TLS between *transport* and *protocol*, its own.

        :param peer: the client's address.
        :param attach: called with what is the transport of *protocol* from now on.
        """
        connection = wrap(_Existing(_Attaching(attach)), *self._arguments).buildProtocol(peer)
        replace_protocol(transport, connection)
        connection.wrappedProtocol = protocol


class _Attaching(Protocol):
    """Stands for a protocol that has a transport already, until it gets another one."""

    def __init__(self, attach: Callable[[Any], object]) -> None:
        self._attach = attach

    def makeConnection(self, transport: Any) -> None:
        self._attach(transport)


class _Existing(Factory):
    """Builds a protocol that exists."""

    noisy = False

    def __init__(self, protocol: IProtocol) -> None:
        self._made = protocol

    def buildProtocol(self, addr: Any) -> Any:  # noqa: ARG002, Twisted's name
        return self._made


class _TLSTransport(BufferingTLSTransport):
    """TLS on one connection, of a server or a client."""

    handshake_timeout = HANDSHAKE_TIMEOUT
    #: Why TCP has ended.  A peer that leaves without close_notify ends TCP in order, but TLS
    #: reports its connection as lost.
    tcp_reason: Failure | None = None
    _deadline: IDelayedCall | None = None

    def makeConnection(self, transport: Any) -> None:
        super().makeConnection(transport)
        if self.connected:  # the server may have refused it meanwhile
            clock = self.factory._clock
            self._deadline = clock.callLater(self.handshake_timeout, self._expire)

    def _checkHandshakeStatus(self) -> None:  # noqa: N802, Twisted's name
        """
        Go on with the handshake, and tell a listener when it is complete and was not refused.

        Twisted before 26.4 checks the name in a certificate when the handshake is complete, and
        reports one that this has aborted, too.

        :source: twisted.protocols.tls.TLSMemoryBIOProtocol._checkHandshakeStatus
        """
        if self._aborted:
            return
        try:
            self._tlsConnection.do_handshake()
        except SSL.WantReadError:
            self._flushSendBIO()
        except SSL.Error:
            self._tlsShutdownFinished(Failure())
        else:
            self._handshakeDone = not self._aborted
            if self._handshakeDone and IHandshakeListener.providedBy(self.wrappedProtocol):
                self.wrappedProtocol.handshakeCompleted()

    def _expire(self) -> None:
        self._deadline = None
        if not self._handshakeDone:
            self.expired()
            self.abortConnection()

    def expired(self) -> None:
        """Handle that the handshake takes too long; the connection is reset then."""

    def abortConnection(self) -> None:
        # First: Twisted would send a close_notify, which turns the reset into a clean end.
        cast(ITCPTransport, self.transport).abortConnection()
        super().abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        deadline, self._deadline = self._deadline, None
        if deadline is not None:
            deadline.cancel()
        if reason.check(ConnectionLost) and self._has_received_end:
            reason = Failure(ConnectionDone())
        self.tcp_reason = reason
        super().connectionLost(reason)

    @property
    def _has_received_end(self) -> bool:
        """
        Whether the peer has ended its side with close_notify.

        A peer that closes its socket right after that resets TCP when it receives the answer.
        """
        connection = self._tlsConnection
        return connection is not None and bool(connection.get_shutdown() & SSL.RECEIVED_SHUTDOWN)


class _TLSConnection(_TLSTransport):
    """TLS on a connection that was accepted."""

    factory: "_TLSFactory"
    #: The client's address; behind a balancer it differs from the transport's peer.
    peer: IAddress

    def expired(self) -> None:
        reason = f"TLS handshake not complete within {self.handshake_timeout:g} s"
        self.factory.handshake_failed(self.peer, reason)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        error = None if self._handshakeDone else self._reason
        super().connectionLost(reason)
        # A client that disconnects before the handshake, such as a health check, is not an error.
        if error is not None and error.check(SSL.Error):
            self.factory.handshake_failed(
                self.peer, f"TLS handshake failed: {describe(error.value)}"
            )


class _TLSFactory(TLSMemoryBIOFactory):
    """TLS on all connections of a factory."""

    protocol = _TLSConnection
    handshake_timeout = HANDSHAKE_TIMEOUT
    _log = Logger()

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._log_limit = LogLimit(lambda: self._clock, self._log)
        self.handshake_failed: Callable[[IAddress, str], object] = self._log_failed

    def buildProtocol(self, addr: Any) -> _TLSConnection:
        connection = cast(_TLSConnection, super().buildProtocol(addr))
        connection.peer = addr
        connection.handshake_timeout = self.handshake_timeout
        return connection

    def stopFactory(self) -> None:
        self._log_limit.flush()
        super().stopFactory()

    def _log_failed(self, peer: IAddress, reason: str) -> None:
        suffix = self._log_limit.suffix("handshake")
        if suffix is not None:
            self._log.warn(
                "{peer}: {reason}{suffix}",
                peer=format_address(peer),
                reason=reason,
                suffix=suffix,
            )
