"""Which replies a client receives, for responders of any kind, at once or later."""

from typing import Any

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.logger import LogLevel, capturedLogs

from reqresp import (
    Close,
    EagerServer,
    HalfClose,
    Limits,
    Line,
    Netstring,
    Request,
    Responder,
    Send,
    Table,
    Wait,
)
from tests.support.conversation import Conversation


class DefaultTests(Conversation):
    """The server with its default responder and framing."""

    def test_every_piece_is_answered(self) -> None:
        """Each piece that arrives is answered with `response`."""
        wire = self.connect()
        wire.send(b"hello", b"again")
        self.assertEqual(wire.received(), b"response" * 2)
        self.assertTrue(wire.is_open)

    def test_small_replies_are_not_held_back(self) -> None:
        """Nagle's algorithm is off: a reply does not wait until the one before is acknowledged."""
        self.assertTrue(self.connect().is_nodelay)

    def test_close_is_answered_before_the_connection_closes(self) -> None:
        """The reply to `close` is delivered before the connection ends."""
        wire = self.connect()
        wire.send(b"close")
        self.assertEqual(wire.received(), b"response")
        self.assertTrue(wire.got_eof)

    def test_a_request_that_contains_close_does_not_close(self) -> None:
        """Only the request that is exactly `close` closes the connection."""
        wire = self.connect()
        wire.send(b"requestclose")
        self.assertEqual(wire.received(), b"response")
        self.assertFalse(wire.got_eof)

    def test_a_large_piece_is_several_requests(self) -> None:
        """A chunk has at most 1024 bytes."""
        wire = self.connect()
        wire.send(b"x" * 2049)
        self.assertEqual(wire.received(), b"response" * 3)

    def test_eof_ends_the_connection(self) -> None:
        """At EOF from the client, the server closes the connection."""
        wire = self.connect()
        wire.send_eof()
        self.assertFalse(wire.is_open)
        self.assertEqual(self.heard.requests, [])

    def test_requests_after_close_are_dropped(self) -> None:
        """After `close` no request reaches the responder or an observer."""
        wire = self.lines(None)
        wire.send(b"a\nclose\nb\n", b"c\n")
        self.assertEqual(wire.received(), b"response\r\n" * 2)
        self.assertEqual(self.heard.requests, [[b"a", b"close"]])


class OrderTests(Conversation):
    """Replies leave in the order of their requests."""

    def test_pipelined_requests_are_answered_with_one_write(self) -> None:
        """All requests of a read get their replies in one send."""
        wire = self.lines(lambda request: request.data.upper())
        wire.send(b"a\nb\nc\n")
        self.assertEqual(wire.largest_send, len(b"A\r\nB\r\nC\r\n"))
        self.assertEqual(wire.received(), b"A\r\nB\r\nC\r\n")

    def test_a_request_in_single_bytes_is_one_request(self) -> None:
        """The framing decides where a request ends, in however many pieces it arrives."""
        wire = self.connect(lambda request: request.data, framing=Netstring())
        wire.send(*(b"%c" % byte for byte in b"5:hello,"))
        self.assertEqual(wire.received(), b"5:hello,")

    def test_a_late_reply_delays_later_replies(self) -> None:
        """A reply that is ready at once is sent after the late reply to the request before it."""
        late: Deferred[bytes] = Deferred()
        wire = self.lines(lambda request: late if request.data == b"late" else request.data)
        wire.send(b"late\nsoon\n")
        self.assertEqual(wire.received(), b"")
        late.callback(b"at last")
        wire.turn()
        self.assertEqual(wire.received(), b"at last\r\nsoon\r\n")

    def test_a_request_during_a_wait_is_answered_after_it(self) -> None:
        """A request that arrives while a reply waits is answered after that reply."""
        wire = self.lines(lambda request: (Wait(2), request.data))
        wire.send(b"a\n", b"b\n")
        wire.wait(2)
        self.assertEqual(wire.received(), b"a\r\n")
        wire.wait(2)
        self.assertEqual(wire.received(), b"b\r\n")

    def test_steps_are_performed_in_order(self) -> None:
        """Data before a `Wait` is sent before the wait, and data after it afterwards."""
        wire = self.lines(lambda _request: (b"one", Wait(1), b"two", Wait(1), b"three", Close()))
        wire.send(b"x\n")
        self.assertEqual(wire.received(), b"one\r\n")
        wire.wait(1)
        self.assertEqual(wire.received(), b"two\r\n")
        wire.wait(1)
        self.assertEqual(wire.received(), b"three\r\n")
        self.assertTrue(wire.got_eof)

    def test_a_raw_reply_is_sent_as_it_is(self) -> None:
        """A raw `Send` is not framed, on the fast path and otherwise."""
        reply = (Send(b"no newline", raw=True), b"line")
        for respond in (lambda _request: reply, Table({}, otherwise=reply)):
            wire = self.lines(respond)
            wire.send(b"a\n")
            self.assertEqual(wire.received(), b"no newlineline\r\n")

    def test_a_coroutine_is_a_responder(self) -> None:
        """An `async def` can await Deferreds."""
        ready: Deferred[None] = Deferred()

        async def respond(request: Request) -> bytes:
            await ready
            return request.data

        wire = self.lines(respond)
        wire.send(b"a\nb\n")
        ready.callback(None)
        wire.turn()
        self.assertEqual(wire.received(), b"a\r\nb\r\n")

    def test_silence_is_a_reply(self) -> None:
        """A responder that returns None sends nothing; then the next request is answered."""
        wire = self.lines(lambda request: None if request.data == b"?" else b"ok")
        wire.send(b"?\nx\n")
        self.assertEqual(wire.received(), b"ok\r\n")

    def test_thousands_of_fired_deferreds_do_not_recurse(self) -> None:
        """Deferreds that have fired are handled without recursion."""

        async def respond(request: Request) -> bytes:
            return request.data

        wire = self.lines(respond)
        wire.send(b"a\n" * 5000)
        self.assertEqual(wire.received(), b"a\r\n" * 5000)

    def test_a_request_has_its_peer_and_numbers(self) -> None:
        """A request has the client's address, the connection's number and its own number."""
        requests: list[Request] = []
        factory = self.factory(requests.append, framing=Line())
        self.join(factory).send(b"a\n")
        wire = self.join(factory)
        wire.send(b"b\nc\n")
        peer = wire.transport.getPeer()
        self.assertEqual(requests[1:], [Request(b"b", peer, 2, 1), Request(b"c", peer, 2, 2)])


class TableTests(Conversation):
    """Constant replies from a table are the same as replies from a function."""

    table = Table(
        {b"a": b"A", b"stop": (b"bye", Close()), b"wait": (Wait(1), b"W"), b"none": None},
        otherwise=b"?",
    )

    def test_each_request_gets_its_reply(self) -> None:
        """A request in the table gets its reply, any other the default."""
        wire = self.lines(self.table)
        wire.send(b"a\nb\nnone\na\n")
        self.assertEqual(wire.received(), b"A\r\n?\r\nA\r\n")

    def test_a_constant_reply_with_a_wait_keeps_its_place(self) -> None:
        """A wait in a constant reply delays the replies after it, and not those before it."""
        wire = self.lines(self.table)
        wire.send(b"a\nwait\na\n")
        self.assertEqual(wire.received(), b"A\r\n")
        wire.wait(1)
        self.assertEqual(wire.received(), b"W\r\nA\r\n")

    def test_fast_and_slow_replies_share_one_numbering(self) -> None:
        """Requests are numbered in order, whether answered on the fast path or not."""
        wire = self.lines(self.table)
        wire.send(b"a\nb\n", b"wait\na\n", b"a\n")
        wire.wait(1)
        wire.send(b"a\n")
        numbers = [exchange.request.number for exchange in self.heard.exchanges]
        self.assertEqual(numbers, [1, 2, 3, 4, 5, 6])
        self.assertEqual(wire.protocol.taken, 6)

    def test_nothing_is_sent_after_a_half_close(self) -> None:
        """Constant replies are dropped after the server has sent EOF."""
        wire = self.lines(Table({b"half": (b"last", HalfClose())}, otherwise=b"?"))
        wire.send(b"half\n", b"x\n")
        self.assertEqual(wire.received(), b"last\r\n")
        self.assertTrue(wire.got_eof)
        self.assertEqual(self.heard.requests, [[b"half"], [b"x"]])


class FailureTests(Conversation):
    """A failing responder, or a malformed request, ends only its own connection."""

    def respond(self, request: Request) -> Any:
        if request.data == b"fail":
            raise RuntimeError("no answer")
        return request.data

    def test_earlier_replies_are_delivered_before_the_reset(self) -> None:
        """Replies to earlier requests of the same read reach the client before the reset."""
        wire = self.lines(self.respond)
        wire.send(b"a\nb\nfail\nc\n")
        self.assertEqual(wire.received(), b"a\r\nb\r\n")
        self.assertTrue(wire.got_reset)
        [error] = self.flushLoggedErrors(RuntimeError)
        self.assertIn("respond", error.getTraceback())

    def test_other_connections_continue(self) -> None:
        """A failing request does not affect other connections."""
        factory = self.factory(self.respond, framing=Line())
        first, second = self.join(factory), self.join(factory)
        first.send(b"fail\n")
        second.send(b"a\n")
        self.assertEqual(second.received(), b"a\r\n")
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_a_deferred_that_fails_resets(self) -> None:
        """The failure of a responder's Deferred resets the connection."""
        late: Deferred[bytes] = Deferred()
        wire = self.lines(lambda _request: late)
        wire.send(b"a\n")
        late.errback(RuntimeError("late"))
        wire.turn()
        self.assertTrue(wire.got_reset)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertEqual(len(self.heard.failures), 1)

    def test_every_kind_of_exception_resets(self) -> None:
        """Any exception resets the connection, even SystemExit, and even after a wait."""
        for error in (SystemExit, KeyboardInterrupt, GeneratorExit):

            def respond(request: Request, error: type[BaseException] = error) -> Any:
                if request.data == b"wait":
                    return Wait(1)
                raise error

            wire = self.lines(respond)
            wire.send(b"wait\nfail\n")
            wire.wait(1)
            self.assertTrue(wire.got_reset)
            self.assertEqual(len(self.flushLoggedErrors(error)), 1)

    def test_a_framing_that_returns_no_bytes_resets(self) -> None:
        """An invalid result from a user's framing resets the connection."""

        class Broken(Line):
            def encode(self, payload: bytes) -> Any:
                return "text"

        wire = self.connect(lambda _request: b"x", framing=Broken())
        wire.send(b"a\n")
        self.assertTrue(wire.got_reset)
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)

    def test_a_responder_that_returns_no_steps_resets(self) -> None:
        """If a `Responder` does not return steps, at once or later, the error says so."""

        class Wrong(Responder):
            def respond(self, data: bytes, connection: Any) -> Any:
                return succeed(None) if data == b"later" else b"bytes"

        for request in (b"now\n", b"later\n"):
            wire = self.lines(Wrong())
            wire.send(request)
            self.assertTrue(wire.got_reset)
            [error] = self.flushLoggedErrors(TypeError)
            self.assertIn("expected a tuple of steps", error.getErrorMessage())

    def test_an_invalid_reply_resets(self) -> None:
        """If a function returns an invalid value, the error says what a reply is."""
        wire = self.lines(lambda _request: 42)
        wire.send(b"a\n")
        self.assertTrue(wire.got_reset)
        [error] = self.flushLoggedErrors(TypeError)
        self.assertIn("found 42", error.getErrorMessage())

    def test_a_payload_that_the_framing_refuses_resets(self) -> None:
        """A payload with a newline cannot be sent as a line: it is the responder's error."""
        wire = self.lines(lambda _request: b"two\nlines")
        wire.send(b"a\n")
        self.assertTrue(wire.got_reset)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_a_malformed_frame_closes_after_earlier_replies(self) -> None:
        """Requests before the malformed frame are answered, and one line is logged."""
        wire = self.connect(lambda request: request.data, framing=Netstring())
        with capturedLogs() as events:
            wire.send(b"1:a,1:b,nonsense")
        self.assertEqual(wire.received(), b"1:a,1:b,")
        self.assertTrue(wire.got_eof)
        warnings = [event for event in events if event["log_level"] is LogLevel.warn]
        self.assertEqual(len(warnings), 1)
        self.assertEqual(len(self.heard.failures), 1)

    def test_a_malformed_frame_waits_for_replies_before_it(self) -> None:
        """A late reply is sent although a malformed frame has followed its request."""
        wire = self.connect(lambda request: (Wait(1), request.data), framing=Netstring())
        wire.send(b"1:a,nonsense")
        self.assertTrue(wire.is_open)
        wire.wait(1)
        self.assertEqual(wire.received(), b"1:a,")
        self.assertTrue(wire.got_eof)

    def test_a_malformed_frame_after_constants(self) -> None:
        """A malformed frame has the same effect on the fast path as otherwise."""
        wire = self.connect(Table({}, otherwise=b"ok"), framing=Netstring())
        wire.send(b"1:a,nonsense")
        self.assertEqual(wire.received(), b"2:ok,")
        self.assertTrue(wire.got_eof)

    def test_an_oversize_request_closes_while_it_arrives(self) -> None:
        """A request is refused as soon as it is too large, not when it is complete."""
        wire = self.lines(None, limits=Limits(max_request=10))
        wire.send(b"x" * 6, b"x" * 6)
        self.assertTrue(wire.got_eof)
        self.assertEqual(wire.received(), b"")
        self.assertEqual(len(self.heard.failures), 1)


class CancelTests(Conversation):
    """Pending work is cancelled when the connection is lost."""

    def test_a_wait_is_cancelled(self) -> None:
        """If the client disconnects during a wait, no delayed call remains."""
        wire = self.lines(lambda _request: (Wait(60), b"late"))
        wire.send(b"a\n")
        wire.reset()
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_an_answer_is_cancelled(self) -> None:
        """The responder's Deferred is cancelled, and nothing is logged."""
        cancelled: list[object] = []
        late: Deferred[bytes] = Deferred(cancelled.append)
        wire = self.lines(lambda _request: late)
        wire.send(b"a\n")
        wire.reset()
        self.assertEqual(cancelled, [late])

    def test_a_coroutine_sees_the_cancellation(self) -> None:
        """A coroutine can clean up after its client has disconnected."""
        seen: list[BaseException] = []

        async def respond(_request: Request) -> bytes:
            try:
                await Deferred()
            except CancelledError as error:
                seen.append(error)
                raise
            return b""

        wire = self.lines(respond)
        wire.send(b"a\n")
        wire.reset()
        self.assertEqual(len(seen), 1)

    def test_an_error_during_the_cancellation_is_logged(self) -> None:
        """An error that a cancelled responder raises is logged."""

        async def respond(_request: Request) -> bytes:
            try:
                await Deferred()
            finally:
                raise RuntimeError("cannot tidy up")

        wire = self.lines(respond)
        wire.send(b"a\n")
        wire.reset()
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_an_answer_to_the_cancellation_is_dropped(self) -> None:
        """A canceller may fire its Deferred with steps, which are dropped."""
        late: Deferred[bytes] = Deferred(lambda deferred: deferred.callback(b"so be it"))
        wire = self.lines(lambda _request: late)
        wire.send(b"a\n")
        wire.reset()
        self.assertEqual(self.heard.exchanges, [])

    def test_a_canceller_that_raises_is_logged(self) -> None:
        """The error is logged, and the connection is no longer counted."""

        def cancel(_deferred: object) -> None:
            raise SystemExit("never")

        late: Deferred[bytes] = Deferred(cancel)
        factory = self.factory(lambda _request: late, framing=Line())
        wire = self.join(factory)
        wire.send(b"a\n")
        wire.reset()
        self.assertEqual(factory.open, 0)
        self.assertEqual(len(self.flushLoggedErrors(SystemExit)), 1)

    def test_waiting_requests_are_dropped(self) -> None:
        """Requests that wait for an earlier reply are dropped when the client disconnects."""
        wire = self.lines(lambda _request: (Wait(1), b"x"))
        wire.send(b"a\nb\n")
        wire.reset()
        wire.wait(5)
        self.assertEqual(self.heard.requests, [[b"a"]])


class EagerOrderTests(OrderTests):
    """The same on the eager transport."""

    transport = EagerServer


class EagerFailureTests(FailureTests):
    """The same on the eager transport."""

    transport = EagerServer


class EagerTableTests(TableTests):
    """The same on the eager transport."""

    transport = EagerServer
