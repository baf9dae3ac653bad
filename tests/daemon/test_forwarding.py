"""What a relay is built from, as options say; nothing here listens."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

from twisted.internet.defer import maybeDeferred
from twisted.internet.error import ConnectionDone
from twisted.logger import LogLevel, eventAsText
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from reqresp.daemon.reloading import SourceReloader
from reqresp.faults import Latency
from reqresp.relay import RelayFactory, Unreachable
from reqresp.relay.upstream_tls import ClientTLS
from reqresp.transport.proxy_protocol import encode_binary, encode_line
from tests.support import live
from tests.support.daemon import Making, parsed, refusal
from tests.support.issued import authority, ours, pem


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
            self.assertIn(f"{name} requires --forward or --script", refusal(option))

    def test_options_that_need_tls(self) -> None:
        """Without TLS to the service, they would have no effect."""
        for option in ("--forward-name=a", "--forward-ca=a", "--forward-insecure"):
            name = option.partition("=")[0]
            text = refusal("--forward=a:1", option)
            self.assertIn(f"{name} requires --forward-tls or --script", text)
        text = refusal("--forward=a:1", "--forward-tls", "--forward-key=a")
        self.assertIn("--forward-key requires --forward-cert", text)

    def test_words_that_are_unknown(self) -> None:
        """The message has those that are known."""
        for option, expected in (("unreachable", "reset or close"), ("send-proxy", "1 or 2")):
            text = refusal("--forward=a:1", f"--{option}=x")
            self.assertIn(f"--{option}: expected {expected}, found 'x'", text)


class FactoryTests(Making):
    """The factory that is made."""

    def relay(self, *arguments: str) -> RelayFactory:
        """Return the factory of *arguments*."""
        factory = self.make("--forward=127.0.0.1:80", *arguments).served.factory
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


class ScriptCase(Making):
    """A relay that a script describes."""

    def setUp(self) -> None:
        self.directory = live.temporary(self)
        self.path = self.directory / "it.toml"

    def relay(self, text: str, *arguments: str) -> RelayFactory:
        """Return the factory of a script and *arguments*."""
        self.path.write_text(text)
        factory = self.make(f"--script={self.path}", *arguments).served.factory
        assert isinstance(factory, RelayFactory)
        return factory

    def refused(self, text: str, *arguments: str) -> str:
        """Return the message with which a script and *arguments* are refused."""
        self.path.write_text(text)
        with self.assertRaises(SystemExit) as caught:
            self.make(f"--script={self.path}", *arguments)
        return str(caught.exception.code)


class ScriptTests(ScriptCase):
    """``[upstream]`` in a script, and the options that replace its keys."""

    def test_a_script(self) -> None:
        """It needs no option."""
        factory = self.relay(
            '[upstream]\naddress = "a:1"\nunreachable = "close"\nsend_proxy = 1\ntimeout = 3'
        )
        self.assertEqual(factory.upstream.name, "a:1")
        self.assertIs(factory.unreachable, Unreachable.CLOSE)
        self.assertIs(factory.upstream.encode_header, encode_line)
        endpoint: Any = factory.upstream.endpoint
        self.assertEqual(endpoint._timeout, 3)

    def test_options_replace_single_keys(self) -> None:
        """All others stay those of the script."""
        factory = self.relay(
            '[upstream]\naddress = "127.0.0.1:1"\nunreachable = "close"\nsend_proxy = 1\n'
            "timeout = 3",
            *("--forward=127.0.0.1:2", "--send-proxy=2", "--unreachable=reset"),
        )
        self.assertEqual(factory.upstream.name, "127.0.0.1:2")
        self.assertIs(factory.unreachable, Unreachable.RESET)
        self.assertIs(factory.upstream.encode_header, encode_binary)
        endpoint: Any = factory.upstream.endpoint
        self.assertEqual(endpoint._timeout, 3)

    def test_a_script_that_answers_has_no_service(self) -> None:
        """The options for one are refused, with the script's name."""
        answers = 'rule = [{ reply = "a" }]'
        text = self.refused(answers, "--forward=a:1")
        self.assertEqual(
            text,
            f"reqresp: --forward: cannot be combined with {self.path}, which answers by itself",
        )
        for option in ("--send-proxy=1", "--forward-insecure", "--forward-timeout=1"):
            text = self.refused(answers, option)
            name = option.partition("=")[0]
            expected = f"reqresp: {name}: requires --forward, or [upstream] in the script"
            self.assertEqual(text, expected)

    def test_options_about_requests(self) -> None:
        """A relay knows no requests."""
        for option in ("--framing=line", "--max-request=1", "--request-timeout=1"):
            text = self.refused('[upstream]\naddress = "a:1"', option)
            name = option.partition("=")[0]
            self.assertEqual(text, f"reqresp: {name}: cannot be combined with {self.path}, a relay")

    def test_workers_check_the_script(self) -> None:
        """The parent finds problems, before it starts a worker."""
        tls = 'address = "a:1"\ntls = { ca = "ca.pem" }'
        text = self.refused(f"[upstream]\n{tls}", "--workers=1")
        place = f"{self.directory}/it.toml:3: upstream.tls.ca"
        self.assertRegex(text, f"^reqresp: {place}: {self.directory}/ca.pem: .*No such file")


class ReloadTests(ScriptCase):
    """A script that is read again on SIGHUP."""

    def reloading(self, text: str, *arguments: str) -> tuple[RelayFactory, Callable[[], None]]:
        """Return a relay, and what reloads it, without a thread."""
        self.path.write_text(text)
        given = (f"--script={self.path}", *arguments)
        made = self.make(*given)
        factory = made.served.factory
        assert isinstance(factory, RelayFactory)
        return factory, SourceReloader(made.services, parsed(*given), maybeDeferred).reload

    def problem(self, text: str, reload: Callable[[], None]) -> str:
        """Return the line with which the new *text* is refused."""
        self.path.write_text(text)
        events = self.logged()
        reload()
        [line] = [eventAsText(it) for it in events if it["log_level"] is LogLevel.error]
        return line

    def test_new_connections_get_the_new_service(self) -> None:
        """Limits change for all."""
        factory, reload = self.reloading('[upstream]\naddress = "a:1"')
        self.path.write_text(
            '[upstream]\naddress = "b:2"\nunreachable = "close"\n[limits]\nmax_connections = 1'
        )
        reload()
        self.assertEqual(factory.upstream.name, "b:2")
        self.assertIs(factory.unreachable, Unreachable.CLOSE)

    def test_all_connections_get_the_new_faults(self) -> None:
        """Those of the old script are removed."""
        slow = (
            'seed = 7\n[[fault]]\nstream = "upstream"\nkind = "latency"\ndelay = 1\nname = "slow"\n'
        )
        factory, reload = self.reloading(f'{slow}[upstream]\naddress = "a:1"')
        self.assertEqual(
            [(it.name, it.fault) for it in factory.faults], [("slow", Latency(delay=1))]
        )
        self.path.write_text(slow.replace("= 1", "= 2") + '[upstream]\naddress = "a:1"')
        reload()
        self.assertEqual(
            [(it.name, it.fault) for it in factory.faults], [("slow", Latency(delay=2))]
        )

    def test_options_still_replace_keys(self) -> None:
        """As at the start."""
        factory, reload = self.reloading('[upstream]\naddress = "a:1"', "--forward=c:3")
        self.path.write_text('[upstream]\naddress = "b:2"\nsend_proxy = 2')
        reload()
        self.assertEqual(factory.upstream.name, "c:3")
        self.assertIs(factory.upstream.encode_header, encode_binary)

    def test_what_cannot_change(self) -> None:
        """One line says why, and the relay forwards as before."""
        factory, reload = self.reloading('[upstream]\naddress = "a:1"')
        upstream = factory.upstream
        for text, problem in (
            ("", "the script answers nothing"),
            ('[upstream]\naddress = "b"', "upstream.address: expected HOST:PORT"),
            ('[upstream]\naddress = "b:1"\ntls = { ca = "none.pem" }', "none.pem: "),
        ):
            line = self.problem(text, reload)
            self.assertRegex(line, f"reload failed; keeping the current rules: .*{problem}")
            self.assertIs(factory.upstream, upstream)

    def test_a_server_becomes_a_relay(self) -> None:
        """It serves on the same port, and connections that were open are ended."""
        self.path.write_text('rule = [{ reply = "a" }]')
        made = self.make(f"--script={self.path}")
        options = parsed(f"--script={self.path}")
        reload = SourceReloader(made.services, options, maybeDeferred).reload
        _protocol, transport = self.connect(made)
        self.path.write_text('[upstream]\naddress = "a:1"')
        reload()
        self.assertIsInstance(made.served.factory, RelayFactory)
        made.reactor.advance(0)
        self.assertTrue(transport.disconnecting)
        _protocol.connectionLost(Failure(ConnectionDone()))

    def test_tls_without_its_packages(self) -> None:
        """A script that gains TLS: one line says what to install, for a relay and for rules."""
        forwarding = 'framing = "line"\nunmatched = { forward = true }\n'
        for before in ("", forwarding):
            self.path.write_text(before + 'upstream = { address = "a:1" }')
            made = self.make(f"--script={self.path}")
            options = parsed(f"--script={self.path}")
            reload = SourceReloader(made.services, options, maybeDeferred).reload
            with patch.dict(sys.modules, {"OpenSSL": None}):
                for name in ("reqresp.transport.tls", "reqresp.relay.client_tls"):
                    sys.modules.pop(name, None)
                line = self.problem(before + 'upstream = { address = "b:1", tls = {} }', reload)
            self.assertRegex(line, r"reload failed; keeping the current rules: [^\n]*OpenSSL")
            self.assertTrue(line.endswith("(pip install 'reqresp[tls]')"))


class TLSTests(ScriptCase):
    """Options and keys for TLS to the service."""

    def test_options(self) -> None:
        """Files are read when the relay is made."""
        ca = self.directory / "ca.pem"
        ca.write_bytes(authority().cert_pem.bytes())
        cert = self.directory / "cert.pem"
        cert.write_bytes(ours())
        for arguments in (
            ("--forward-tls",),
            ("--forward-tls", "--forward-name=db.example", f"--forward-ca={ca}"),
            ("--forward-tls", "--forward-insecure", f"--forward-cert={cert}"),
        ):
            made = self.make("--forward=127.0.0.1:1", *arguments)
            factory = made.served.factory
            assert isinstance(factory, RelayFactory)
            self.assertIsInstance(factory.upstream.tls, ClientTLS)
            self.assertEqual(len(made.service.on_hangup), 1)

    def test_an_option_adds_to_the_script(self) -> None:
        """The other keys for TLS stay."""
        ca = self.directory / "ca.pem"
        ca.write_bytes(authority().cert_pem.bytes())
        text = '[upstream]\naddress = "a:1"\ntls = { ca = "ca.pem" }'
        self.assertIsInstance(self.relay(text, "--forward-name=b").upstream.tls, ClientTLS)
        refused = self.refused(text, "--forward-insecure")
        self.assertEqual(
            refused,
            "reqresp: --forward-ca: cannot be combined with insecure, which checks nothing",
        )

    def test_tls_that_the_script_does_not_turn_on(self) -> None:
        """An option about its details is refused."""
        text = self.refused('[upstream]\naddress = "a:1"', "--forward-name=b")
        self.assertEqual(text, "reqresp: --forward-name: requires --forward-tls")

    def test_files_that_cannot_be_used(self) -> None:
        """One line names the file."""
        key = self.directory / "key.pem"
        key.write_bytes(authority().issue_cert("a").private_key_pem.bytes())
        cert = self.directory / "cert.pem"
        cert.write_bytes(pem(authority().issue_cert("b")))
        for option, problem in (
            ("--forward-ca=/dev/null", "/dev/null: is not a regular file"),
            (f"--forward-ca={key}", f"{key}: contains no certificate"),
            (f"--forward-cert={key}", f"{key}: contains no certificate"),
            (f"--forward-cert={cert} --forward-key={key}", "the private key does not belong"),
        ):
            with self.assertRaises(SystemExit) as caught:
                self.make("--forward=127.0.0.1:1", "--forward-tls", *option.split())
            self.assertIn(problem, str(caught.exception.code))

    def test_a_warning_that_nothing_is_checked(self) -> None:
        """Whoever reads the log knows it."""
        events = self.logged()
        self.make("--forward=127.0.0.1:1", "--forward-tls", "--forward-insecure")
        [line] = [eventAsText(it) for it in events if it["log_level"] is LogLevel.warn]
        self.assertIn("upstream 127.0.0.1:1: its certificate is not checked", line)
