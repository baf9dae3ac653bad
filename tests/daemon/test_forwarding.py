"""What a relay is built from, as options say; nothing here listens."""

from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from reqresp.relay import RelayFactory, Unreachable
from reqresp.transport.proxy_protocol import encode_binary, encode_line
from tests.support.daemon import Making, parsed, refusal


class ServiceTests(SynchronousTestCase):
    """How a service is written."""

    def test_addresses_names_and_paths(self) -> None:
        """A port is part of an address; a path is absolute for a daemon."""
        for text, service in (
            ("127.0.0.1:6379", ("127.0.0.1", 6379)),
            ("db.example:5432", ("db.example", 5432)),
            ("[::1]:25", ("::1", 25)),
            ("unix:/run/it.sock", Path("/run/it.sock")),
            ("unix:it.sock", Path("it.sock").absolute()),
        ):
            self.assertEqual(parsed(f"--forward={text}")["forward"], service, text)

    def test_anything_else_is_refused_with_an_example(self) -> None:
        """Without a port, or without brackets, an address has several meanings."""
        for text in ("", "localhost", "localhost:", ":80", "::1:80", "a:0", "a:65536", "unix:"):
            expected = (
                "--forward: expected HOST:PORT such as db.example:5432 or [::1]:5432, or"
                f" unix:PATH, found {text!r}"
            )
            self.assertIn(expected, refusal(f"--forward={text}"))

    def test_options_that_need_a_service(self) -> None:
        """They are refused without one."""
        for option in ("--forward-timeout=1", "--unreachable=close", "--send-proxy=1"):
            name = option.partition("=")[0]
            self.assertIn(f"{name} requires --forward", refusal(option))

    def test_words_that_are_unknown(self) -> None:
        """The message has those that are known."""
        for option, expected in (("unreachable", "reset or close"), ("send-proxy", "1 or 2")):
            text = refusal("--forward=a:1", f"--{option}=x")
            self.assertIn(f"--{option}: expected {expected}, found 'x'", text)


class FactoryTests(Making):
    """The factory that is made."""

    def relay(self, *arguments: str) -> RelayFactory:
        """Return the factory of *arguments*."""
        factory = self.make("--forward=127.0.0.1:80", *arguments).service.factory
        assert isinstance(factory, RelayFactory)
        return factory

    def test_defaults(self) -> None:
        """Clients are reset, and the service gets no header."""
        factory = self.relay()
        self.assertEqual(factory.upstream.name, "127.0.0.1:80")
        self.assertIs(factory.unreachable, Unreachable.RESET)
        self.assertIsNone(factory.upstream.encode_header)

    def test_all_options(self) -> None:
        """Each is passed on."""
        factory = self.relay("--unreachable=close", "--send-proxy=2", "--forward-timeout=3")
        self.assertIs(factory.unreachable, Unreachable.CLOSE)
        self.assertIs(factory.upstream.encode_header, encode_binary)
        endpoint: Any = factory.upstream.endpoint
        self.assertEqual(endpoint._timeout, 3)
        self.assertIs(self.relay("--send-proxy=1").upstream.encode_header, encode_line)

    def test_common_options_apply(self) -> None:
        """Limits of connections, counters and numbers are those of any server."""
        factory = self.relay("--max-connections=1", "--metrics=0")
        self.assertIsNotNone(factory.counters)
