"""Events: what the listeners of a feed receive, and when."""

import json
from typing import Any

from attrs import define

from reqresp.control._guard import Guard
from reqresp.control._hosts import AllowedHosts
from reqresp.control._limited_site import MAX_CLIENTS, LimitedSite
from reqresp.control.dispatch import Dispatcher
from reqresp.control.events import KEEP_ALIVE, LOOK_INTERVAL, MAX_STREAMS, EventStreams
from reqresp.control.routes import EVENTS, Call, Route
from tests.support.asked import Asked, parse_answer
from tests.support.wire import Wire


@define(eq=False)
class Numbers:
    """A feed of the numbers up to *last*."""

    interval: float = 0.25
    look_interval: float = 0.0
    last: int = 0
    is_over: bool = False
    asked: int = 0
    made: int = 0
    padding: str = ""

    def position(self) -> int | None:
        self.asked += 1
        return None if self.is_over else self.last

    def event(self, position: int) -> tuple[int, bytes]:
        self.made += 1
        numbers = json.dumps([*range(position + 1, self.last + 1)])
        return self.last, f"id: {self.last}\ndata: {numbers}{self.padding}\n\n".encode()


def numbers(data: bytes) -> list[int]:
    """Return the numbers in the events in *data*, in chunks without a head."""
    text = parse_answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + data).data
    events = [it for it in text.decode().split("\n") if it.startswith("data: ")]
    return [number for it in events for number in json.loads(it.removeprefix("data: ").strip("x"))]


class StreamsTests(Asked):
    """The streams of one feed."""

    def make_site(self) -> LimitedSite:
        self.feed = Numbers()
        self.position: int | None = None
        self.streams = EventStreams(self.reactor)
        route = Route(
            method="GET", path="/stream", answer=self.open, summary="", content_type=EVENTS
        )
        dispatcher = Dispatcher([route], Guard(AllowedHosts()), 0)
        return LimitedSite(dispatcher, self.reactor)

    def open(self, call: Call) -> Any:
        return self.streams.open(call.request, {self.feed: self.position})

    def listen(self, position: int | None = None) -> Wire:
        """Return a client that listens from *position* on, and has received the head."""
        self.position = position
        return self.begin("GET", "/stream")

    def head(self, wire: Wire) -> bytes:
        """Return what has followed the head of the response."""
        head, _, rest = wire.received().partition(b"\r\n\r\n")
        self.assertTrue(head.startswith(b"HTTP/1.1 200 "), head)
        return rest

    def look(self, times: int = 1) -> None:
        """Let the streams look *times* times for what is new."""
        for _ in range(times):
            self.reactor.advance(LOOK_INTERVAL)

    def test_the_head(self) -> None:
        """A stream has its type, and says when to connect again."""
        answer = parse_answer(self.listen().received())
        self.assertEqual(answer.headers["Content-Type"], EVENTS)
        self.assertEqual(answer.data, b"retry: 1000\n\n")

    def test_head_alone(self) -> None:
        """HEAD has the headers, and opens no stream."""
        answer = self.ask("HEAD", "/stream")
        self.assertEqual((answer.status, answer.headers["Content-Type"]), (200, EVENTS))
        self.assertEqual(len(self.streams), 0)

    def test_at_once_when_quiet(self) -> None:
        """After a quiet time, what is new is sent at the next look."""
        wire = self.listen()
        self.head(wire)
        self.look(20)
        self.assertEqual(wire.received(), b"")
        self.feed.last = 3
        self.look()
        self.assertEqual(numbers(wire.received()), [1, 2, 3])

    def test_together_under_load(self) -> None:
        """What comes soon after an event is sent together, an interval after it."""
        wire = self.listen()
        self.head(wire)
        received = []
        for _ in range(40):
            self.feed.last += 1
            self.look()
            received.append(numbers(wire.received()))
        events = [it for it in received if it]
        told = [number for event in events for number in event]
        self.assertEqual(told, [*range(1, len(told) + 1)])
        self.assertGreaterEqual(len(told), 35)
        self.assertLessEqual(len(events), 40 * LOOK_INTERVAL / self.feed.interval + 1)

    def test_nothing_is_looked_for_while_nothing_may_be_sent(self) -> None:
        """Between two events, a feed is not asked whether anything is new."""
        self.listen()
        self.feed.last = 1
        self.look()
        self.assertEqual(self.feed.made, 1)
        asked = self.feed.asked
        self.feed.last = 2
        self.look(4)
        self.assertEqual((self.feed.made, self.feed.asked), (1, asked))
        self.look()
        self.assertEqual((self.feed.made, self.feed.asked), (2, asked + 1))

    def test_a_client_that_comes_between_two_looks(self) -> None:
        """A new client is sent what is new to it soon, however seldom its feed is looked at."""
        self.feed.look_interval = 5.0
        self.feed.last = 2
        self.listen()
        self.look(10)
        wire = self.listen(0)
        self.head(wire)
        self.look()
        self.assertEqual(numbers(wire.received()), [1, 2])

    def test_an_event_is_made_once(self) -> None:
        """Listeners that have come equally far receive the same event, which is made once."""
        wires = [self.listen() for _ in range(3)]
        for wire in wires:
            self.head(wire)
        for expected in ([1, 2], [3]):
            self.feed.last = expected[-1]
            self.look(10)
            self.assertEqual([numbers(wire.received()) for wire in wires], [expected] * 3)
        self.assertEqual(self.feed.made, 2)

    def test_where_a_stream_begins(self) -> None:
        """A stream begins with what comes next, or where its client says."""
        self.feed.last = 5
        new, resumed = self.listen(), self.listen(2)
        self.look()
        self.assertEqual(numbers(self.head(new)), [])
        self.assertEqual(numbers(self.head(resumed)), [3, 4, 5])

    def test_after_a_restart(self) -> None:
        """A client that knows numbers which do not exist yet receives all that there are."""
        self.feed.last = 2
        wire = self.listen(900)
        self.look()
        self.assertEqual(numbers(self.head(wire)), [1, 2])

    def test_a_client_that_does_not_read(self) -> None:
        """Little is kept for a client that does not read; it continues from where it was."""
        wire = self.listen()
        self.head(wire)
        self.feed.padding = "x" * 70_000
        wire.stop_reading()
        for _ in range(200):
            self.feed.last += 1
            self.look()
        self.assertLess(wire.buffered, 150_000)
        self.feed.padding = ""
        received = wire.received()
        wire.read_on()
        self.look(10)
        received += wire.received()
        self.assertEqual(numbers(received), [*range(1, 201)])

    def test_a_quiet_stream(self) -> None:
        """A comment is sent from time to time, so that the connection does not look idle."""
        wire = self.listen()
        self.head(wire)
        self.look(round(KEEP_ALIVE / LOOK_INTERVAL) + 1)
        self.assertEqual(wire.received(), b"3\r\n:\n\n\r\n")
        self.assertTrue(wire.is_open)

    def test_clients_that_leave(self) -> None:
        """A client that leaves is forgotten, and without clients nothing is looked for."""
        half, reset = self.listen(), self.listen()
        half.send_eof()
        reset.reset()
        self.feed.last = 1
        for _ in range(3):
            self.reactor.advance(1)
        self.assertFalse(half.is_open)
        self.assertEqual(len(self.streams), 0)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_a_feed_that_ends(self) -> None:
        """When a feed is over, its streams end, and it cannot be listened to."""
        wire = self.listen()
        self.feed.is_over = True
        self.look()
        self.assertTrue(wire.got_eof)
        self.assertTrue(wire.received().endswith(b"0\r\n\r\n"))
        self.assertEqual(self.ask("GET", "/stream").status, 404)

    def test_the_number_of_streams(self) -> None:
        """There are at most `MAX_STREAMS`, and requests do not take their place."""
        wires = [self.listen() for _ in range(MAX_STREAMS)]
        refused = parse_answer(self.listen().received())
        self.assertEqual(refused.status, 429)
        self.assertEqual(refused.headers["Content-Type"], "application/json")
        for _ in range(2 * MAX_CLIENTS):
            self.visit()
        self.assertTrue(all(wire.is_open for wire in wires))
        wires[0].reset()
        self.assertEqual(parse_answer(self.listen().received()).status, 200)

    def test_the_site_stops(self) -> None:
        """Streams are reset when the site stops."""
        wire = self.listen()
        self.site.stopFactory()
        self.reactor.advance(0)
        self.assertTrue(wire.got_reset)
