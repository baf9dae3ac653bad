"""Messages: values that compare, refuse nonsense, and come into being late."""

from collections.abc import Iterator, Sequence

from attrs.exceptions import FrozenInstanceError
from twisted.internet.address import HostnameAddress, IPv4Address, IPv6Address, UNIXAddress
from twisted.trial.unittest import SynchronousTestCase

from reqresp._text import format_address
from reqresp.exchanges import Exchange, Exchanges
from reqresp.steps import Abort, Close, HalfClose, Hang, Request, Send, Steps, Wait

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


class StepTests(SynchronousTestCase):
    """Steps are plain values."""

    def test_equal_steps_are_equal(self) -> None:
        """A reply can be compared with the one that a test expects."""
        self.assertEqual((Send(b"a"), Wait(1), Close()), (Send(b"a"), Wait(1), Close()))

    def test_different_steps_are_not(self) -> None:
        """Neither what a step does nor with what goes unnoticed."""
        steps = [Send(b"a"), Send(b"b"), Wait(1), Close(), HalfClose(), Abort(), Hang()]
        self.assertEqual(len(set(steps)), len(steps))

    def test_a_step_cannot_be_changed(self) -> None:
        """A reply that many connections share stays what it is."""
        step = Send(b"a")
        with self.assertRaises(FrozenInstanceError):
            step.data = b"b"  # type: ignore[misc]
        self.assertEqual(step, Send(b"a"))

    def test_text_cannot_be_sent(self) -> None:
        """A wrong type is refused where it is written down, not when it is to leave."""
        with self.assertRaises(TypeError):
            Send("text")  # type: ignore[arg-type]

    def test_waiting_for_no_time_is_allowed(self) -> None:
        """Zero seconds are a wait too."""
        self.assertEqual(Wait(0).seconds, 0)

    def test_a_wait_must_end(self) -> None:
        """A time that is negative, infinite or not a number is refused, and the value named."""
        for seconds in (-0.001, float("inf"), float("-inf"), float("nan")):
            with self.assertRaisesRegex(ValueError, "seconds must be .* finite: ") as caught:
                Wait(seconds)
            self.assertIn(repr(seconds), str(caught.exception))


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


class ShowTests(SynchronousTestCase):
    """How addresses are written."""

    def test_ipv4(self) -> None:
        """The host, a colon, the port."""
        self.assertEqual(format_address(IPv4Address("TCP", "127.0.0.1", 9999)), "127.0.0.1:9999")

    def test_ipv6(self) -> None:
        """The host in brackets, so that the port can be told from it."""
        self.assertEqual(format_address(IPv6Address("TCP", "::1", 9999)), "[::1]:9999")

    def test_a_unix_socket_with_a_path(self) -> None:
        """The path."""
        self.assertEqual(format_address(UNIXAddress("/run/client.sock")), "/run/client.sock")

    def test_a_unix_socket_without_a_name(self) -> None:
        """Most clients of a UNIX socket are nameless."""
        self.assertEqual(format_address(UNIXAddress(None)), "a UNIX socket")

    def test_a_unix_socket_with_an_empty_name(self) -> None:
        """A listening port tells of a nameless client in this way."""
        self.assertEqual(format_address(UNIXAddress(b"")), "a UNIX socket")

    def test_a_unix_socket_cannot_break_a_line(self) -> None:
        """A client chooses its path: no control character of it gets into a log."""
        for name in (b"/run/a\nfrom client b", b"/run/a\rb", b"\0abstract", b"/run/\x1b[2J"):
            shown = format_address(UNIXAddress(name))
            self.assertTrue(shown.isprintable(), f"{name!r} is shown as {shown!r}")

    def test_a_unix_socket_whose_path_is_no_text(self) -> None:
        """Any bytes make a path; what is shown of them can be written to a log."""
        shown = format_address(UNIXAddress(b"/run/\xff.sock"))
        self.assertIn(b"/run/", shown.encode("utf-8"))

    def test_any_other_address(self) -> None:
        """An address of another kind is shown as it shows itself."""
        address = HostnameAddress(b"example.com", 80)
        self.assertEqual(format_address(address), str(address))
