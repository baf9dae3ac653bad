"""Waiting for what happens at a server, without looking for it meanwhile."""

from typing import Any

from twisted.internet.defer import CancelledError, Deferred

from reqresp.expectations.changes import Changes
from tests.support.expecting import Expecting


class ChangesTests(Expecting):
    """What ends a wait."""

    def setUp(self) -> None:
        super().setUp()
        self.client = self.serve()
        self.client.turn()
        self.changes = Changes(self.journal)
        self.before = len(self.reactor.getDelayedCalls())

    def wait(self, seconds: float = 60) -> Deferred[Any]:
        """Return what fires with the next change."""
        return self.changes.wait(self.reactor, seconds)

    def test_an_entry(self) -> None:
        """Each kind of entry ends the waits of all, whether the server answers at once or not."""
        for cause in (
            lambda: self.client.send(b"NOOP\r\n"),
            lambda: self.client.send(b"NO"),
            lambda: self.client.send(b"OP\r\nother\r\n"),
            lambda: self.server_factory.note("changed"),
            lambda: self.another(),
            lambda: self.client.reset(),
        ):
            waits = [self.wait(), self.wait()]
            number = self.journal.position
            cause()
            for wait in waits:
                if self.journal.position == number:  # half a request
                    self.assertNoResult(wait)
                    wait.cancel()
                    self.failureResultOf(wait, CancelledError)
                else:
                    self.successResultOf(wait)
        self.assertLessEqual(len(self.reactor.getDelayedCalls()), self.before)

    def test_many_reads(self) -> None:
        """Each of many reads ends one wait, however many the journal notes together."""
        for _ in range(200):
            wait = self.wait()
            self.client.send(b"NOOP\r\n")
            self.successResultOf(wait)
        self.assertEqual(len(self.journal.exchanges()), 200)

    def test_the_time_is_up(self) -> None:
        """A wait ends in time, and nothing happens meanwhile."""
        wait = self.wait(9)
        self.assertEqual(len(self.reactor.getDelayedCalls()), self.before + 1)
        self.reactor.advance(8)
        self.assertNoResult(wait)
        self.reactor.advance(1)
        self.successResultOf(wait)
        again = self.wait()
        self.client.send(b"NOOP\r\n")
        self.successResultOf(again)

    def test_a_change_that_is_no_entry(self) -> None:
        """It ends all waits, too."""
        waits = [self.wait(), self.wait()]
        self.changes.wake()
        for wait in waits:
            self.successResultOf(wait)
