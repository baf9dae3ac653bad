"""
TLS to a service: the connections of OpenSSL that a client uses, made from PEM files.

It must not know relays.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any, cast

from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.python.failure import Failure
from zope.interface import implementer

from reqresp._errors import FieldError, TLSFileError
from reqresp.server.upstream_settings import TLSSettings
from reqresp.transport.pem import TLSFiles, date_warnings, read_authorities, read_credentials
from reqresp.transport.tls import describe, use_credentials

try:
    from OpenSSL import SSL
    from OpenSSL.crypto import X509, X509Store
    from service_identity.hazmat import DNS_ID, IPAddress_ID, verify_service_identity
    from service_identity.pyopenssl import extract_patterns
except ImportError as error:
    raise ImportError(f"{error} (pip install 'reqresp[tls]')") from None

#: The files of a client that has a certificate.
_OWNER = "client"
_WANTED_CA = "the certificates of the CAs that sign the service's certificate, as PEM"


@implementer(IOpenSSLClientConnectionCreator)
class ClientCreator:
    """
    Makes connections with *context*, each for one handshake.

    :param name: the name or the IP address that the service's certificate must have; None: nothing
        is checked.
    :raises FieldError: no certificate can have *name*.
    """

    def __init__(self, context: SSL.Context, name: str | None) -> None:
        self._context = context
        self._server_name: bytes | None = None
        if name is None:
            context.set_verify(SSL.VERIFY_NONE)
            return
        is_address = _is_address(name)
        try:
            self._wanted = (IPAddress_ID if is_address else DNS_ID)(name)
            self._server_name = None if is_address else name.encode("idna")
        except ValueError:
            expected = "the name or the IP address in the service's certificate"
            raise FieldError("upstream.tls.name", f"expected {expected}, found {name!r}") from None
        context.set_verify(SSL.VERIFY_PEER, self._verify)

    def clientConnectionForTLS(self, protocol: Any) -> SSL.Connection:  # noqa: N802, Twisted's name
        """Return a new connection for *protocol*."""
        connection = SSL.Connection(self._context)
        connection.set_app_data(protocol)
        if self._server_name is not None:
            connection.set_tlsext_host_name(self._server_name)
        return connection

    def _verify(
        self,
        connection: SSL.Connection,
        certificate: X509,
        _error: int,
        depth: int,
        is_trusted: int,
    ) -> bool:
        """Return whether a certificate of the service's chain is accepted."""
        if not is_trusted or depth != 0:
            return bool(is_trusted)
        try:
            verify_service_identity(extract_patterns(certificate), [self._wanted], [])
        except Exception:  # also of a malformed certificate: what is raised here is lost
            cast(Any, connection.get_app_data()).failVerification(Failure())
            return False
        return True


def make_creator(settings: TLSSettings, name: str, warn: Callable[[str], object]) -> ClientCreator:
    """
    Return what makes connections as *settings* say; their files are read now.

    :param name: the name of the service unless *settings* have one.
    :param warn: called with each certificate that is not valid now; it is used.
    :raises TLSFileError: a file cannot be used.
    :raises FieldError: no certificate can have *name*.
    """
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_options(SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_COMPRESSION)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    warnings: list[str] = []
    if settings.cert is not None:
        credentials = read_credentials(TLSFiles(settings.cert, settings.key), _OWNER)
        use_credentials(context, credentials)
        warnings += credentials.warnings(datetime.now(UTC))
    if not settings.insecure:
        warnings += _trust(context, settings)
    for problem in warnings:
        warn(problem)
    return ClientCreator(context, None if settings.insecure else settings.name or name)


def _trust(context: SSL.Context, settings: TLSSettings) -> list[str]:
    """Trust the CAs of *settings*; return warnings about them."""
    if settings.ca is None:
        context.set_default_verify_paths()
        return []
    authorities = read_authorities(settings.ca, _WANTED_CA)
    store = cast(X509Store, context.get_cert_store())
    try:
        for authority in authorities:
            store.add_cert(X509.from_cryptography(authority))
    except (SSL.Error, TypeError, ValueError) as error:
        raise TLSFileError(settings.ca, f"rejected by OpenSSL: {describe(error)}") from None
    return [*date_warnings(settings.ca, authorities, datetime.now(UTC))]


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
