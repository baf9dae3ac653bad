"""Upstreams that settings describe."""

from pathlib import Path
from typing import Any

from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint, UNIXClientEndpoint
from twisted.trial.unittest import SynchronousTestCase

from reqresp.relay.settings import make_upstream
from reqresp.server.upstream_settings import TLSSettings, UpstreamSettings
from reqresp.testing import InMemoryReactor
from reqresp.transport.proxy_protocol import encode_binary, encode_line


class UpstreamTests(SynchronousTestCase):
    """What is made of settings."""

    def test_addresses(self) -> None:
        """Each has its endpoint, with the timeout."""
        for address, kind, name in (
            (("127.0.0.1", 1), TCP4ClientEndpoint, "127.0.0.1:1"),
            (("db.example", 1), HostnameEndpoint, "db.example:1"),
            (Path("/run/it"), UNIXClientEndpoint, "unix:/run/it"),
        ):
            settings = UpstreamSettings(address=address, timeout=3)
            upstream = make_upstream(settings, InMemoryReactor())
            self.assertIsInstance(upstream.endpoint, kind)
            endpoint: Any = upstream.endpoint
            self.assertEqual(endpoint._timeout, 3)
            self.assertEqual(upstream.name, name)
            self.assertIsNone(upstream.tls)

    def test_headers(self) -> None:
        """Both versions, or none."""
        for version, encode in ((None, None), (1, encode_line), (2, encode_binary)):
            settings = UpstreamSettings(address=("a", 1), send_proxy=version)
            upstream = make_upstream(settings, InMemoryReactor())
            self.assertIs(upstream.encode_header, encode)

    def test_tls(self) -> None:
        """It needs no file."""
        settings = UpstreamSettings(address=("a", 1), tls=TLSSettings())
        self.assertIsNotNone(make_upstream(settings, InMemoryReactor()).tls)
