"""
Certificates: throwaway ones, for tests of clients that speak TLS.

Made by trustme, which the extra ``reqresp[testing]`` brings.
"""

import ssl
from functools import cache
from typing import Any

from twisted.internet.ssl import ContextFactory


class _Fixed(ContextFactory):
    """Gives the same context to all connections."""

    def __init__(self, context: Any) -> None:
        self._context = context

    def getContext(self) -> Any:
        return self._context


def make_contexts(host: str) -> tuple[ContextFactory, ssl.SSLContext]:
    """
    Make a certificate for *host*, and give what the server needs, and a client's context.

    The client trusts nobody but the authority that signed it, which lives as long as this process.

    :raises ImportError: trustme, or what Twisted needs for TLS, is not installed.
    """
    authority = _authority()
    from OpenSSL import SSL

    # Not with Twisted's own options: they pass pyOpenSSL what it warns of.
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    authority.issue_cert(host, "localhost").configure_cert(context)
    # Not the default context: it trusts, and takes the time to read, what the system trusts.
    client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_context.minimum_version = ssl.TLSVersion.TLSv1_2
    authority.configure_trust(client_context)
    return _Fixed(context), client_context


@cache
def _authority() -> Any:
    try:
        import trustme
    except ImportError as error:
        raise ImportError(f"{error}: TLS takes pip install 'reqresp[testing]'") from error
    return trustme.CA()
