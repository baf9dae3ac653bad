"""
Layers: what comes first on a connection of a service, before its own factory: a PROXY header, TLS.

Imports what loads OpenSSL late: few services use TLS.
"""

from functools import partial
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IProtocolFactory

from reqresp._defaults import HANDSHAKE_TIMEOUT
from reqresp.server.factory import ReqRespFactory
from reqresp.server.front_factory import FrontFactory, front_of
from reqresp.services.definition import Definition, reading_tls
from reqresp.transport.access import parse_networks

if TYPE_CHECKING:
    from reqresp.transport.tls import Certificates

#: Load balancers that are trusted unless a definition names others.
LOOPBACK = parse_networks("127.0.0.0/8, ::1")


def load_certificates(definition: Definition) -> "Certificates | None":
    """
    Return the certificates of a service; None: it has no TLS.

    :raises FieldError: a file cannot be used; it names its key.
    :raises ImportError: a package is not installed; the message has the extra.
    """
    tls = definition.tls
    if tls is None:
        return None
    from reqresp.transport.tls import Certificates, TLSFiles

    certificates = Certificates(TLSFiles(tls.cert, tls.key, tls.client_ca))
    with reading_tls(tls):
        certificates.load()
    return certificates


def add_layers(
    definition: Definition,
    factory: FrontFactory,
    certificates: "Certificates | None",
    reactor: Any,
) -> IProtocolFactory:
    """
    Wrap *factory* in what comes first on a connection: TLS, and before that a PROXY header.

    If it starts TLS itself, its connections begin without.
    """
    wrapped: IProtocolFactory = factory
    if certificates is not None:
        from reqresp.transport.tls import TLSStarter, wrap

        malformed = partial(front_of(factory).malformed, "tls_handshake")
        timeout = HANDSHAKE_TIMEOUT if definition.tls is None else definition.tls.handshake_timeout
        if isinstance(factory, ReqRespFactory) and factory.config.responder.starts_tls:
            factory.start_tls = TLSStarter(certificates, reactor, malformed, timeout)
        else:
            wrapped = wrap(factory, certificates, reactor, malformed, timeout)
    if definition.has_proxy_header:
        from reqresp.server.proxied import ProxiedFactory

        trusted = LOOPBACK if definition.trusted is None else definition.trusted
        wrapped = ProxiedFactory(wrapped, server=factory, trusted=trusted)
    return wrapped
