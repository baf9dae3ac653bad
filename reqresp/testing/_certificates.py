"""
Certificates for tests of clients that use TLS.

They are made by trustme, which the extra ``reqresp[testing]`` installs, or are those of a test.
"""

import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

#: What is wrong with a certificate, for tests of clients that have to refuse it.
BadCertificate = Literal["expired", "wrong_name", "unknown_ca"]
#: What a server needs for TLS: certificates of its own, also bad ones, a context, or the files of a
#: certificate and of its key.
TLS = bool | BadCertificate | ssl.SSLContext | tuple[str | Path, str | Path]

#: A name that no server has.
_WRONG_NAME = "wrong-name.invalid"
_DAY = timedelta(days=1)


def make_contexts(name: str, tls: TLS, host: str) -> tuple[ssl.SSLContext, ssl.SSLContext | None]:
    """
    Return the contexts of a server on *host* and of its clients.

    The clients' context trusts the server's certificate only, or the authority that signed it if
    this module made both.  For a server's own context, it is None.

    :param name: of the argument *tls*, for messages.
    :param tls: True: a new certificate.  Each process has one authority for them.  Or what is wrong
        with a new certificate: the clients' context trusts the authority as before, and so refuses
        the certificate.
    :raises TypeError: *tls* is nothing of `TLS`.
    :raises ValueError: the context is none for servers, or a file cannot be used; the message
        names it.
    :raises ImportError: trustme, or what Twisted needs for TLS, is not installed.
    """
    if isinstance(tls, ssl.SSLContext):
        _check_server(name, tls)
        return tls, None
    if tls is True or (isinstance(tls, str) and tls in get_args(BadCertificate)):
        server = _server_context()
        _issue(tls, host).configure_cert(server)
        return server, _client_context(_authority().configure_trust)
    match tls:
        case (str() | Path() as certificate, str() | Path() as key):
            return _contexts_of(Path(certificate), Path(key))
    raise TypeError(
        f"{name}: expected True, an ssl.SSLContext, or the paths of a certificate and of its key in"
        f" a tuple, or one of {', '.join(get_args(BadCertificate))}; found {tls!r}"
    )


def _issue(tls: str | bool, host: str) -> Any:
    """Return a new certificate for *host*, with what *tls* says is wrong."""
    import trustme

    authority = trustme.CA() if tls == "unknown_ca" else _authority()
    if tls == "wrong_name":
        return authority.issue_cert(_WRONG_NAME)
    if tls == "expired":
        now = datetime.now(UTC)
        return authority.issue_cert(
            host, "localhost", not_before=now - 2 * _DAY, not_after=now - _DAY
        )
    return authority.issue_cert(host, "localhost")


def _contexts_of(certificate: Path, key: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    from reqresp.transport.pem import TLSFiles, read_credentials

    read_credentials(TLSFiles(certificate, key))  # its errors name the file, and what is wrong
    server = _server_context()
    server.load_cert_chain(certificate, key)
    client = _client_context(lambda context: context.load_verify_locations(certificate))
    # Trust the certificate itself: its signer is not needed.
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return server, client


def _server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _client_context(trust: Callable[[ssl.SSLContext], object]) -> ssl.SSLContext:
    # Not the default context: it takes time to read the system's authorities, and trusts them.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    trust(context)
    return context


def _check_server(name: str, context: ssl.SSLContext) -> None:
    try:
        context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_side=True)
    except ssl.SSLError as error:
        raise ValueError(f"{name}: expected an SSLContext for a server: {error.reason}") from None


@cache
def _authority() -> Any:
    import trustme

    return trustme.CA()
