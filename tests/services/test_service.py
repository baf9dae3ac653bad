"""One service: what it shows, where it listens, and what it answers."""

import re
from pathlib import Path

from twisted.logger import LogLevel
from twisted.python.failure import Failure

from reqresp._errors import ProblemsError
from reqresp.services.environment import Environment
from reqresp.services.errors import ListenError
from reqresp.services.service import Kind, Service
from tests.support import live
from tests.support.listening import logged_events, text_of
from tests.support.served import Served

HEAD = '[[service]]\nname = "it"\nlisten = 1\n'
RULES = HEAD + 'rule = [{ equals = "a", reply = "b" }]\n'


class ServiceCase(Served):
    """A service named ``it``."""

    def service(self, text: str) -> Service:
        self.start(text)
        return self.services["it"]

    def use_script(self, text: str) -> None:
        """
        Let the service answer as the script *text* says.

        :raises ProblemsError: it has problems.
        """
        failures: list[Failure] = []
        used = self.services.use_script("it", text).addErrback(failures.append)
        self.reactor.advance(0)
        self.assertTrue(used.called)
        for failure in failures:
            failure.raiseException()


class ShownTests(ServiceCase):
    """What a service is."""

    def test_kinds(self) -> None:
        """What answers has a kind and a few words."""
        directory = live.temporary(self)
        (directory / "it.toml").write_text('rule = [{ reply = "a" }, { reply = "b" }]')
        (directory / "it.rec").write_text("# reqresp recording 1\n> a\n< b\n")
        for keys, kind, summary in (
            ('response = "a\\n"', Kind.RESPONSE, r"answers a\n"),
            ('rule = [{ reply = "a" }]', Kind.RULES, "1 rule in 1 state"),
            (f'script = "{directory}/it.toml"', Kind.RULES, "it.toml: 2 rules in 1 state"),
            ('upstream = "127.0.0.1:6379"', Kind.RELAY, "forwards to 127.0.0.1:6379"),
            (f'replay = "{directory}/it.rec"', Kind.REPLAY, "replays it.rec"),
        ):
            service = Service(*self.loaded(HEAD + keys)[0], self.environment)
            self.assertEqual((service.kind, service.summary), (kind, summary))

    def test_what_happened(self) -> None:
        """Its journal and its counters have what its connections did."""
        service = self.service(RULES)
        self.ask("it", b"a\n")
        self.assertEqual(service.counters.requests, 1)
        self.assertEqual([it.exchange.request.data for it in service.journal.exchanges()], [b"a"])

    def test_nothing_is_kept(self) -> None:
        """Where nothing steers services, and nothing shows metrics, nothing is kept or counted."""
        environment = Environment(reactor=self.reactor, listeners=self.environment.listeners)
        service = Service(*self.loaded(RULES)[0], environment)
        self.assertIsNone(service.factory.counters)
        with self.assertRaises(RuntimeError):
            _ = service.journal

    def test_the_definition_of_a_script_file(self) -> None:
        """It shows the text of the script, with which it can be defined over HTTP."""
        directory = live.temporary(self)
        text = 'rule = [{ reply = "a" }]'
        (directory / "it.toml").write_text(text)
        service = self.service(HEAD + f'script = "{directory}/it.toml"')
        self.assertEqual(service.script_text, text)
        self.assertEqual(service.definition.as_json()["script"], text)

    def test_an_upstream(self) -> None:
        """It is shown where there is one."""
        self.assertIsNone(self.service(RULES).upstream)
        relay = Service(*self.loaded(HEAD + 'upstream = "a:1"')[0], self.environment)
        self.assertEqual(relay.upstream, "a:1")


class ListeningTests(ServiceCase):
    """Where a service listens."""

    def test_disable_and_enable(self) -> None:
        """Disabled, its connections are reset and its ports are closed."""
        service = self.service(RULES)
        self.assertEqual((service.is_enabled, service.addresses), (True, ("127.0.0.1:1",)))
        client = self.connect("it")
        disabled = service.disable()
        client.turn()
        self.successResultOf(disabled)
        self.assertTrue(client.got_reset)
        self.assertEqual((service.is_enabled, service.addresses), (False, ()))
        for _ in range(2):
            self.successResultOf(service.enable())
        self.assertEqual(self.ask("it", b"a\n"), b"b\r\n")

    def test_enable_that_fails(self) -> None:
        """It stays disabled, and one line says why."""
        self.network.broken.add("127.0.0.1:1")
        service = Service(*self.loaded(RULES)[0], self.environment)
        failure = self.failureResultOf(service.enable(), ListenError)
        self.assertEqual(str(failure.value), "cannot listen on 127.0.0.1:1: Address already in use")
        self.assertFalse(service.is_enabled)


class ScriptTests(ServiceCase):
    """A script that changes while the service runs."""

    def test_use_script(self) -> None:
        """New connections get the new rules, and open ones keep theirs."""
        service = self.service(RULES)
        client = self.connect("it")
        self.use_script('rule = [{ equals = "a", reply = "new" }]')
        client.send(b"a\n")
        self.assertEqual((client.received(), self.ask("it", b"a\n")), (b"b\r\n", b"new\r\n"))
        self.assertEqual(service.script_text, 'rule = [{ equals = "a", reply = "new" }]')

    def test_a_script_in_place_of_a_fixed_reply(self) -> None:
        """It has its own framing."""
        service = self.service(HEAD + 'response = "a"')
        self.assertEqual(self.ask("it", b"x"), b"a")
        self.use_script('framing = "netstring"\nrule = [{ reply = "b" }]')
        self.assertEqual(self.ask("it", b"1:x,"), b"1:b,")
        reset = service.reset()
        self.reactor.advance(0)
        self.successResultOf(reset)
        self.assertEqual(self.ask("it", b"x"), b"a")

    def test_a_wrong_script(self) -> None:
        """Problems have the lines of the text, and nothing changes."""
        self.service(RULES)
        with self.assertRaises(ProblemsError) as caught:
            self.use_script("\nrul = 1")
        self.assertEqual([it.line for it in caught.exception.problems], [2])
        self.assertEqual(self.ask("it", b"a\n"), b"b\r\n")

    def test_a_relay_in_place_of_rules(self) -> None:
        """The service is replaced: it listens where it did, and its entries are numbered on."""
        position = self.service(RULES).journal.position
        self.ask("it", b"a\n")
        self.use_script('upstream = { address = "a:1" }')
        relay = self.services["it"]
        self.assertEqual((relay.kind, relay.addresses), (Kind.RELAY, ("127.0.0.1:1",)))
        self.assertGreater(relay.journal.position, position)
        self.use_script('rule = [{ reply = "new" }]')
        self.assertEqual(self.ask("it"), b"new\r\n")

    def test_files_of_a_script(self) -> None:
        """A payload is read from the directory of the file that the script was in."""
        directory = live.temporary(self)
        (directory / "payload").write_bytes(b"data")
        (directory / "it.toml").write_text('rule = [{ reply = "a" }]')
        self.service(HEAD + f'script = "{directory}/it.toml"')
        for _ in range(2):
            self.use_script('rule = [{ reply = { file = "payload" } }]')
            self.assertEqual(self.ask("it"), b"data\r\n")

    def test_reset(self) -> None:
        """It answers as at the start, its journal is empty, and it listens."""
        service = self.service(RULES)
        self.use_script('rule = [{ reply = "new" }]')
        self.ask("it")
        disabled = service.disable()
        self.reactor.advance(0)
        self.successResultOf(disabled)
        reset = service.reset()
        self.reactor.advance(0)
        self.successResultOf(reset)
        self.assertEqual(service.journal.exchanges(), [])
        self.assertEqual(self.ask("it", b"a\n"), b"b\r\n")

    def test_a_reset_that_cannot_listen(self) -> None:
        """Nothing has changed then."""
        service = self.service(RULES)
        self.use_script('rule = [{ reply = "scripted" }]')
        self.successResultOf(service.disable())
        self.network.broken.add("127.0.0.1:1")
        self.failureResultOf(service.reset(), ListenError)
        self.assertFalse(service.is_enabled)
        self.assertFalse(service.is_as(*self.loaded(RULES)[0]))

    def test_reset_of_counts(self) -> None:
        """Rules count anew."""
        service = self.service(HEAD + 'rule = [{ times = 1, reply = "once" }]\nunmatched = "no"')
        for _ in range(2):
            self.assertEqual([self.ask("it") for _ in range(2)], [b"once\r\n", b"no\r\n"])
            reset = service.reset()
            self.reactor.advance(0)
            self.successResultOf(reset)


class LogTests(ServiceCase):
    """What the log says of the clients of several services."""

    def test_warnings_name_the_service(self) -> None:
        """A refused client, and bytes that are no request, are warned of with its name."""
        text = RULES + 'framing = "netstring"\nlimits = { max_connections = 1 }\n'
        self.start(text + text.replace('"it"', '"default"').replace("= 1\n", "= 2\n", 1))
        events = logged_events(self, LogLevel.warn)
        for name in ("it", "default"):
            client = self.connect(name)
            self.connect(name)
            client.send(b"x:")
            self.reactor.advance(0)
        texts = [re.sub(r"127\.0\.0\.1:\d+", "PEER", text_of(it)) for it in events]
        self.assertEqual(len(texts), 4)
        self.assertTrue(texts[0].startswith("it PEER: refused, "), texts)
        self.assertTrue(texts[1].startswith("it PEER: "), texts)
        self.assertTrue(texts[2].startswith("PEER: refused, "), texts)
        self.assertTrue(texts[3].startswith("PEER: "), texts)


class FilesTests(ServiceCase):
    """What a service writes."""

    def test_a_journal(self) -> None:
        """It is reopened, and complete at the end."""
        path = live.temporary(self) / "it.jsonl"
        service = self.service(f'{RULES}journal = "{path}"')
        self.ask("it", b"a\n")
        old = path.rename(path.with_name("old"))
        service.reopen_files()
        self.ask("it", b"a\n")
        closed = service.close(0)
        self.reactor.advance(0)
        self.reactor.advance(0)
        self.successResultOf(closed)
        for file in (old, path):
            self.assertIn('"event":"answered"', file.read_text())

    def test_files_that_cannot_be_written(self) -> None:
        """The problem names the key and the path, and a file that was opened is closed."""
        directory = live.temporary(self)
        text = f'journal = "{directory}/it.jsonl"\nrecord = "{directory}"\nupstream = "a:1"'
        with self.assertRaisesRegex(
            ProblemsError, rf"service\[0\].record: {directory}: Is a directory"
        ):
            self.service(HEAD + text)

    def test_a_missing_certificate(self) -> None:
        """The problem names the file."""
        with self.assertRaisesRegex(ProblemsError, "none.pem: "):
            self.service(RULES + 'tls = { cert = "none.pem" }')
        self.assertFalse(Path("none.pem").exists())
