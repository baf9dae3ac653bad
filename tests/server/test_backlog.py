"""What was received and is not answered waits in order, as bytes and as requests."""

from twisted.trial.unittest import SynchronousTestCase

from reqresp import Chunk, FrameError, Line, Netstring, Unfinished
from reqresp.server._backlog import SLICE, Backlog


def taken(backlog: Backlog) -> list[bytes]:
    """Return all requests that can be taken."""
    requests = [*backlog.requests]
    while backlog.decode_more():
        requests += backlog.requests
    return requests


class BacklogTests(SynchronousTestCase):
    """A backlog of lines."""

    def setUp(self) -> None:
        self.backlog = Backlog(Line().decoder(100))

    def test_pieces_are_joined(self) -> None:
        """Requests come out as if they had arrived in one piece."""
        for piece in (b"a\nb", b"c\n", b"d\ne"):
            self.backlog.put(piece)
        self.assertEqual(self.backlog.size, 8)
        self.assertEqual(taken(self.backlog), [b"a", b"bc", b"d"])
        self.assertEqual((self.backlog.size, self.backlog.has_requests), (0, False))
        self.backlog.put(b"f\n")
        self.assertEqual(taken(self.backlog), [b"ef"])

    def test_only_a_slice_is_decoded(self) -> None:
        """Bytes after the slice are decoded when their requests are needed."""
        self.backlog.put(b"a\n" * SLICE)
        self.assertTrue(self.backlog.decode_more())
        self.assertEqual(next(self.backlog.requests), b"a")
        self.assertEqual(self.backlog.size, SLICE)
        self.assertTrue(self.backlog.has_requests)
        self.assertEqual(len(taken(self.backlog)), SLICE - 1)

    def test_requests_that_are_put_back_come_first(self) -> None:
        """Bytes may be decoded directly only where no request waits before them."""
        self.backlog.put(b"c\n")
        self.assertTrue(self.backlog.is_undecoded)
        self.backlog.put_back([b"a", b"b"])
        self.assertFalse(self.backlog.is_undecoded)
        self.assertEqual(taken(self.backlog), [b"a", b"b", b"c"])

    def test_an_error_follows_the_requests_before_it(self) -> None:
        """An error follows the requests before it, and nothing after it is decoded."""
        backlog = Backlog(Netstring().decoder(100))
        backlog.put(b"1:a,1:b,nonsense")
        self.assertEqual(taken(backlog), [b"a", b"b"])
        self.assertIsInstance(backlog.error, FrameError)
        backlog.put(b"1:c,")
        self.assertFalse(backlog.decode_more())
        self.assertFalse(backlog.is_undecoded)

    def test_a_large_chunk_is_decoded_at_once(self) -> None:
        """What a chunk may hold is not cut into slices, whoever takes it."""
        for size in (1024, SLICE):
            backlog = Backlog(Chunk(3 * SLICE).decoder(100 * SLICE))
            backlog.put(bytes(4 * SLICE))
            self.assertEqual(len(backlog.take(size)), 3 * SLICE)
            self.assertEqual([*map(len, taken(backlog))], [SLICE])

    def test_clear_drops_everything(self) -> None:
        """Bytes, requests and the error are dropped."""
        self.backlog.put(b"a\nb\n")
        self.backlog.decode_more()
        self.backlog.put(b"c\n")
        self.backlog.clear()
        self.assertFalse(self.backlog.has_requests)
        self.assertEqual(taken(self.backlog), [])

    def test_clear_drops_the_request_that_has_begun(self) -> None:
        """Whether its rest would have come is not known."""
        self.backlog.put(b"a\nb")
        self.backlog.decode_more()
        self.assertEqual(self.backlog.unfinished, Unfinished(b"b", "no line end"))
        self.backlog.clear()
        self.assertIsNone(self.backlog.unfinished)

    def test_bytes_that_wait_may_hold_an_unfinished_request(self) -> None:
        """It is found after complete requests, in no more than a slice."""
        self.backlog.put(b"a\nb")
        self.assertIsNone(self.backlog.unfinished)
        self.assertEqual(self.backlog.find_unfinished(), Unfinished(b"b", "no line end"))
        self.backlog.put(b"\n" * SLICE + b"c")
        self.assertEqual(self.backlog.find_unfinished(), Unfinished(b"b", "no line end"))

    def test_malformed_bytes_are_no_unfinished_request(self) -> None:
        """Neither before they are decoded nor after it."""
        backlog = Backlog(Netstring().decoder(100))
        backlog.put(b"1:a,nonsense")
        self.assertIsNone(backlog.find_unfinished())
        self.assertIsNone(backlog.find_unfinished())
