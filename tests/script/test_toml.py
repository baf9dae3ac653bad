"""Text that is not TOML, and what was probably meant by it."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from reqresp._errors import Problem
from reqresp.script.toml import parse_toml

PROPERTY = settings(derandomize=True, max_examples=300)


def message(text: str) -> str:
    """Return what is wrong with *text*."""
    found: Any = parse_toml(text, "it.toml")
    assert isinstance(found, Problem), found
    return found.message


class HintTests(SynchronousTestCase):
    """What a message suggests."""

    def assert_hints(self, hints: dict[str, str]) -> None:
        """Check the text after the last semicolon of the message for each text."""
        for text, hint in hints.items():
            found, semicolon, end = message(text).rpartition("; ")
            self.assertEqual(end if semicolon else "", hint, msg=(text, found))

    def test_bytes_in_a_string(self) -> None:
        r"""TOML has no \xNN: the string is written in hex, or only the byte if that is long."""
        self.assert_hints(
            {
                r'a = "\x01"': 'write bytes as { hex = "01" }',
                r'a = "PING\x00"': 'write bytes as { hex = "50 49 4e 47 00" }',
                r'rule = [{ equals = "a", reply = "\xFFb" }]': 'write bytes as { hex = "ff 62" }',
                r'a = "\u00e9\x01"': 'write bytes as { hex = "01" }',
                f'a = "{"x" * 99}\\x7f"': 'write bytes as { hex = "7f" }',
                'a = """\n\\x02"""': 'write bytes as { hex = "02" }',
                'a = "\x01"': 'write bytes as { hex = "01" }',
            }
        )

    def test_other_backslashes(self) -> None:
        """Patterns are written in single quotes."""
        hint = "in 'single quotes', a backslash is a backslash"
        self.assert_hints({r'a = "\d+"': hint, r'a = "\x4"': hint, r'a = ["a", "\w"]': hint})

    def test_text_without_quotes(self) -> None:
        """Text needs quotes; a boolean has small letters."""
        self.assert_hints(
            {
                "equals=x": 'text needs quotes: "x"',
                "rule = [{ equals = STAT, reply = 5 }]": 'text needs quotes: "STAT"',
                "reply = +OK 2 320 # a comment": 'text needs quotes: "+OK 2 320"',
                "a = [x, y]": 'text needs quotes: "x"',
                "a = True": "write true",
                "a = FALSE": "write false",
                "a = ": "",
                "a = =": "",
            }
        )

    def test_a_number_with_a_unit(self) -> None:
        """A number has no unit."""
        self.assert_hints(
            {
                "idle_timeout = 5s": "a number has no unit: 5",
                "delay = 0.5 s": "",
                "max_request = 64k": "a number has no unit: 64",
                'a = "b" c': "",
                "a = 1 2": "",
            }
        )

    def test_a_string_without_an_end(self) -> None:
        """The closing quote is missing."""
        hint = 'the string has no closing quote (for several lines, use """)'
        self.assert_hints({'a = "b\nc = 1': hint})

    @PROPERTY
    @given(
        st.lists(st.sampled_from([*"ab= \"\\x01#[]{}\n,'.5s\x01\x9b", r"\x", "True"]), max_size=30)
    )
    def test_any_text(self, tokens: list[str]) -> None:
        """Any text is tables or a problem, whose text is one line."""
        found = parse_toml("".join(tokens), "it.toml")
        if isinstance(found, Problem):
            self.assertTrue(str(found).isprintable(), found)
