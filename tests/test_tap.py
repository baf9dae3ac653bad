"""The command's options, and the service that they make; nothing here listens."""

import json
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import twisted.internet
from attrs import frozen
from twisted.application.service import IServiceMaker
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import quoteStringArgument, serverFromString
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.logger import globalLogPublisher
from twisted.plugin import getPlugins
from twisted.python.failure import Failure
from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase

import twisted
from reqresp import Chunk, Delimiter, Fixed, LengthPrefix, Limits, Line, Netstring, __version__
from reqresp.daemon.endpoints import Place
from reqresp.daemon.service import ReqRespService
from reqresp.tap import Options, makeService
from tests.support import live


def parsed(*arguments: str) -> Options:
    """Options as twistd would parse them."""
    options = Options()
    options.parseOptions(arguments)
    return options


def places(options: Options) -> list[tuple[str, str]]:
    """Where *options* listen: names and descriptions."""
    return [(place.name, place.description) for place in options["places"]]


class OptionsTests(SynchronousTestCase):
    """What is given on the command line, and what becomes of it."""

    def refusal(self, *arguments: str) -> str:
        """Why *arguments* are refused: one line that says where there is help."""
        with self.assertRaises(SystemExit) as caught:
            parsed(*arguments)
        text = str(caught.exception.code)
        self.assertTrue(text.startswith("reqresp: "), text)
        self.assertTrue(text.endswith(" (see twistd reqresp --help)"), text)
        self.assertNotIn("\n", text)
        return text

    def test_without_options(self) -> None:
        """What nothing is said about is as the help has it."""
        options = parsed()
        expected: dict[str, Any] = {
            "places": [Place("127.0.0.1:9999", "eager:9999:interface=127.0.0.1:backlog=1024")],
            "measured": [],
            "workers": None,
            "lame-duck": 0.0,
            "access": None,
            "tls-cert": None,
            "proxy-protocol": 0,
            "response": b"response",
            "close-on": b"close",
            "framing": Chunk(),
            "script": None,
            "limits": {},
            "drain": 5.0,
            "journal": None,
            "quiet": 0,
        }
        self.assertEqual({name: options[name] for name in expected}, expected)

    def test_port_interface_backlog(self) -> None:
        """A port's number goes together with an interface and a backlog."""
        options = parsed("--port", "80", "--interface", "0.0.0.0", "--backlog", "7")  # noqa: S104
        self.assertEqual(places(options), [("0.0.0.0:80", "eager:80:interface=0.0.0.0:backlog=7")])

    def test_ipv6_interface(self) -> None:
        """An IPv6 interface is quoted, or its colons would end it."""
        options = parsed("--interface", "::1")
        self.assertEqual(
            places(options), [("[::1]:9999", r"eager:9999:interface=\:\:1:backlog=1024")]
        )

    def test_port_is_an_endpoint(self) -> None:
        """An endpoint description as port is taken as it is."""
        options = parsed("--port", "unix:/run/it")
        self.assertEqual(places(options), [("unix:/run/it", "unix:/run/it")])

    def test_listen_replaces_the_default_port(self) -> None:
        """With endpoints to listen on, nothing else is listened on."""
        options = parsed("--listen", "tcp:1", "-l", "unix:/b")
        self.assertEqual(places(options), [("tcp:1", "tcp:1"), ("unix:/b", "unix:/b")])

    def test_listen_adds_to_a_port(self) -> None:
        """A port that was asked for is listened on beside the endpoints."""
        options = parsed("--listen", "unix:/b", "--port", "7", "-b", "3")
        self.assertEqual(
            places(options),
            [("127.0.0.1:7", "eager:7:interface=127.0.0.1:backlog=3"), ("unix:/b", "unix:/b")],
        )

    def test_listen_adds_to_an_endpoint_as_port(self) -> None:
        """An endpoint as port comes first."""
        options = parsed("--listen", "unix:/b", "--port", "tcp:7")
        self.assertEqual(places(options), [("tcp:7", "tcp:7"), ("unix:/b", "unix:/b")])

    def test_interface_or_backlog_with_an_endpoint(self) -> None:
        """What an endpoint description says itself cannot be said apart from it."""
        for where in (["--port", "tcp:7"], ["--listen", "tcp:7"]):
            for name, value in (("interface", "127.0.0.1"), ("backlog", "5")):
                text = self.refusal(*where, f"--{name}", value)
                self.assertIn(f"--{name} goes with a port's number, not with an endpoint", text)

    def test_short_forms(self) -> None:
        """The options that are used often have a letter."""
        long = parsed(
            *("--port=1", "--interface=127.0.0.2", "--backlog=2", "--response=r", "--close-on=c"),
            *("--framing=line", "--drain=3", "--quiet", "--listen=tcp:4", "--journal=j"),
        )
        short = parsed(
            *("-p1", "-i127.0.0.2", "-b2", "-rr", "-cc", "-fline", "-d3", "-q", "-ltcp:4", "-jj"),
        )
        self.assertEqual(dict(short), dict(long))
        self.assertNotEqual(dict(short), dict(parsed()))

    def test_numbers(self) -> None:
        """Numbers are whole, seconds need not be."""
        options = parsed(
            *("--max-request", "1", "--max-connections", "2", "--max-per-peer", "3"),
            *("--idle-timeout", "0.5", "--drain", "0"),
        )
        names = ["max-request", "max-connections", "max-per-peer", "idle-timeout", "drain"]
        self.assertEqual([options[name] for name in names], [1, 2, 3, 0.5, 0.0])

    def test_wrong_numbers(self) -> None:
        """A number that is none, or is too small, is refused, and the line names the option."""
        cases = {
            "backlog": (["-1", "x", "1.5", ""], "a whole number, 0 or more"),
            "max-request": (["0", "-1", "64k"], "a whole number, 1 or more"),
            "max-connections": (["0", "many"], "a whole number, 1 or more"),
            "max-per-peer": (["0", "1e3"], "a whole number, 1 or more"),
            "drain": (["-1", "x", "inf", "nan", ""], "seconds, 0 or more"),
            "idle-timeout": (["0", "-0.0", "0.0001"], "0.001 seconds or more"),
        }
        for name, (values, expected) in cases.items():
            for value in values:
                text = self.refusal(f"--{name}={value}")
                self.assertIn(f"--{name}: expected {expected}, not {value!r}", text)
        for value in ("-1", "x", "inf"):
            text = self.refusal("--idle-timeout", value)
            self.assertIn(f"--idle-timeout: expected seconds, 0 or more, not {value!r}", text)

    def test_wrong_port(self) -> None:
        """A port is a number that there is, or an endpoint description."""
        for value in ("65536", "-1", "http", "", "99999999999999999999"):
            text = self.refusal("--port", value)
            self.assertIn(
                f"--port: expected a number up to 65535 or an endpoint description, not {value!r}",
                text,
            )
        self.assertEqual(places(parsed("--port=65535"))[0][0], "127.0.0.1:65535")

    def test_escapes(self) -> None:
        """Text takes backslash escapes, in the framing too."""
        options = parsed(
            *("--response", r"\x00\\a\t\0", "--close-on", r"Q\r\n"),
            *("--framing", r"delimiter:\r\n"),
        )
        self.assertEqual(options["response"], b"\x00\\a\t\x00")
        self.assertEqual(options["close-on"], b"Q\r\n")
        self.assertEqual(options["framing"], Delimiter(b"\r\n"))

    def test_text_that_is_not_ascii(self) -> None:
        """Text goes over the wire as UTF-8."""
        self.assertEqual(parsed("--response", "ä")["response"], b"\xc3\xa4")

    def test_wrong_escapes(self) -> None:
        """An unknown escape is refused, and the line lists the ones that are known."""
        for name in ("response", "close-on"):
            text = self.refusal(f"--{name}", r"a\q")
            expected = rf"--{name}: unknown escape \q: write \r, \n, \t, \0, \\ or \xNN"
            self.assertIn(expected, text)

    def test_framings(self) -> None:
        """Every framing can be asked for."""
        cases = {
            "chunk": Chunk(),
            "line": Line(),
            r"line:\n": Line(b"\n"),
            "delimiter:;": Delimiter(b";"),
            "netstring": Netstring(),
            "int8": LengthPrefix(1),
            "int16:little": LengthPrefix(2, "little"),
            "int32:big:inclusive": LengthPrefix(4, "big", inclusive=True),
            "fixed:8": Fixed(8),
        }
        for specification, framing in cases.items():
            self.assertEqual(parsed("--framing", specification)["framing"], framing)

    def test_wrong_framings(self) -> None:
        """What is no framing is refused, and the line lists all that are."""
        for value in ("", "lines", "int64", "fixed", "fixed:x", "fixed:0", "line:x", "delimiter:"):
            text = self.refusal("--framing", value)
            self.assertIn(
                f"--framing: unknown framing {value!r}; expected one of: chunk, line[:ENDING], ",
                text,
            )

    def test_framing_that_no_request_fits(self) -> None:
        """Requests of a size that is over the limit could never be answered."""
        text = self.refusal("--framing=fixed:8", "--max-request=7")
        self.assertIn("--framing: requests have 8 bytes, more than the limit of 7", text)

    def test_response_that_the_framing_cannot_hold(self) -> None:
        """A response that could never be sent is refused."""
        text = self.refusal("--framing=line", "--response", r"a\nb")
        self.assertIn("--response: a payload cannot contain the delimiter", text)

    def test_unknown_option(self) -> None:
        """An option that there is not is named."""
        self.assertIn("option --prot not recognized", self.refusal("--prot", "1"))

    def test_missing_value(self) -> None:
        """An option without its value is named."""
        self.assertIn("option --port requires argument", self.refusal("--port"))

    def test_argument(self) -> None:
        """What is no option has no meaning here."""
        self.assertIn("unexpected argument '9999'", self.refusal("9999", "tcp:1"))

    def test_interrupted_help(self) -> None:
        """Asking for help is no error."""
        with redirect_stdout(StringIO()) as printed, self.assertRaises(SystemExit) as caught:
            parsed("--help")
        self.assertIn(caught.exception.code, (None, 0))
        self.assertIn("--max-per-peer=", printed.getvalue())

    def test_version(self) -> None:
        """The version is that of reqresp first."""
        with redirect_stdout(StringIO()) as printed, self.assertRaises(SystemExit) as caught:
            parsed("--version")
        self.assertEqual(caught.exception.code, 0)
        self.assertEqual(
            printed.getvalue(), f"reqresp {__version__} (Twisted {twisted.__version__})\n"
        )

    def test_help_tells_defaults(self) -> None:
        """Each option that takes a value tells in the help what is used without it."""
        text = " ".join(Options().getUsage(width=1000).split())
        for name, default in {
            "port": "9999",
            "interface": "127.0.0.1",
            "backlog": "1024",
            "response": "response",
            "close-on": "close",
            "framing": "chunk, and line in a script",
            "max-request": "65536",
            "max-connections": "the soft limit on open files less 128",
            "max-per-peer": "no limit",
            "idle-timeout": "never",
            "drain": "5",
        }.items():
            _, found, rest = text.partition(f"--{name}=")
            self.assertTrue(found, name)
            explained = rest.partition(" --")[0]
            self.assertIn(f"[default: {default}]", explained, name)

    def test_usage_error_stays_one_inside(self) -> None:
        """Only the way out to twistd turns a usage error into an exit."""
        options = Options()
        options["port"] = "x"
        self.assertRaises(UsageError, options.postOptions)


@frozen
class Made:
    """A service, and the reactor it was made for."""

    service: ReqRespService
    reactor: Any


class Making(SynchronousTestCase):
    """Makes services, and connects to them."""

    def make(self, *arguments: str) -> Made:
        """The service of *arguments*, on a reactor in memory."""
        reactor = MemoryReactorClock()
        # The reactor is a module that trial or pytest has put in place.
        __import__("twisted.internet.reactor")
        self.patch(twisted.internet, "reactor", reactor)
        service = makeService(parsed(*arguments))
        assert isinstance(service, ReqRespService)
        return Made(service, reactor)

    def connect(self, made: Made, host: str = "192.0.2.1") -> tuple[Any, StringTransport]:
        """A client's connection to the server, and the transport that has what it got."""
        peer = IPv4Address("TCP", host, 1234)
        transport = StringTransport(peerAddress=peer)
        protocol = made.service.factory.buildProtocol(peer)
        assert protocol is not None
        protocol.makeConnection(transport)
        return protocol, transport

    def replies(self, made: Made, data: bytes) -> bytes:
        """What a client gets that sends *data*."""
        protocol, transport = self.connect(made)
        protocol.dataReceived(data)
        protocol.connectionLost(Failure(ConnectionDone()))
        value: bytes = transport.value()
        return value

    def logged(self) -> list[Any]:
        """What is logged from now on."""
        events: list[Any] = []
        observer: Any = events.append
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        return events


class MakeServiceTests(Making):
    """The service that options make."""

    def test_listens_where_it_was_told_to(self) -> None:
        """Every endpoint is listened on, with the same factory."""
        made = self.make("--port=7", "-b", "9", "-l", "tcp:8:interface=127.0.0.2", "-l", "unix:/it")
        made.service.startService()
        factory = made.service.factory
        self.assertEqual(
            [server[:4] for server in made.reactor.tcpServers],
            [(7, factory, 9, "127.0.0.1"), (8, factory, 50, "127.0.0.2")],
        )
        self.assertEqual([server[:2] for server in made.reactor.unixServers], [("/it", factory)])

    def test_is_a_notebook(self) -> None:
        """Without options it answers as the notebook does."""
        made = self.make()
        protocol, transport = self.connect(made)
        protocol.dataReceived(b"request")
        self.assertEqual((transport.value(), transport.disconnecting), (b"response", False))
        protocol.dataReceived(b"close")
        self.assertEqual((transport.value(), transport.disconnecting), (b"response" * 2, True))
        protocol.connectionLost(Failure(ConnectionDone()))

    def test_response_and_close_on(self) -> None:
        """The response, and what closes, can be chosen."""
        made = self.make("--response", "yes", "--close-on", "quit", "--framing", "line")
        self.assertEqual(self.replies(made, b"a\nclose\nquit\nb\n"), b"yes\r\n" * 3)

    def test_nothing_closes(self) -> None:
        """With an empty text, no request closes: not even an empty one."""
        made = self.make("--close-on", "", "--framing", "line")
        self.assertEqual(self.replies(made, b"close\n\nb\n"), b"response\r\n" * 3)

    def test_limits(self) -> None:
        """The limits are those of the options."""
        made = self.make(
            *("--max-request=1", "--max-connections=2", "--max-per-peer=3", "--idle-timeout=4"),
        )
        expected = Limits(max_request=1, max_connections=2, max_per_peer=3, idle_timeout=4)
        self.assertEqual(made.service.factory.config.limits, expected)

    def test_default_limits(self) -> None:
        """Without options the limits are the same as without a command."""
        self.assertEqual(self.make().service.factory.config.limits, Limits())

    def test_idle_time_is_the_reactors(self) -> None:
        """An idle client is closed when the reactor says that the time has come."""
        made = self.make("--idle-timeout=4")
        _protocol, transport = self.connect(made)
        made.reactor.pump([1, 1, 1])
        self.assertFalse(transport.disconnecting)
        made.reactor.pump([1, 1, 1])
        self.assertTrue(transport.disconnecting)

    def test_drain(self) -> None:
        """The time that replies have at the end is that of the options."""
        self.assertEqual(self.make("--drain=0.25").service.drain, 0.25)

    def test_transcript(self) -> None:
        """Requests are logged when the reactor's turn is over."""
        made = self.make()
        events = self.logged()
        self.replies(made, b"request")
        self.assertEqual(events, [])
        made.reactor.advance(0)
        lines = [event["lines"] for event in events if "lines" in event]
        self.assertIn("from client 192.0.2.1:1234: b'request'", lines)

    def test_nothing_is_journaled(self) -> None:
        """Where no journal is asked for, a signal to hang up means what it does elsewhere."""
        service = self.make().service
        self.assertEqual((service.on_hangup, service.on_end), ([], []))

    def test_quiet(self) -> None:
        """Nothing is logged of requests, when quiet, nor of connections."""
        made = self.make("--quiet")
        events = self.logged()
        self.assertEqual(self.replies(made, b"request"), b"response")
        made.reactor.advance(0)
        self.assertEqual(events, [])

    def cannot(self, description: str) -> str:
        """Why *description* is of no use."""
        with self.assertRaises(SystemExit) as caught:
            self.make("--listen", description)
        prefix = f"reqresp: {description!r} is no usable endpoint: "
        text = str(caught.exception.code)
        self.assertTrue(text.startswith(prefix), text)
        self.assertNotIn("\n", text)
        return text.removeprefix(prefix)

    def test_endpoints_that_are_none(self) -> None:
        """An endpoint that cannot be made of its description is named, and the reason too."""
        cases = {
            "bogus:1": "Unknown endpoint type: 'bogus'",
            "tcp:port": "invalid literal for int() with base 10: 'port'",
            "tcp:0:bogus=1": "got an unexpected keyword argument 'bogus'",
            "ssl:0:privateKey=/no/such.pem": "[Errno 2] No such file or directory: '/no/such.pem'",
            "systemd:domain=INET:index=0": "systemd passed no such descriptor",
            "systemd:domain=INET:name=none": "systemd passed no such descriptor",
        }
        for description, reason in cases.items():
            self.assertEqual(self.cannot(description), reason)

    def test_bad_pem(self) -> None:
        """A file that holds no key is named by its endpoint."""
        path = live.temporary(self) / "bad.pem"
        path.write_text("no PEM")
        self.assertTrue(self.cannot(f"ssl:0:privateKey={path}"))

    def test_tls_directory_that_is_missing(self) -> None:
        """A directory of certificates that does not exist is no better than a missing file."""
        self.assertIn("/no/such", self.cannot("tls:/no/such:port=0"))

    def test_tls_directory_by_name(self) -> None:
        """The directory of certificates can be named in any place, and have a colon in it."""
        directory = live.temporary(self) / "a:b"
        directory.mkdir()
        self.assertIn("no .pem file", self.cannot(f"tls:{quoteStringArgument(str(directory))}"))
        directory.joinpath("it.pem").write_bytes(b"")
        path = quoteStringArgument(str(directory))
        for description in (
            f"tls:{path}:port=7",
            f"tls:path={path}:port=7",
            f"tls:port=7:path={path}",
        ):
            made = self.make("--listen", description)
            made.service.startService()
            self.assertEqual([server[0] for server in made.reactor.tcpServers], [7])

    def fail_with(self, error: Exception) -> None:
        """Have the endpoint's parser raise *error*."""

        def parse(_reactor: Any, _description: str) -> None:
            raise error

        self.patch(sys.modules["reqresp.daemon.build"], "serverFromString", parse)

    def test_index_error_elsewhere(self) -> None:
        """Only of systemd is it known what an IndexError means."""
        self.fail_with(IndexError("list index out of range"))
        self.assertEqual(self.cannot("other:0"), "list index out of range")

    def test_tls_without_its_packages(self) -> None:
        """Where pyOpenSSL is missing, the line tells how to get it."""
        self.fail_with(ImportError("No module named 'OpenSSL'"))
        self.assertEqual(
            self.cannot("ssl:0"), "No module named 'OpenSSL' (pip install 'reqresp[tls]')"
        )

    def test_error_without_words(self) -> None:
        """An error that says nothing is at least named."""
        self.fail_with(RuntimeError())
        self.assertEqual(self.cannot("tcp:0"), "RuntimeError")

    def test_error_of_an_unheard_of_function(self) -> None:
        """The name of the parser's function is left out."""
        self.fail_with(TypeError("_parseTCP() missing 1 required positional argument: 'port'"))
        self.assertEqual(self.cannot("tcp"), "missing 1 required positional argument: 'port'")


class JournalTests(Making):
    """A service that keeps a journal in a file."""

    def setUp(self) -> None:
        self.path = live.temporary(self) / "journal"

    def test_writes(self) -> None:
        """What happens, a second later, and beside the transcript."""
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
        """What did not wait a second is written when the service has stopped."""
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

    def test_a_signal_to_hang_up(self) -> None:
        """The file is opened again, and a script is read again, if there is one."""
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

    def test_a_path_that_is_of_no_use(self) -> None:
        """It is named, with the reason; a script that has problems comes first, and opens none."""
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

    def test_is_found_again(self) -> None:
        """From wherever a daemon runs."""
        self.assertTrue(parsed("--journal=it")["journal"].is_absolute())


class ScriptTests(Making):
    """A service that a script describes."""

    TEXT = """
        limits.max_request = 10
        limits.idle_timeout = 60
        rule = [{ equals = "a", reply = "b" }, { matches = "x(.*)", reply = { template = "{1}" } }]
    """

    def script(self, text: str = TEXT) -> Path:
        path = live.temporary(self) / "it.toml"
        path.write_text(text)
        return path

    def refused(self, *arguments: str) -> str:
        with self.assertRaises(SystemExit) as caught:
            self.make(*arguments)
        return str(caught.exception.code)

    def test_answers(self) -> None:
        """Requests are lines, unless it says otherwise."""
        made = self.make("--script", str(self.script()))
        self.assertEqual(self.replies(made, b"a\nxy\n"), b"b\r\ny\r\n")

    def test_an_option_wins(self) -> None:
        """Over the framing and the limits of the script; the others stay."""
        made = self.make("-s", str(self.script()), "--framing=netstring", "--max-request=20")
        self.assertEqual(self.replies(made, b"1:a,"), b"1:b,")
        expected = Limits(max_request=20, idle_timeout=60)
        self.assertEqual(made.service.factory.config.limits, expected)

    def test_an_option_that_does_not_go_with_it(self) -> None:
        """One line, which names the rule."""
        text = self.refused("-s", str(self.script()), "--framing=fixed:2")
        self.assertRegex(
            text, r"it.toml conflicts with --framing: rule\[0\]: expected a payload of 2 bytes"
        )
        text = self.refused("-s", str(self.script()), "--framing=fixed:20")
        self.assertRegex(text, "it.toml conflicts with --framing: requests have 20 bytes")

    def test_a_response_beside_it(self) -> None:
        """Two that answer are one too many."""
        for option in ("--response=x", "--close-on=x"):
            text = self.refused("-s", str(self.script()), option)
            self.assertIn("--response and --close-on go without --script", text)

    def test_problems_end_it(self) -> None:
        """All of them are told, and nothing listens."""
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
            f"reqresp: {missing}: cannot be read: No such file or directory",
        )

    def test_warnings_are_logged(self) -> None:
        """It runs all the same."""
        events = self.logged()
        path = self.script('rule = [{ reply = "a" },\n { equals = "b", reply = "c" }]')
        self.make("-s", str(path))
        [warning] = [str(event["problem"]) for event in events if "problem" in event]
        self.assertTrue(warning.startswith(f"{path}:2: rule[1]: never answers"), warning)

    def test_a_script_is_found_again(self) -> None:
        """From wherever a daemon runs."""
        self.assertTrue(parsed("-s", "it.toml")["script"].is_absolute())

    # Reloading

    def reloading(self, *arguments: str) -> tuple[Made, Path, Any]:
        """A service, its script, and what SIGHUP calls."""
        self.patch(sys.modules["reqresp.daemon.build"], "deferToThread", maybeDeferred)
        path = self.script()
        made = self.make("-s", str(path), *arguments)
        [reload] = made.service.on_hangup
        return made, path, reload

    def test_reload(self) -> None:
        """New connections get the new rules, open ones keep theirs, and options still win."""
        made, path, reload = self.reloading("--max-request=20")
        protocol, transport = self.connect(made)
        path.write_text('framing = "netstring"\nrule = [{ reply = "new" }]')
        events = self.logged()
        reload()
        self.assertEqual(self.replies(made, b"1:a,"), b"3:new,")
        protocol.dataReceived(b"a\n")
        self.assertEqual(transport.value(), b"b\r\n")
        protocol.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(made.service.factory.config.limits, Limits(max_request=20))
        self.assertEqual([event["script"] for event in events if "script" in event], [path])

    def test_reload_of_a_broken_script(self) -> None:
        """It is logged, all of it, and the old rules go on."""
        made, path, reload = self.reloading("--framing=line")
        for text, problem in (
            ("framig = 1", "unknown key 'framig'"),
            ('framing = "chunk"\nrule = [{ reply = "a\\nb" }]', r"rule\[0\]: "),
        ):
            path.write_text(text)
            events = self.logged()
            reload()
            [error] = [event["told"] for event in events if "told" in event]
            self.assertRegex(str(error), problem)
            self.assertEqual(self.replies(made, b"a\n"), b"b\r\n")
        path.unlink()
        reload()
        self.assertEqual(self.replies(made, b"a\n"), b"b\r\n")

    def test_reload_twice_at_once(self) -> None:
        """They are read one after the other, so that the last one wins."""
        begun: list[Deferred[Any]] = []

        def later(load: Any, options: Any) -> "Deferred[Any]":
            begun.append(Deferred())
            return begun[-1].addCallback(lambda _: load(options))

        made, path, reload = self.reloading()
        self.patch(sys.modules["reqresp.daemon.build"], "deferToThread", later)
        for _ in range(5):  # of which all but the first would read the same
            reload()
        self.assertEqual(len(begun), 1)
        begun[0].callback(None)
        path.write_text('rule = [{ reply = "last" }]')
        begun[1].callback(None)
        self.assertEqual(len(begun), 2)
        self.assertEqual(self.replies(made, b"a\n"), b"last\r\n")


class PluginTests(SynchronousTestCase):
    """What twistd finds."""

    def test_command(self) -> None:
        """The command is there, under its name, and takes these options."""
        [maker] = [plugin for plugin in getPlugins(IServiceMaker) if plugin.tapname == "reqresp"]
        self.assertIsInstance(maker.options(), Options)
        self.assertIs(maker.makeService, makeService)

    def test_endpoints_that_the_help_names(self) -> None:
        """Every kind of endpoint that the help names is one that Twisted knows."""
        for kind in ("tcp", "tcp6", "unix", "ssl", "tls", "systemd", "haproxy"):
            self.assertIn(f" {kind}:", Options.longdesc)
            # Each lacks something, and says so; one that is unknown would say that.
            with self.assertRaises(Exception) as caught:
                serverFromString(MemoryReactorClock(), f"{kind}:bogus=1")
            self.assertNotIn("Unknown endpoint type", str(caught.exception), kind)
