"""A server that answers some requests and forwards the others: in order, as they came."""

from typing import Any, cast

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionAborted
from twisted.logger import capturedLogs
from twisted.python.failure import Failure

from reqresp import (
    Answered,
    Corrupt,
    Counters,
    Journal,
    Latency,
    Limits,
    Line,
    Netstring,
    ReqRespFactory,
    Resp,
)
from reqresp.journal import Passed as PassedEntry
from reqresp.relay import Forwarding, RelayFactory, Unreachable
from reqresp.relay._connecting import DELIVERY_SECONDS
from reqresp.relay.upstream import Upstream, tcp_upstream
from reqresp.server._ahead import MAX_BYTES, MAX_REQUESTS
from reqresp.server._state import State
from reqresp.server.observers import Observer
from reqresp.steps import Close, Forward, Hang, Request, Send, StopReading, Wait
from reqresp.testing._memory_reactor import HOST
from reqresp.transport.proxy_protocol import encode_line
from tests.support.forwarded import ForwardedCase
from tests.support.wire import Wire

KIB = 1024

SCRIPT = """
    framing = "resp"
    [unmatched]
    forward = true
    [[rule]]
    starts_with = "FAKE"
    reply = "+fake"
    [[rule]]
    equals = "LATER"
    delay = 1
    reply = "+later"
    [[rule]]
    equals = "BYE"
    reply = "+bye"
    close = true
"""


class OrderTests(ForwardedCase):
    """Local answers and forwarded replies leave in the order of the requests."""

    respond = SCRIPT

    def test_a_request_is_forwarded_as_it_came(self) -> None:
        """The service gets the bytes of the client, and the client those of the service."""
        client, service = self.connect_both()
        client.send(b"  get   'a b'\r\n")
        self.assertEqual(service.got, b"  get   'a b'\r\n")
        service.transport.write(b"$1\r\nb\r\n")
        self.advance(0)
        self.assertEqual(client.received(), b"$1\r\nb\r\n")

    def test_a_matched_request_is_not_forwarded(self) -> None:
        """A rule answers it."""
        client, service = self.connect_both()
        client.send(b"FAKE a\r\n")
        self.assertEqual((client.received(), service.got), (b"+fake\r\n", b""))

    def test_requests_are_pipelined(self) -> None:
        """All requests of a read are sent on at once; local answers wait for their turn."""
        client, service = self.connect_both()
        client.send(b"GET 1\r\nFAKE\r\nGET 2\r\nFAKE\r\nGET 3\r\n")
        self.assertEqual((service.got, client.received()), (b"GET 1\r\nGET 2\r\nGET 3\r\n", b""))
        service.transport.write(b":1\r\n:2\r\n")
        self.advance(0)
        self.assertEqual(client.received(), b":1\r\n+fake\r\n:2\r\n+fake\r\n")
        service.transport.write(b":3\r\n")
        self.advance(0)
        self.assertEqual(client.received(), b":3\r\n")

    def test_requests_of_later_reads_are_pipelined(self) -> None:
        """A client need not wait for a reply before its next request is forwarded."""
        client, service = self.connect_both()
        client.send(b"GET 1\r\n", b"GET 2\r\n", b"FAKE\r\n", b"GET 3\r\n")
        self.assertEqual(service.got, b"GET 1\r\nGET 2\r\nGET 3\r\n")
        service.transport.write(b":1\r\n:2\r\n:3\r\n")
        self.advance(0)
        self.assertEqual(client.received(), b":1\r\n:2\r\n+fake\r\n:3\r\n")

    def test_replies_may_be_cut_anywhere(self) -> None:
        """A reply is passed on once it is complete."""
        client, service = self.connect_both()
        client.send(b"GET 1\r\nFAKE\r\nGET 2\r\n")
        for byte in b"*2\r\n$1\r\na\r\n:1\r\n$2\r\n\r\n\r\n":
            service.transport.write(bytes([byte]))
            self.advance(0)
        self.assertEqual(client.received(), b"*2\r\n$1\r\na\r\n:1\r\n+fake\r\n$2\r\n\r\n\r\n")

    def test_a_reply_waits_for_the_delay_of_an_earlier_one(self) -> None:
        """The request is forwarded at once; its reply leaves after the local answer."""
        client, service = self.connect_both()
        client.send(b"GET 1\r\nLATER\r\nGET 2\r\n")
        service.transport.write(b":1\r\n:2\r\n")
        self.advance(0)
        self.assertEqual((service.got, client.received()), (b"GET 1\r\nGET 2\r\n", b":1\r\n"))
        self.advance(1)
        self.assertEqual(client.received(), b"+later\r\n:2\r\n")

    def test_an_answer_that_ends_stops_the_taking_up(self) -> None:
        """What follows a request after whose answer the connection closes is not forwarded."""
        client, service = self.connect_both()
        client.send(b"GET 1\r\nBYE\r\nGET 2\r\n", b"GET 3\r\n")
        self.assertEqual(service.got, b"GET 1\r\n")
        service.transport.write(b":1\r\n")
        self.advance(0)
        self.assertEqual((client.received(), client.got_eof), (b":1\r\n+bye\r\n", True))
        self.assertTrue(service.eof)

    def test_malformed_bytes_end_after_the_replies_before_them(self) -> None:
        """The client gets the replies to what it had sent before."""
        client, service = self.connect_both()
        client.send(b"GET 1\r\n*x\r\n")
        service.transport.write(b":1\r\n")
        self.advance(0)
        self.assertEqual((client.received(), client.got_eof), (b":1\r\n", True))

    def test_what_is_early_is_kept(self) -> None:
        """A request that arrives before the service is connected is forwarded then."""
        client = self.reactor.connect_peer(6380)
        client.send(b"GET 1\r\nFAKE\r\n")
        self.advance(0)
        self.assertEqual(self.services.made[0].got, b"GET 1\r\n")

    def test_observers_see_requests_and_replies(self) -> None:
        """An exchange has the reply of the service, whether it was passed alone or with others."""
        client, service = self.connect_both()
        client.send(b"GET 1\r\nFAKE\r\nGET 2\r\n")
        service.transport.write(b":1\r\n")
        self.advance(0)
        service.transport.write(b":2\r\n")
        self.advance(0)
        self.assertEqual(
            [(it.request.number, it.request.data, it.steps, it.by) for it in self.heard.exchanges],
            [
                (1, b"GET 1", (Forward(b":1\r\n"),), "unmatched"),
                (2, b"FAKE", (Send(b"+fake"),), "rule[0]"),
                (3, b"GET 2", (Forward(b":2\r\n"),), "unmatched"),
            ],
        )
        self.assertEqual(self.heard.events.count("received"), 1)

    def test_many_requests_at_once(self) -> None:
        """More requests than are taken up at a time: each gets its own reply."""
        client, service = self.connect_both()
        count = 10 * MAX_REQUESTS
        client.send(b"".join(b"GET %d\r\n" % it for it in range(count)))
        answered = 0
        for _ in range(50):
            self.advance(0)
            asked = service.got.count(b"\n")
            self.assertLessEqual(asked - answered, MAX_REQUESTS)
            service.transport.write(b"".join(b":%d\r\n" % it for it in range(answered, asked)))
            answered = asked
        self.assertEqual(client.received(), b"".join(b":%d\r\n" % it for it in range(count)))


class PushTests(ForwardedCase):
    """What the service sends by itself."""

    respond = SCRIPT

    def push(self, service: Any, data: bytes) -> None:
        service.transport.write(data)
        self.advance(0)

    def test_a_greeting_of_the_service_passes(self) -> None:
        """A client that has sent nothing gets it."""
        client, service = self.connect_both()
        self.push(service, b"+ready\r\n")
        self.assertEqual(client.received(), b"+ready\r\n")

    def test_a_push_is_no_reply(self) -> None:
        """A request that waits still gets its reply, also after pushes."""
        client, service = self.connect_both()
        client.send(b"GET 1\r\nFAKE\r\n")
        push = b">2\r\n+message\r\n+x\r\n"
        self.push(service, push + push)
        self.assertEqual(client.received(), push + push)
        self.push(service, b":1\r\n" + push)
        self.assertEqual(client.received(), b":1\r\n+fake\r\n" + push)

    def test_a_push_between_replies_stays_there(self) -> None:
        """Replies before it are not passed by it."""
        client, service = self.connect_both()
        client.send(b"LATER\r\nGET 1\r\nGET 2\r\n")
        push = b">2\r\n+message\r\n+x\r\n"
        self.push(service, b":1\r\n" + push + b":2\r\n")
        self.assertEqual(client.received(), b"")
        self.advance(1)
        self.assertEqual(client.received(), b"+later\r\n:1\r\n" + push + b":2\r\n")

    def test_confirmations_of_several_channels(self) -> None:
        """SUBSCRIBE a b has two replies; both come before the local answer that follows a PING."""
        for mark in (b"*", b">"):
            client, service = self.connect_both()
            client.send(b"SUBSCRIBE a b\r\nPING\r\nFAKE\r\n")
            confirmed = b"".join(
                mark + b"3\r\n$9\r\nsubscribe\r\n$1\r\n%b\r\n:%d\r\n" % it
                for it in ((b"a", 1), (b"b", 2))
            )
            message = mark + b"3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\nhi\r\n"
            pong = b"*2\r\n$4\r\npong\r\n$0\r\n\r\n" if mark == b"*" else b"+PONG\r\n"
            self.push(service, confirmed + message + pong)
            self.assertEqual(client.received(), confirmed + message + pong + b"+fake\r\n")

    def test_a_push_does_not_wait_for_a_responder(self) -> None:
        """What the service sends while a function is asked passes before its answer."""
        answer: Deferred[Any] = Deferred()
        self.start(lambda _request: answer, framing=Resp())
        client, service = self.connect_both()
        client.send(b"x\r\n")
        self.push(service, b">1\r\n+hi\r\n")
        self.assertEqual(client.received(), b">1\r\n+hi\r\n")
        answer.callback(b"+done")
        self.advance(0)
        self.assertEqual(client.received(), b"+done\r\n")


class FramingTests(ForwardedCase):
    """Frames of any framing are forwarded as they came."""

    def forwarded(self, framing: Any, request: bytes, reply: bytes) -> None:
        """Send *request* and *reply* twice, cut in all places, with a local answer in between."""
        local = framing.encode_request(b"me")
        answer = framing.encode(b"I")

        def respond(asked: Request) -> Any:
            return b"I" if asked.data == b"me" else Forward()

        self.start(respond, framing=framing)
        for cut in range(len(request)):
            client, service = self.connect_both()
            client.send(request[:cut], request[cut:] + local + request)
            self.assertEqual(service.got, request * 2)
            service.transport.write(reply[:1])
            self.advance(0)
            service.transport.write(reply[1:] + reply)
            self.advance(0)
            self.assertEqual(client.received(), reply + answer + reply)

    def test_lines(self) -> None:
        """With CR LF or LF."""
        self.forwarded(Line(), b"a b\r\n", b"one\n")
        self.forwarded(Line(b"\n"), b"a b\n", b"one\r\n")

    def test_netstrings(self) -> None:
        """With length and comma."""
        self.forwarded(Netstring(), b"3:a b,", b"1:x,")

    def test_a_framing_of_a_user(self) -> None:
        """A decoder that only has `feed` and a length is enough."""

        class Digits:
            """Each digit ends a frame."""

            def __init__(self) -> None:
                self.kept = b""

            def __len__(self) -> int:
                return len(self.kept)

            def feed(self, data: bytes) -> list[bytes]:
                self.kept += data
                found: list[bytes] = []
                for at, byte in enumerate(data):
                    if chr(byte).isdigit():
                        end = len(self.kept) - (len(data) - at - 1)
                        start = sum(len(it) + 1 for it in found)
                        found.append(self.kept[start : end - 1])
                self.kept = self.kept[sum(len(it) + 1 for it in found) :]
                return found

        class Digital:
            def decoder(self, limit: int) -> Any:
                return Digits()

            def encode(self, payload: bytes) -> bytes:
                return payload + b"0"

        def respond(request: Request) -> Any:
            return b"I" if request.data == b"me" else Forward()

        self.start(respond, framing=Digital())
        client, service = self.connect_both()
        client.send(b"ab1me2", b"c", b"d3")
        self.assertEqual(service.got, b"ab1cd3")
        service.transport.write(b"x7y8")
        self.advance(0)
        self.assertEqual(client.received(), b"x7I0y8")

    def test_chunks_cannot_be_forwarded(self) -> None:
        """The bytes of such a reply do not say where it ends."""
        with self.assertRaisesRegex(ValueError, "shows where a reply ends.*, found chunk"):
            self.start(lambda _request: Forward())

    def test_what_is_no_reply_ends_the_connection(self) -> None:
        """One line says why; the client gets what has come, then a reset."""
        self.start(SCRIPT)
        client, service = self.connect_both()
        client.send(b"GET 1\r\nGET 2\r\n")
        with capturedLogs() as events:
            service.transport.write(b":1\r\nHTTP/1.1 200\r\n")
            self.advance(2)
        self.assertEqual(client.received(), b":1\r\nHTTP/1.1 200\r\n")
        self.assertTrue(client.got_reset)
        [line] = [it for it in events if it.get("log_format", "").startswith("{peer}: upstream")]
        self.assertIn("RESP value", line["reason"])

    def test_what_follows_no_reply_is_dropped(self) -> None:
        """The service is reset at once, also while the client waits for an earlier answer."""
        self.start(SCRIPT)
        client, service = self.connect_both()
        client.send(b"LATER\r\nGET 1\r\n")
        with capturedLogs() as events:
            for _ in range(3):
                service.transport.write(b"HTTP/1.1 200\r\n")
                self.advance(0)
            self.assertTrue(service.was_reset)
            self.advance(2)
        self.assertEqual(client.received(), b"+later\r\nHTTP/1.1 200\r\n")
        self.assertTrue(client.got_reset)
        lines = [it for it in events if it.get("log_format", "").startswith("{peer}: upstream")]
        self.assertEqual(len(lines), 1)


class EndingTests(ForwardedCase):
    """EOF, a close and a reset on either side."""

    respond = SCRIPT

    def test_replies_come_after_a_half_close(self) -> None:
        """A client that has ended its side still gets the replies that it waits for."""
        client, service = self.connect_both()
        client.send(b"GET 1\r\nFAKE\r\nGET 2\r\n")
        client.half_close()
        self.advance(0)
        self.assertFalse(client.got_eof)
        service.transport.write(b":1\r\n:2\r\n")
        self.advance(0)
        self.assertEqual((client.received(), client.got_eof), (b":1\r\n+fake\r\n:2\r\n", True))
        self.assertTrue(service.eof)
        self.assertEqual(self.factory.open, 0)

    def test_the_service_ends_with_nothing_pending(self) -> None:
        """The client gets EOF."""
        client, service = self.connect_both()
        service.transport.loseConnection()
        self.advance(0)
        self.assertTrue(client.got_eof)
        client.close()
        self.advance(2)
        self.assertEqual(self.factory.open, 0)

    def test_the_service_ends_with_requests_pending(self) -> None:
        """The client gets what came before, the beginning of a reply included, and EOF."""
        client, service = self.connect_both()
        client.send(b"GET 1\r\nFAKE 1\r\nGET 2\r\nFAKE 2\r\n")
        service.transport.write(b":1\r\n$9\r\nhal")
        service.transport.loseConnection()
        self.advance(0)
        self.assertEqual(client.received(), b":1\r\n+fake\r\n$9\r\nhal")
        self.assertTrue(client.got_eof)
        self.assertFalse(client.got_reset)

    def test_the_service_resets_in_a_reply(self) -> None:
        """The client gets what came before it, and a reset."""
        client, service = self.connect_both()
        client.send(b"GET 1\r\nFAKE\r\nGET 2\r\n")
        service.transport.write(b":1\r\n$9\r\nhal")
        self.advance(0)
        service.transport.abortConnection()
        self.advance(2)
        self.assertEqual(client.received(), b":1\r\n+fake\r\n$9\r\nhal")
        self.assertTrue(client.got_reset)
        self.assertEqual(self.factory.open, 0)

    def test_a_reset_of_the_client_reaches_the_service(self) -> None:
        """As a reset."""
        client, service = self.connect_both()
        client.send(b"GET 1\r\n")
        client.reset()
        self.advance(1)
        self.assertTrue(service.was_reset)
        self.assertEqual(self.factory.open, 0)

    def test_a_reset_of_the_client_is_no_reset_of_the_service(self) -> None:
        """As an abort: the service has not reset."""
        reasons: list[Failure] = []

        class Ends(Observer):
            def upstream_ended(self, peer: Any, connection: int, reason: Failure) -> None:
                reasons.append(reason)

        self.start(SCRIPT, observers=[Ends()])
        client, _service = self.connect_both()
        client.reset()
        self.advance(1)
        self.assertEqual([it.type for it in reasons], [ConnectionAborted])

    def test_a_close_of_the_client_reaches_the_service(self) -> None:
        """As EOF; a service that does not leave is reset in the end."""
        client, service = self.connect_both()
        client.close()
        self.advance(0)
        self.assertTrue(service.eof)
        self.advance(DELIVERY_SECONDS)
        for _ in range(2):  # the first one is answered by a reset
            service.transport.write(b"still there?")
            self.advance(0)
        self.assertTrue(service.was_reset)

    def test_a_client_that_leaves_before_the_service_is_connected(self) -> None:
        """The attempt is cancelled, and nothing is logged."""
        with capturedLogs() as events:
            client = self.reactor.connect_peer(6380)
            client.reset()
            self.advance(1)
        self.assertEqual((self.factory.open, [*events]), (0, []))

    def test_hanging_drops_what_the_service_sends(self) -> None:
        """Nothing is done any more."""
        self.start(lambda _request: Hang(), framing=Resp())
        client, service = self.connect_both()
        client.send(b"x\r\n")
        service.transport.write(b"+hi\r\n")
        self.advance(0)
        self.assertEqual((client.received(), client.got_eof), (b"", False))

    def test_drain_waits_for_forwarded_replies(self) -> None:
        """The client gets the reply, then EOF; the deadline is not needed."""
        client, service = self.connect_both()
        client.send(b"GET 1\r\n")
        drained = self.factory.drain(10)
        self.advance(1)
        self.assertNoResult(drained)
        service.transport.write(b":1\r\n")
        self.advance(0)
        self.assertEqual((client.received(), client.got_eof), (b":1\r\n", True))
        client.close()
        self.advance(0)
        self.successResultOf(drained)

    def test_drain_resets_what_is_not_done(self) -> None:
        """A service that does not reply does not keep the server."""
        client, _service = self.connect_both()
        client.send(b"GET 1\r\n")
        drained = self.factory.drain(10)
        self.advance(9)
        self.assertFalse(client.got_reset)
        self.advance(1)
        self.successResultOf(drained)
        self.assertTrue(client.got_reset)


class UnreachableTests(ForwardedCase):
    """A service that cannot be reached."""

    respond = SCRIPT

    def serve(self) -> None:
        """Have nothing listen for the service."""

    def failed(self) -> Any:
        with capturedLogs() as events:
            client = self.connect()
            self.advance(1)
        self.assertEqual(len(events), 1)
        self.assertEqual(events[0]["reason"], "refused the connection")
        return client

    def test_the_client_is_reset(self) -> None:
        """One log line says why."""
        self.assertTrue(self.failed().got_reset)
        self.assertEqual(self.factory.open, 0)

    def test_the_client_is_closed(self) -> None:
        """If that was asked for."""
        self.unreachable = Unreachable.CLOSE
        self.start(SCRIPT)
        client = self.failed()
        self.assertTrue(client.got_eof)
        self.assertFalse(client.got_reset)


class BackpressureTests(ForwardedCase):
    """A side that does not read stops the other."""

    respond = SCRIPT

    def test_a_client_that_does_not_read_stops_the_service(self) -> None:
        """Little is kept of an endless stream of pushes."""
        client, service = self.connect_both()
        client.stop_reading()
        push = b"$1016\r\n" + b"x" * 1016 + b"\r\n"
        service.transport.write(push * 1000)
        self.advance(0)
        self.assertGreater(len(service.transport.dataBuffer), 500 * KIB)
        client.resume_reading()
        self.advance(0)
        self.assertEqual(client.received(), push * 1000)

    def test_a_local_answer_that_waits_stops_the_service(self) -> None:
        """What comes behind it is bounded, too."""
        client, service = self.connect_both()
        client.send(b"LATER\r\n")
        push = b"$1016\r\n" + b"x" * 1016 + b"\r\n"
        service.transport.write(push * 1000)
        self.advance(0)
        self.assertGreater(len(service.transport.dataBuffer), 500 * KIB)
        self.advance(1)
        self.assertEqual(client.received(), b"+later\r\n" + push * 1000)

    def test_a_service_that_does_not_read_stops_the_client(self) -> None:
        """What the client sends waits there."""
        client, service = self.connect_both()
        service.transport.pauseProducing()
        request = b"SET k " + b"x" * 10_000 + b"\r\n"
        client.send(request * 200)
        unread = client.socket.peer.unread if client.socket.peer else 0
        self.assertGreater(unread, 1000 * KIB)
        service.transport.resumeProducing()
        replied = 0
        for _ in range(100):
            self.advance(0)
            asked = service.got.count(b"\n")
            service.transport.write(b"+OK\r\n" * (asked - replied))
            replied = asked
        self.assertEqual(client.received(), b"+OK\r\n" * 200)

    def test_requests_that_are_taken_up_are_bounded(self) -> None:
        """In their bytes, too."""
        client, service = self.connect_both()
        request = b"SET k " + b"x" * 10_000 + b"\r\n"
        client.send(*[request] * 40)
        self.assertLessEqual(len(service.got), MAX_BYTES + len(request))


class ResponderTests(ForwardedCase):
    """Functions, failures and Deferreds, mixed with requests that are forwarded."""

    def start_with(self, answers: dict[bytes, Any]) -> Any:
        def respond(request: Request) -> Any:
            answer = answers.get(request.data, Forward())
            if isinstance(answer, Exception):
                raise answer
            return answer

        self.start(respond, framing=Line())
        return self.connect_both()

    def test_a_deferred_holds_what_follows(self) -> None:
        """Replies to earlier requests pass; later requests are taken up after it."""
        answer: Deferred[Any] = Deferred()
        client, service = self.start_with({b"ask": answer})
        client.send(b"1\nask\n2\n")
        self.assertEqual(service.got, b"1\n")
        service.transport.write(b"one\n")
        self.advance(0)
        self.assertEqual(client.received(), b"one\n")
        answer.callback(Forward())
        self.advance(0)
        self.assertEqual(service.got, b"1\nask\n2\n")
        service.transport.write(b"asked\ntwo\n")
        self.advance(0)
        self.assertEqual(client.received(), b"asked\ntwo\n")

    def test_a_deferred_that_fires_at_once(self) -> None:
        """It is as an answer that is there at once."""
        answer: Deferred[Any] = Deferred()
        answer.callback(b"now")
        client, service = self.start_with({b"ask": answer})
        client.send(b"ask\n1\n")
        self.assertEqual((client.received(), service.got), (b"now\r\n", b"1\n"))

    def test_a_failure_ends_after_the_replies_before_it(self) -> None:
        """A function that raises does not take earlier replies with it."""
        client, service = self.start_with({b"bad": ValueError("no")})
        client.send(b"1\nbad\n2\n")
        service.transport.write(b"one\n")
        self.advance(2)
        self.assertEqual((client.received(), client.got_reset), (b"one\n", True))
        self.assertEqual(service.got, b"1\n")
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_a_deferred_failure(self) -> None:
        """It is as one that is raised."""
        answer: Deferred[Any] = Deferred()
        client, service = self.start_with({b"bad": answer})
        client.send(b"1\nbad\n")
        answer.errback(Failure(ValueError("no")))
        service.transport.write(b"one\n")
        self.advance(2)
        self.assertEqual((client.received(), client.got_reset), (b"one\n", True))
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_a_wrong_answer(self) -> None:
        """What is no reply is a failure."""
        client, _service = self.start_with({b"bad": 7})
        client.send(b"bad\n")
        self.advance(2)
        self.assertTrue(client.got_reset)
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)

    def test_a_request_is_forwarded_once(self) -> None:
        """Two such steps in one reply are a failure."""
        client, service = self.start_with({b"twice": (Forward(), Forward())})
        client.send(b"twice\n")
        self.advance(2)
        self.assertEqual((client.got_reset, service.got), (True, b""))
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_a_deferred_of_a_lost_connection_is_cancelled(self) -> None:
        """Its late result changes nothing."""
        cancelled: list[Any] = []
        answer: Deferred[Any] = Deferred(cancelled.append)
        client, _service = self.start_with({b"ask": answer})
        client.send(b"1\nask\n")
        client.reset()
        self.advance(1)
        self.assertEqual(cancelled, [answer])

    def test_the_end_of_the_service_cancels_a_deferred(self) -> None:
        """Its answer would come after a reply that will not come."""
        cancelled: list[Any] = []
        answer: Deferred[Any] = Deferred(cancelled.append)
        client, service = self.start_with({b"ask": answer})
        client.send(b"1\nask\n")
        service.transport.loseConnection()
        self.advance(0)
        self.assertEqual((cancelled, client.got_eof), ([answer], True))

    def test_steps_around_the_reply(self) -> None:
        """Steps before and after it are performed once it is there."""
        client, service = self.start_with({b"1": (Wait(1), b"before", Forward(), Close())})
        client.send(b"1\n")
        self.assertEqual(service.got, b"1\n")
        service.transport.write(b"one\n")
        self.advance(0)
        self.assertEqual(client.received(), b"")
        self.advance(1)
        self.assertEqual((client.received(), client.got_eof), (b"before\r\none\n", True))

    def test_stop_reading(self) -> None:
        """The reply is sent, and nothing more is taken up."""
        client, service = self.start_with({b"1": (StopReading(), Forward())})
        client.send(b"1\n2\n")
        service.transport.write(b"one\n")
        self.advance(0)
        self.assertEqual((client.received(), service.got), (b"one\n", b"1\n"))

    def test_a_server_without_a_service(self) -> None:
        """A function that forwards fails there."""
        factory = ReqRespFactory(lambda _request: Forward(), clock=cast(Any, self.reactor))
        wire = Wire(factory, cast(Any, self.reactor))
        wire.send(b"x")
        self.assertTrue(wire.got_reset)
        [failure] = self.flushLoggedErrors(RuntimeError)
        self.assertIn("no upstream", failure.getErrorMessage())

    def test_a_script_without_a_service(self) -> None:
        """Such a server is not made."""
        from reqresp.script import Script

        with self.assertRaisesRegex(ValueError, "expected a service to forward to"):
            ReqRespFactory(Script.parse(SCRIPT), clock=cast(Any, self.reactor))


class FaultTests(ForwardedCase):
    """Faults apply to forwarded replies as to local ones."""

    respond = SCRIPT

    def test_latency(self) -> None:
        """Each reply is delayed; requests are forwarded at once."""
        self.start(SCRIPT, faults=[Latency(delay=1)])
        client, service = self.connect_both()
        client.send(b"GET 1\r\nGET 2\r\n")
        self.assertEqual(service.got, b"GET 1\r\nGET 2\r\n")
        service.transport.write(b":1\r\n:2\r\n")
        self.advance(0)
        self.assertEqual(client.received(), b"")
        self.advance(1)
        self.assertEqual(client.received(), b":1\r\n")
        self.advance(1)
        self.assertEqual(client.received(), b":2\r\n")
        self.assertEqual([it.injected for it in self.heard.exchanges], [("latency",)] * 2)

    def test_corrupt(self) -> None:
        """A byte of each reply is another one; its length stays."""
        self.start(SCRIPT, faults=[Corrupt()], seed=1)
        client, service = self.connect_both()
        client.send(b"GET 1\r\nGET 2\r\n")
        service.transport.write(b"$5\r\nhello\r\n" * 2)
        self.advance(0)
        got = client.received()
        differing = sum(a != b for a, b in zip(got, b"$5\r\nhello\r\n" * 2, strict=True))
        self.assertEqual(differing, 2)
        self.assertEqual(self.heard.exchanges[0].steps, (Forward(b"$5\r\nhello\r\n"),))

    def test_a_fault_of_a_rule(self) -> None:
        """It applies to the replies of its rule only."""
        self.start(
            """
            framing = "resp"
            unmatched = { forward = true }
            [[rule]]
            equals = "GET slow"
            forward = true
            faults = [{ kind = "latency", delay = 1 }]
            """
        )
        client, service = self.connect_both()
        client.send(b"GET 1\r\nGET slow\r\nGET 2\r\n")
        service.transport.write(b":1\r\n:0\r\n:2\r\n")
        self.advance(0)
        self.assertEqual(client.received(), b":1\r\n")
        self.advance(1)
        self.assertEqual(client.received(), b":0\r\n:2\r\n")

    def test_what_else_is_done_with_unmatched_requests(self) -> None:
        """Faults and a delay of `[unmatched]` apply to many requests in one read, too."""
        for key in ('faults = [{ kind = "latency", delay = 1 }]', "delay = 1"):
            self.start(f'framing = "line"\n[unmatched]\nforward = true\n{key}\n')
            client, service = self.connect_both()
            client.send(b"a\r\nb\r\n")
            service.transport.write(b"A\r\nB\r\n")
            for expected in (b"", b"A\r\n", b"B\r\n"):
                self.advance(0)
                self.assertEqual(client.received(), expected, key)
                self.advance(1)


class FaultyRelayTests(ForwardedCase):
    """A server that forwards requests to a relay with faults on its directions."""

    respond = SCRIPT

    def upstream(self) -> Upstream:
        self.relay = RelayFactory(super().upstream(), clock=cast(Any, self.reactor))
        self.reactor.listenTCP(6381, self.relay)
        return tcp_upstream(self.reactor, HOST, 6381)

    def test_a_slow_service(self) -> None:
        """What is forwarded is late, and replies keep their order."""
        self.relay.fault("latency", stream="upstream", delay=2)
        client, service = self.connect_both()
        client.send(b"GET 1\r\nFAKE\r\n")
        self.advance(1)
        self.assertEqual((service.got, client.received()), (b"", b""))
        self.advance(1)
        self.assertEqual(service.got, b"GET 1\r\n")
        service.transport.write(b":1\r\n")
        self.advance(0)
        self.assertEqual(client.received(), b":1\r\n+fake\r\n")

    def test_a_reply_that_is_cut(self) -> None:
        """The client gets the part of it, and then the end."""
        self.relay.fault("limit_data", stream="downstream", bytes=2)
        client, service = self.connect_both()
        client.send(b"GET 1\r\nFAKE\r\n")
        service.transport.write(b":1\r\n")
        self.advance(0)
        self.assertEqual((client.received(), client.got_eof), (b":1", True))


class Passed(Observer):
    """Records what goes to and comes from the service."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def connected(self, peer: Any, connection: int) -> None:
        self.events.append("connected")

    def upstream_opened(self, peer: Any, connection: int) -> None:
        self.events.append("opened")

    def passed(self, peer: Any, connection: int, direction: Any, data: bytes) -> None:
        self.events.append((direction.value, data))

    def upstream_ended(self, peer: Any, connection: int, reason: Failure) -> None:
        self.events.append("ended")

    def disconnected(self, peer: Any, connection: int, reason: Failure) -> None:
        self.events.append("disconnected")


class ObserverTests(ForwardedCase):
    """What observers and counters see."""

    def test_what_passes_to_and_from_the_service(self) -> None:
        """Only forwarded requests, and all that the service sends; events come in order."""
        passed = Passed()
        self.start(SCRIPT, observers=[passed])
        client, service = self.connect_both()
        client.send(b"GET 1\r\nFAKE\r\nGET 2\r\n")
        service.transport.write(b":1\r\n")
        self.advance(0)
        service.transport.write(b":2\r\n")
        self.advance(0)
        self.assertEqual(client.received(), b":1\r\n+fake\r\n:2\r\n")
        client.close()
        self.advance(1)
        self.assertEqual(
            passed.events,
            [
                *("connected", "opened"),
                ("upstream", b"GET 1\r\nGET 2\r\n"),
                *(("downstream", b":1\r\n"), ("downstream", b":2\r\n")),
                *(("upstream", b""), "ended", "disconnected"),
            ],
        )

    def test_a_forwarded_request_is_logged_once(self) -> None:
        """With its reply; what the service sends by itself has a line of its own."""
        journal = Journal()
        self.start(SCRIPT, observers=[journal])
        client, service = self.connect_both()
        client.send(b"GET 1\r\nFAKE\r\n")
        service.transport.write(b":1\r\n>1\r\n+news\r\n:un")
        self.advance(0)
        service.transport.loseConnection()
        self.advance(0)
        client.close()
        self.advance(2)
        self.assertEqual(client.received(), b":1\r\n+fake\r\n>1\r\n+news\r\n:un")
        shown = [
            it.data if isinstance(it, PassedEntry) else it.exchange.request.data
            for it in journal.entries()
            if isinstance(it, Answered | PassedEntry)
        ]
        self.assertCountEqual(shown, [b"GET 1", b"FAKE", b">1\r\n+news\r\n", b":un"])

    def test_the_end_of_the_service(self) -> None:
        """Its EOF is reported before its end."""
        passed = Passed()
        self.start(SCRIPT, observers=[passed])
        client, service = self.connect_both()
        service.transport.loseConnection()
        self.advance(0)
        client.close()
        self.advance(2)
        self.assertEqual(passed.events[2:], [("downstream", b""), "ended", "disconnected"])

    def test_counters(self) -> None:
        """Forwarded requests and replies count as others do."""
        counters = Counters()
        self.start(SCRIPT, counters=counters)
        client, service = self.connect_both()
        client.send(b"GET 1\r\nFAKE\r\nGET 2\r\n")
        self.assertEqual((counters.requests, counters.unanswered), (3, 3))
        service.transport.write(b":1\r\n:2\r\n")
        self.advance(0)
        self.assertEqual((counters.requests, counters.replies), (3, 3))
        self.assertEqual((counters.received, counters.sent), (20, 15))
        self.assertEqual(counters.misses, 2)


class TimeoutTests(ForwardedCase):
    """Timeouts of a client that waits for the service."""

    arguments = {"limits": Limits(idle_timeout=4, request_timeout=4)}
    respond = SCRIPT

    def test_a_client_that_has_its_reply(self) -> None:
        """It is closed once it says nothing more."""
        client, service = self.connect_both()
        client.send(b"GET 1\r\n")
        self.pass_seconds(3)
        service.transport.write(b":1\r\n")
        self.pass_seconds(3)
        self.assertFalse(client.got_eof)
        self.pass_seconds(5)
        self.assertEqual((client.received(), client.got_eof), (b":1\r\n", True))

    def test_a_service_that_does_not_reply(self) -> None:
        """Both connections are closed; answers that wait for that reply are dropped."""
        client, service = self.connect_both()
        client.send(b"GET 1\r\nGET 2\r\nFAKE\r\n")
        service.transport.write(b":1\r\n")
        self.pass_seconds(8)
        self.assertEqual((client.received(), client.got_eof), (b":1\r\n", True))
        self.assertTrue(service.eof)
        client.close()
        self.advance(0)
        self.assertEqual([*self.factory.connections], [])

    def test_more_requests_without_a_reply_than_are_taken_up(self) -> None:
        """Nor does a connection stay that is not read any more."""
        client, service = self.connect_both()
        client.send(*[b"GET 1\r\n"] * (MAX_REQUESTS + 50))
        self.assertEqual(service.got.count(b"\n"), MAX_REQUESTS)
        self.pass_seconds(8)
        self.assertEqual((client.received(), client.got_eof), (b"", True))
        self.assertTrue(service.eof)

    def test_a_client_that_has_ended_its_side(self) -> None:
        """It does not wait for ever, either."""
        client, service = self.connect_both()
        client.send(b"GET 1\r\n")
        client.half_close()
        self.pass_seconds(8)
        self.assertEqual((client.got_eof, service.eof), (True, True))

    def test_a_part_of_a_reply_counts_as_activity(self) -> None:
        """However long the whole reply takes."""
        client, service = self.connect_both()
        client.send(b"GET 1\r\n")
        reply = b"$20\r\n" + b"x" * 20 + b"\r\n"
        for byte in reply:
            service.transport.write(bytes([byte]))
            self.pass_seconds(1)
        self.assertEqual((client.received(), client.got_eof), (reply, False))

    def test_a_service_that_receives_a_request_slowly(self) -> None:
        """That counts, too.  If it receives no more, both connections are reset."""
        client, service = self.connect_both()
        service.transport.pauseProducing()
        client.send(*[b"SET k " + b"x" * 60_000 + b"\r\n"] * 3)
        for _ in range(20):
            service.transport.socket.recv(1000)
            self.pass_seconds(1)
        self.assertFalse(client.got_reset)
        self.pass_seconds(8)
        self.assertTrue(client.got_reset)
        service.transport.resumeProducing()
        self.advance(0)
        self.assertTrue(service.was_reset)

    def test_a_responder_that_takes_long(self) -> None:
        """A client that waits for the server itself is not idle."""
        answer: Deferred[Any] = Deferred()
        self.start(lambda _request: answer, framing=Line(), limits=Limits(idle_timeout=4))
        client, _ = self.connect_both()
        client.send(b"ask\n")
        self.pass_seconds(20)
        answer.callback(b"said")
        self.advance(0)
        self.assertEqual((client.received(), client.got_eof), (b"said\r\n", False))

    def pass_seconds(self, seconds: int) -> None:
        """Let time pass in steps, as it does."""
        for _ in range(seconds):
            self.advance(1)

    def test_a_push_counts_as_activity(self) -> None:
        """A subscriber that gets messages is not idle."""
        client, service = self.connect_both()
        for _ in range(20):
            service.transport.write(b">1\r\n+hi\r\n")
            self.advance(1)
        self.assertFalse(client.got_eof)

    def test_a_request_that_does_not_end(self) -> None:
        """Its connection is closed, as without a service."""
        client, service = self.connect_both()
        client.send(b"*2\r\n$3\r\nGET")
        for _ in range(8):
            self.advance(1)
        self.assertTrue(client.got_eof)
        self.assertEqual(service.got, b"")


class StateTests(ForwardedCase):
    """What holds a connection, as docs/connection.rst says."""

    def test_states(self) -> None:
        """UPSTREAM while the service is asked, REPLY while a responder is."""
        answer: Deferred[Any] = Deferred()
        answers: dict[bytes, Any] = {b"ask": answer}
        self.start(lambda request: answers.get(request.data, Forward()), framing=Line())
        client, service = self.connect_both()
        connection = next(iter(self.factory._front))
        client.send(b"1\nask\n")
        self.assertIs(connection.state, State.UPSTREAM)
        self.assertTrue(connection.is_busy)
        service.transport.write(b"one\n")
        self.advance(0)
        self.assertIs(connection.state, State.REPLY)
        answer.callback(None)
        self.advance(0)
        self.assertIs(connection.state, State.IDLE)
        self.assertFalse(connection.is_busy)


class NameTests(ForwardedCase):
    """What log lines call the service."""

    def test_name(self) -> None:
        """The upstream's."""
        self.assertEqual(Forwarding(self.upstream()).name, self.upstream().name)


class ProxyTests(ForwardedCase):
    """The service gets the client's address, if that was asked for."""

    respond = SCRIPT

    def upstream(self) -> Upstream:
        """Return a service that gets a PROXY header."""
        return evolve(super().upstream(), encode_header=encode_line)

    def test_the_header_comes_first(self) -> None:
        """Before the first request that is forwarded, and once."""
        client, service = self.connect_both()
        client.send(b"GET 1\r\n", b"GET 2\r\n")
        self.assertRegex(
            service.got, rb"\APROXY TCP4 127\.0\.0\.1 127\.0\.0\.1 \d+ \d+\r\nGET 1\r\nGET 2\r\n\Z"
        )
