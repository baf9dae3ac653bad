"""Framings as they are written on a command line and in a script."""

from twisted.trial.unittest import SynchronousTestCase

from reqresp.framing import (
    Delimiter,
    Enclosed,
    LengthField,
    Pause,
    complete_framing,
    parse_framing,
)
from tests.support.framings import SILENT, SPECIFIED

NAMES = (
    "chunk, line, anyline, delimiter, between, netstring, int8, int16, int32, length, fixed,"
    " pause, eof, scpi, resp"
)
ENDING = r"expected the line ending \r\n or \n, found"
SIZE = "expected a size in bytes, 1 or more, found"
LENGTH = "expected one of: big, little, inclusive, big:inclusive, little:inclusive; found"
ENCODINGS = "expected one of: big, little, ascii, bcd, varint, ber; found"
ESCAPES = r"expected one of: \r, \n, \t, \0, \\, \xNN"

#: Text that is not a framing, and what the message says after it.
MALFORMED = {
    **dict.fromkeys(("", " ", ":", "tcp", "x:5"), f"expected one of: {NAMES}"),
    **dict.fromkeys(("lines", " line", "Line", "lin:x"), "did you mean line?"),
    "delimeter:x": "did you mean delimiter?",
    "int64": "did you mean int16?",
    "nestring": "did you mean netstring?",
}

#: Framings with a wrong part, and what the message says of it.
WRONG_PARTS = {
    "chunk:0": f"{SIZE} '0'",
    "chunk:64k": f"{SIZE} '64k'",
    "chunk:": "expected chunk[:SIZE]",
    "line:": "expected line[:ENDING]",
    "line:x": f"{ENDING} 'x'",
    r"line:\r": rf"{ENDING} '\\r'",
    r"line:\q": rf"unknown escape \q; {ESCAPES}",
    "delimiter": "expected delimiter:TEXT",
    "delimiter:": "expected delimiter:TEXT",
    r"delimiter:\q": rf"unknown escape \q; {ESCAPES}",
    "anyline:": "expected anyline[:ENDING]",
    "anyline:x": r"expected the line ending \r\n, \n, \r or \r\0, found 'x'",
    "between": "expected between:START:END",
    **{
        f"between:{it}": rf"expected START:END, where a colon is \x3a, found {it!r}"
        for it in ("a", "a:", ":a", "a:b:c")
    },
    r"between:\q:a": rf"unknown escape \q; {ESCAPES}",
    "eof:1": "expected eof",
    "pause": "expected pause:SECONDS",
    **{
        f"pause:{it}": f"expected seconds such as 0.2, found {it!r}"
        for it in ("x", "-1", "1.", "1e3", "inf", "1234567")
    },
    "pause:0": "seconds: expected seconds > 0, found 0.0",
    "scpi:1": "expected scpi",
    "netstring:9": "expected netstring",
    "netstring:": "expected netstring",
    "resp:3": "expected resp",
    "int8:": "expected int8|int16|int32[:big|little][:inclusive]",
    "int8:8": f"{LENGTH} '8'",
    "int16:BIG": f"{LENGTH} 'BIG'",
    "int16:inclusive:big": f"{LENGTH} 'inclusive:big'",
    "int32:big:": f"{LENGTH} 'big:'",
    "length": "expected length:ENCODING[:SIZE]",
    "length:": "expected length:ENCODING[:SIZE]",
    "length:BIG": f"{ENCODINGS} 'BIG'",
    "length:big": "size: expected 1, 2, 3, 4 or 8, found none",
    "length:big:5": "size: expected 1, 2, 3, 4 or 8, found 5",
    "length:ascii:": f"{SIZE} ''",
    "length:ascii:19": "size: expected 1 to 18, found 19",
    "length:ber:12": "size: expected 1 to 9, the most bytes of a length, or none, found 12",
    "fixed": "expected fixed:SIZE",
    "fixed:": "expected fixed:SIZE",
    **{
        f"fixed:{it}": f"{SIZE} {it!r}"
        for it in (
            *("0", "-1", "1.5", "x", "0x10", "1:2", " 5", "5 ", "+5", "1_0", "\u0663"),
            "9" * 19,
        )
    },
}


class SpecificationTests(SynchronousTestCase):
    """`parse_framing`."""

    def test_every_form(self) -> None:
        """Each form makes the same framing as Python code."""
        for specification, framing in {**SPECIFIED, **SILENT}.items():
            self.assertEqual(parse_framing(specification), framing, msg=specification)

    def test_a_name_is_a_specification(self) -> None:
        """The name of a framing that was written as text makes the same framing."""
        others = (Delimiter(b"\xff\\ \n"), Enclosed(b":", b"\\x3a:"), Pause(1e-6), Pause(123456.5))
        for framing in (*SPECIFIED.values(), *SILENT.values(), *others, LengthField(2)):
            name = complete_framing(framing).name
            self.assertEqual(parse_framing(name), framing, msg=name)

    def message(self, specification: str) -> str:
        """Return the message of the error."""
        with self.assertRaises(ValueError) as caught:
            parse_framing(specification)
        return str(caught.exception)

    def test_an_unknown_name(self) -> None:
        """A similar name is suggested; without one, all forms are listed."""
        for specification, hint in MALFORMED.items():
            self.assertEqual(
                self.message(specification), f"unknown framing {specification!r}; {hint}"
            )

    def test_a_wrong_part(self) -> None:
        """The message says what is wrong with the part after the colon, or that it is missing."""
        for specification, problem in WRONG_PARTS.items():
            self.assertEqual(self.message(specification), f"framing {specification!r}: {problem}")

    def test_a_message_is_one_short_line(self) -> None:
        """Whatever the text is, the message is printable and bounded."""
        for specification in ("x" * 9999, "fixed:" + "x" * 9999, "line:\x1b\n", "\x9b"):
            message = self.message(specification)
            self.assertTrue(message.isprintable(), message)
            self.assertLess(len(message), 300)
