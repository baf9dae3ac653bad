"""The service that options make, and what twistd finds; nothing here listens."""

import json
import sys
from unittest import skipUnless
from unittest.mock import patch

import twisted.internet
from twisted.application.service import IServiceMaker
from twisted.internet.endpoints import quoteStringArgument
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import MemoryReactorClock
from twisted.plugin import getPlugins
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from reqresp import Limits
from reqresp.daemon.supervisor import Supervisor
from reqresp.journal.request_log import LOG_DELAY
from reqresp.tap import Options, makeService
from tests.support import live
from tests.support.daemon import Making, parsed
from tests.support.imports import imported_by, of_packages
from tests.support.twisted_endpoints import HAS_TLS_ENDPOINT


class MakeServiceTests(Making):
    """The service that options make."""

    def test_listens_where_it_was_told_to(self) -> None:
        """All endpoints are listened on, with the same factory."""
        made = self.make("--port=7", "-b", "9", "-l", "tcp:8:interface=127.0.0.2", "-l", "unix:/it")
        made.service.startService()
        factory = made.served.factory
        self.assertEqual(
            [server[:4] for server in made.reactor.tcpServers],
            [(7, factory, 9, "127.0.0.1"), (8, factory, 50, "127.0.0.2")],
        )
        self.assertEqual([server[:2] for server in made.reactor.unixServers], [("/it", factory)])

    def test_default_answers(self) -> None:
        """Without options, each request is answered with ``response``, and ``close`` closes."""
        made = self.make()
        protocol, transport = self.connect(made)
        protocol.dataReceived(b"request")
        self.assertEqual((transport.value(), transport.disconnecting), (b"response", False))
        protocol.dataReceived(b"close")
        self.assertEqual((transport.value(), transport.disconnecting), (b"response" * 2, True))
        protocol.connectionLost(Failure(ConnectionDone()))

    def test_response_and_close_on(self) -> None:
        """``--response`` sets the reply, and ``--close-on`` the request that closes."""
        made = self.make("--response", "yes", "--close-on", "quit", "--framing", "line")
        self.assertEqual(self.replies(made, b"a\nclose\nquit\nb\n"), b"yes\r\n" * 3)

    def test_nothing_closes(self) -> None:
        """With an empty ``--close-on`` no request closes, not even an empty one."""
        made = self.make("--close-on", "", "--framing", "line")
        self.assertEqual(self.replies(made, b"close\n\nb\n"), b"response\r\n" * 3)

    def test_limits(self) -> None:
        """The limits are those of the options."""
        made = self.make(
            *("--max-request=1", "--max-connections=2", "--max-per-peer=3", "--idle-timeout=4"),
        )
        expected = Limits(max_request=1, max_connections=2, max_per_peer=3, idle_timeout=4)
        self.assertEqual(made.factory.config.limits, expected)

    def test_default_limits(self) -> None:
        """Without options, the limits are the defaults of `Limits`."""
        self.assertEqual(self.make().factory.config.limits, Limits())

    def test_idle_timeout_uses_the_reactor(self) -> None:
        """An idle client is closed after that time of the reactor's clock."""
        made = self.make("--idle-timeout=4")
        _protocol, transport = self.connect(made)
        made.reactor.pump([1, 1, 1])
        self.assertFalse(transport.disconnecting)
        made.reactor.pump([1, 1, 1])
        self.assertTrue(transport.disconnecting)

    def test_drain(self) -> None:
        """The seconds to finish replies are those of ``--drain``."""
        self.assertEqual(self.make("--drain=0.25").service.drain, 0.25)

    def test_request_log(self) -> None:
        """Requests are logged a short time later, in the format that was chosen."""
        made = self.make()
        events = self.logged()
        self.replies(made, b"request")
        self.assertEqual(events, [])
        made.reactor.advance(LOG_DELAY)
        self.assertIn("#1 < 'request'  > 'response'", events[-1]["lines"])
        made = self.make("--log-format=json")
        self.replies(made, b"request")
        made.reactor.advance(LOG_DELAY)
        entry = json.loads(events[-1]["lines"].splitlines()[1])
        self.assertEqual((entry["request"], entry["steps"]), ("request", [{"send": "response"}]))

    def test_nothing_to_reload(self) -> None:
        """Without a script, a journal or certificates, SIGHUP keeps its handler."""
        service = self.make().service
        self.assertEqual((service.on_hangup, service.on_end), ([], []))

    def test_quiet(self) -> None:
        """With ``--quiet``, requests and connections are not logged."""
        made = self.make("--quiet")
        events = self.logged()
        self.assertEqual(self.replies(made, b"request"), b"response")
        made.reactor.advance(LOG_DELAY)
        self.assertEqual(events, [])

    def test_invalid_endpoint(self) -> None:
        """An endpoint that cannot be made ends twistd with one line."""
        with self.assertRaises(SystemExit) as caught:
            self.make("--listen", "tcp:port")
        self.assertEqual(
            str(caught.exception),
            "reqresp: invalid endpoint 'tcp:port': expected a number, found 'port'",
        )

    @skipUnless(HAS_TLS_ENDPOINT, "Twisted before 26.4 has no tls: endpoint")
    def test_tls_directory_by_name(self) -> None:
        """The directory of ``tls:`` can stand anywhere in the description, and have a colon."""
        directory = live.temporary(self) / "a:b"
        directory.mkdir()
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


class WorkersTests(Making):
    """The service that options with ``--workers`` make; no process is started."""

    def make_supervisor(self, *arguments: str) -> Supervisor:
        """Return the service of *arguments*, on a reactor in memory."""
        self.patch(twisted.internet, "reactor", MemoryReactorClock())
        service = makeService(parsed("--workers=2", *arguments))
        assert isinstance(service, Supervisor)
        return service

    def refusal(self, *arguments: str) -> str:
        """Return the line with which *arguments* are refused."""
        with self.assertRaises(SystemExit) as caught:
            self.make_supervisor(*arguments)
        return str(caught.exception)

    def test_supervisor(self) -> None:
        """With workers, the service is a supervisor, and nothing is written or logged."""
        directory = live.temporary(self)
        script = directory / "it.toml"
        script.write_text('[[fault]]\nkind = "corrupt"\nprobability = 0.5')
        events = self.logged()
        self.make_supervisor(f"--script={script}", f"--journal={directory}/j", "--metrics=9100")
        self.assertEqual([path.name for path in directory.iterdir()], ["it.toml"])
        self.assertEqual(events, [])

    def test_mistakes(self) -> None:
        """Mistakes in files are found before any worker is started."""
        directory = live.temporary(self)
        script = directory / "it.toml"
        script.write_text("rule = 1")
        self.assertIn("it.toml:1: rule: ", self.refusal(f"--script={script}"))
        self.assertIn("/no/such.pem", self.refusal("--tls-cert=/no/such.pem"))
        self.assertEqual(
            self.refusal("--journal=/no/such"),
            "reqresp: --journal: /no/such.worker-1: No such file or directory",
        )

    def test_missing_packages(self) -> None:
        """If the package for metrics is missing, the line says what to install."""
        with patch.dict(sys.modules, {"prometheus_client": None}):
            for name in ("reqresp.control.prometheus", "reqresp.control.site"):
                sys.modules.pop(name, None)
            text = self.refusal("--metrics=9100")
        self.assertIn("pip install 'reqresp[metrics]'", text)


#: The modules of how ports treat clients, which open none.
ACCEPTING = (".accept_modes", ".accepting")


class PluginTests(SynchronousTestCase):
    """What twistd finds."""

    def test_command(self) -> None:
        """The command is there, under its name, and takes these options."""
        [maker] = [plugin for plugin in getPlugins(IServiceMaker) if plugin.tapname == "reqresp"]
        self.assertIsInstance(maker.options(), Options)
        self.assertIs(maker.makeService, makeService)

    def test_help_loads_no_server(self) -> None:
        """``twistd reqresp --help`` imports no reactor, no TLS and nothing of a server."""
        found = imported_by(live.temporary(self), *live.twistd()[1:], "reqresp", "--help")
        self.assertIn("reqresp.daemon.options", found)
        self.assertEqual(of_packages(found, "OpenSSL", "cryptography", "prometheus_client"), set())
        parts = ("tcp", "endpoints", "reactor", "epollreactor")
        twisted = [f"twisted.internet.{it}" for it in parts]
        self.assertEqual(of_packages(found, *twisted, "twisted.web"), set())
        above = ("faults", "script", "journal", "control", "testing", "daemon.build")
        self.assertEqual(of_packages(found, *[f"reqresp.{it}" for it in above]), set())
        values = (".limits", ".state_properties", ".triggers", ".upstream_settings")
        servers = {f"reqresp.server{it}" for it in ("", ".responders", *values)}
        self.assertEqual(of_packages(found, "reqresp.server"), servers)
        transports = {f"reqresp.transport{it}" for it in ("", ".access", *ACCEPTING)}
        self.assertEqual(of_packages(found, "reqresp.transport"), transports)

    def test_a_quiet_server_loads_only_what_its_options_turn_on(self) -> None:
        """Without those options, there are no scripts, journals, metrics and PROXY headers."""
        program = """
from twisted.internet.testing import MemoryReactorClock
import twisted.internet
twisted.internet.reactor = MemoryReactorClock()
from reqresp.tap import Options, makeService
options = Options()
options.parseOptions(["--quiet"])
makeService(options)
"""
        found = imported_by(live.temporary(self), "-c", program)
        self.assertIn("reqresp.server.connection", found)
        unused = ("script", "journal", "control", "testing", "server.proxied", "transport.tls")
        self.assertEqual(of_packages(found, *[f"reqresp.{it}" for it in unused]), set())
        foreign = ("prometheus_client", "re2", "twisted.web")
        self.assertEqual(of_packages(found, *foreign), set())
