"""
Certificates for tests of clients that use TLS.

They are made by trustme, which the extra ``reqresp[testing]`` installs.
"""

import ssl
from functools import cache
from typing import Any

from twisted.internet.ssl import ContextFactory


class _OneContext(ContextFactory):
    """Uses the same context for all connections."""

    def __init__(self, context: Any) -> None:
        self._context = context

    def getContext(self) -> Any:
        return self._context


def make_contexts(host: str) -> tuple[ContextFactory, ssl.SSLContext]:
    """
    Return contexts for a server on *host* and for its clients.

    The client's context trusts only the authority that signed the server's certificate.  Each
    process has its own authority.

    :raises ImportError: trustme, or a package that Twisted needs for TLS, is not installed.
    """
    authority = _authority()
    from OpenSSL import SSL

    # Not Twisted's CertificateOptions: what it passes to pyOpenSSL causes a warning.
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    authority.issue_cert(host, "localhost").configure_cert(context)
    # Not the default context: it takes time to read the system's authorities, and trusts them.
    client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_context.minimum_version = ssl.TLSVersion.TLSv1_2
    authority.configure_trust(client_context)
    return _OneContext(context), client_context


@cache
def _authority() -> Any:
    try:
        import trustme
    except ImportError as error:
        raise ImportError(f"{error}: for TLS, run pip install 'reqresp[testing]'") from error
    return trustme.CA()
