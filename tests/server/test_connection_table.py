"""The table of open connections: what each has done, and how it is steered."""

from typing import Any

from reqresp import Counters, Line, Table
from reqresp.server.connection_table import ConnectionInfo, ConnectionTable
from reqresp.server.connections import Connections
from reqresp.server.front_factory import front_of
from reqresp.server.pushes import PushError
from tests.support.conversation import Conversation


class TableTests(Conversation):
    """What a table shows and does."""

    def serve(self, **options: Any) -> Any:
        return self.factory(Table({}, otherwise=b"A"), framing=Line(), first=7, **options)

    def test_what_a_connection_has_done(self) -> None:
        """Each open connection has its number, its client, its age and what passed."""
        factory = self.serve(counters=Counters())
        wires = [self.join(factory, f"192.0.2.{host}") for host in (1, 2, 3)]
        wires[0].send(b"a\n", b"a\nb\n" * 3000)
        wires[1].send(b"half")
        wires[2].reset()
        table = factory.connections
        self.assertEqual(len(table), 2)
        first, second = table
        self.assertEqual((first.number, first.peer.host), (7, "192.0.2.1"))
        self.assertEqual((first.requests, first.received, first.sent), (6001, 12_002, 18_003))
        self.assertEqual((second.number, second.requests, second.received), (8, 0, 4))

    def test_nothing_is_counted_without_counters(self) -> None:
        """Without counters, bytes are not counted, and requests are."""
        factory = self.serve()
        self.join(factory).send(b"a\n")
        [info] = factory.connections
        self.assertEqual((info.requests, info.received, info.sent), (1, 0, 0))

    def test_as_json(self) -> None:
        """An entry of the table is written with the keys of the journal."""
        wire = self.join(self.serve())
        info = ConnectionInfo(7, wire.protocol.peer, 1.5, 2, 3, 4)
        self.assertEqual(
            info.as_json(),
            {"number": 7, "peer": "127.0.0.1:50000", "since": 1.5}
            | {"requests": 2, "received": 3, "sent": 4},
        )

    def test_since_when(self) -> None:
        """A connection has the time of day at which it was opened."""
        times = iter([1000.0, 2000.0])
        front = Connections(clock=self.reactor, wall=times.__next__)
        for wire in (self.join(self.serve()), self.join(self.serve())):
            front.opened(wire.protocol)
        self.assertEqual({it.since for it in ConnectionTable(front)}, {1000.0, 2000.0})

    def test_steering(self) -> None:
        """A connection is pushed to, closed or reset by its number."""
        factory = self.serve()
        wires = [self.join(factory) for _ in range(3)]
        table = factory.connections
        table.push(7, b"!")
        table.close(8)
        table.reset(9)
        wires[0].turn()
        self.assertEqual((wires[0].received(), wires[0].got_eof), (b"!", False))
        self.assertTrue(wires[1].got_eof)
        self.assertTrue(wires[2].got_reset)
        self.assertEqual([it.number for it in table], [7, 8])  # one of them lingers
        self.assertRaises(PushError, table.push, 8, b"!")

    def test_unknown_numbers(self) -> None:
        """A number that no open connection has is a KeyError."""
        factory = self.serve()
        self.join(factory).reset()
        table = ConnectionTable(front_of(factory))
        for act in (lambda: table.push(7, b"!"), lambda: table.close(99), lambda: table.reset(0)):
            self.assertRaises(KeyError, act)
