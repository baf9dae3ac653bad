"""Positions: each entry of a journal has a number, which never changes and is not used again."""

from typing import Any
from unittest.mock import patch

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from twisted.internet.address import IPv4Address

from reqresp import Answered, Connected, Journal, Line, Table, Wait
from reqresp.framing import Decoder
from reqresp.server.config import ServerConfig
from tests.support.conversation import Conversation

PEER = IPv4Address("TCP", "192.0.2.1", 1234)


class PositionsTests(Conversation):
    """What `Journal.position` and `Journal.since` return."""

    def setUp(self) -> None:
        super().setUp()
        self.keep()

    def keep(self, **limits: int) -> None:
        """Replace the journal by one with these limits."""
        self.journal = Journal(now=self.reactor.seconds, **limits)

    def lines(self, respond: Any = None, **options: Any) -> Any:
        respond = Table({}, otherwise=b"A") if respond is None else respond
        return self.connect(respond, framing=Line(), observers=[self.journal], **options)

    def since(self, number: int, most: int | None = None) -> tuple[int, list[bytes]]:
        """Return the number of the first entry, and the requests; those without have their kind."""
        first, entries = self.journal.since(number, most)
        return first, [
            it.exchange.request.data if isinstance(it, Answered) else type(it).__name__.encode()
            for it in entries
        ]

    def test_the_first_entry_is_number_one(self) -> None:
        """An empty journal is at position 1, and each entry takes one number."""
        self.assertEqual((self.journal.position, self.since(1)), (1, (1, [])))
        self.lines().send(b"a\nb\n", b"c\n")
        self.assertEqual(self.journal.position, 5)
        self.assertEqual(self.since(1), (1, [b"Connected", b"a", b"b", b"c"]))
        self.assertEqual(self.since(3), (3, [b"b", b"c"]))
        self.assertEqual(self.since(2, 2), (2, [b"a", b"b"]))
        self.assertEqual(self.since(5), (5, []))

    def test_a_number_that_does_not_exist(self) -> None:
        """After the last entry there are none, and before the first there are all."""
        self.lines().send(b"a\n")
        self.assertEqual(self.since(99), (3, []))
        self.assertEqual(self.since(-7), (1, [b"Connected", b"a"]))

    def test_dropped_entries(self) -> None:
        """Numbers do not change when entries are dropped, whole reads or parts of one."""
        self.keep(most=3)
        wire = self.lines()
        wire.send(b"a\nb\n", b"c\nd\n")
        self.assertEqual((self.journal.position, self.since(1)), (6, (3, [b"b", b"c", b"d"])))
        wire.send(b"1\n2\n3\n4\n5\n")
        self.assertEqual((self.journal.position, self.since(5)), (11, (8, [b"3", b"4", b"5"])))
        self.assertEqual(self.journal.dropped, 7)

    def test_cleared_entries(self) -> None:
        """A number is not used again after `clear`, and what is cleared is not dropped."""
        self.keep(most=2)
        wire = self.lines()
        wire.send(b"a\nb\nc\n")
        self.journal.clear()
        self.assertEqual((self.journal.position, self.journal.dropped), (5, 2))
        self.assertEqual(self.since(1), (5, []))
        wire.send(b"d\n")
        self.assertEqual(self.since(1), (5, [b"d"]))

    def test_another_journal_before_it(self) -> None:
        """A journal that takes the place of another goes on with its numbers."""
        self.journal.continue_at(7)
        self.journal.continue_at(3)
        self.assertEqual((self.journal.position, self.since(1)), (7, (7, [])))
        self.lines().send(b"a\n")
        self.assertEqual(self.since(5), (7, [b"Connected", b"a"]))
        self.assertEqual(self.journal.dropped, 0)
        with self.assertRaisesRegex(ValueError, "expected a journal without entries"):
            self.journal.continue_at(99)

    def test_unanswered_requests(self) -> None:
        """A request has a number once it is answered, or once its connection has ended."""
        wire = self.lines(lambda request: (Wait(1), request.data))
        wire.send(b"a\nb\n")
        self.assertEqual(self.since(2), (2, []))
        wire.wait(1)
        self.assertEqual(self.since(2), (2, [b"a"]))
        wire.reset()
        self.assertEqual(self.since(3), (3, [b"Unanswered", b"Disconnected"]))

    def test_following_decodes_each_read_once(self) -> None:
        """Who asks for what is new pays for what is new, not for what the same record has."""
        wire = self.lines()
        position = self.journal.position
        fed: list[bytes] = []

        class Counted:
            def __init__(self, decoder: Decoder) -> None:
                self.decoder = decoder

            def feed(self, data: bytes) -> Any:
                fed.append(data)
                return self.decoder.feed(data)

        decoder = ServerConfig.decoder
        with patch.object(ServerConfig, "decoder", lambda self: Counted(decoder(self))):
            for number in range(50):
                wire.send(b"%d\n" % number)
                position, found = self.since(position)
                position += len(found)
        self.assertEqual((position, len(fed)), (52, 50))


class Followed(RuleBasedStateMachine):
    """A journal beside the list of all entries that it has ever had."""

    @initialize(
        most=st.sampled_from([1, 2, 5, 40, 1000]),
        most_bytes=st.sampled_from([500, 3000, 9000, 10**6]),
    )
    def begin(self, most: int, most_bytes: int) -> None:
        """Begin with these limits."""
        self.time = 0.0
        self.most = most
        self.journal = Journal(most, most_bytes, now=lambda: self.time)
        self.configs = [
            ServerConfig(Table({}, otherwise=reply), framing=Line()) for reply in (b"A", b"B")
        ]
        self.taken = 0
        #: What was recorded, of which the journal has the last ones.
        self.all: list[Any] = []
        self.cleared = 0

    @rule(count=st.integers(1, 7), which=st.integers(0, 1), is_whole=st.booleans())
    def read(self, count: int, which: int, is_whole: bool) -> None:
        """A read is answered at once, with constants."""
        self.time += 1
        requests = [b"%d" % (self.taken + at) for at in range(count)]
        data, first = b"".join(b"%b\n" % it for it in requests), self.taken + 1
        self.taken += count
        config = self.configs[which]
        connection = which + 1  # a connection keeps its config
        self.journal.answered_at_once(PEER, connection, config, first, requests, data, is_whole)
        exchanges = config.exchanges(PEER, connection, first, requests)
        self.all += [Answered(self.time, self.time, it) for it in exchanges]

    @rule()
    def connect(self) -> None:
        """A client connects."""
        self.time += 1
        self.journal.connected(PEER, 9)
        self.all.append(Connected(self.time, PEER, 9))

    @rule(count=st.integers(1, 5))
    def answer(self, count: int) -> None:
        """Requests are answered by a responder."""
        self.time += 1
        requests = [b"%d" % at for at in range(count)]
        exchanges = self.configs[0].exchanges(PEER, 3, self.taken + 1, requests)
        self.taken += count
        self.journal.received(PEER, 3, requests)
        self.journal.answered(exchanges)
        self.all += [Answered(self.time, self.time, it) for it in exchanges]

    @rule()
    def clear(self) -> None:
        """Somebody clears the journal."""
        self.journal.clear()
        self.cleared = len(self.all)

    @rule(back=st.integers(-3, 60), most=st.none() | st.integers(0, 20))
    def look(self, back: int, most: int | None) -> None:
        """Somebody asks for entries: they are those with the numbers from there on."""
        number = len(self.all) + 1 - back
        kept = len(self.journal.entries())
        first, entries = self.journal.since(number, most)
        assert first == min(max(number, len(self.all) + 1 - kept), len(self.all) + 1)
        assert entries == self.all[first - 1 :][:most]

    @invariant()
    def every_entry_has_its_number(self) -> None:
        """All entries have had a number each, and the last ones are kept."""
        if not hasattr(self, "journal"):
            return
        assert self.journal.position == len(self.all) + 1
        kept = self.journal.entries()
        assert len(kept) <= self.most
        assert kept == self.all[len(self.all) - len(kept) :]
        assert len(kept) + self.journal.dropped <= len(self.all)
        assert self.cleared <= len(self.all) - len(kept)


FollowedTests = Followed.TestCase
