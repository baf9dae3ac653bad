"""Batch: which requests of a read are answered in one go, and with what."""

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
    """The batch of a table, as bare bytes unless a *framing* is given."""
    return Batch(Table(replies or {}, otherwise), (framing or Chunk()).encode)


class AnswerTests(SynchronousTestCase):
    """The bytes of all replies."""

    def test_replies_are_joined_in_order(self) -> None:
        """Each request gets its own, as often as it was asked."""
        answers = batch({b"a": b"1", b"b": b"2"}, otherwise=b"?")
        self.assertEqual(answers.answer([b"b", b"a", b"x", b"b"]), b"21?2")

    def test_replies_are_wrapped_one_by_one(self) -> None:
        """The framing is round each thing that is sent, not round the batch."""
        answers = batch({b"a": (b"1", b"2")}, otherwise=b"?", framing=Line())
        self.assertEqual(answers.answer([b"a", b"x"]), b"1\r\n2\r\n?\r\n")

    def test_silence_is_answered_with_nothing(self) -> None:
        """A request that is met with silence leaves no trace among the others."""
        answers = batch({b"a": None, b"b": ()}, otherwise=b"?")
        self.assertEqual(
            [answers.answer([b"x", b"a", b"b", b"x"]), answers.answer([b"a"])], [b"??", b""]
        )

    def test_no_requests(self) -> None:
        """A read may hold no complete request."""
        self.assertEqual(batch(otherwise=b"?").answer([]), b"")

    def test_a_reply_that_does_more_than_send(self) -> None:
        """One such request is enough to leave all of them to be answered one by one."""
        for step in (Wait(1), Close(), HalfClose(), Abort(), Hang()):
            answers = batch({b"special": (b"1", step)}, otherwise=b"?")
            self.assertIsNone(answers.answer([b"x", b"special", b"x"]), msg=repr(step))

    def test_a_special_reply_harms_no_other_request(self) -> None:
        """While nobody asks for it, there are batches."""
        self.assertEqual(Batch(fixed(), Chunk().encode).answer([b"a", b"b"]), b"responseresponse")

    def test_otherwise_can_be_special(self) -> None:
        """Then only the requests that are listed make a batch."""
        answers = batch({b"a": b"1"}, otherwise=(Wait(1), b"?"))
        self.assertEqual(
            [answers.answer([b"a", b"a"]), answers.answer([b"a", b"x"])], [b"11", None]
        )

    def test_at_most_64_kib(self) -> None:
        """A batch may come to exactly that."""
        answers = batch(otherwise=bytes(KIB))
        self.assertEqual(
            [answers.answer([b"x"] * 64), answers.answer([b"x"] * 65)], [bytes(64 * KIB), None]
        )

    def test_the_framing_counts(self) -> None:
        """What is bounded is what is written, delimiters and all."""
        answers = batch(otherwise=bytes(KIB - 2), framing=Line())
        self.assertIsNotNone(answers.answer([b"x"] * 64))
        self.assertIsNone(answers.answer([b"x"] * 65))

    def test_the_longest_reply_decides(self) -> None:
        """How much a batch could come to is known before it is made."""
        answers = batch({b"long": bytes(32 * KIB)}, otherwise=b"?")
        self.assertIsNotNone(answers.answer([b"x"] * 2))
        self.assertIsNone(answers.answer([b"x"] * 3))

    def test_a_request_alone_may_have_any_reply(self) -> None:
        """It would be sent whole in any case."""
        long = bytes(64 * KIB + 1)
        self.assertEqual(batch(otherwise=long).answer([b"x"]), long)
        self.assertIsNone(batch(otherwise=long).answer([b"x"] * 2))

    def test_a_request_alone_may_be_special(self) -> None:
        """Then it makes no batch; without a reply it makes an empty one."""
        answers = batch({b"special": Close(), b"silent": None}, otherwise=b"?")
        self.assertEqual(
            [answers.answer([request]) for request in (b"special", b"silent", b"x")],
            [None, b"", b"?"],
        )

    def test_silence_alone_is_bounded_too(self) -> None:
        """A table that never sends still answers reads of any size that arrive."""
        self.assertEqual(batch().answer([b"x"] * 4096), b"")


class ConstructionTests(SynchronousTestCase):
    """What is found out when a server is set up."""

    def test_a_reply_that_cannot_be_framed(self) -> None:
        """Neither as a value nor as what is answered otherwise."""
        with self.assertRaisesRegex(FrameError, "expected a payload of 4 bytes, found 5"):
            batch({b"a": b"12345"}, otherwise=b"1234", framing=Fixed(4))
        with self.assertRaises(FrameError):
            batch({b"a": b"1234"}, otherwise=b"12345", framing=Fixed(4))

    def test_a_reply_that_cannot_be_framed_among_other_steps(self) -> None:
        """It is found although no batch would ever send it."""
        with self.assertRaises(FrameError):
            batch({b"a": (Wait(1), b"1\n2", Close())}, framing=Line())


class StepsTests(SynchronousTestCase):
    """What observers are told of a batch."""

    def test_each_request_has_its_steps(self) -> None:
        """The same as if it had been answered alone."""
        answers = batch({b"a": (b"1", b"2")}, otherwise=b"?")
        self.assertEqual(
            list(answers.steps([b"a", b"x"])), [(Send(b"1"), Send(b"2")), (Send(b"?"),)]
        )
