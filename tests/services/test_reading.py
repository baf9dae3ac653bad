"""What a services file and a JSON value define, and all that is wrong with them."""

from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from reqresp import Chunk, Line
from reqresp._errors import Problem, ProblemsError
from reqresp._files import STDOUT
from reqresp.services.definition import (
    Definition,
    FixedReply,
    ReplayFile,
    ScriptFile,
    WrittenScript,
)
from reqresp.services.reading import load_services, parse_services, read_definition
from tests.support import live
from tests.support.imports import imported_by, of_packages

BASE = Path("/base")


def one(keys: str) -> Definition:
    """Return the service that *keys* define, which listens on port 1."""
    text = f'[[service]]\nname = "it"\nlisten = 1\n{keys}\n'
    [definition] = parse_services(text, "services.toml", BASE)
    return definition


class Reading(SynchronousTestCase):
    """Definitions, and the texts of their problems."""

    def problems(self, text: str) -> list[str]:
        """Return the problems of a services file, a line each."""
        with self.assertRaises(ProblemsError) as caught:
            parse_services(text, "services.toml", BASE)
        return str(caught.exception).split("\n")

    def refused(self, keys: str) -> str:
        """Return the only problem of a service with these *keys*, without its file."""
        [line] = self.problems(f'[[service]]\nname = "it"\nlisten = 1\n{keys}\n')
        return line.partition(": ")[2]


class AnswersTests(Reading):
    """What says what a service answers."""

    def test_a_fixed_reply(self) -> None:
        """The default of the options, or the keys for it, with reply faults."""
        self.assertEqual(one("").answering, FixedReply(b"response", b"close"))
        self.assertEqual(one("").framing, Chunk())
        definition = one(
            'response = "yes"\nclose_on = { hex = "00 ff" }\nframing = "line"\nseed = 7\n'
            'limits = { max_request = 9 }\nfault = [{ kind = "latency", delay = 1 }]'
        )
        assert isinstance(definition.answering, FixedReply)
        self.assertEqual(definition.answering.response, b"yes")
        self.assertEqual(definition.answering.close_on, b"\0\xff")
        self.assertEqual(len(definition.answering.faults), 1)
        self.assertEqual((definition.framing, definition.limits), (Line(), {"max_request": 9}))
        assert isinstance(one('close_on = ""').answering, FixedReply)
        self.assertIsNone(one('close_on = ""').answering.close_on)  # type: ignore[union-attr]

    def test_rules(self) -> None:
        """The keys of a script stand among those of the service, with their lines."""
        definition = one('greeting = "hi"\n[[service.rule]]\nequals = "a"\nreply = "b"')
        assert isinstance(definition.answering, WrittenScript)
        script = definition.answering.script
        self.assertEqual([it.line for it in script.rules.rules], [5])
        self.assertEqual(script.place("rule[0]"), "rule[0] (line 5)")

    def test_a_relay(self) -> None:
        """An upstream alone forwards all bytes; its short form is an address."""
        for keys in ('upstream = "a:1"', '[service.upstream]\naddress = "a:1"'):
            definition = one(keys)
            assert isinstance(definition.answering, WrittenScript)
            self.assertTrue(definition.answering.script.is_relay)
            self.assertEqual(definition.answering.script.upstream.name, "a:1")  # type: ignore[union-attr]

    def test_a_script_file(self) -> None:
        """Its path is relative to the services file; other keys replace single values of it."""
        definition = one(
            'script = "it.toml"\nframing = "line"\nlimits = { idle_timeout = 2 }\n'
            'seed = 7\nfault = [{ kind = "latency", delay = 1 }]\n'
            'upstream = { address = "a:1", send_proxy = 1, tls = { ca = "ca.pem" } }'
        )
        self.assertEqual(definition.answering, ScriptFile(BASE / "it.toml"))
        self.assertEqual((definition.framing, definition.limits), (Line(), {"idle_timeout": 2}))
        self.assertEqual(definition.upstream, {"address": ("a", 1), "send_proxy": 1})
        self.assertTrue(definition.adds_tls)
        self.assertEqual(definition.upstream_tls, {"ca": BASE / "ca.pem"})
        self.assertEqual(
            (definition.faults, definition.seed), (({"kind": "latency", "delay": 1},), 7)
        )

    def test_a_recording(self) -> None:
        """It has the keys of its options."""
        definition = one('replay = "it.rec"\npace = 0.5\nignore = "[0-9]+"')
        self.assertEqual(definition.answering, ReplayFile(BASE / "it.rec", 0.5, ("[0-9]+",)))

    def test_keys_that_exclude_each_other(self) -> None:
        """Only one thing says what is answered."""
        for keys, problem in (
            ('script = "a"\nresponse = "b"', "response: cannot be combined with script"),
            ('script = "a"\nreplay = "b"', "replay: cannot be combined with script"),
            ('script = "a"\ngreeting = "b"', "greeting: cannot be combined with script"),
            ('script = "a"\nfault = 3', "fault: expected a list of tables, found 3"),
            ('replay = "a"\nclose_on = "b"', "close_on: cannot be combined with replay"),
            ('replay = "a"\nframing = "line"', "framing: cannot be combined with replay"),
            ('response = "a"\ngreeting = "b"', "greeting: cannot be combined with response"),
            ('close_on = "a"\nupstream = "b:1"', "upstream: cannot be combined with close_on"),
            ("pace = 1", "pace: requires replay"),
            ('redact = "a"', "redact: requires record"),
            ("journal_max_entry = 1", "journal_max_entry: requires journal"),
            ('trust = "::1"', "trust: requires proxy_protocol"),
            ('script = ""', "script: expected the path of a file, found ''"),
        ):
            self.assertEqual(self.refused(keys), f"service[0].{problem}", keys)


class PlacesTests(Reading):
    """Where services listen, and what they write."""

    def test_listen(self) -> None:
        """A port number, an address and a port, or an endpoint; one or several."""
        text = '[[service]]\nname = "it"\nlisten = [1, "192.0.2.1:2", "[::1]:3", "unix:/it"]'
        [definition] = parse_services(text, "services.toml", BASE)
        names = ["127.0.0.1:1", "192.0.2.1:2", "[::1]:3", "unix:/it"]
        self.assertEqual([it.name for it in definition.listen], names)
        self.assertEqual(definition.as_json()["listen"], names)

    def test_journal_on_standard_output(self) -> None:
        """A dash is standard output."""
        self.assertEqual(one('journal = "-"').files.journal, STDOUT)

    def test_other_keys(self) -> None:
        """Paths are relative to the file, and networks are parsed."""
        definition = one(
            'enabled = false\njournal = "it.jsonl"\njournal_max_entry = 5\nallow = "10.0.0.0/8"\n'
            'deny = ["10.0.0.1"]\nproxy_protocol = true\ntrust = "192.0.2.1"\n'
            'tls = { cert = "it.pem", handshake_timeout = 3 }'
        )
        self.assertFalse(definition.is_enabled)
        self.assertEqual(definition.files.journal, BASE / "it.jsonl")
        self.assertEqual(definition.files.journal_max_entry, 5)
        assert definition.access is not None
        self.assertEqual(str(definition.access.allow), "10.0.0.0/8")
        self.assertEqual(str(definition.access.deny), "10.0.0.1/32")
        self.assertEqual(str(definition.trusted), "192.0.2.1/32")
        assert definition.tls is not None
        self.assertEqual(definition.tls.cert, BASE / "it.pem")
        self.assertEqual(definition.tls.handshake_timeout, 3)

    def test_a_recorded_relay(self) -> None:
        """What passes is appended to a file."""
        definition = one('upstream = "a:1"\nrecord = "it.rec"\nredact = ["a", "b"]')
        self.assertEqual(definition.files.record, BASE / "it.rec")
        self.assertEqual(definition.files.redact, ("a", "b"))


class ProblemsTests(Reading):
    """What is wrong, all at once and with lines."""

    def test_all_at_once(self) -> None:
        """Problems of services and of their rules come in the order of their lines."""
        text = """\
[[service]]
name = "a b"
listen = "bogus"
framin = "line"
[[service]]
name = "b"
listen = 2
[[service.rule]]
repl = "x"
[[service]]
listen = []
"""
        self.assertEqual(
            self.problems(text),
            [
                "services.toml:4: service[0].framin: unknown key 'framin'; did you mean framing?",
                "services.toml:9: service[1].rule[0].repl: unknown key 'repl'; did you mean reply?",
                "services.toml:10: service[2].name: the key is missing",
            ],
        )
        self.assertEqual(
            self.problems(text.replace("framin", "framing")),
            [
                "services.toml:2: service[0].name: expected 1 to 100 letters, digits and . _ : -"
                " that start with a letter or a digit, found 'a b'",
                "services.toml:3: service[0].listen: expected a port number up to 65535, an address"
                " and a port such as 192.0.2.1:9999, or an endpoint such as unix:/run/it.sock,"
                " found 'bogus'",
                "services.toml:9: service[1].rule[0].repl: unknown key 'repl'; did you mean reply?",
                "services.toml:10: service[2].name: the key is missing",
            ],
        )

    def test_taken(self) -> None:
        """Two services have neither a name nor an address in common; port 0 is any port."""
        text = '[[service]]\nname = "a"\nlisten = [1, 0]\n'
        self.assertEqual(
            self.problems(text + text),
            [
                "services.toml:5: service[1].name: expected another name: another service is named"
                " 'a'",
                "services.toml:6: service[1].listen: expected another address: 127.0.0.1:1 is that"
                " of 'a'",
            ],
        )
        self.assertEqual(
            self.problems('[[service]]\nname = "a"\nlisten = [1, 1]'),
            [
                "services.toml:3: service[0].listen[1]: expected another address: 127.0.0.1:1 is"
                " given twice"
            ],
        )

    def test_files_that_two_services_write(self) -> None:
        """Each has its own: entries do not name their service."""
        text = '[[service]]\nname = "a"\nlisten = 1\njournal = "it.jsonl"\n'
        [line] = self.problems(text + text.replace('"a"', '"b"').replace("= 1", "= 2"))
        self.assertIn("service[1].journal: expected another file: 'a' writes it, too", line)

    def test_values(self) -> None:
        """Each names its key."""
        for keys, problem in (
            ("enabled = 1", "enabled: expected true or false, found 1"),
            ('allow = "x"', "allow: 'x' is not a network; expected one such as 10.0.0.0/8 or ::1"),
            ('upstream = "a"', "upstream.address: expected HOST:PORT such as"),
            ('response = { hex = "0" }', "response: "),
            ('response = "a\\nb"\nframing = "line"', "response: "),
            (
                'framing = "line"\nunmatched = { forward = true }',
                "upstream: the key is missing: expected a service",
            ),
            ("unmatched = { forward = true }", "unmatched.forward: expected a framing that shows"),
            ("tls = {}", "tls.cert: the key is missing"),
            ('script = "a"\nframing = "bogus"', "framing: "),
        ):
            self.assertIn(f"service[0].{problem}", self.refused(keys))

    def test_tls_and_layers(self) -> None:
        """TLS and PROXY headers need endpoints that are bare sockets."""
        text = '[[service]]\nname = "a"\nlisten = "ssl:1"\ntls = { cert = "a" }'
        [line] = self.problems(text)
        self.assertIn("service[0].listen: expected a port, tcp:, unix: or systemd: with tls", line)

    def test_no_services(self) -> None:
        """A file without services, without TOML, or that does not exist, is one line."""
        for text, problem in (
            ("", "services.toml: expected a service: write [[service]]"),
            ("[service]", "service: expected a list of tables, found a table; write [[service]]"),
            ("a = 1", "services.toml:1: a: unknown key 'a'"),
            ("service = [1]", "service[0]: expected a table, found 1"),
            ("=", "services.toml:1: invalid TOML: "),
        ):
            [line] = self.problems(text)
            self.assertIn(problem, line)
        with self.assertRaisesRegex(ProblemsError, r"^/no/such: cannot be read: No such file"):
            load_services("/no/such")

    def test_a_script(self) -> None:
        """It is said what it is, and which option takes it."""
        for text in ('framing = "line"', "[[rule]]\nreply = 'x'"):
            self.assertEqual(
                self.problems(text),
                [
                    "services.toml: expected services; this is a script: pass it with --script, or"
                    " write [[service]] with the key script"
                ],
            )

    def test_more_that_is_wrong(self) -> None:
        """What a caller checks is among the problems, and files that services name come last."""

        def check(definition: Definition) -> None:
            other = Problem("other.toml", 1, "a", "wrong")
            raise ProblemsError(other, definition.origin.problem("script", "missing"))

        text = '[[service]]\nname = "a"\nlisten = 1\nscript = "x"\n[[service]]\nname = 1'
        with self.assertRaises(ProblemsError) as caught:
            parse_services(text, "services.toml", Path(), check)
        self.assertEqual(
            str(caught.exception).splitlines(),
            [
                "services.toml:4: service[0].script: missing",
                "services.toml:5: service[1].listen: the key is missing",
                "services.toml:6: service[1].name: expected a string, found 1",
                "other.toml:1: a: wrong",
            ],
        )

    def test_very_many(self) -> None:
        """A hundred problems are shown, and a line says that there are more."""
        lines = self.problems("[[service]]\n" * 200)
        self.assertEqual(len(lines), 101)


class JsonTests(Reading):
    """A service as HTTP defines it."""

    def read(self, **keys: Any) -> Definition:
        return read_definition({"name": "it", "listen": 1, **keys}, BASE)

    def test_a_script_is_text(self) -> None:
        """What a definition shows defines the same service again."""
        definition = self.read(script='rule = [{ reply = "a" }]', limits={"max_request": 5})
        assert isinstance(definition.answering, WrittenScript)
        self.assertEqual(definition.answering.text, 'rule = [{ reply = "a" }]')
        again = read_definition(definition.as_json(), BASE)
        self.assertEqual(again, definition)

    def test_keys_of_a_script(self) -> None:
        """They are tables."""
        definition = self.read(rule=[{"equals": "a", "reply": {"hex": "00"}}])
        self.assertEqual(read_definition(definition.as_json(), BASE), definition)

    def test_problems(self) -> None:
        """They have paths, and those of the script's text have its lines."""
        with self.assertRaises(ProblemsError) as caught:
            self.read(rule=[{"repl": 1}], pace=1)
        paths = {it.path for it in caught.exception.problems}
        self.assertEqual(paths, {"rule[0].repl", "pace"})
        with self.assertRaises(ProblemsError) as caught:
            self.read(script="\nrepl = 1")
        [problem] = caught.exception.problems
        self.assertEqual((problem.line, problem.path), (2, "repl"))
        with self.assertRaises(ProblemsError):
            read_definition({}, BASE)


class ImportTests(SynchronousTestCase):
    """What reading a file loads."""

    def test_no_reactor(self) -> None:
        """A services file is checked without Twisted."""
        directory = live.temporary(self)
        (directory / "it.toml").write_text('[[service]]\nname = "a"\nlisten = [1, "192.0.2.1:2"]\n')
        program = "from reqresp.services.reading import load_services; load_services('it.toml')"
        found = imported_by(directory, "-c", program)
        self.assertEqual(of_packages(found, "twisted", "OpenSSL", "cryptography"), set())
