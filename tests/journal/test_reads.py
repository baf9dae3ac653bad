"""Reads that are kept as bytes: the same entries as of requests and replies that are kept."""

import gc
import tracemalloc
from typing import Any

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from reqresp import (
    Answered,
    Close,
    Command,
    Journal,
    Line,
    Netstring,
    Observer,
    Resp,
    Script,
    Send,
    Table,
    Wait,
)
from reqresp.framing import BaseFraming
from tests.support.conversation import Conversation
from tests.support.streams import PROPERTY
from tests.support.wire import Wire

TABLE = Table({b"close": (b"+bye", Close()), b"wait": (Wait(1), b"+late")}, otherwise=b"+ok")
#: What clients send, in pieces of which not all are whole requests.
PIECES: list[tuple[BaseFraming, list[bytes]]] = [
    (Line(), [b"a\n", b"a\nb\r\n", b"c" * 50, b"\n", b"wait\n", b"x\nwait\n", b"close\n"]),
    (Netstring(), [b"1:a,", b"1:a,2:bc,", b"3:", b"abc,", b"4:wait,", b"5:close,", b"0:,"]),
    (
        Resp(),
        [b"PING\r\n", b"*1\r\n$1\r\na\r\n", b"*2\r\n$1\r\n", b"a\r\n$1\r\nb\r\n", b"wait\r\n"],
    ),
]
ACTIONS = ["time", "reset", "eof", "look", "clear", "reload", "adapt"]


class GeneralJournal(Journal):
    """A journal that is notified of requests and replies, however they are answered."""

    answered_at_once = Observer.answered_at_once


class SameTests(Conversation):
    """A journal of reads beside one of requests and replies."""

    def begin(self, **limits: int) -> None:
        self.setUp()
        self.journals = [
            kind(now=self.reactor.seconds, **limits) for kind in (Journal, GeneralJournal)
        ]

    def factory(self, respond: Any = None, **options: Any) -> Any:
        return super().factory(respond, observers=self.journals, **options)

    def check(self) -> None:
        """Assert that both journals are the same, as bytes and as commands."""
        reads, general = self.journals
        self.assertEqual(reads.entries(), general.entries())
        self.assertEqual(reads.dropped, general.dropped)
        raw = [
            [getattr(it.exchange.request.data, "raw", None) for it in journal.exchanges()]
            for journal in self.journals
        ]
        self.assertEqual(raw[0], raw[1])

    def act(self, wire: Wire, action: str) -> None:
        match action:
            case "time":
                wire.wait(1)
            case "reset":
                wire.reset()
            case "eof":
                wire.send_eof()
            case "look":
                self.check()
            case "clear":
                for journal in self.journals:
                    journal.clear()
            case "reload":
                wire.factory.reconfigure(Table({}, otherwise=b"+new"), framing=Line())
            case "adapt":
                table = Table({}, otherwise=b"+adapted")
                wire.factory.adapt(lambda config: evolve(config, responder=table))

    @PROPERTY
    @given(st.data())
    def test_any_conversation(self, data: st.DataObject) -> None:
        """The entries are the same for any clients and any limits, whenever somebody looks."""
        self.begin(
            most=data.draw(st.sampled_from([1, 2, 5, 40, 1000])),
            most_bytes=data.draw(st.sampled_from([500, 1020, 3000, 9000, 10**6])),
        )
        framing, pieces = data.draw(st.sampled_from(PIECES))
        factory = self.factory(TABLE, framing=framing)
        wires = [self.join(factory)]
        for _ in range(data.draw(st.integers(1, 40))):
            if data.draw(st.integers(0, 9)) == 0:
                wires.append(self.join(factory))
            wire = data.draw(st.sampled_from(wires))
            if data.draw(st.integers(0, 4)):
                wire.send(*data.draw(st.lists(st.sampled_from(pieces), min_size=1, max_size=4)))
            else:
                self.act(wire, data.draw(st.sampled_from(ACTIONS)))
        self.check()

    def test_many_reads(self) -> None:
        """The entries are the same after the limits were reached many times."""
        for limits in ({"most": 50}, {"most": 7, "most_bytes": 10_000}, {"most_bytes": 20_000}):
            self.begin(**limits)
            wires = [self.connect(TABLE, framing=Line())]
            wires.append(self.join(wires[0].factory))
            for number in range(400):
                wires[number % 2].send(b"%d\n" % number * (number % 5 + 1))
                self.reactor.advance(0.5)
                if number % 37 == 0:
                    self.check()
            self.check()
            self.assertGreater(self.journals[0].dropped, 800)

    def test_other_replies_on_an_open_connection(self) -> None:
        """Each entry has the reply that was sent, also after the replies have changed."""
        self.begin()
        wire = self.connect(TABLE, framing=Line())
        wire.send(b"a\n")
        for action in ("adapt", "reload"):
            self.act(wire, action)
            wire.send(b"a\n")
            self.check()

    def test_a_script(self) -> None:
        """Replies of rules have the names of their rules."""
        self.begin()
        self.connect(Script.parse('rule = [{ equals = "a", reply = "A" }]')).send(b"a\na\n")
        self.check()
        self.assertEqual([it.exchange.by for it in self.journals[0].exchanges()], ["rule[0]"] * 2)

    def test_a_read_larger_than_the_journal(self) -> None:
        """A read that is too large is not kept, and those after it are."""
        self.begin(most_bytes=3000)
        wire = self.connect(TABLE, framing=Line())
        wire.send(b"a\n", b"a\n" * 9, b"b\n")
        self.check()
        self.assertEqual([it.exchange.request.data for it in self.journals[0].exchanges()], [b"b"])


class KeepingTests(Conversation):
    """What a journal of reads keeps."""

    def test_commands_are_found_again(self) -> None:
        """A command of Redis is found in the bytes as it came."""
        journal = Journal(now=self.reactor.seconds)
        wire = self.connect(TABLE, framing=Resp(), observers=[journal])
        wire.send(b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n")
        [entry] = journal.exchanges()
        command = entry.exchange.request.data
        assert isinstance(command, Command)
        self.assertEqual((bytes(command), command.raw[:4]), (b"GET a", b"*2\r\n"))
        self.assertEqual(entry, Answered(0.0, 0.0, entry.exchange))
        self.assertEqual(entry.exchange.steps, (Send(b"+ok"),))

    def used(self, *journals: Journal) -> int:
        """Return the bytes that a server with *journals* needs for 400 reads of 20 requests."""
        wire = self.connect(TABLE, framing=Line(), observers=journals)
        tracemalloc.start()
        try:
            for number in range(400):
                wire.protocol.dataReceived(b"%06d\n" % number * 20)
                wire.received()
            gc.collect()  # what is garbage is not needed, whenever Python would collect it
            return tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()

    def test_a_read_needs_little_memory(self) -> None:
        """A read needs hardly more than its bytes, and no object for each request."""
        journal, general = (kind(now=self.reactor.seconds) for kind in (Journal, GeneralJournal))
        server = self.used()
        used = self.used(journal) - server
        self.assertEqual(len(journal.exchanges()), 400 * 20)
        self.assertLess(used / 400, 20 * 7 * 2)
        self.assertGreater(self.used(general) - server, 3 * used)
