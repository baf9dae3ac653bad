"""Who waits for requests."""

from concurrent.futures import Future

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from reqresp.exchanges import Exchange
from reqresp.journal.entries import Answered, Disconnected, Entry, Unanswered
from reqresp.journal.journal import Journal
from reqresp.script.predicates import Predicates
from reqresp.steps import Request
from reqresp.testing._waiters import Waiters, requests

PEER = IPv4Address("TCP", "127.0.0.1", 50000)
A = Predicates(equals=(b"a",))


class WatchTests(SynchronousTestCase):
    """It tells those who wait."""

    def setUp(self) -> None:
        self.journal = Journal()
        self.watch = Waiters(self.journal)

    def receive(self, *requests: bytes) -> None:
        for observer in (self.journal, self.watch):
            observer.received(PEER, 1, requests)

    def leave(self) -> None:
        for observer in (self.journal, self.watch):
            observer.disconnected(PEER, 1, Failure(ConnectionDone()))

    def data(self, found: "Future[list[Request]]") -> list[bytes] | None:
        return [it.data for it in found.result(0)] if found.done() else None

    def test_what_came_before_counts(self) -> None:
        """Who waits for it is told at once."""
        self.receive(b"a", b"b", b"a")
        self.assertEqual(self.data(self.watch.when(A, 2)), [b"a", b"a"])
        self.assertEqual([it.data for it in self.watch.came(A)], [b"a", b"a"])

    def test_who_asked_first_comes_first(self) -> None:
        """Though others were answered before."""
        early, late = (Request(data, PEER, 1, 1) for data in (b"early", b"late"))
        entries: list[Entry] = [
            Answered(2, 2, Exchange(late, ())),
            Disconnected(3, PEER, 2, "gone"),
            Unanswered(1, early),
        ]
        self.assertEqual(requests(entries), [early, late])

    def test_what_is_missing_is_waited_for(self) -> None:
        """Other requests, and ends of connections, are not it."""
        self.receive(b"a")
        found = self.watch.when(A, 3)
        self.receive(b"b", b"a")
        self.leave()
        self.assertIsNone(self.data(found))
        self.receive(b"a")
        self.assertEqual(self.data(found), [b"a"] * 3)

    def test_nothing_is_never_waited_for(self) -> None:
        """None are there from the start."""
        self.assertEqual(self.data(self.watch.when(A, 0)), [])

    def test_who_no_longer_waits_is_forgotten(self) -> None:
        """And is told nothing."""
        found = self.watch.when(A, 1)
        self.assertTrue(found.cancel())
        self.receive(b"b")
        self.assertTrue(found.cancelled())
        self.assertEqual(self.watch._looks, [])

    def test_several_wait(self) -> None:
        """One of them may wait for more as soon as it is told."""
        more: list[Future[list[Request]]] = []
        first = self.watch.when(A, 1)
        first.add_done_callback(lambda _: more.append(self.watch.when(A, 2)))
        second = self.watch.when(A, 1)
        self.receive(b"a")
        self.assertEqual((self.data(first), self.data(second)), ([b"a"], [b"a"]))
        self.assertIsNone(self.data(more[0]))
        self.receive(b"a")
        self.assertEqual(self.data(more[0]), [b"a", b"a"])

    def test_whatever_may_become_so(self) -> None:
        """It is asked at once, at requests, and when a client leaves."""
        asked: list[bool] = [False, False, False, True]
        found = self.watch.until(lambda: asked.pop(0))
        self.assertEqual(len(asked), 3)
        self.receive(b"a")
        self.receive(b"b")
        self.assertFalse(found.done())
        self.leave()
        self.assertTrue(found.done())
        self.receive(b"a")  # asks nobody
