"""Observers: which events they receive, and what they cannot disturb."""

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress

from reqresp import (
    Close,
    Observer,
    Request,
    Send,
    Table,
    Wait,
)
from tests.support.conversation import Conversation


class ObserverTests(Conversation):
    """Observers are notified once for each read, and each request is reported once."""

    def test_a_read_is_one_event(self) -> None:
        """Each event is reported once for a read, for any number of requests in it."""
        wire = self.lines(lambda _request: b"ok")
        wire.send(b"a\nb\nc\n")
        self.assertEqual(self.heard.events, ["connected", "received", "answered"])
        self.assertEqual(self.heard.requests, [[b"a", b"b", b"c"]])
        self.assertEqual(self.heard.batches, [3])

    def test_an_exchange_has_the_steps_that_answered_it(self) -> None:
        """An exchange has the responder's steps, before framing."""
        wire = self.lines(lambda _request: (b"ok", Close()))
        wire.send(b"a\n")
        [exchange] = self.heard.exchanges
        self.assertEqual(exchange.request.data, b"a")
        self.assertEqual(exchange.steps, (Send(b"ok"), Close()))

    def test_constant_replies_are_reported_alike(self) -> None:
        """Replies on the fast path are reported as all others are."""
        wire = self.lines(Table({b"a": b"A"}, otherwise=b"?"))
        wire.send(b"a\nb\n")
        steps = [exchange.steps for exchange in self.heard.exchanges]
        self.assertEqual(steps, [(Send(b"A"),), (Send(b"?"),)])

    def test_a_request_is_reported_when_asked_and_its_reply_when_performed(self) -> None:
        """A request is received at once; it is answered after the wait in its reply."""
        wire = self.lines(lambda _request: (Wait(1), b"ok"))
        wire.send(b"a\nb\n")
        self.assertEqual((self.heard.requests, self.heard.batches), ([[b"a"]], []))
        wire.wait(1)
        self.assertEqual((self.heard.requests, self.heard.batches), ([[b"a"], [b"b"]], [1]))

    def test_an_observer_that_raises_affects_no_other(self) -> None:
        """The error is logged; the client and the other observers are not affected."""

        class Broken(Observer):
            def received(self, peer: IAddress, connection: int, requests: Any) -> None:
                raise (RuntimeError if requests == [b"a"] else SystemExit)("broken observer")

        wire = self.lines(lambda _request: b"ok", observers=[Broken(), self.heard])
        wire.send(b"a\n", b"b\n")
        self.assertEqual(wire.received(), b"ok\r\n" * 2)
        self.assertEqual(self.heard.requests, [[b"a"], [b"b"]])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError, SystemExit)), 2)

    def test_failing_later_is_reported_in_the_same_order(self) -> None:
        """A coroutine that raises at once is reported as a function that raises."""

        async def respond(_request: Request) -> bytes:
            raise RuntimeError("no answer")

        wire = self.lines(respond)
        wire.send(b"a\n")
        self.assertEqual(self.heard.events, ["connected", "received", "failed", "disconnected"])
        self.flushLoggedErrors(RuntimeError)

    def test_an_observer_can_fire_a_reply(self) -> None:
        """A reply that an observer fires while it is notified keeps its order and its number."""
        late: list[Deferred[bytes]] = []

        class Answering(Observer):
            def received(self, peer: IAddress, connection: int, requests: Any) -> None:
                for deferred in late[:]:
                    late.remove(deferred)
                    deferred.callback(b"now")

        def respond(request: Request) -> Any:
            if request.data == b"late":
                late.append(Deferred())
                return late[0]
            return request.data

        wire = self.lines(respond, observers=[Answering(), self.heard])
        wire.send(b"a\nlate\nb\n")
        self.assertEqual(wire.received(), b"a\r\nnow\r\nb\r\n")
        numbers = [(told.request.number, told.request.data) for told in self.heard.exchanges]
        self.assertEqual(numbers, [(1, b"a"), (2, b"late"), (3, b"b")])

    def test_a_large_read_is_one_event(self) -> None:
        """Constant replies to a read of several slices are reported and sent together."""
        wire = self.lines(Table({}, otherwise=b"ok"), now=lambda: 0.0)
        wire.send(b"abcdefghi\n" * 1000)
        self.assertEqual(self.heard.batches, [1000])
        self.assertEqual(wire.largest_send, 4000)

    def test_disconnected_is_reported_last(self) -> None:
        """The events of a failing request are received, failed and disconnected, in this order."""
        wire = self.lines(lambda _request: 1 // 0)
        wire.send(b"a\n")
        self.assertEqual(self.heard.events, ["connected", "received", "failed", "disconnected"])
        self.flushLoggedErrors(ZeroDivisionError)
