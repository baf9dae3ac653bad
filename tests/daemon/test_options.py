"""The command line of ``twistd reqresp``: its options, their values, and the help."""

from contextlib import redirect_stdout
from io import StringIO
from typing import Any

from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase

import twisted
from reqresp import Chunk, Delimiter, Fixed, LengthPrefix, Line, Netstring, __version__
from reqresp.daemon.options import Options
from reqresp.services.endpoints import EndpointSpec
from tests.support.daemon import parsed, refusal


def endpoints(options: Options) -> list[tuple[str, str]]:
    """Return the names and descriptions of the endpoints for clients."""
    return [(spec.name, spec.description) for spec in options["endpoints"]]


class OptionsTests(SynchronousTestCase):
    """Options, and what they are converted to."""

    def refusal(self, *arguments: str) -> str:
        """Return the line with which *arguments* are refused; it says where to find help."""
        text = refusal(*arguments)
        self.assertTrue(text.startswith("reqresp: "), text)
        self.assertTrue(text.endswith(" (see twistd reqresp --help)"), text)
        self.assertNotIn("\n", text)
        return text

    def test_without_options(self) -> None:
        """Options that are not given have their defaults."""
        options = parsed()
        expected: dict[str, Any] = {
            "endpoints": [
                EndpointSpec("127.0.0.1:9999", "eager:9999:interface=127.0.0.1:backlog=1024")
            ],
            "metrics_endpoints": [],
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
        """A port number can have an interface and a backlog."""
        options = parsed("--port", "80", "--interface", "0.0.0.0", "--backlog", "7")  # noqa: S104
        self.assertEqual(
            endpoints(options), [("0.0.0.0:80", "eager:80:interface=0.0.0.0:backlog=7")]
        )

    def test_ipv6_interface(self) -> None:
        """The colons of an IPv6 interface are quoted in the description."""
        options = parsed("--interface", "::1")
        self.assertEqual(
            endpoints(options), [("[::1]:9999", r"eager:9999:interface=\:\:1:backlog=1024")]
        )

    def test_port_is_an_endpoint(self) -> None:
        """An endpoint description as port is used unchanged."""
        options = parsed("--port", "unix:/run/it")
        self.assertEqual(endpoints(options), [("unix:/run/it", "unix:/run/it")])

    def test_listen_replaces_the_default_port(self) -> None:
        """With ``--listen`` alone, the default port is not listened on."""
        options = parsed("--listen", "tcp:1", "-l", "unix:/b")
        self.assertEqual(endpoints(options), [("tcp:1", "tcp:1"), ("unix:/b", "unix:/b")])

    def test_listen_adds_to_a_port(self) -> None:
        """A port that was given is listened on in addition to ``--listen``."""
        options = parsed("--listen", "unix:/b", "--port", "7", "-b", "3")
        self.assertEqual(
            endpoints(options),
            [("127.0.0.1:7", "eager:7:interface=127.0.0.1:backlog=3"), ("unix:/b", "unix:/b")],
        )

    def test_listen_adds_to_an_endpoint_as_port(self) -> None:
        """An endpoint as port comes before those of ``--listen``."""
        options = parsed("--listen", "unix:/b", "--port", "tcp:7")
        self.assertEqual(endpoints(options), [("tcp:7", "tcp:7"), ("unix:/b", "unix:/b")])

    def test_interface_or_backlog_with_an_endpoint(self) -> None:
        """An interface or a backlog without a port number is refused, with what to write."""
        for where in (["--port", "tcp:7"], ["--listen", "tcp:7"]):
            for name, value in (("interface", "127.0.0.1"), ("backlog", "5")):
                text = self.refusal(*where, f"--{name}", value)
                self.assertIn(
                    f"--{name} requires a port number; in an endpoint, write it as :{name}={value}",
                    text,
                )

    def test_short_forms(self) -> None:
        """Options that are used often have a letter."""
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
        """Sizes and counts are whole numbers; seconds can be fractions."""
        options = parsed(
            *("--max-request", "1", "--max-connections", "2", "--max-per-peer", "3"),
            *("--idle-timeout", "0.5", "--drain", "0"),
        )
        names = ["max-request", "max-connections", "max-per-peer", "idle-timeout", "drain"]
        self.assertEqual([options[name] for name in names], [1, 2, 3, 0.5, 0.0])

    def test_wrong_numbers(self) -> None:
        """A wrong number is refused; the line names the option and what is expected."""
        cases = {
            "backlog": (["-1", "x", "1.5", ""], "a whole number >= 0"),
            "max-request": (["0", "-1", "64k"], "a whole number >= 1"),
            "max-connections": (["0", "many"], "a whole number >= 1"),
            "max-per-peer": (["0", "1e3"], "a whole number >= 1"),
            "drain": (["-1", "x", "inf", "nan", ""], "seconds >= 0"),
            "lame-duck": (["-1", "x"], "seconds >= 0"),
            "idle-timeout": (["0", "-0.0", "0.0001", "-1", "x", "inf"], "seconds >= 0.001"),
        }
        for name, (values, expected) in cases.items():
            for value in values:
                text = self.refusal(f"--{name}={value}")
                self.assertIn(f"--{name}: expected {expected}, found {value!r}", text)

    def test_wrong_port(self) -> None:
        """A port that is neither a port number nor an endpoint description is refused."""
        for value in ("65536", "-1", "http", "", "99999999999999999999"):
            text = self.refusal("--port", value)
            self.assertIn(
                "--port: expected a port number up to 65535 or an endpoint such as tcp:9999,"
                f" found {value!r}",
                text,
            )
        self.assertEqual(endpoints(parsed("--port=65535"))[0][0], "127.0.0.1:65535")

    def test_malformed_endpoint(self) -> None:
        """An endpoint description that cannot be parsed is refused."""
        self.assertIn(
            r"invalid endpoint 'unix:\\': expected a character after the last backslash",
            self.refusal("--listen", "unix:\\"),
        )
        self.assertIn(
            "invalid endpoint 'port=1': expected a kind first, such as tcp:",
            self.refusal("--listen", "port=1"),
        )

    def test_escapes(self) -> None:
        """Text, also in the framing, can contain backslash escapes."""
        options = parsed(
            *("--response", r"\x00\\a\t\0", "--close-on", r"Q\r\n"),
            *("--framing", r"delimiter:\r\n"),
        )
        self.assertEqual(options["response"], b"\x00\\a\t\x00")
        self.assertEqual(options["close-on"], b"Q\r\n")
        self.assertEqual(options["framing"], Delimiter(b"\r\n"))

    def test_text_that_is_not_ascii(self) -> None:
        """Text is encoded as UTF-8."""
        self.assertEqual(parsed("--response", "ä")["response"], b"\xc3\xa4")

    def test_wrong_escapes(self) -> None:
        """An unknown escape is refused; the line lists the known ones."""
        for name in ("response", "close-on"):
            text = self.refusal(f"--{name}", r"a\q")
            self.assertIn(rf"--{name}: unknown escape \q", text)
            self.assertIn(r"expected one of: \r, \n, \t, \0, \\, \xNN", text)

    def test_framings(self) -> None:
        """Every framing can be given."""
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
        """A framing that does not exist, or has a wrong part, is refused; the line says which."""
        for value, problem in {
            "": "unknown framing ''; expected one of: chunk, line, anyline, ",
            "lines": "unknown framing 'lines'; did you mean line?",
            "fixed:x": "framing 'fixed:x': expected a size in bytes",
            "delimiter:": "framing 'delimiter:': expected delimiter:TEXT",
        }.items():
            self.assertIn(f"--framing: {problem}", self.refusal("--framing", value))

    def test_framing_that_no_request_fits(self) -> None:
        """A framing whose requests all exceed the limit is refused."""
        text = self.refusal("--framing=fixed:8", "--max-request=7")
        self.assertIn(
            "--framing: expected a limit of at least 8 bytes for a request, found 7",
            text,
        )

    def test_response_that_the_framing_cannot_hold(self) -> None:
        """A response that the framing cannot encode is refused."""
        text = self.refusal("--framing=line", "--response", r"a\nb")
        self.assertIn("--response: expected a payload without the delimiter", text)

    def test_unknown_option(self) -> None:
        """An unknown option is named, and a similar one."""
        for name, near in (("prot", "port"), ("scrpt", "script"), ("qqqq", "")):
            hint = f"; did you mean --{near}?" if near else ""
            self.assertIn(
                f"option --{name} not recognized{hint} (see", self.refusal(f"--{name}", "1")
            )
        self.assertIn("not a unique prefix (see", self.refusal("--max", "1"))

    def test_missing_value(self) -> None:
        """An option without its value is named."""
        self.assertIn("option --port requires argument", self.refusal("--port"))

    def test_argument(self) -> None:
        """An argument that is not an option is refused."""
        self.assertIn("unexpected argument '9999'", self.refusal("9999", "tcp:1"))

    def test_help_exits(self) -> None:
        """``--help`` prints the help, and exits with status 0."""
        with redirect_stdout(StringIO()) as printed, self.assertRaises(SystemExit) as caught:
            parsed("--help")
        self.assertIn(caught.exception.code, (None, 0))
        self.assertIn("--max-per-peer=", printed.getvalue())

    def test_version(self) -> None:
        """``--version`` prints the version of reqresp, then Twisted's."""
        with redirect_stdout(StringIO()) as printed, self.assertRaises(SystemExit) as caught:
            parsed("--version")
        self.assertEqual(caught.exception.code, 0)
        self.assertEqual(
            printed.getvalue(), f"reqresp {__version__} (Twisted {twisted.__version__})\n"
        )

    def test_usage_error_stays_one_inside(self) -> None:
        """Only `parseOptions`, which twistd calls, turns a UsageError into a SystemExit."""
        options = Options()
        options["port"] = "x"
        self.assertRaises(UsageError, options.postOptions)


class CombinationsTests(SynchronousTestCase):
    """Options that require or exclude others."""

    def test_required_options(self) -> None:
        """An option without the one that it requires is refused."""
        for option, required in (
            ("--tls-key=a", "tls-cert"),
            ("--client-ca=a", "tls-cert"),
            ("--trust=::1", "proxy-protocol"),
        ):
            name = option.partition("=")[0]
            self.assertIn(f"{name} requires --{required}", refusal(option))

    def test_plain_endpoints(self) -> None:
        """Workers, TLS and PROXY headers are refused on endpoints with a layer of their own."""
        for option in ("--workers=2", "--tls-cert=a", "--proxy-protocol"):
            for description in ("ssl:1:privateKey=a", "haproxy:tcp:1", "tls:a:tcp:1"):
                text = refusal(option, f"--listen={description}")
                name = option.partition("=")[0]
                self.assertIn(
                    f"{name} cannot be combined with the endpoint {description!r}; use --tls-cert"
                    " for TLS and --proxy-protocol for load balancers",
                    text,
                )

    def test_networks(self) -> None:
        """An invalid network is refused; the line names the option."""
        for name in ("allow", "deny", "trust"):
            text = refusal("--proxy-protocol", f"--{name}=10.0.0.0/8,x")
            self.assertIn(f"--{name}: ", text)
            self.assertIn("'x'", text)

    def test_hosts_of_the_metrics(self) -> None:
        """Names for ``Host`` are given one by one, without a scheme or a port."""
        names = parsed("--http-host=a.example", "--http-host=b")["http-host"]
        self.assertEqual(names, ["a.example", "b"])
        self.assertIsNone(parsed()["http-host"])
        for text in ("http://a.example", "a.example:9100", "", "a,b"):
            expected = (
                f"--http-host: expected a host name such as metrics.example.com, found {text!r}"
            )
            self.assertIn(expected, refusal(f"--http-host={text}"))

    def test_only_denied(self) -> None:
        """``--deny`` without ``--allow`` allows all other clients, and vice versa."""
        denying, allowing = parsed("--deny=::1")["access"], parsed("--allow=::1")["access"]
        self.assertEqual((denying.allow, str(denying.deny)), (None, "::1/128"))
        self.assertEqual((str(allowing.allow), str(allowing.deny)), ("::1/128", ""))

    def test_services(self) -> None:
        """A services file defines what other options would; those of the process stay."""
        options = parsed("--services=it.toml", "--workers=2", "--quiet", "--drain=1", "--metrics=8")
        self.assertTrue(options["services"].is_absolute())
        self.assertEqual(options["endpoints"], [])
        self.assertIn(f"--services={options['services']}", options.arguments)
        for other in (
            *("--script=a", "--response=a", "--framing=line", "--forward=a:1", "--port=1"),
            *("--listen=tcp:1", "--allow=::1", "--max-connections=1", "--tls-cert=a"),
            *("--proxy-protocol", "--journal=a", "--backlog=0", "--forward-tls"),
        ):
            name = other.partition("=")[0]
            self.assertEqual(
                refusal("--services=it.toml", other),
                f"reqresp: {name} cannot be combined with --services (see twistd reqresp --help)",
            )

    def test_control(self) -> None:
        """It is on loopback or a UNIX socket, or needs a token; workers exclude it."""
        for text in ("8474", "unix:/run/it", "tcp:1:interface=127.0.0.1", r"tcp:1:interface=\:\:1"):
            self.assertEqual(len(parsed(f"--control={text}")["control_endpoints"]), 1, text)
        for text in ("tcp:1", "tcp6:1", "tcp:1:interface=0.0.0.0", "tcp:1:interface=192.0.2.1"):
            self.assertIn(
                f"--control: {text} is neither on loopback nor a UNIX socket, which requires"
                " --control-token-file",
                refusal(f"--control={text}"),
            )
            self.assertTrue(parsed(f"--control={text}", "--control-token-file=a")["control"])
        self.assertIn(
            "--workers cannot be combined with --control", refusal("--control=1", "--workers=2")
        )
        self.assertIn("requires --control", refusal("--control-token-file=a"))

    def test_response_with_script(self) -> None:
        """``--response`` and ``--close-on`` are refused with a script, which answers."""
        for option in ("--response=x", "--close-on=x"):
            text = refusal("--script=it.toml", option)
            name = option.partition("=")[0]
            self.assertIn(f"{name} cannot be combined with --script", text)

    def test_answers_with_another_service(self) -> None:
        """What says how to answer is refused with a service that answers."""
        for option in ("--response=a", "--framing=line", "--max-request=1"):
            text = refusal("--forward=127.0.0.1:80", option)
            name = option.partition("=")[0]
            self.assertIn(f"{name} cannot be combined with --forward", text)

    def test_a_script_with_another_service(self) -> None:
        """A script says which requests the service answers, so options for requests have effect."""
        options = parsed("--script=it.toml", "--forward=127.0.0.1:80", "--framing=line")
        self.assertEqual(options["forward"], ("127.0.0.1", 80))
        self.assertIsNotNone(options["framing"])

    def test_answers_with_a_recording(self) -> None:
        """What says how to answer is refused with a recording, as is another service."""
        for option in (
            *("--script=it.toml", "--response=x", "--close-on=x", "--framing=line"),
            *("--max-request=1", "--request-timeout=1", "--forward=127.0.0.1:80"),
        ):
            text = refusal("--replay=it.rec", option)
            name = option.partition("=")[0]
            self.assertIn(f"{name} cannot be combined with --replay", text)
            self.assertNotIn("\n", text.strip())

    def test_a_recording(self) -> None:
        """A recording is a file, with a pace, for workers, too."""
        options = parsed("--replay=it.rec", "--pace=0.5", "--workers=2")
        self.assertTrue(options["replay"].is_absolute())
        self.assertIsNone(options["framing"])
        again = parsed(*options.arguments)
        self.assertEqual((again["replay"], again["pace"]), (options["replay"], 0.5))
        self.assertIn("--pace requires --replay", refusal("--pace=1"))
        again = parsed("--replay=it.rec", "--ignore=a", "--ignore=b")
        self.assertEqual(parsed(*again.arguments)["ignore"], ["a", "b"])
        self.assertIn("--ignore requires --replay", refusal("--ignore=a"))
        self.assertIn("--ignore: invalid RE2 pattern", refusal("--replay=it.rec", "--ignore=("))
        self.assertIn("--pace: expected a number >= 0", refusal("--replay=it.rec", "--pace=-1"))

    def test_arguments_of_workers(self) -> None:
        """A worker is started with all options except the parent's own, and absolute paths."""
        options = parsed(
            *("--port=1", "--workers=2", "--metrics=3", "--framing=line", "--quiet"),
            *("--journal=a/b", "--allow=10.0.0.0/8", "--allow=::1", "--max-request=7"),
            *("--http-host=a.example", "--http-host=b.example"),
        )
        again = parsed(*options.arguments)
        names = ("framing", "quiet", "journal", "access", "limits", "response", "drain")
        for name in (*names, "http-host"):
            self.assertEqual(again[name], options[name], name)
        self.assertEqual((again["workers"], again["metrics"]), (None, None))
        self.assertTrue(again["journal"].is_absolute())
