"""What comes first on a connection of a service."""

from attrs import evolve
from twisted.protocols.tls import TLSMemoryBIOFactory

from reqresp._errors import FieldError
from reqresp.server.proxied import ProxiedFactory
from reqresp.services.answers import check_answers, load, make_factory
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

    def test_a_script_that_starts_tls(self) -> None:
        """Its connections begin without TLS; without a certificate it cannot be loaded."""
        directory = live.temporary(self)
        (directory / "it.pem").write_bytes(live.pem())
        script = '[[rule]]\nequals = "x"\ndo = [{ start_tls = true }]\n'
        (directory / "it.toml").write_text(script)
        [plain] = self.definitions(f'{TEXT}script = "it.toml"\n', directory)
        loaded = [(plain, load(plain))]
        with self.assertRaisesRegex(FieldError, "^tls.cert: expected a certificate for the step"):
            check_answers(*loaded[0], self.reactor)
        encrypted = evolve(plain, tls=ServerTLS(cert=directory / "it.pem"))
        factory = make_factory(encrypted, loaded[0][1], self.reactor, clock=self.reactor)
        certificates = load_certificates(encrypted)
        self.assertIs(add_layers(encrypted, factory, certificates, self.reactor), factory)
        self.assertIsNotNone(factory.start_tls)
