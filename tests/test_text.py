"""Escapes: any bytes can be typed in a shell."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from reqresp._text import unescape

PROPERTY = settings(deadline=None, derandomize=True)


class UnescapeTests(SynchronousTestCase):
    """What typed text means."""

    def test_named_escapes(self) -> None:
        """Each one-letter escape is the control character that C gives that name."""
        self.assertEqual(unescape(r"a\r\n\t\0z"), b"a\r\n\t\x00z")

    def test_a_backslash_is_doubled(self) -> None:
        """What follows a doubled backslash is no escape."""
        self.assertEqual(unescape(r"\\n\\\n"), b"\\n\\\n")

    def test_a_byte_by_its_number(self) -> None:
        """Two digits make a byte, in either case; a third is text."""
        self.assertEqual(unescape(r"\x00\xfF\x411"), b"\x00\xffA1")

    def test_other_text_is_utf_8(self) -> None:
        """What is no escape stays, encoded."""
        self.assertEqual(unescape("größer %s {x}"), "größer %s {x}".encode())

    def test_bytes_that_were_no_utf_8(self) -> None:
        """What the shell passed as other bytes comes back as these."""
        passed = b"\xff\xfe".decode("utf-8", "surrogateescape")
        self.assertEqual(unescape(passed), b"\xff\xfe")

    def test_nothing(self) -> None:
        """No text, no bytes."""
        self.assertEqual(unescape(""), b"")

    def test_any_other_escape_is_refused(self) -> None:
        """The message names the escape that was found and those that are known."""
        for text, found in (
            (r"a\qb", r"\q"),
            ("a\\", "\\"),
            (r"\x4", r"\x"),
            (r"\xg0", r"\x"),
            (r"\X41", r"\X"),
            ("\\\n", "\\\n"),
            ("\\é", "\\é"),
            ("\\€", "\\€"),
        ):
            with self.assertRaises(ValueError) as caught:
                unescape(text)
            self.assertEqual(
                str(caught.exception),
                rf"unknown escape {found}: write \r, \n, \t, \0, \\ or \xNN",
            )

    @PROPERTY
    @given(st.binary())
    def test_all_bytes_can_be_typed(self, data: bytes) -> None:
        """Every byte has an escape, whatever stands beside it."""
        self.assertEqual(unescape("".join(f"\\x{byte:02x}" for byte in data)), data)

    @PROPERTY
    @given(st.text(st.characters(codec="utf-8")))
    def test_doubled_backslashes_are_all_that_text_needs(self, text: str) -> None:
        """Text in which each backslash is doubled means itself."""
        self.assertEqual(unescape(text.replace("\\", "\\\\")), text.encode())
