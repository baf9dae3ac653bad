"""What comes first on a connection of a service."""

from attrs import evolve
from twisted.protocols.tls import TLSMemoryBIOFactory

from reqresp.server.proxied import ProxiedFactory
from reqresp.services.definition import ServerTLS
from reqresp.services.layers import add_layers, load_certificates
from tests.support import live
from tests.support.served import Served

TEXT = '[[service]]\nname = "it"\nlisten = 1\n'


class LayersTests(Served):
    """TLS, and before it a PROXY header."""

    def test_layers(self) -> None:
        """Each wraps the factory if the definition has it."""
        path = live.temporary(self) / "it.pem"
        path.write_bytes(live.pem())
        self.start(TEXT)
        service = self.services["it"]
        plain = service.definition
        self.assertIs(add_layers(plain, service.factory, None, self.reactor), service.factory)
        self.assertIsNone(load_certificates(plain))
        encrypted = evolve(plain, tls=ServerTLS(cert=path, handshake_timeout=3))
        certificates = load_certificates(encrypted)
        wrapped = add_layers(encrypted, service.factory, certificates, self.reactor)
        assert isinstance(wrapped, TLSMemoryBIOFactory)
        self.assertEqual(wrapped.handshake_timeout, 3)  # type: ignore[attr-defined]
        both = evolve(encrypted, has_proxy_header=True)
        wrapped = add_layers(both, service.factory, certificates, self.reactor)
        assert isinstance(wrapped, ProxiedFactory)
        self.assertIsInstance(wrapped.inner, TLSMemoryBIOFactory)
