"""What a read may cost, counted in calls of Python functions: the same on every machine."""

from itertools import repeat
from typing import Any

from reqresp import Counters, EagerServer, Exchanges, Journal, Line, Observer, Script, Table
from reqresp.journal.request_log import RequestLog
from reqresp.steps import Request
from tests.support.calls import CallCase, called_by
from tests.support.wire import Wire

#: Parts of the paths of modules that serve a connection, without the network in memory.
LIFE = (
    *("reqresp/framing/", "reqresp/server/", "reqresp/transport/"),
    *("internet/tcp.py", "internet/abstract.py", "internet/_newtls.py"),
)


class Kept(Observer):
    """Keeps exchanges, as a journal does."""

    def __init__(self) -> None:
        self.batches: list[Exchanges] = []

    def answered(self, exchanges: Exchanges) -> None:
        self.batches.append(exchanges)


class CostTests(CallCase):
    """The number of calls for a read."""

    def test_a_connection_for_one_request(self) -> None:
        """From its client's arrival to its end: what Python calls of ours and of Twisted's."""
        factory = self.factory(Table({b"a": b"A"}), framing=Line(), observers=[])
        Wire(factory, self.reactor, transport=EagerServer)  # another one is open
        wires: list[Wire] = []

        def life() -> None:
            wires.append(Wire(factory, self.reactor, transport=EagerServer))
            wires[0].put(b"a\r\n")
            wires[0].send_eof()
            wires[0].turn()

        called = called_by(life, LIFE)
        self.assertEqual(wires[0].received(), b"A\r\n")
        self.assertFalse(wires[0].is_open)
        self.assertLessEqual(len(called), 66)

    def test_a_read_of_constants(self) -> None:
        """Constant replies take the same number of calls for any number of requests."""
        factory = self.factory(Table({b"a": b"A"}, otherwise=b"?"), framing=Line(), observers=[])
        one, many = self.calls(factory, b"b\r\n"), self.calls(factory, b"a\r\nb\r\n" * 200)
        self.assertEqual([call for call in one if call != "Batch.learn"], many)
        self.assertLessEqual(len(many), 5)

    def test_a_request_that_is_known(self) -> None:
        """A single request that was answered before takes two calls."""
        factory = self.factory(Table({b"a": b"A"}), framing=Line(), observers=[])
        self.assertEqual(
            self.calls(factory, b"a\n"), ["Connection.dataReceived", "EagerWrites.write"]
        )

    def test_a_meter_of_constants(self) -> None:
        """Counting adds no call, except that the time is read now and then."""
        options: dict[str, Any] = {"framing": Line(), "observers": []}
        plain = self.factory(Table({b"a": b"A"}), **options)
        metered = self.factory(Table({b"a": b"A"}), counters=Counters(), **options)
        data = b"a\nb\n" * 100
        self.assertEqual(self.calls(metered, data), self.calls(plain, data))

    def test_observers_of_constants(self) -> None:
        """An observer is called once for a read, and costs the same for one request and many."""
        kept = Kept()
        factory = self.factory(Table({b"a": b"A"}), framing=Line(), observers=[kept])
        few, many = self.calls(factory, b"a\nb\n"), self.calls(factory, b"a\nb\n" * 200)
        self.assertEqual(few, many)
        self.assertEqual(many.count("Kept.answered"), 1)
        self.assertLessEqual(len(few), 11)
        self.assertEqual(len(kept.batches), 6)

    def test_the_request_log(self) -> None:
        """The line of a read is not written before many can be written together."""
        log = RequestLog(self.reactor)
        factory = self.factory(Table({b"a": b"A"}), framing=Line(), observers=[log])
        self.assertEqual(
            self.calls(factory, b"a\n"),
            ["Connection.dataReceived", "EagerWrites.write", "RequestLog.answered_at_once"],
        )

    def test_the_journal(self) -> None:
        """What the journal keeps of a read is made later, for many reads at once."""
        journal = Journal(now=repeat(0.0).__next__)
        factory = self.factory(Table({b"a": b"A"}), framing=Line(), observers=[journal])
        self.assertEqual(
            self.calls(factory, b"a\n"),
            ["Connection.dataReceived", "EagerWrites.write", "Journal.answered_at_once"],
        )

    def test_a_function(self) -> None:
        """A user's function costs a few calls for each request."""

        def respond(request: Request) -> bytes:
            return request.data

        # No quantum ends, however slow this is.
        factory = self.factory(respond, framing=Line(), observers=[], now=repeat(0.0).__next__)
        few, many = self.calls(factory, b"a\n" * 10), self.calls(factory, b"a\n" * 110)
        self.assertLessEqual((len(many) - len(few)) / 100, 12)

    def test_constants_of_a_script(self) -> None:
        """Rules with ``equals`` cost as much as a table, with or without patterns."""
        script = """
            rule = [
                { equals = ["a", "b"], reply = "A" },
                { matches = "x+", reply = { template = "{0}" } },
            ]
        """
        factory = self.factory(Script.parse(script), observers=[])
        few, many = self.calls(factory, b"a\nb\n"), self.calls(factory, b"a\nb\n" * 200)
        self.assertEqual(few, many)
        self.assertLessEqual(len(few), 6)

    def test_rules_of_a_script(self) -> None:
        """A rule costs a few calls for each request, whatever their number."""
        for count in (10, 1000):
            rules = "".join(
                f"[[rule]]\nmatches = 'k{at}( .*)?'\nreply = 'v'\n" for at in range(count)
            )
            factory = self.factory(Script.parse(rules), observers=[], now=repeat(0.0).__next__)
            few, many = self.calls(factory, b"k7\n" * 10), self.calls(factory, b"k7\n" * 110)
            self.assertLessEqual((len(many) - len(few)) / 100, 16)

    def test_an_eager_reply_needs_no_event(self) -> None:
        """A reply leaves with the read, and the reactor is not asked to watch the socket."""
        wire = Wire(self.factory(), self.reactor, transport=EagerServer)
        wire.protocol.dataReceived(b"a")
        self.assertEqual(wire.received(), b"response")
        self.assertEqual(self.reactor.writers, set())
