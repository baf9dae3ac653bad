"""Batch: which requests of a read are answered together, and with which bytes."""

from twisted.trial.unittest import SynchronousTestCase

from reqresp.framing import Chunk, Fixed, FrameError, Framing, Line
from reqresp.server._fast_path import Batch
from reqresp.server.responders import Reply, Table, fixed
from reqresp.steps import Abort, Close, HalfClose, Hang, Send, Wait

KIB = 1024


def batch(
    replies: dict[bytes, Reply] | None = None,
    otherwise: Reply = None,
    framing: Framing | None = None,
) -> Batch:
    """Return the batch of a table, without a framing unless *framing* is given."""
    return Batch(Table(replies or {}, otherwise), (framing or Chunk()).encode)


class AnswerTests(SynchronousTestCase):
    """The bytes that a batch returns."""

    def test_replies_are_joined_in_order(self) -> None:
        """Each request gets its reply, also if it is repeated."""
        answers = batch({b"a": b"1", b"b": b"2"}, otherwise=b"?")
        self.assertEqual(answers.answer([b"b", b"a", b"x", b"b"]), b"21?2")

    def test_each_reply_is_framed(self) -> None:
        """Each `Send` is framed, not the batch as a whole."""
        answers = batch({b"a": (b"1", b"2")}, otherwise=b"?", framing=Line())
        self.assertEqual(answers.answer([b"a", b"x"]), b"1\r\n2\r\n?\r\n")

    def test_silence_adds_no_bytes(self) -> None:
        """A request without a reply adds nothing to the bytes of the others."""
        answers = batch({b"a": None, b"b": ()}, otherwise=b"?")
        self.assertEqual(
            [answers.answer([b"x", b"a", b"b", b"x"]), answers.answer([b"a"])], [b"??", b""]
        )

    def test_no_requests_need_no_bytes(self) -> None:
        """A read without a complete request is answered with no bytes."""
        self.assertEqual(batch(otherwise=b"?").answer([]), b"")

    def test_a_reply_that_does_more_than_send_prevents_the_batch(self) -> None:
        """If one reply does more than send, no request of the read is answered as a batch."""
        for step in (Wait(1), Close(), HalfClose(), Abort(), Hang()):
            answers = batch({b"special": (b"1", step)}, otherwise=b"?")
            self.assertIsNone(answers.answer([b"x", b"special", b"x"]), msg=repr(step))

    def test_other_requests_are_batched_without_it(self) -> None:
        """Reads without that request are answered as batches."""
        self.assertEqual(Batch(fixed(), Chunk().encode).answer([b"a", b"b"]), b"responseresponse")

    def test_otherwise_can_do_more_than_send(self) -> None:
        """If the default reply does more than send, only listed requests are batched."""
        answers = batch({b"a": b"1"}, otherwise=(Wait(1), b"?"))
        self.assertEqual(
            [answers.answer([b"a", b"a"]), answers.answer([b"a", b"x"])], [b"11", None]
        )

    def test_a_batch_has_at_most_64_kib(self) -> None:
        """A batch of exactly 64 KiB is accepted, and one byte more is not."""
        answers = batch(otherwise=bytes(KIB))
        self.assertEqual(
            [answers.answer([b"x"] * 64), answers.answer([b"x"] * 65)], [bytes(64 * KIB), None]
        )

    def test_framed_bytes_count(self) -> None:
        """The limit applies to the framed bytes, with delimiters."""
        answers = batch(otherwise=bytes(KIB - 2), framing=Line())
        self.assertIsNotNone(answers.answer([b"x"] * 64))
        self.assertIsNone(answers.answer([b"x"] * 65))

    def test_the_longest_reply_decides(self) -> None:
        """The limit is checked with the longest reply of the table, before a batch is made."""
        answers = batch({b"long": bytes(32 * KIB)}, otherwise=b"?")
        self.assertIsNotNone(answers.answer([b"x"] * 2))
        self.assertIsNone(answers.answer([b"x"] * 3))

    def test_a_single_request_has_no_limit(self) -> None:
        """The reply to a single request may have any size."""
        long = bytes(64 * KIB + 1)
        self.assertEqual(batch(otherwise=long).answer([b"x"]), long)
        self.assertIsNone(batch(otherwise=long).answer([b"x"] * 2))

    def test_a_single_request_with_more_than_send_is_no_batch(self) -> None:
        """A single reply that does more than send is no batch; silence is an empty one."""
        answers = batch({b"special": Close(), b"silent": None}, otherwise=b"?")
        self.assertEqual(
            [answers.answer([request]) for request in (b"special", b"silent", b"x")],
            [None, b"", b"?"],
        )

    def test_silence_is_limited_too(self) -> None:
        """A table that sends nothing answers reads of any size that occurs."""
        self.assertEqual(batch().answer([b"x"] * 4096), b"")


class ConstructionTests(SynchronousTestCase):
    """Errors that are found when a server is set up."""

    def test_a_reply_that_cannot_be_framed(self) -> None:
        """A reply that cannot be framed is refused, as a value and as the default."""
        with self.assertRaisesRegex(FrameError, "expected a payload of 4 bytes, found 5"):
            batch({b"a": b"12345"}, otherwise=b"1234", framing=Fixed(4))
        with self.assertRaises(FrameError):
            batch({b"a": b"1234"}, otherwise=b"12345", framing=Fixed(4))

    def test_a_reply_that_cannot_be_framed_among_other_steps(self) -> None:
        """A reply that cannot be framed is refused, although no batch would send it."""
        with self.assertRaises(FrameError):
            batch({b"a": (Wait(1), b"1\n2", Close())}, framing=Line())


class StepsTests(SynchronousTestCase):
    """The steps that observers receive for a batch."""

    def test_each_request_has_its_steps(self) -> None:
        """Each request has the same steps as without a batch."""
        answers = batch({b"a": (b"1", b"2")}, otherwise=b"?")
        self.assertEqual(
            list(answers.steps([b"a", b"x"])), [(Send(b"1"), Send(b"2")), (Send(b"?"),)]
        )
