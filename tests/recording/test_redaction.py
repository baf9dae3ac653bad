"""Secrets that are not recorded, however reads cut them."""

import unittest
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reqresp.recording import End, Mark, Sender
from reqresp.recording.conversations import join_data
from reqresp.recording.redaction import (
    MAX_HELD_BYTES,
    MAX_SECRET_BYTES,
    Redactor,
    make_redactions,
    redacted_names,
)

CLIENT, SERVER = Sender.CLIENT, Sender.SERVER
PIECES = ["", "P", "PASS ", "s\n", "ab", "\n"]
PASSWORD = rb"(?m)^PASS (?P<password>[^\r\n]*)"


def redacted(
    *events: Any, patterns: Sequence[bytes] = (PASSWORD,), at_once: bool = False
) -> list[Any]:
    """Return what is recorded of *events*, a sender and what it sends each, times left out."""
    redactor = Redactor(make_redactions(patterns))
    numbered = [(number, *event) for number, event in enumerate(events)]
    batches: list[Any] = [numbered] if at_once else [[it] for it in numbered]
    found = [it for batch in batches for it in redactor.redact(batch)]
    found += redactor.redact([], is_last=True)
    assert [at for at, *_ in found] == sorted(at for at, *_ in found)
    return [(sender, what) for _, sender, what in found]


class RedactorTests(unittest.TestCase):
    """What stands in place of a secret."""

    def test_a_secret_of_the_client_becomes_a_mark(self) -> None:
        """It ends at the bytes that follow, so that a replay takes one of any size."""
        self.assertEqual(
            redacted((CLIENT, b"PASS hunter2\r\n")),
            [(CLIENT, (b"PASS ", Mark("password"), b"\r\n"))],
        )

    def test_a_mark_that_nothing_follows_has_a_size(self) -> None:
        """Otherwise a replay could not find its end."""
        self.assertEqual(
            redacted((CLIENT, b"PASS hunter2"), (SERVER, b"ok"), (CLIENT, b"\r\n")),
            [
                (CLIENT, (b"PASS ", Mark("password", 7))),
                (SERVER, (b"ok",)),
                (CLIENT, (b"\r\n",)),
            ],
        )

    def test_a_secret_of_the_server_keeps_its_size(self) -> None:
        """A replay can send what was recorded."""
        self.assertEqual(redacted((SERVER, b"PASS abc\r\n")), [(SERVER, (b"PASS ***\r\n",))])

    def test_secrets_across_reads(self) -> None:
        """The mark stands where the secret begins; what follows comes when it came."""
        self.assertEqual(
            redacted((CLIENT, b"PA"), (CLIENT, b"SS hun"), (CLIENT, b"ter2"), (CLIENT, b"\r\nx")),
            [
                (CLIENT, (b"PA",)),
                (CLIENT, (b"SS ", Mark("password", 7))),
                (CLIENT, (b"\r\nx",)),
            ],
        )
        self.assertEqual(
            redacted((SERVER, b"PASS ab"), (CLIENT, b"x"), (SERVER, b"cd\r\n")),
            [(SERVER, (b"PASS **",)), (CLIENT, (b"x",)), (SERVER, (b"**\r\n",))],
        )

    def test_a_secret_whose_bytes_are_echoed(self) -> None:
        """Each part has a mark: a replay sends an echo after it, not after the whole secret."""
        echo = (SERVER, b"*")
        self.assertEqual(
            redacted(
                (CLIENT, b"PASS h"), echo, (CLIENT, b"u"), (CLIENT, b"n"), echo, (CLIENT, b"t\r\n")
            ),
            [
                (CLIENT, (b"PASS ", Mark("password", 1))),
                (SERVER, (b"*",)),
                (CLIENT, (Mark("password", 2),)),
                (SERVER, (b"*",)),
                (CLIENT, (Mark("password"), b"\r\n")),
            ],
        )

    def test_without_groups_the_whole_match_is_secret(self) -> None:
        """It has a name with a number."""
        patterns = (rb"key=\w+", rb"id=(\d+)")
        self.assertEqual(
            redacted((CLIENT, b"?key=a1&id=22&"), patterns=patterns),
            [(CLIENT, (b"?", Mark("redacted-1"), b"&id=", Mark("redacted-2"), b"&"))],
        )
        self.assertEqual(redacted_names(make_redactions(patterns)), ("redacted-1", "redacted-2"))

    def test_overlapping_secrets(self) -> None:
        """Every byte of either is replaced."""
        self.assertEqual(
            redacted((CLIENT, b"-abcdef-"), patterns=(rb"abcd", rb"cdef", rb"bc")),
            [(CLIENT, (b"-", Mark("redacted-1", 4), Mark("redacted-2"), b"-"))],
        )

    def test_overlapping_secrets_that_are_not_decided_together(self) -> None:
        """A secret that overlaps one that may go on waits with it."""
        patterns = (rb"xx.{4}", rb"b.{9}")
        filler = b"-" * (MAX_SECRET_BYTES - 6)
        redactor = Redactor(make_redactions(patterns))
        found = [*redactor.redact([(0.0, CLIENT, b"..xxaabccccccccc" + filler)])]
        found += redactor.redact([(1.0, CLIENT, b"end")], is_last=True)
        parts = join_data(
            [part for _, _, what in found if isinstance(what, tuple) for part in what]
        )
        self.assertEqual(parts[:3], (b"..", Mark("redacted-1", 6), Mark("redacted-2")))

    def test_groups_that_match_nothing(self) -> None:
        """Nothing is replaced for them."""
        self.assertEqual(redacted((CLIENT, b"b;"), patterns=(rb"(a)|b(x*)",)), [(CLIENT, (b"b;",))])

    def test_the_beginning_of_a_line(self) -> None:
        """What was recorded before still counts for a pattern that looks at it."""
        filler = b"-" * 3 * MAX_SECRET_BYTES
        events = [(CLIENT, filler), (CLIENT, b"PASS a\r\nPASS b\r\n")]
        [first, *_] = redacted(*events)
        self.assertEqual(first[0], CLIENT)
        data = [part for _, what in redacted(*events) for part in what]
        whole = join_data(data)
        self.assertEqual(whole[1:], (Mark("password"), b"\r\n"))
        self.assertEqual(whole[0], filler + b"PASS a\r\nPASS ")

    def test_ends_stay_in_order(self) -> None:
        """EOF comes after what was held back."""
        self.assertEqual(
            redacted((CLIENT, b"PASS x"), (CLIENT, End.EOF), (SERVER, End.RESET)),
            [
                (CLIENT, (b"PASS ", Mark("password", 1))),
                (CLIENT, End.EOF),
                (SERVER, End.RESET),
            ],
        )

    def test_little_is_held_back(self) -> None:
        """Much from one side does not wait for the other; nor does a secret without an end."""
        redactor = Redactor(make_redactions([rb"(?s)A.*"]))
        got = [*redactor.redact([(0, CLIENT, b"xA")])]
        for number in range(100):
            got += redactor.redact([(number, SERVER, b"y" * 4096)])
        released = sum(len(str(what)) for _, sender, what in got if sender is SERVER)
        self.assertLessEqual(100 * 4096 - released, MAX_HELD_BYTES + 4096)
        self.assertEqual(got[0], (0, CLIENT, (b"x", Mark("redacted-1", 1))))

    def test_a_secret_that_has_half_arrived(self) -> None:
        """What may be its beginning is not written while much of the other side waits."""
        for patterns in ((PASSWORD,), (rb".*word=(?P<password>.*)",)):
            for sent, rest in (
                (b"PASS hun", b"ter2\r\nGET a\r\n"),
                (b"word=hun", b"ter2\nGET a\r\n"),
            ):
                if patterns[0].startswith(b".*") != sent.startswith(b"w"):
                    continue
                flood = [(SERVER, b"y" * 4096)] * 20
                found = redacted((CLIENT, sent), *flood, (CLIENT, rest), patterns=patterns)
                client = join_data([it for by, what in found if by is CLIENT for it in what])
                self.assertEqual(
                    client, (Mark("password", 8), Mark("password"), rest[rest.index(b"2") + 1 :])
                )

    def test_what_cannot_be_the_beginning_of_a_secret(self) -> None:
        """It is written, as are secrets that are complete, and what turns out to be none."""
        flood = [(SERVER, b"y" * 4096)] * 20
        for sent in (b"GET big\r\n", b"PASS x\r\nGET big\r\n"):
            found = redacted((CLIENT, sent), *flood)
            written = join_data([it for by, what in found if by is CLIENT for it in what])
            expected: Any = (sent,) if b"x" not in sent else (b"PASS ", Mark("password"), sent[6:])
            self.assertEqual(written, expected)
        found = redacted((CLIENT, b"GET PA"), *flood, (CLIENT, b"RIS\r\n"))
        written = join_data([it for by, what in found if by is CLIENT for it in what])
        self.assertEqual(written, (b"GET ", Mark("password", 2), b"RIS\r\n"))

    def test_a_secret_without_an_end_takes_no_memory(self) -> None:
        """What was written is forgotten, but for the bytes that a secret may have."""
        redactor = Redactor(make_redactions([rb"(?s)A.*"]))
        for number in range(200):
            [*_] = redactor.redact([(number, CLIENT, b"A" * 4096)])
        self.assertLess(redactor.kept, MAX_HELD_BYTES + 3 * MAX_SECRET_BYTES)

    @settings(derandomize=True, deadline=None)
    @given(
        st.lists(st.tuples(st.sampled_from(Sender), st.sampled_from(PIECES)), max_size=12),
        st.booleans(),
    )
    def test_cuts_change_nothing(self, events: list[tuple[Sender, str]], at_once: bool) -> None:
        """The same bytes are secret as if each side had sent all of its bytes at once."""
        sent = [(sender, text.encode()) for sender, text in events if text]
        for sender in Sender:
            whole = b"".join(data for by, data in sent if by is sender)
            secret = [it.span(1) for it in make_redactions([PASSWORD])[0].pattern.finditer(whole)]
            expected = bytearray(whole)
            for begin, end in secret:
                expected[begin:end] = b"*" * (end - begin)
            got = bytearray()
            for by, what in redacted(*sent, at_once=at_once):
                for part in what if by is sender else ():
                    if isinstance(part, Mark):
                        [end] = [stop for begin, stop in secret if begin <= len(got) < stop]
                        part = b"*" * (part.size or end - len(got))
                        self.assertLessEqual(len(got) + len(part), end)
                    got += part
            self.assertEqual(got, expected)


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("(", "invalid RE2 pattern"),
        (f"(?P<{'a' * 61}>x)", "expected a name such as password"),
        ("(?P<1a>x)", "expected a name such as password"),
    ],
)
def test_wrong_patterns(pattern: str, problem: str) -> None:
    """The message says what is wrong."""
    with pytest.raises(ValueError, match=problem):
        make_redactions([pattern])
