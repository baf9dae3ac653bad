"""
Certificates: throwaway ones, for tests of clients that speak TLS.

Made by trustme, which the extra ``reqresp[testing]`` brings.
"""

import ssl
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

    The client trusts the authority that signed it, which is as new, and nobody else.

    :raises ImportError: trustme, or what Twisted needs for TLS, is not installed.
    """
    try:
        import trustme
        from OpenSSL import SSL
    except ImportError as error:
        raise ImportError(f"{error}: TLS takes pip install 'reqresp[testing]'") from error

    authority = trustme.CA()
    # Not with Twisted's own options: they pass pyOpenSSL what it warns of.
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    authority.issue_cert(host, "localhost").configure_cert(context)
    client_context = ssl.create_default_context()
    authority.configure_trust(client_context)
    return _Fixed(context), client_context
