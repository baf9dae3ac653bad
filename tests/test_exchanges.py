"""Exchanges: what observers receive of the requests that were answered."""

from collections.abc import Iterator, Sequence

from twisted.internet.address import IPv4Address
from twisted.trial.unittest import SynchronousTestCase

from reqresp.exchanges import Exchange, Exchanges
from reqresp.steps import Close, FaultEffect, Request, RuleReply, Send, Steps

PEER = IPv4Address("TCP", "192.0.2.1", 1234)


class Replies:
    """Returns the steps of requests, and records for which requests it was called."""

    def __init__(self, *replies: Steps) -> None:
        self.replies = replies
        self.asked: list[Sequence[bytes]] = []

    def __call__(self, requests: Sequence[bytes]) -> Iterator[Steps]:
        self.asked.append(requests)
        return iter(self.replies)


def two_exchanges(replies: Replies) -> Exchanges:
    """Return exchanges 5 and 6 of connection 7."""
    return Exchanges(PEER, 7, 5, [b"one", b"two"], replies)


class ExchangesTests(SynchronousTestCase):
    """`Exchanges`, which observers receive."""

    def test_tells_how_many_there_are(self) -> None:
        """The number of requests is the number of exchanges."""
        self.assertEqual(len(two_exchanges(Replies((), ()))), 2)

    def test_counting_builds_nothing(self) -> None:
        """The steps are made when the exchanges are iterated over, and not before."""
        replies = Replies((), ())
        len(two_exchanges(replies))
        self.assertEqual(replies.asked, [])

    def test_iterating_pairs_requests_with_steps(self) -> None:
        """Each exchange has its request, with the next number, and its steps."""
        exchanges = two_exchanges(Replies((Send(b"1"),), (Send(b"2"), Close())))
        self.assertEqual(
            list(exchanges),
            [
                Exchange(Request(b"one", PEER, 7, 5), (Send(b"1"),)),
                Exchange(Request(b"two", PEER, 7, 6), (Send(b"2"), Close())),
            ],
        )

    def test_what_faults_made_of_a_reply_counts(self) -> None:
        """An exchange has the effect of faults, whose bytes and slices take memory, too."""
        effect = FaultEffect(slices=(1, 1), data=b"xy")
        reply = RuleReply([Send(b"ab")], "rule[0]").injected_with(("corrupt",), effect)
        exchanges = two_exchanges(Replies(reply, ()))
        first, second = exchanges
        self.assertEqual((first.injected, first.effect), (("corrupt",), effect))
        self.assertIsNone(second.effect)
        self.assertEqual(exchanges.size, 6 + 2 + 2 + 16)

    def test_iterating_asks_for_the_steps_of_all_requests(self) -> None:
        """One iteration calls for the steps of all requests once."""
        replies = Replies((), ())
        list(two_exchanges(replies))
        self.assertEqual(replies.asked, [[b"one", b"two"]])

    def test_can_be_iterated_again(self) -> None:
        """A second iteration yields the same exchanges."""
        exchanges = two_exchanges(Replies((Send(b"1"),), ()))
        self.assertEqual(list(exchanges), list(exchanges))

    def test_a_request_without_steps_is_an_error(self) -> None:
        """Fewer steps than requests are an error."""
        with self.assertRaises(ValueError):
            list(two_exchanges(Replies((Send(b"1"),))))
