"""Responders: from a request to steps, at once or later."""

from typing import Any

from attrs import define
from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IAddress
from twisted.trial.unittest import SynchronousTestCase

from reqresp.server.responders import Table, as_steps, check_steps, fixed
from reqresp.steps import Abort, Close, HalfClose, Hang, RuleReply, Send, Wait

PEER = IPv4Address("TCP", "192.0.2.1", 1234)


@define
class Asking:
    """The context of a connection's third request."""

    peer: IAddress = PEER
    number: int = 7
    taken: int = 3
    notes: Any = None
    config: Any = None


class AsStepsTests(SynchronousTestCase):
    """What a user's function may return."""

    def test_bytes_are_sent(self) -> None:
        """Bytes mean one step that sends them, empty ones too."""
        self.assertEqual([as_steps(b"a"), as_steps(b"")], [(Send(b"a"),), (Send(b""),)])

    def test_none_is_silence(self) -> None:
        """None means no steps."""
        self.assertEqual(as_steps(None), ())

    def test_a_step_is_a_reply(self) -> None:
        """A single step is a reply."""
        for step in (Send(b"a"), Wait(1), Close(), HalfClose(), Abort(), Hang()):
            self.assertEqual(as_steps(step), (step,))

    def test_a_tuple_is_performed_in_order(self) -> None:
        """Bytes in a tuple become steps that send them, in order."""
        self.assertEqual(
            as_steps((b"a", Wait(1), b"b", Close())), (Send(b"a"), Wait(1), Send(b"b"), Close())
        )

    def test_an_empty_tuple_is_silence(self) -> None:
        """An empty tuple means no steps."""
        self.assertEqual(as_steps(()), ())

    def test_anything_else_is_refused(self) -> None:
        """The error says what a reply is, and what was found."""
        replies: list[Any] = ["text", 1, bytearray(b"a"), [b"a"], Send, {}]
        for reply in (*replies, (b"a", "text"), ((b"a",),)):
            culprit = reply[-1] if isinstance(reply, tuple) else reply
            with self.assertRaises(TypeError) as caught:
                as_steps(reply)
            self.assertEqual(
                str(caught.exception),
                f"expected bytes, a step, a tuple of these, or None; found {culprit!r}",
            )

    def test_a_subclass_of_a_step_is_refused(self) -> None:
        """A connection performs the steps that it knows, and no subclass of them."""

        class Mine(Send):
            pass

        with self.assertRaisesRegex(TypeError, "expected bytes, a step, .*; found"):
            as_steps(Mine(b"a"))


class TableTests(SynchronousTestCase):
    """Constant replies."""

    def test_a_key_gets_its_value(self) -> None:
        """A request that equals a key gets its value."""
        table = Table({b"a": b"1", b"ab": (b"2", Close())}, otherwise=b"?")
        self.assertEqual(
            [table.respond(data, Asking()) for data in (b"a", b"ab", b"A", b"")],
            [(Send(b"1"),), (Send(b"2"), Close()), (Send(b"?"),), (Send(b"?"),)],
        )

    def test_other_requests_are_not_answered(self) -> None:
        """Without a default, other requests are not answered."""
        self.assertEqual(Table({b"a": b"1"}).respond(b"b", Asking()), ())

    def test_a_key_can_mean_silence(self) -> None:
        """A value of None means silence for that request only."""
        self.assertEqual(Table({b"a": None}, otherwise=b"1").respond(b"a", Asking()), ())

    def test_a_table_copies_its_mapping(self) -> None:
        """Changes to the mapping that a table was made from do not change the table."""
        replies = {b"a": b"1"}
        table = Table(replies)
        replies[b"a"] = b"2"
        self.assertEqual(table.respond(b"a", Asking()), (Send(b"1"),))

    def test_an_invalid_value_is_refused(self) -> None:
        """An invalid value is refused when the table is made."""
        with self.assertRaisesRegex(TypeError, "found 'text'"):
            Table({b"a": "text"})  # type: ignore[dict-item]
        with self.assertRaisesRegex(TypeError, "found 'text'"):
            Table({}, otherwise="text")  # type: ignore[arg-type]


class FixedTests(SynchronousTestCase):
    """The default responder, `fixed`."""

    def test_every_request_gets_the_same_reply(self) -> None:
        """Every request is answered with ``response``, or with the given reply."""
        self.assertEqual(
            [fixed().respond(b"x", Asking()), fixed(b"y").respond(b"", Asking())],
            [(Send(b"response"),), (Send(b"y"),)],
        )

    def test_close_is_answered_before_closing(self) -> None:
        """The request ``close`` closes the connection, after its reply."""
        self.assertEqual(fixed().respond(b"close", Asking()), (Send(b"response"), Close()))

    def test_only_exactly_close_closes(self) -> None:
        """Requests in another case, or with more or fewer bytes, do not close."""
        for data in (b"CLOSE", b"close\n", b"clos", b"requestclose", b""):
            self.assertEqual(fixed().respond(data, Asking()), (Send(b"response"),), msg=data)

    def test_another_request_can_close(self) -> None:
        """With another closing request, ``close`` does not close."""
        responder = fixed(close_on=b"bye")
        self.assertEqual(
            [responder.respond(data, Asking()) for data in (b"bye", b"close")],
            [(Send(b"response"), Close()), (Send(b"response"),)],
        )

    def test_an_empty_request_can_close(self) -> None:
        """The empty request can be the one that closes."""
        self.assertEqual(fixed(close_on=b"").respond(b"", Asking()), (Send(b"response"), Close()))

    def test_none_never_closes(self) -> None:
        """With None, no request closes."""
        self.assertEqual(fixed(close_on=None).respond(b"close", Asking()), (Send(b"response"),))


class CheckTests(SynchronousTestCase):
    """What a responder may answer with."""

    def test_a_tuple_is_returned(self) -> None:
        """A tuple of steps is returned as it is, a rule's reply with its name."""
        for steps in ((), (Send(b"a"), Close()), RuleReply((Send(b"a"),), "rule[0]")):
            self.assertIs(check_steps(steps), steps)

    def test_anything_else_is_refused(self) -> None:
        """The message shows what was expected, and what was found."""
        for answer in (None, b"a", [Send(b"a")], Close()):
            with self.assertRaises(TypeError) as caught:
                check_steps(answer)
            self.assertEqual(
                str(caught.exception),
                f"expected a tuple of steps or a Deferred of one, found {answer!r}",
            )
