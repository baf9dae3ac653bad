"""
Certificates: throwaway ones, for tests of clients that speak TLS.

Made by trustme, which the extra ``reqresp[testing]`` brings.
"""

import ssl
from typing import Any

from twisted.internet.ssl import CertificateOptions, PrivateCertificate


def make_contexts(host: str) -> tuple[CertificateOptions, ssl.SSLContext]:
    """
    Make a certificate for *host*, and give the server's options and a client's context.

    The client trusts the authority that signed it, which is as new, and nobody else.

    :raises ImportError: trustme, or Twisted's TLS, is not installed.
    """
    import trustme

    authority = trustme.CA()
    certificate: Any = authority.issue_cert(host, "localhost")
    pem = certificate.private_key_and_cert_chain_pem.bytes()
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return PrivateCertificate.loadPEM(pem).options(), context
