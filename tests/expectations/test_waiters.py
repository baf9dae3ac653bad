"""Futures of requests."""

from concurrent.futures import Future

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from reqresp.exchanges import Exchange
from reqresp.expectations.waiters import Waiters, requests_among
from reqresp.journal.entries import Answered, Disconnected, Entry, Unanswered
from reqresp.journal.journal import Journal
from reqresp.script.predicates import Predicates
from reqresp.steps import Request
from reqresp.testing import MemoryServer
from tests.support.ends import End

PEER = IPv4Address("TCP", "127.0.0.1", 50000)
A = Predicates(equals=(b"a",))


class WaitersTests(SynchronousTestCase):
    """Tests for `Waiters`, with events as a server would report them."""

    def setUp(self) -> None:
        self.journal = Journal()
        self.waiters = Waiters(self.journal)

    def receive(self, *requests: bytes) -> None:
        for observer in (self.journal, self.waiters):
            observer.received(PEER, 1, requests)

    def leave(self) -> None:
        for observer in (self.journal, self.waiters):
            observer.disconnected(PEER, 1, Failure(ConnectionDone()))

    def data(self, found: "Future[list[Request]]") -> list[bytes] | None:
        return [it.data for it in found.result(0)] if found.done() else None

    def test_earlier_requests_count(self) -> None:
        """A future of requests that were received before is done at once."""
        self.receive(b"a", b"b", b"a")
        self.assertEqual(self.data(self.waiters.when(A, 2)), [b"a", b"a"])
        self.assertEqual([it.data for it in self.waiters.requests(A)], [b"a", b"a"])

    def test_the_order_of_requests(self) -> None:
        """Requests are in the order in which they were received, whichever was answered first."""
        early, late = (Request(data, PEER, 1, 1) for data in (b"early", b"late"))
        entries: list[Entry] = [
            Answered(2, 2, Exchange(late, ())),
            Disconnected(3, PEER, 2, "gone"),
            Unanswered(1, early),
        ]
        self.assertEqual(requests_among(entries), [early, late])

    def test_missing_requests(self) -> None:
        """Only matching requests count, and a disconnect does not."""
        self.receive(b"a")
        found = self.waiters.when(A, 3)
        self.receive(b"b", b"a")
        self.leave()
        self.assertIsNone(self.data(found))
        self.receive(b"a")
        self.assertEqual(self.data(found), [b"a"] * 3)

    def test_zero_requests(self) -> None:
        """A future of no requests is done at once."""
        self.assertEqual(self.data(self.waiters.when(A, 0)), [])

    def test_a_cancelled_future(self) -> None:
        """A cancelled future is dropped at once."""
        found = self.waiters.when(A, 1)
        self.assertEqual(len(self.waiters), 1)
        self.assertTrue(found.cancel())
        self.assertEqual(len(self.waiters), 0)

    def test_templates(self) -> None:
        """A template has the number of the request, as in `requests`."""
        server = MemoryServer()
        server.on().reply("x")
        wanted = {"template": "{request} {connection}"}
        found = server.when(wanted, times=4)
        first, second = server.connect(End()), server.connect(End())
        for end, data in (
            (first, b"1 1\r\n2 1\r\n2 2\r\n"),
            (second, b"1 1\r\n"),
            (second, b"2 2\r\n"),
        ):
            end.transport.write(data)
            server.pump()
        self.assertFalse(found.done())
        first.transport.write(b"4 1\r\n")
        server.pump()
        requests = server.requests(wanted)
        self.assertEqual([it.data for it in requests], [b"1 1", b"2 1", b"2 2", b"4 1"])
        self.assertEqual(found.result(0), requests)

    def test_several_futures(self) -> None:
        """The callback of a future can ask for another one."""
        more: list[Future[list[Request]]] = []
        first = self.waiters.when(A, 1)
        first.add_done_callback(lambda _: more.append(self.waiters.when(A, 2)))
        second = self.waiters.when(A, 1)
        self.receive(b"a")
        self.assertEqual((self.data(first), self.data(second)), ([b"a"], [b"a"]))
        self.assertIsNone(self.data(more[0]))
        self.receive(b"a")
        self.assertEqual(self.data(more[0]), [b"a", b"a"])

    def test_a_condition(self) -> None:
        """A condition is checked at once, at requests and at disconnects, until it is true."""
        asked: list[bool] = [False, False, False, True]
        found = self.waiters.until(lambda: asked.pop(0))
        self.assertEqual(len(asked), 3)
        self.receive(b"a")
        self.receive(b"b")
        self.assertFalse(found.done())
        self.leave()
        self.assertTrue(found.done())
        self.receive(b"a")  # checks nothing any more
