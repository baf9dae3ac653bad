"""
Certificates for tests of clients that use TLS.

They are made by trustme, which the extra ``reqresp[testing]`` installs, or are those of a test.
"""

import ssl
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

#: What a server needs for TLS: certificates of its own, a context, or the files of a certificate
#: and of its key.
TLS = bool | ssl.SSLContext | tuple[str | Path, str | Path]


def make_contexts(tls: TLS, host: str) -> tuple[ssl.SSLContext, ssl.SSLContext | None]:
    """
    Return the contexts of a server on *host* and of its clients.

    The clients' context trusts the server's certificate only, or the authority that signed it if
    this module made both.  For a server's own context, it is None.

    :param tls: True: a new certificate.  Each process has one authority for them.
    :raises TypeError: *tls* is nothing of `TLS`.
    :raises ValueError: the context is none for servers, or a file cannot be used; the message
        names it.
    :raises ImportError: trustme, or what Twisted needs for TLS, is not installed.
    """
    if isinstance(tls, ssl.SSLContext):
        _check_server(tls)
        return tls, None
    if tls is True:
        authority = _authority()
        server = _server_context()
        authority.issue_cert(host, "localhost").configure_cert(server)
        return server, _client_context(authority.configure_trust)
    match tls:
        case (str() | Path() as certificate, str() | Path() as key):
            return _contexts_of(Path(certificate), Path(key))
    raise TypeError(
        "tls: expected True, an ssl.SSLContext, or the paths of a certificate and of its key in a"
        f" tuple, found {tls!r}"
    )


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


def _check_server(context: ssl.SSLContext) -> None:
    try:
        context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_side=True)
    except ssl.SSLError as error:
        raise ValueError(f"tls: expected an SSLContext for a server: {error.reason}") from None


@cache
def _authority() -> Any:
    import trustme

    return trustme.CA()
