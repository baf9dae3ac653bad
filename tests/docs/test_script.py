"""The guide to scripts: its examples do what they show, and there is one for each key."""

import os
import re
import shlex
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from io import StringIO
from math import inf
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import fill
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import attrs
from twisted.internet.protocol import Factory
from twisted.protocols.basic import LineOnlyReceiver
from twisted.trial.unittest import SynchronousTestCase

from reqresp._text import escape, unescape
from reqresp.cli.main import main
from reqresp.faults.faults import KINDS
from reqresp.relay import Forwarding, tcp_upstream
from reqresp.script import Script, ScriptError
from reqresp.script.filters import FILTERS
from reqresp.script.names import REPLY_SOURCES
from reqresp.script.schema import Document, FaultTarget, ReplyFaultTable, StreamFaultTable
from reqresp.server.factory import ReqRespFactory
from reqresp.transport.accept_modes import Accept, AcceptAfter, AcceptMode
from tests.support.documents import ROOT, Block, blocks
from tests.support.unencrypted import Unencrypted
from tests.support.wire import FakeReactor, Wire

GUIDE = (ROOT / "docs" / "script.rst").read_text(encoding="utf-8")

#: What a script is called in its messages.
NAME = "it.toml"

#: What the examples find in their directory.
FILES = {
    "answers.py": next(it.code for it in blocks(GUIDE) if "def add(call)" in it.code).encode(),
    "frames.py": next(it.code for it in blocks(GUIDE) if "Hexadecimal(Base" in it.code).encode(),
    "feed.txt": b"21.5 C\r\n21.7 C\n",
    "motd.txt": b"Welcome.\r\nBe kind.\r\n",
    "smtp.toml": (ROOT / "examples" / "smtp.toml").read_bytes(),
}

#: Characters in a line of messages, at most.
WIDTH = 104

#: The port of the service that examples forward requests to.
SERVICE_PORT = 7000

#: Seconds that a time shown may be off.
ROUNDED = 0.0005


def examples(text: str) -> list[tuple[Block, Block]]:
    """Each script in *text*, and the block after it, which shows what it answers."""
    found = blocks(text)
    return [
        (block, after)
        for block, after in zip(found, [*found[1:], Block(0, "nothing", "")], strict=True)
        if block.language == "toml"
    ]


#: What clients see that connect, where that is not to be accepted at once.
CONNECTS: Mapping[AcceptMode, str] = {
    Accept.LATE: "succeeds, and nothing is answered",
    Accept.HOLD: "times out",
    Accept.REFUSE: "is refused",
    AcceptAfter(0.2): "succeeds, and a request is answered after 0.2 s",
}


class Service(LineOnlyReceiver):
    """The service that examples forward requests to."""

    delimiter = b"\n"

    def lineReceived(self, line: bytes) -> None:
        self.sendLine(b"service: " + line)


class Player:
    """Plays the clients of a transcript, and writes down what they get to see."""

    def __init__(self, script: Script) -> None:
        self.reactor = FakeReactor()
        service = Forwarding(tcp_upstream(self.reactor, "127.0.0.1", SERVICE_PORT))
        self.reactor.listenTCP(SERVICE_PORT, Factory.forProtocol(Service))
        self.factory = ReqRespFactory(
            script, clock=self.reactor, service=service if script.rules.forwards else None
        )
        self.factory.start_tls = Unencrypted()
        self.clients: list[Wire] = []
        self.known: list[set[str]] = []  # what of each client was written already
        self.current = 0
        self.written: list[str] = []

    def play(self, transcript: str) -> str:
        """Do what the clients of *transcript* do, and give what it should have been."""
        self.connect()
        for line in transcript.splitlines():
            self.do(line)
        return "\n".join(self.written)

    def do(self, line: str) -> None:
        if switch := re.fullmatch(r"-- (\d+)", line):
            self.switch(int(switch[1]))
        elif time := re.fullmatch(r"\(([\d.]+) s\)", line):
            self.wait(float(time[1]))
        elif line == "--":
            self.written.append(line)
            self.connect()
        elif line == "end":
            self.written.append(line)
            self.clients[self.current].send_eof()
            self.look()
        elif line.startswith("> "):
            self.written.append(line)
            self.clients[self.current].send(unescape(line[2:]))
            self.look()
        elif line.startswith("#"):
            self.written.append(line)

    def connect(self) -> None:
        self.current = len(self.clients)
        self.clients.append(Wire(self.factory, self.reactor))
        self.known.append(set())
        self.look()

    def switch(self, number: int) -> None:
        if self.current != number - 1:
            self.written.append(f"-- {number}")
            self.current = number - 1

    def wait(self, seconds: float) -> None:
        """Let *seconds* pass, or less if there is something to be seen before."""
        start, at = self.reactor.seconds(), len(self.written)
        end = start + seconds
        while (due := self.due()) <= end + ROUNDED:
            self.reactor.advance(max(0, due - self.reactor.seconds()))
            if self.look():
                break
        else:
            self.reactor.advance(max(0, end - self.reactor.seconds()))
        passed = self.reactor.seconds() - start
        self.written.insert(at, f"({round(passed, 3):g} s)")

    def due(self) -> float:
        """When the next thing is to be done."""
        return min((call.getTime() for call in self.reactor.getDelayedCalls()), default=inf)

    def look(self) -> bool:
        """Write down what is new, and return whether anything is."""
        for client in self.clients:
            client.turn()
        before = len(self.written)
        for number, (client, known) in enumerate(zip(self.clients, self.known, strict=True), 1):
            pieces = re.findall(rb"[^\n]*\n|[^\n]+", client.received())
            states = {
                "closed": client.got_eof and not client.got_reset,
                "reset": client.got_reset,
                "unread": bool(client.unread) and client.is_open,
            }
            news = [f"< {escape(piece)}" for piece in pieces]
            news += [name for name, holds in states.items() if holds and name not in known]
            if news:
                self.switch(number)
                self.written += news
                known.update(news)
        return len(self.written) > before


def used(kind: Any, value: Any) -> Iterator[str]:
    """Each key in *value*, a *kind* of table, as ``Class.key``, and what literals it has."""
    for option in options_of(kind):
        if attrs.has(option) and isinstance(value, dict):
            if not value.keys() <= keys_of(option).keys():
                continue  # another kind of table
            types = {name: it.type for name, it in keys_of(option).items()}
            for key, it in value.items():
                yield named(option, key)
                if key != "json":  # whose keys are a request's
                    yield from used(types[key], it)
        elif get_origin(option) is list and isinstance(value, list):
            for it in value:
                yield from used(get_args(option)[0], it)
        elif get_origin(option) is dict and get_args(option)[1] is not Any:
            for it in value.values() if isinstance(value, dict) else ():
                yield from used(get_args(option)[1], it)
        elif get_origin(option) is dict and isinstance(value, dict):
            yield f"kind = {value['kind']}"
            yield f"on = {value.get('on')}"
            placed = {key: it for key, it in value.items() if key in keys_of(StreamFaultTable)}
            if "stream" in placed:
                yield from used(StreamFaultTable, placed)
            else:
                later = {key: it for key, it in placed.items() if key.startswith("after")}
                yield from used(ReplyFaultTable, later)
            others = {"kind", "on", *placed}
            parameters = {key: it for key, it in value.items() if key not in others}
            yield from used(KINDS[value["kind"]], parameters)
        elif get_origin(option) is Literal:
            yield f"{option}: {value}"


def keys_of(kind: type[Any]) -> dict[str, Any]:
    """The keys of a *kind* of table, each with its attrs field."""
    return {it.name.removesuffix("_"): it for it in attrs.fields(kind) if it.init}


def named(kind: type[Any], key: str) -> str:
    """Name *key* together with the class that *kind* has it from."""
    return (
        f"{[it for it in kind.__mro__ if attrs.has(it) and key in keys_of(it)][-1].__name__}.{key}"
    )


def usable(kind: Any, outer: frozenset[Any] = frozenset()) -> Iterator[str]:
    """All that `used` could find in a *kind* of table, which is within *outer*."""
    for option in options_of(kind):
        if attrs.has(option) and option in outer:
            continue
        if attrs.has(option):
            for key, it in keys_of(option).items():
                yield named(option, key)
                if key != "json":  # whose keys are a request's
                    yield from usable(it.type, outer | {option})
        elif get_origin(option) is list:
            yield from usable(get_args(option)[0], outer)
        elif get_origin(option) is dict and get_args(option)[1] is not Any:
            yield from usable(get_args(option)[1], outer)
        elif get_origin(option) is dict:
            yield from (f"on = {name}" for name in get_args(FaultTarget))
            yield from usable(StreamFaultTable)
            yield from (named(ReplyFaultTable, key) for key in ("after", "after_bytes"))
            for name, fault in KINDS.items():
                yield f"kind = {name}"
                yield from usable(fault)
        elif get_origin(option) is Literal:
            yield from (f"{option}: {value}" for value in get_args(option))


def options_of(kind: Any) -> tuple[Any, ...]:
    """The types that a value of the type *kind* can have."""
    return get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)


def expressions(text: str) -> set[str]:
    """The names and the filters of all templates in *text*, as ``{name}`` and ``|filter``."""
    found: set[str] = set()
    for expression in re.findall(r"(?<!\{)\{(\w[^{}]*)\}", text):
        name, *filters = expression.split("|")
        found |= {f"{{{name.partition(':')[0]}}}"}
        found |= {f"|{it.partition(':')[0]}" for it in filters}
    return found


def call(name: str, arguments: str) -> str:
    """How the guide writes a name or a filter."""
    optional = arguments.startswith("[")
    rest = f"[:{arguments[1:]}" if optional else f":{arguments}" if arguments else ""
    return f"``{name}{rest}``"


def table(rows: Sequence[tuple[str, ...]]) -> str:
    """A table of the guide with these *rows*."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rule = "  ".join("=" * width for width in widths)
    lines = (
        "  ".join(it.ljust(width) for it, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
    return "\n".join([rule, *lines, rule])


def folded(text: str) -> str:
    """Fold the long lines of *text*."""
    return "\n".join(
        fill(line, WIDTH, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)
        for line in text.splitlines()
    )


class GuideTests(SynchronousTestCase):
    """The examples, run as they stand."""

    def setUp(self) -> None:
        directory = TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.addCleanup(os.chdir, Path.cwd())
        os.chdir(directory.name)
        for name, content in FILES.items():
            Path(name).write_bytes(content)

    def outcome(self, script: str, shown: str) -> str:
        """What should be *shown* of *script*: its problems, its warnings, or what clients see."""
        try:
            parsed = Script.parse(script, NAME)
        except ScriptError as error:
            return folded(str(error))
        if parsed.warnings:
            return folded("\n".join(f"warning: {it}" for it in parsed.warnings))
        if parsed.upstream is not None and parsed.is_relay:
            return f"relay to {parsed.upstream.name}"
        if parsed.accept is not Accept.NOW:  # what the kernel does is tested elsewhere
            return f"connect: {CONNECTS[parsed.accept]}"
        return Player(parsed).play(shown)

    def test_examples_do_what_they_show(self) -> None:
        """To the byte and the millisecond, and with the very messages of what is wrong."""
        for script, after in examples(GUIDE):
            self.assertEqual(after.language, "text", f"line {script.line}: nothing is shown")
            outcome = self.outcome(script.code, after.code)
            self.assertEqual(outcome, after.code, f"line {after.line}, of which the first is true")

    def test_the_command_says_what_is_shown(self) -> None:
        """What ``reqresp check`` and ``explain`` print."""
        shown = [block for block in blocks(GUIDE) if block.language == "console"]
        self.assertEqual(len(shown), 2)
        for block in shown:
            command, expected = block.code.split("\n", 1)
            printed = StringIO()
            with redirect_stdout(printed):
                status = main(shlex.split(command)[2:])
            self.assertEqual(status, 0, command)
            self.assertEqual(printed.getvalue(), f"{expected}\n", command)

    def test_python_examples_run(self) -> None:
        """Beside the scripts that they load."""
        code = [block.code for block in blocks(GUIDE) if block.language == "python"]
        self.assertNotEqual(code, [])
        for block in code:
            with redirect_stdout(StringIO()):
                exec(block, {})  # noqa: S102 (that is the test)

    def test_every_key_has_an_example(self) -> None:
        """Each key, kind of fault, choice and name in templates is in a script that runs."""
        seen: set[str] = set()
        for script, after in examples(GUIDE):
            if not after.code.startswith((NAME, "warning: ")):
                seen |= {*used(Document, tomllib.loads(script.code))}
                seen |= expressions(script.code)
        names = {f"{{{name}}}" for name in REPLY_SOURCES}
        filters = {f"|{name}" for name in FILTERS}
        self.assertEqual({*usable(Document), *names, *filters} - seen, set())

    def test_tables_of_names_and_filters(self) -> None:
        """They are what the templates' own tables say."""
        names = [(call(name, it.arguments), it.summary) for name, it in REPLY_SOURCES.items()]
        filters = [(call(f"|{name}", it.arguments), it.summary) for name, it in FILTERS.items()]
        for rows in (names, filters):
            self.assertIn(table(rows), GUIDE)

    def test_every_key_is_told(self) -> None:
        """In the text or a table, and not in an example alone."""
        names = {name.rpartition(".")[2] for name in usable(Document) if " " not in name}
        told = {*re.findall(r"``(?:\{ )?(\w+)(?: = [^`]*)?``", GUIDE)}
        self.assertEqual(names - told, set())


class NoticeTests(SynchronousTestCase):
    """What would not be true of an example, or is missing from all of them, is noticed."""

    def play(self, script: str, *lines: str) -> list[str]:
        """What a transcript of *lines* should have been."""
        return Player(Script.parse(script)).play("\n".join(lines)).splitlines()

    def test_bytes_are_exact(self) -> None:
        """Whatever is said to be received, what is received is written."""
        script = '[[rule]]\nreply = { text = "a", raw = true }'
        self.assertEqual(self.play(script, r"> x\n", r"< a\r\n", "closed"), [r"> x\n", "< a"])

    def test_times_are_exact(self) -> None:
        """Something that comes before its time, or does not come at it, is not overlooked."""
        script = '[[rule]]\ndelay = 0.2\nreply = "a"'
        on_time = [r"> x\n", "(0.2 s)", r"< a\r\n"]
        for shown in ("0.2", "0.201", "3"):
            self.assertEqual(self.play(script, r"> x\n", f"({shown} s)"), on_time)
        self.assertEqual(self.play(script, r"> x\n", "(0.199 s)"), [r"> x\n", "(0.199 s)"])

    def test_clients_are_told_apart(self) -> None:
        """What another client gets is written as that one's."""
        script = '[[rule]]\ndelay = 0.2\nreply = "a"'
        self.assertEqual(
            self.play(script, r"> x\n", "--", "(1 s)", r"> y\n"),
            [r"> x\n", "--", "(0.2 s)", "-- 1", r"< a\r\n", r"> y\n"],
        )

    def test_a_state_is_written_once(self) -> None:
        """When it comes about."""
        for step, state in (("close", "closed"), ("abort", "reset"), ("stop_reading", "unread")):
            script = f"[[rule]]\ndo = [{{ {step} = true }}]"
            written = self.play(script, r"> x\n", r"> y\n", "(5 s)")
            self.assertEqual(written.count(state), 1, written)

    def test_keys_are_found_where_they_are_used(self) -> None:
        """In tables, lists, inline or not, each with the class that it belongs to."""
        script = """
            framing.length = { size = 2 }
            greeting = { reply = [{ hex = "61" }] }
            [[rule]]
            not.equals = ["a"]
            scope = "server"
            [[fault]]
            on = "connect"
            kind = "latency"
            delay = 1
        """
        found = {it.replace("typing.", "") for it in used(Document, tomllib.loads(script))}
        self.assertEqual(
            found,
            {
                *(
                    "Document.framing",
                    "FramingTable.length",
                    "LengthTable.size",
                    "Document.greeting",
                ),
                *("TurnTable.reply", "PayloadTable.hex", "Document.rule", "PredicateTable.not"),
                *("PredicateTable.equals", "RuleTable.scope", "Document.fault", "Latency.delay"),
                *("on = connect", "kind = latency"),
                "Literal['server', 'connection']: server",
            },
        )
        self.assertLess(found, {it.replace("typing.", "") for it in usable(Document)})

    def test_a_script_that_shows_nothing_is_found(self) -> None:
        """One that ends the text, or that other code follows."""
        text = (
            ".. code-block:: toml\n\n   a\n\n.. code-block:: sh\n\n   b\n\n.. code-block:: toml\n"
        )
        self.assertEqual([after.language for _, after in examples(text)], ["sh", "nothing"])
