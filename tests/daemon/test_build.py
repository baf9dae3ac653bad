"""What options put in front of a server, and beside it; nothing here listens."""

import sys
from typing import Any
from unittest.mock import patch

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.web.server import Site

from reqresp.server.proxied import ProxiedFactory
from tests.support import live
from tests.test_tap import Made, Making, parsed


class LayersTests(Making):
    """What a connection begins with."""

    def listening(self, made: Made) -> Any:
        """The factory of the first port."""
        made.service.startService()
        return made.reactor.tcpServers[0][1]

    def certificate(self) -> str:
        path = live.temporary(self) / "it.pem"
        path.write_bytes(live.pem())
        return f"--tls-cert={path}"

    def test_none(self) -> None:
        """Without options the factory is served as it is."""
        made = self.make()
        self.assertIs(self.listening(made), made.service.factory)

    def test_proxy_protocol(self) -> None:
        """A header names the client, for all that is behind it."""
        made = self.make("--proxy-protocol", "--trust=192.0.2.7", "--allow=10.0.0.0/8")
        factory = self.listening(made)
        self.assertIsInstance(factory, ProxiedFactory)
        asked = {}
        for balancer, client in (
            ("192.0.2.7", "10.0.0.1"),
            ("192.0.2.7", "11.0.0.1"),
            ("10.0.0.1", "10.0.0.1"),
        ):
            peer = IPv4Address("TCP", balancer, 1234)
            transport: Any = StringTransport(peerAddress=peer)
            transport.protocol = factory.buildProtocol(peer)
            transport.protocol.makeConnection(transport)
            transport.protocol.dataReceived(f"PROXY TCP4 {client} 10.0.0.9 5 6\r\n".encode() + b"x")
            asked[balancer, client] = transport.value()
            transport.protocol.connectionLost(Failure(ConnectionDone()))
        self.assertEqual([*asked.values()], [b"response", b"", b""])

    def test_tls(self) -> None:
        """Behind the header, if there is one."""
        made = self.make(self.certificate())
        factory = self.listening(made)
        self.assertIsInstance(factory, TLSMemoryBIOFactory)
        self.assertIs(factory.wrappedFactory, made.service.factory)
        factory = self.listening(self.make(self.certificate(), "--proxy-protocol"))
        self.assertIsInstance(factory, ProxiedFactory)
        self.assertIsInstance(factory.inner, TLSMemoryBIOFactory)

    def test_tls_is_private(self) -> None:
        """Who listens on every interface with TLS is not warned of it."""
        for option, is_private in ((self.certificate(), True), ("--quiet", False)):
            made = self.make("--interface=0.0.0.0", option)
            self.assertEqual([it.is_private for it in made.service.listeners], [is_private])


class MeasuredTests(Making):
    """Metrics, and whether it is well."""

    def test_a_site_of_its_own(self) -> None:
        """On loopback, and it is closed last; without the option there is none."""
        made = self.make("--port=7", "--metrics=8")
        self.assertEqual([it.is_last for it in made.service.listeners], [False, True])
        made.service.startService()
        ports = [(port, interface) for port, _, _, interface in made.reactor.tcpServers]
        self.assertEqual(ports, [(7, "127.0.0.1"), (8, "127.0.0.1")])
        self.assertIsInstance(made.reactor.tcpServers[1][1], Site)
        self.assertIsNotNone(made.service.factory.counters)
        self.assertIsNone(self.make().service.factory.counters)

    def test_an_endpoint(self) -> None:
        """It can be elsewhere."""
        made = self.make("--metrics=tcp:8:interface=192.0.2.1")
        made.service.startService()
        self.assertEqual(made.reactor.tcpServers[-1][3], "192.0.2.1")

    def test_what_is_not_installed(self) -> None:
        """One line says what to install."""
        for module, loaded, option, extra in (
            (
                "prometheus_client",
                ("reqresp.control.prometheus", "reqresp.control.site"),
                "--metrics=8",
                "metrics",
            ),
            ("OpenSSL", ("reqresp.transport.tls",), "--tls-cert=it.pem", "tls"),
        ):
            with patch.dict(sys.modules, {module: None}), self.assertRaises(SystemExit) as caught:
                for name in loaded:
                    sys.modules.pop(name, None)
                self.make(option)
            text = str(caught.exception.code)
            self.assertRegex(text, rf"\Areqresp: [^\n]*\(pip install 'reqresp\[{extra}\]'\)\Z")


class TogetherTests(Making):
    """Options that do not go together."""

    def refusal(self, *arguments: str) -> str:
        with self.assertRaises(SystemExit) as caught:
            parsed(*arguments)
        return str(caught.exception.code)

    def test_what_needs_another(self) -> None:
        """The line says what."""
        for option, needed in (
            ("--tls-key=a", "tls-cert"),
            ("--client-ca=a", "tls-cert"),
            ("--trust=::1", "proxy-protocol"),
        ):
            name = option.partition("=")[0]
            self.assertIn(f"{name} goes with --{needed}", self.refusal(option))

    def test_what_needs_plain_sockets(self) -> None:
        """Layers of an endpoint's own are not beside ours, nor shared by workers."""
        for option in ("--workers=2", "--tls-cert=a", "--proxy-protocol"):
            for description in ("ssl:1:privateKey=a", "haproxy:tcp:1", "tls:a:tcp:1"):
                text = self.refusal(option, f"--listen={description}")
                name = option.partition("=")[0]
                self.assertIn(f"{name} goes with plain sockets, not with {description!r}", text)

    def test_networks(self) -> None:
        """What is no network is named, with its option."""
        for name in ("allow", "deny", "trust"):
            text = self.refusal("--proxy-protocol", f"--{name}=10.0.0.0/8,x")
            self.assertIn(f"--{name}: 'x' is not a network", text)

    def test_what_a_worker_is_told(self) -> None:
        """All that is no affair of its parent's; paths as they are from everywhere."""
        options = parsed(
            *("--port=1", "--workers=2", "--metrics=3", "--framing=line", "--quiet"),
            *("--journal=a/b", "--allow=10.0.0.0/8", "--allow=::1", "--max-request=7"),
        )
        again = parsed(*options.arguments)
        for name in ("framing", "quiet", "journal", "access", "limits", "response", "drain"):
            self.assertEqual(again[name], options[name], name)
        self.assertEqual((again["workers"], again["metrics"]), (None, None))
        self.assertTrue(again["journal"].is_absolute())
