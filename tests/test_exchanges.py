"""Exchanges: what observers receive of the requests that were answered."""

from collections.abc import Iterator, Sequence

from twisted.internet.address import IPv4Address
from twisted.trial.unittest import SynchronousTestCase

from reqresp.exchanges import Exchange, Exchanges
from reqresp.steps import Close, Request, Send, Steps

PEER = IPv4Address("TCP", "192.0.2.1", 1234)


class Replies:
    """The steps of some requests, and for which requests somebody asked for them."""

    def __init__(self, *replies: Steps) -> None:
        self.replies = replies
        self.asked: list[Sequence[bytes]] = []

    def __call__(self, requests: Sequence[bytes]) -> Iterator[Steps]:
        self.asked.append(requests)
        return iter(self.replies)


def two_exchanges(replies: Replies) -> Exchanges:
    """The fifth and the sixth exchange of connection 7."""
    return Exchanges(PEER, 7, 5, [b"one", b"two"], replies)


class ExchangesTests(SynchronousTestCase):
    """What observers are given."""

    def test_tells_how_many_there_are(self) -> None:
        """The number of requests is the number of exchanges."""
        self.assertEqual(len(two_exchanges(Replies((), ()))), 2)

    def test_counting_builds_nothing(self) -> None:
        """Until somebody iterates, the steps are not even asked for."""
        replies = Replies((), ())
        len(two_exchanges(replies))
        self.assertEqual(replies.asked, [])

    def test_iterating_pairs_requests_with_steps(self) -> None:
        """Each exchange has its request, numbered on from the first, and its own steps."""
        exchanges = two_exchanges(Replies((Send(b"1"),), (Send(b"2"), Close())))
        self.assertEqual(
            list(exchanges),
            [
                Exchange(Request(b"one", PEER, 7, 5), (Send(b"1"),)),
                Exchange(Request(b"two", PEER, 7, 6), (Send(b"2"), Close())),
            ],
        )

    def test_iterating_asks_for_the_steps_of_all_requests(self) -> None:
        """Once, with the requests that they are to answer."""
        replies = Replies((), ())
        list(two_exchanges(replies))
        self.assertEqual(replies.asked, [[b"one", b"two"]])

    def test_can_be_iterated_again(self) -> None:
        """A second look sees what the first saw."""
        exchanges = two_exchanges(Replies((Send(b"1"),), ()))
        self.assertEqual(list(exchanges), list(exchanges))

    def test_a_request_without_steps_is_an_error(self) -> None:
        """Exchanges that do not match are not silently cut to the shorter."""
        with self.assertRaises(ValueError):
            list(two_exchanges(Replies((Send(b"1"),))))
