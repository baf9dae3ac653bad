"""What a server is built from, as options say; nothing here listens."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.logger import LogLevel, eventAsText
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.server import Site

from reqresp import Limits
from reqresp._files import STDOUT
from reqresp.daemon.build import find_file_problem
from reqresp.daemon.definitions import read_definitions
from reqresp.daemon.reloading import SourceReloader
from reqresp.server.proxied import ProxiedFactory
from reqresp.services.appended_files import worker_path
from tests.support import live
from tests.support.daemon import Made, Making, parsed


class LayersTests(Making):
    """What comes first on a connection: a PROXY header, then TLS."""

    def listening(self, made: Made) -> Any:
        """The factory of the first port."""
        made.service.startService()
        return made.reactor.tcpServers[0][1]

    def certificate(self) -> str:
        path = live.temporary(self) / "it.pem"
        path.write_bytes(live.pem())
        return f"--tls-cert={path}"

    def test_none(self) -> None:
        """Without options the factory is not wrapped."""
        made = self.make()
        self.assertIs(self.listening(made), made.served.factory)

    def test_the_time_for_a_handshake(self) -> None:
        """A client has ten seconds, or as many as the option says."""
        for options, timeout in (((), 10), (("--handshake-timeout=3",), 3)):
            made = self.make(self.certificate(), *options)
            self.assertEqual(self.listening(made).handshake_timeout, timeout)

    def test_failed_handshakes_are_counted(self) -> None:
        """They are in the metrics, with other malformed input."""
        made = self.make(self.certificate(), "--metrics=0")
        self.listening(made).handshake_failed(IPv4Address("TCP", "192.0.2.1", 1234), "why")
        counters = made.served.factory.counters
        assert counters is not None
        self.assertEqual(counters.malformed, {"tls_handshake": 1})

    def test_proxy_protocol(self) -> None:
        """The client of a trusted balancer has the address in the header, and must be allowed."""
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
        """TLS wraps the factory, and starts after the PROXY header."""
        made = self.make(self.certificate())
        factory = self.listening(made)
        self.assertIsInstance(factory, TLSMemoryBIOFactory)
        self.assertIs(factory.wrappedFactory, made.served.factory)
        factory = self.listening(self.make(self.certificate(), "--proxy-protocol"))
        self.assertIsInstance(factory, ProxiedFactory)
        self.assertIsInstance(factory.inner, TLSMemoryBIOFactory)

    def test_tls_is_private(self) -> None:
        """With TLS, listening on all interfaces needs no warning."""
        for option, is_private in ((self.certificate(), True), ("--quiet", False)):
            made = self.make("--interface=0.0.0.0", option)
            self.assertEqual([it.is_private for it in made.served.ports.listeners], [is_private])


class MetricsTests(Making):
    """Metrics and health."""

    def test_a_site_of_its_own(self) -> None:
        """Metrics have a port on loopback, closed last; without the option there is none."""
        made = self.make("--port=7", "--metrics=8")
        self.assertEqual([it.closes_last for it in made.service.listeners], [True])
        made.service.startService()
        ports = [(port, interface) for port, _, _, interface in made.reactor.tcpServers]
        self.assertEqual(ports, [(7, "127.0.0.1"), (8, "127.0.0.1")])
        self.assertIsInstance(made.reactor.tcpServers[1][1], Site)
        self.assertIsNotNone(made.served.factory.counters)
        self.assertIsNone(self.make().served.factory.counters)

    def test_an_endpoint(self) -> None:
        """An endpoint description sets where metrics are served."""
        made = self.make("--metrics=tcp:8:interface=192.0.2.1")
        made.service.startService()
        self.assertEqual(made.reactor.tcpServers[-1][3], "192.0.2.1")

    def test_missing_packages(self) -> None:
        """If a package is missing, the line says what to install."""
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


class ControlTests(Making):
    """A process that is controlled."""

    def test_a_site_of_its_own(self) -> None:
        """It closes last, and there is a journal in memory; without the option there is none."""
        made = self.make("--port=7", "--control=8")
        self.assertEqual([it.closes_last for it in made.service.listeners], [True])
        self.replies(made, b"request")
        self.assertEqual(len(made.served.journal.exchanges()), 1)
        with self.assertRaises(RuntimeError):
            _ = self.make().served.journal

    def test_paths_in_what_is_sent(self) -> None:
        """They are relative to the services file; without one, to the current directory."""
        path = live.temporary(self) / "services.toml"
        path.write_text('[[service]]\nname = "a"\nlisten = 1\n')
        made = self.make(f"--services={path}", "--control=8", "--quiet")
        self.assertEqual(made.services.environment.base, path.parent)
        self.assertEqual(self.make("--control=8").services.environment.base, Path.cwd())

    def test_tokens_that_cannot_be_used(self) -> None:
        """One line names the file."""
        path = live.temporary(self) / "token"
        for data, problem in (
            (None, "cannot be read: No such file or directory"),
            (b"", "expected one word of printable ASCII characters"),
            (b"two words", "expected one word of printable ASCII characters"),
            (b"\xff", "expected one word of printable ASCII characters"),
        ):
            if data is not None:
                path.write_bytes(data)
            with self.assertRaises(SystemExit) as caught:
                self.make("--control=8", f"--control-token-file={path}")
            self.assertEqual(
                caught.exception.code, f"reqresp: --control-token-file: {path}: {problem}"
            )


class ServicesTests(Making):
    """A services file."""

    def made(self, text: str, *arguments: str) -> Made:
        path = live.temporary(self) / "services.toml"
        path.write_text(text)
        return self.make(f"--services={path}", *arguments)

    def test_problems(self) -> None:
        """Endpoints that cannot be made are reported at once, with their lines."""
        text = '[[service]]\nname = "a"\nlisten = "bogus:1"\n'
        with self.assertRaises(SystemExit) as caught:
            self.made(text + text.replace('"a"', '"b"').replace("bogus", "bogus2"))
        lines = str(caught.exception.code).splitlines()
        self.assertEqual(len(lines), 2)
        self.assertRegex(
            lines[1], r"services.toml:6: service\[1\].listen: invalid endpoint 'bogus2:1'"
        )

    def test_workers(self) -> None:
        """They accept only from bare sockets."""
        with self.assertRaises(SystemExit) as caught:
            self.made('[[service]]\nname = "a"\nlisten = "haproxy:tcp:1"', "--workers=2")
        self.assertIn("service[0].listen: --workers cannot", str(caught.exception.code))

    def test_signals(self) -> None:
        """SIGHUP is handled: services may come that have files."""
        made = self.made('[[service]]\nname = "a"\nlisten = 1')
        self.assertEqual((len(made.service.on_hangup), len(made.service.on_end)), (2, 1))
        made.service.on_hangup[0]()
        made.service.on_end[0]()


class JournalTests(Making):
    """A server with a journal."""

    def setUp(self) -> None:
        self.path = live.temporary(self) / "journal"

    def test_writes(self) -> None:
        """Events are written within a second, in addition to the log."""
        made = self.make("--journal", str(self.path))
        self.addCleanup(made.service.on_end[0])
        events = self.logged()
        self.replies(made, b"request")
        made.reactor.advance(1)
        lines = [json.loads(line) for line in self.path.read_bytes().splitlines()]
        kinds = [line["event"] for line in lines]
        self.assertEqual(kinds, ["connected", "answered", "disconnected"])
        self.assertEqual((lines[1]["request"], lines[1]["by"]), ("request", "table"))
        self.assertTrue([event for event in events if "lines" in event])

    def test_is_complete_at_the_end(self) -> None:
        """What was not written yet is written before the service has stopped."""
        made = self.make("-q", "-j", str(self.path))
        made.service.startService()
        protocol, _transport = self.connect(made)
        stopped = made.service.stopService()
        made.reactor.advance(0)
        self.assertEqual(self.path.read_bytes(), b"")
        protocol.connectionLost(Failure(ConnectionDone()))
        made.reactor.advance(0)
        assert stopped is not None
        self.successResultOf(stopped)
        self.assertEqual(len(self.path.read_bytes().splitlines()), 2)
        self.assertEqual(made.reactor.getDelayedCalls(), [])

    def test_sighup(self) -> None:
        """SIGHUP reopens the file, and reads the script again, if there is one."""
        script = self.path.with_name("it.toml")
        script.write_text('rule = [{ reply = "a" }]')
        for options, calls in (((), 1), ((f"--script={script}",), 2)):
            made = self.make("-q", f"--journal={self.path}", *options)
            self.addCleanup(made.service.on_end[0])
            self.assertEqual(len(made.service.on_hangup), calls)
            self.replies(made, b"request\n")
            self.path.rename(self.path.with_name("old"))
            made.service.on_hangup[0]()
            self.assertEqual(self.path.read_bytes(), b"")
            self.assertEqual(len(self.path.with_name("old").read_bytes().splitlines()), 3)

    def test_unusable_path(self) -> None:
        """The line names the path and the reason; a script with errors opens no journal."""
        for path, reason in {
            self.path / "no": "No such file or directory",
            self.path.parent: "Is a directory",
        }.items():
            with self.assertRaises(SystemExit) as caught:
                self.make("--journal", str(path))
            self.assertEqual(caught.exception.code, f"reqresp: --journal: {path}: {reason}")
        with self.assertRaises(SystemExit):
            self.make("--journal", str(self.path), "--script=/no/such.toml")
        self.assertFalse(self.path.exists())

    def test_absolute_path(self) -> None:
        """The path is absolute: a daemon changes its working directory."""
        self.assertTrue(parsed("--journal=it")["journal"].is_absolute())

    def test_standard_output(self) -> None:
        """A dash is standard output."""
        self.assertEqual(parsed("--journal=-")["journal"], STDOUT)


class ScriptTests(Making):
    """A server with a script."""

    TEXT = """
        limits.max_request = 10
        limits.idle_timeout = 60
        rule = [{ equals = "a", reply = "b" }, { matches = "x(.*)", reply = { template = "{1}" } }]
    """

    def script(self, text: str = TEXT) -> Path:
        """Write a script, and return its path."""
        path = live.temporary(self) / "it.toml"
        path.write_text(text)
        return path

    def refused(self, *arguments: str) -> str:
        """Return the message with which *arguments* are refused."""
        with self.assertRaises(SystemExit) as caught:
            self.make(*arguments)
        return str(caught.exception.code)

    def test_answers(self) -> None:
        """The rules answer, and requests are lines unless the script sets a framing."""
        made = self.make("--script", str(self.script()))
        self.assertEqual(self.replies(made, b"a\nxy\n"), b"b\r\ny\r\n")

    def test_options_override(self) -> None:
        """Options override the script's framing and single limits; other limits stay."""
        made = self.make("-s", str(self.script()), "--framing=netstring", "--max-request=20")
        self.assertEqual(self.replies(made, b"1:a,"), b"1:b,")
        expected = Limits(max_request=20, idle_timeout=60)
        self.assertEqual(made.factory.config.limits, expected)

    def test_conflicts(self) -> None:
        """If an option conflicts with the script, the line names the option and the rule."""
        path = self.script()
        text = self.refused("-s", str(path), "--framing=fixed:2")
        self.assertRegex(
            text, r"it\.toml conflicts with --framing: rule\[0\]: expected a payload of 2 bytes"
        )
        text = self.refused("-s", str(path), "--framing=fixed:20")
        self.assertRegex(
            text, r"it\.toml conflicts with --framing: expected a limit of at least 20 "
        )
        text = self.refused("-s", str(path), "--framing=fixed:20", "--max-request=15")
        self.assertIn("it.toml conflicts with --framing and --max-request: ", text)

    def test_other_errors(self) -> None:
        """An error that has nothing to do with the script does not mention it."""
        text = self.refused("-s", str(self.script()), "--tls-cert=/no/such.pem")
        self.assertNotIn("it.toml", text)
        self.assertIn("/no/such.pem", text)

    def test_errors(self) -> None:
        """All errors of a script are printed, each on its line."""
        path = self.script("framig = 1\nstart = 2")
        self.assertEqual(
            self.refused("-s", str(path)).splitlines(),
            [
                f"reqresp: {path}:1: framig: unknown key 'framig'; did you mean framing?",
                f"{path}:2: start: expected a string, found 2",
            ],
        )
        missing = path.with_name("no.toml")
        self.assertEqual(
            self.refused("-s", str(missing)),
            f"reqresp: --script: {missing}: cannot be read: No such file or directory",
        )

    def test_warnings_are_logged(self) -> None:
        """Warnings of a script are logged, and the server starts."""
        events = self.logged()
        path = self.script('rule = [{ reply = "a" },\n { equals = "b", reply = "c" }]')
        self.make("-s", str(path))
        [warning] = [str(event["problem"]) for event in events if "problem" in event]
        self.assertTrue(warning.startswith(f"{path}:2: rule[1]: never answers"), warning)

    def test_absolute_path(self) -> None:
        """The path is absolute: a daemon changes its working directory."""
        self.assertTrue(parsed("-s", "it.toml")["script"].is_absolute())

    def test_a_script_that_answers_nothing(self) -> None:
        """An empty script is used at the start, with a warning."""
        events = self.logged()
        self.make("-s", str(self.script("")))
        [line] = [eventAsText(it) for it in events if it["log_level"] is LogLevel.warn]
        self.assertIn("it.toml: the script answers nothing: ", line)

    # Reloading

    def reloading(self, *arguments: str) -> tuple[Made, Path, Callable[[], None]]:
        """Return a server, the path of its script, and what reloads it, without a thread."""
        path = self.script()
        made = self.make("-s", str(path), *arguments)
        self.assertEqual(len(made.service.on_hangup), 1)
        return made, path, self.reloader(made, path, *arguments).reload

    def reloader(
        self, made: Made, path: Path, *arguments: str, run: Callable[..., Any] = maybeDeferred
    ) -> SourceReloader:
        return SourceReloader(made.services, parsed("-s", str(path), *arguments), run)

    def test_reload(self) -> None:
        """New connections get the new rules, open ones keep theirs; options still override."""
        made, path, reload = self.reloading("--max-request=20")
        protocol, transport = self.connect(made)
        path.write_text('framing = "netstring"\nrule = [{ reply = "new" }]')
        events = self.logged()
        reload()
        self.assertEqual(self.replies(made, b"1:a,"), b"3:new,")
        protocol.dataReceived(b"a\n")
        self.assertEqual(transport.value(), b"b\r\n")
        protocol.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(made.factory.config.limits, Limits(max_request=20))
        self.assertEqual([event["script"] for event in events if "script" in event], [path])

    def test_reload_of_a_broken_script(self) -> None:
        """All errors are logged, and the current rules stay."""
        made, path, reload = self.reloading("--framing=line")
        for text, problem in (
            ("framig = 1", "unknown key 'framig'"),
            ('framing = "chunk"\nrule = [{ reply = "a\\nb" }]', r"rule\[0\]: "),
            ("", "it.toml: the script answers nothing"),
            ('framing = "line"  # the rules are not written yet', "the script answers nothing"),
        ):
            path.write_text(text)
            events = self.logged()
            reload()
            [line] = [eventAsText(it) for it in events if it["log_level"] is LogLevel.error]
            self.assertRegex(line, rf"reload failed; keeping the current rules: (.|\n)*{problem}")
            self.assertEqual(self.replies(made, b"a\n"), b"b\r\n")
        path.unlink()
        reload()
        self.assertEqual(self.replies(made, b"a\n"), b"b\r\n")

    def test_several_reloads(self) -> None:
        """Reloads run one after the other, and the last one reads the newest file."""
        begun: list[Deferred[Any]] = []

        def later(load: Any, options: Any) -> "Deferred[Any]":
            begun.append(Deferred())
            return begun[-1].addCallback(lambda _: load(options))

        made, path, _reload = self.reloading()
        reloader = self.reloader(made, path, run=later)
        for _ in range(5):  # of which all but the first would read the same
            reloader.reload()
        self.assertEqual(len(begun), 1)
        begun[0].callback(None)
        path.write_text('rule = [{ reply = "last" }]')
        begun[1].callback(None)
        self.assertEqual(len(begun), 2)
        self.assertEqual(self.replies(made, b"a\n"), b"last\r\n")


class ReplayTests(Making):
    """Servers that replay a recording."""

    def recording(self, *lines: str) -> Path:
        """Return the path of a recording with these lines."""
        path = live.temporary(self) / "it.rec"
        path.write_text("# reqresp recording 1\n" + "".join(f"{it}\n" for it in lines))
        return path

    def test_a_recording(self) -> None:
        """The recorded replies are sent, at the pace of the option."""
        path = self.recording("> a", "(0.5 s)", "< b")
        self.assertEqual(self.replies(self.make(f"--replay={path}"), b"a"), b"b")
        made = self.make(f"--replay={path}", "--pace=2")
        protocol, transport = self.connect(made)
        protocol.dataReceived(b"a")
        made.reactor.advance(0.9)
        self.assertEqual(transport.value(), b"")
        made.reactor.advance(0.2)
        self.assertEqual(transport.value(), b"b")

    def test_reload(self) -> None:
        """New connections replay the file as it is now, unless it has errors."""
        path = self.recording("> a", "< b")
        made = self.make(f"--replay={path}")
        self.assertEqual(len(made.service.on_hangup), 1)
        reload = SourceReloader(made.services, parsed(f"--replay={path}"), maybeDeferred).reload
        path.write_text("# reqresp recording 1\n> a\n< new\n")
        reload()
        self.assertEqual(self.replies(made, b"a"), b"new")
        path.write_text("oops")
        events = self.logged()
        reload()
        [line] = [eventAsText(it) for it in events if it["log_level"] is LogLevel.error]
        self.assertIn(f"reload failed; keeping the current recording: {path}:1: expected", line)
        self.assertEqual(self.replies(made, b"a"), b"new")

    def test_ignore(self) -> None:
        """What the patterns match may differ."""
        path = self.recording("> id=1234", "< 1234")
        made = self.make(f"--replay={path}", "--ignore=[0-9]+", "--ignore=id=(?P<id>..)")
        self.assertEqual(self.replies(made, b"id=9876"), b"9876")

    def test_a_broken_recording(self) -> None:
        """A file with problems ends twistd with a line for each."""
        path = self.recording("> a", "oops")
        with self.assertRaisesRegex(SystemExit, rf"^reqresp: {path}:3: expected .*"):
            self.make(f"--replay={path}")

    def test_a_torn_recording(self) -> None:
        """A last line that is torn, as after a crash, is a warning."""
        path = self.recording("> a", "< b")
        path.write_text(path.read_text() + "> torn")
        events = self.logged()
        self.make(f"--replay={path}")
        [line] = [eventAsText(it) for it in events if it["log_level"] is LogLevel.warn]
        self.assertIn(f"{path}:4: an incomplete line", line)


class WorkerFilesTests(SynchronousTestCase):
    """Files that workers cannot use, found without creating any."""

    def setUp(self) -> None:
        self.directory = live.temporary(self)

    def why(self, *arguments: str) -> str | None:
        options = parsed("--workers=2", *arguments)
        return find_file_problem(options, read_definitions(options))

    def test_names(self) -> None:
        """The journal of a worker has its number before the suffix."""
        names = {"it.jsonl": "it.worker-2.jsonl", "it": "it.worker-2", ".it": ".it.worker-2"}
        found = {name: worker_path(Path("/a", name), 2) for name in names}
        self.assertEqual(found, {name: Path("/a", it) for name, it in names.items()})

    def test_no_files(self) -> None:
        """Without files nothing is wrong."""
        self.assertIsNone(self.why())

    def test_journals(self) -> None:
        """A journal that can be created or written is not a problem, and is not changed."""
        self.assertIsNone(self.why(f"--journal={self.directory}/it.jsonl"))
        self.assertEqual([*self.directory.iterdir()], [])
        old = self.directory / "it.worker-1.jsonl"
        old.write_text("old\n")
        self.assertIsNone(self.why(f"--journal={self.directory}/it.jsonl"))
        self.assertEqual(old.read_text(), "old\n")

    def test_unusable_journals(self) -> None:
        """A directory, a missing directory and a pipe without a reader are problems."""
        os.mkfifo(self.directory / "it.worker-2")
        cases = {
            str(self.directory): f"{self.directory}: Is a directory",
            "/": "/: Is a directory",
            "/no/such": "/no/such.worker-1: No such file or directory",
            f"{self.directory}/it": f"{self.directory}/it.worker-2: No such device or address",
        }
        self.assertEqual(
            {path: self.why(f"--journal={path}") for path in cases},
            {path: f"--journal: {why}" for path, why in cases.items()},
        )

    def test_standard_output(self) -> None:
        """Workers would write into each other's lines."""
        told = "--journal: expected a file: workers cannot share standard output"
        self.assertEqual(self.why("--journal=-"), told)

    def test_permissions(self) -> None:
        """A file without permission is a problem; faked, because root may use all files."""
        path = self.directory / "it"
        path.write_text("")
        forbidden: set[Any] = set()
        self.patch(os, "access", lambda path, *_, **__: path not in forbidden)
        for option in ("script", "replay", "tls-cert", "tls-key", "client-ca"):
            given = [f"--{option}={path}", f"--tls-cert={path if option == 'tls-cert' else '/b'}"]
            self.assertIsNone(self.why(*given))
            forbidden.add(path)
            told = f"{path}: the user that workers run as cannot read it"
            self.assertEqual(self.why(*given), told)
            forbidden.clear()
        forbidden.add(self.directory)
        told = f"--journal: {self.directory}/new.worker-1: Permission denied"
        self.assertEqual(self.why(f"--journal={self.directory}/new"), told)
        forbidden.add(sys.executable)
        self.assertIn("the user that workers run as cannot execute it", self.why() or "")
