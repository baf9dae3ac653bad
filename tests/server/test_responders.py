"""Responders: from a request to steps, at once or later."""

from collections.abc import Callable
from typing import Any

from attrs import define
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress
from twisted.trial.unittest import SynchronousTestCase

from reqresp.server.responders import Function, Table, as_steps, fixed
from reqresp.steps import Abort, Close, HalfClose, Hang, Request, Send, Steps, Wait

PEER = IPv4Address("TCP", "192.0.2.1", 1234)


@define
class Asking:
    """A connection that asks its third request."""

    peer: IAddress = PEER
    number: int = 7
    taken: int = 3
    notes: Any = None


def ask(function: Callable[[Request], Any], data: bytes = b"hello") -> Steps | Deferred[Steps]:
    """What a server gets from *function* for *data*."""
    return Function(function).respond(data, Asking())


class AsStepsTests(SynchronousTestCase):
    """What a user's function may return."""

    def test_bytes_are_sent(self) -> None:
        """Bytes mean one step that sends them, empty ones too."""
        self.assertEqual([as_steps(b"a"), as_steps(b"")], [(Send(b"a"),), (Send(b""),)])

    def test_none_is_silence(self) -> None:
        """Nothing at all is done."""
        self.assertEqual(as_steps(None), ())

    def test_a_step_is_a_reply(self) -> None:
        """Each step can stand alone."""
        for step in (Send(b"a"), Wait(1), Close(), HalfClose(), Abort(), Hang()):
            self.assertEqual(as_steps(step), (step,))

    def test_a_tuple_is_performed_in_order(self) -> None:
        """Bytes within it are sent."""
        self.assertEqual(
            as_steps((b"a", Wait(1), b"b", Close())), (Send(b"a"), Wait(1), Send(b"b"), Close())
        )

    def test_an_empty_tuple_is_silence(self) -> None:
        """No steps, no reply."""
        self.assertEqual(as_steps(()), ())

    def test_anything_else_is_refused(self) -> None:
        """The message says what a reply is, and what it got."""
        replies: list[Any] = ["text", 1, bytearray(b"a"), [b"a"], Send, {}]
        for reply in (*replies, (b"a", "text"), ((b"a",),)):
            culprit = reply[-1] if isinstance(reply, tuple) else reply
            with self.assertRaises(TypeError) as caught:
                as_steps(reply)
            self.assertEqual(
                str(caught.exception),
                f"expected bytes, a step, a tuple of these, or None; found {culprit!r}",
            )


class TableTests(SynchronousTestCase):
    """Constant replies."""

    def test_a_key_gets_its_value(self) -> None:
        """The request is compared whole, byte for byte."""
        table = Table({b"a": b"1", b"ab": (b"2", Close())}, otherwise=b"?")
        self.assertEqual(
            [table.respond(data, Asking()) for data in (b"a", b"ab", b"A", b"")],
            [(Send(b"1"),), (Send(b"2"), Close()), (Send(b"?"),), (Send(b"?"),)],
        )

    def test_the_rest_is_met_with_silence(self) -> None:
        """Unless told otherwise."""
        self.assertEqual(Table({b"a": b"1"}).respond(b"b", Asking()), ())

    def test_a_key_can_mean_silence(self) -> None:
        """None for one request leaves the others their reply."""
        self.assertEqual(Table({b"a": None}, otherwise=b"1").respond(b"a", Asking()), ())

    def test_later_changes_to_the_mapping_do_nothing(self) -> None:
        """A table is a value: what it was made of can be used for something else."""
        replies = {b"a": b"1"}
        table = Table(replies)
        replies[b"a"] = b"2"
        self.assertEqual(table.respond(b"a", Asking()), (Send(b"1"),))

    def test_a_value_that_is_no_reply(self) -> None:
        """It is refused when the table is made, not when somebody asks."""
        with self.assertRaisesRegex(TypeError, "found 'text'"):
            Table({b"a": "text"})  # type: ignore[dict-item]
        with self.assertRaisesRegex(TypeError, "found 'text'"):
            Table({}, otherwise="text")  # type: ignore[arg-type]


class FixedTests(SynchronousTestCase):
    """The notebook's server."""

    def test_everything_gets_the_same(self) -> None:
        """``response``, unless told otherwise."""
        self.assertEqual(
            [fixed().respond(b"x", Asking()), fixed(b"y").respond(b"", Asking())],
            [(Send(b"response"),), (Send(b"y"),)],
        )

    def test_close_is_answered_before_closing(self) -> None:
        """Exactly ``close`` ends the connection, after its reply."""
        self.assertEqual(fixed().respond(b"close", Asking()), (Send(b"response"), Close()))

    def test_only_exactly_close_closes(self) -> None:
        """Neither another case, nor more, nor less."""
        for data in (b"CLOSE", b"close\n", b"clos", b"requestclose", b""):
            self.assertEqual(fixed().respond(data, Asking()), (Send(b"response"),), msg=data)

    def test_another_request_can_close(self) -> None:
        """And ``close`` then does not."""
        responder = fixed(close_on=b"bye")
        self.assertEqual(
            [responder.respond(data, Asking()) for data in (b"bye", b"close")],
            [(Send(b"response"), Close()), (Send(b"response"),)],
        )

    def test_an_empty_request_can_close(self) -> None:
        """It is a request like any other, in most framings."""
        self.assertEqual(fixed(close_on=b"").respond(b"", Asking()), (Send(b"response"), Close()))

    def test_no_request_need_close(self) -> None:
        """None closes nothing."""
        self.assertEqual(fixed(close_on=None).respond(b"close", Asking()), (Send(b"response"),))


class FunctionTests(SynchronousTestCase):
    """A user's own function."""

    def test_is_given_the_request(self) -> None:
        """Its bytes, the peer, the connection's number and its own."""
        seen: list[Request] = []
        ask(seen.append, b"hello")
        self.assertEqual(seen, [Request(b"hello", PEER, connection=7, number=3)])

    def test_plain(self) -> None:
        """What it returns is the reply, at once."""
        self.assertEqual(ask(lambda request: request.data.upper()), (Send(b"HELLO"),))

    def test_async(self) -> None:
        """A coroutine that waits for nothing has answered when it returns."""

        async def answer(request: Request) -> tuple[bytes, Close]:
            return request.data, Close()

        reply = ask(answer)
        assert isinstance(reply, Deferred)
        self.assertEqual(self.successResultOf(reply), (Send(b"hello"), Close()))

    def test_async_that_awaits(self) -> None:
        """It can await Deferreds, and answers when they have fired."""
        fact: Deferred[bytes] = Deferred()

        async def answer(_request: Request) -> bytes:
            return b"fact: " + await fact

        reply = ask(answer)
        assert isinstance(reply, Deferred)
        self.assertNoResult(reply)
        fact.callback(b"water is wet")
        self.assertEqual(self.successResultOf(reply), (Send(b"fact: water is wet"),))

    def test_deferred(self) -> None:
        """What a Deferred fires with is the reply."""
        later: Deferred[Any] = Deferred()
        reply = ask(lambda _request: later)
        assert isinstance(reply, Deferred)
        self.assertNoResult(reply)
        later.callback(None)
        self.assertEqual(self.successResultOf(reply), ())

    def test_what_it_raises_gets_out(self) -> None:
        """Plainly, for whoever asked."""
        with self.assertRaises(ZeroDivisionError):
            ask(lambda _request: 1 // 0)

    def test_what_a_coroutine_raises_gets_out(self) -> None:
        """Through the Deferred."""

        async def answer(_request: Request) -> bytes:
            raise ZeroDivisionError

        reply = ask(answer)
        assert isinstance(reply, Deferred)
        self.failureResultOf(reply, ZeroDivisionError)

    def test_what_is_no_reply_is_an_error(self) -> None:
        """At once for a plain function, through the Deferred for a late one."""
        with self.assertRaisesRegex(TypeError, "found 'text'"):
            ask(lambda _request: "text")
        later: Deferred[Any] = Deferred()
        reply = ask(lambda _request: later)
        assert isinstance(reply, Deferred)
        later.callback("text")
        self.failureResultOf(reply, TypeError)
