"""Functions as responders: what they receive, and what their results become."""

from collections.abc import Callable
from typing import Any

from attrs import define
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress
from twisted.trial.unittest import SynchronousTestCase

from reqresp.server.functions import Function
from reqresp.steps import Close, Request, Send, Steps

PEER = IPv4Address("TCP", "192.0.2.1", 1234)


@define
class Asking:
    """The context of a connection's third request."""

    peer: IAddress = PEER
    number: int = 7
    taken: int = 3
    notes: Any = None
    config: Any = None


def ask(function: Callable[[Request], Any], data: bytes = b"hello") -> Steps | Deferred[Steps]:
    """What a server gets from *function* for *data*."""
    return Function(function).respond(data, Asking())


class FunctionTests(SynchronousTestCase):
    """A function as a responder."""

    def test_a_function_receives_the_request(self) -> None:
        """A function receives the bytes, the peer and the numbers of its request."""
        seen: list[Request] = []
        ask(seen.append, b"hello")
        self.assertEqual(seen, [Request(b"hello", PEER, connection=7, number=3)])

    def test_a_plain_function_answers_at_once(self) -> None:
        """The result of a plain function is the reply."""
        self.assertEqual(ask(lambda request: request.data.upper()), (Send(b"HELLO"),))

    def test_a_coroutine_without_await_answers_at_once(self) -> None:
        """A coroutine that awaits nothing answers at once."""

        async def answer(request: Request) -> tuple[bytes, Close]:
            return request.data, Close()

        reply = ask(answer)
        assert isinstance(reply, Deferred)
        self.assertEqual(self.successResultOf(reply), (Send(b"hello"), Close()))

    def test_a_coroutine_can_await_deferreds(self) -> None:
        """A coroutine can await Deferreds, and answers after they have fired."""
        fact: Deferred[bytes] = Deferred()

        async def answer(_request: Request) -> bytes:
            return b"fact: " + await fact

        reply = ask(answer)
        assert isinstance(reply, Deferred)
        self.assertNoResult(reply)
        fact.callback(b"water is wet")
        self.assertEqual(self.successResultOf(reply), (Send(b"fact: water is wet"),))

    def test_the_result_of_a_deferred_is_the_reply(self) -> None:
        """The result of a Deferred is the reply."""
        later: Deferred[Any] = Deferred()
        reply = ask(lambda _request: later)
        assert isinstance(reply, Deferred)
        self.assertNoResult(reply)
        later.callback(None)
        self.assertEqual(self.successResultOf(reply), ())

    def test_an_exception_is_raised(self) -> None:
        """An exception of a plain function is raised to the caller."""
        with self.assertRaises(ZeroDivisionError):
            ask(lambda _request: 1 // 0)

    def test_an_exception_of_a_coroutine_is_a_failure(self) -> None:
        """An exception of a coroutine is the failure of its Deferred."""

        async def answer(_request: Request) -> bytes:
            raise ZeroDivisionError

        reply = ask(answer)
        assert isinstance(reply, Deferred)
        self.failureResultOf(reply, ZeroDivisionError)

    def test_an_invalid_reply_is_an_error(self) -> None:
        """An invalid reply is a TypeError, raised at once or in the Deferred."""
        with self.assertRaisesRegex(TypeError, "found 'text'"):
            ask(lambda _request: "text")
        later: Deferred[Any] = Deferred()
        reply = ask(lambda _request: later)
        assert isinstance(reply, Deferred)
        later.callback("text")
        self.failureResultOf(reply, TypeError)
