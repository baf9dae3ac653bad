"""Payloads: the bytes that a script compares and sends, and the templates among them."""

import base64
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.trial.unittest import SynchronousTestCase

from reqresp._re2 import compile_pattern
from reqresp.script.files import AnyFiles
from reqresp.script.names import (
    REQUEST_SOURCES,
    RULE_SOURCES,
    TemplateContext,
    group_sources,
)
from reqresp.script.payloads import read_payload
from reqresp.script.schema import PayloadTable
from reqresp.script.templates import Template
from tests.support.live import temporary

PROPERTY = settings(derandomize=True, max_examples=200)
NAMES = {**REQUEST_SOURCES, **RULE_SOURCES}


def read(*, names: Any = NAMES, base: Path = Path(), **ways: Any) -> bytes | Template:
    """Return the payload that a table with these keys describes."""
    return read_payload(PayloadTable(**ways), AnyFiles(base), names)


def client(number: int = 7, taken: int = 3, peer: Any = None) -> Any:
    """Return a connection as templates see it."""
    peer = peer or IPv4Address("TCP", "192.0.2.1", 50000)
    return SimpleNamespace(number=number, taken=taken, peer=peer)


def filled(
    template: bytes | Template, data: bytes = b"", match: Any = None, count: int = 0
) -> bytes:
    """Return the bytes of *template* for a request."""
    assert isinstance(template, Template), template
    return template.fill_from(TemplateContext(data, client(), match, count))


def matched(patterns: list[str], text: str, data: bytes) -> bytes:
    """Return the bytes of a template with the groups of the first of *patterns* that matches."""
    compiled = [compile_pattern(pattern.encode()) for pattern in patterns]
    match = next(match for pattern in compiled if (match := pattern.fullmatch(data)))
    return filled(read(template=text, names=group_sources(compiled)), data, match)


class PayloadTestCase(SynchronousTestCase):
    """Asserts which payloads are refused."""

    def assert_none(self, expected: str, **ways: Any) -> None:
        """Assert that the payload is refused with this message."""
        with self.assertRaises(ValueError) as caught:
            read(**ways)
        self.assertEqual(str(caught.exception), expected)


class BytesTests(PayloadTestCase):
    """Payloads that are the same for every request."""

    def test_text_is_utf8(self) -> None:
        """Text is UTF-8, alone or in a table, and braces have no meaning in it."""
        self.assertEqual(read_payload("{0} é", AnyFiles(Path()), NAMES), "{0} é".encode())
        self.assertEqual(read(text="{0} é"), "{0} é".encode())
        self.assertEqual(read(text=""), b"")

    @PROPERTY
    @given(st.binary(max_size=40), st.sampled_from(["", " ", "\n", "\t "]))
    def test_hex_is_any_bytes(self, data: bytes, blank: str) -> None:
        """Hex digits of either case, with blanks between bytes, are bytes."""
        self.assertEqual(read(hex=blank.join(f"{byte:02x}" for byte in data)), data)
        self.assertEqual(read(hex=data.hex().upper()), data)

    @PROPERTY
    @given(st.binary(max_size=40), st.integers(1, 9))
    def test_base64_is_any_bytes(self, data: bytes, width: int) -> None:
        """Base64 may be broken into lines of any length."""
        text = base64.b64encode(data).decode()
        lines = [text[start : start + width] for start in range(0, len(text), width)]
        self.assertEqual(read(base64="\n  ".join(lines)), data)

    def test_what_is_no_hex(self) -> None:
        """An odd digit, a prefix, and digits of other scripts are refused."""
        for digits in ("0", "0x00", "zz", "0 0", "٣٣", "00\0"):
            self.assert_none(f"expected pairs of hex digits, found {digits!r}", hex=digits)
        self.assert_none(f"expected pairs of hex digits, found '{'z' * 59}...", hex="z" * 999)

    def test_what_is_no_base64(self) -> None:
        """Invalid base64 is refused."""
        for text in ("a", "YQ", "YQ==YQ==", "Y-Q=", "é", "YQ==\0"):
            with self.assertRaisesRegex(ValueError, r"\Aexpected base64, found '.*' \(.+\)\Z"):
                read(base64=text)

    def test_a_file(self) -> None:
        """A file is read by its name."""
        base = temporary(self)
        (base / "a").write_bytes(b"{0}")
        self.assertEqual(read(file="a", base=base), b"{0}")
        self.assert_none(
            f"{str(base / 'b')!r} cannot be read: No such file or directory", file="b", base=base
        )

    def test_one_way_to_write_it(self) -> None:
        """A payload needs exactly one encoding."""
        ways = (
            "expected exactly one of text, hex, base64, file, lines, template, template_hex; found"
        )
        self.assert_none(f"{ways} 0")
        self.assert_none(f"{ways} 0", raw=True)
        self.assert_none(f"{ways} 2", text="", hex="")


class TemplateTests(PayloadTestCase):
    """Templates: payloads that depend on the request."""

    def test_what_a_template_can_name(self) -> None:
        """A template can name the request, the peer, the numbers and the count."""
        text = "{0}|{peer}|{connection}|{request}|{count}"
        self.assertEqual(
            filled(read(template=text), b"a\xff{0}", count=12), b"a\xff{0}|192.0.2.1:50000|7|3|12"
        )

    def test_peers_of_other_kinds(self) -> None:
        """A peer is written as in logs; a path may not be UTF-8."""
        template = read(template="{peer}")
        assert isinstance(template, Template)
        for peer, expected in (
            (IPv6Address("TCP", "::1", 9), b"[::1]:9"),
            (UNIXAddress(b"/tmp/it"), b"/tmp/it"),
            (UNIXAddress(None), b"a UNIX socket"),
        ):
            self.assertEqual(template.fill(b"", client(peer=peer)), expected)

    def test_names_anywhere(self) -> None:
        """Names can be first, last, adjacent and repeated."""
        self.assertEqual(filled(read(template="{0}{0} é {0}"), b"x"), "xx é x".encode())

    def test_braces_are_doubled(self) -> None:
        """A doubled brace is one brace; without names the payload is bytes."""
        self.assertEqual(read(template="{{}} {{0}}"), b"{} {0}")
        self.assertEqual(read(template=""), b"")
        self.assertEqual(filled(read(template="{{{0}}}"), b"x"), b"{x}")
        self.assertEqual(filled(read(template="{{0}}{0}}}{{"), b"x"), b"{0}x}{")

    @PROPERTY
    @given(st.lists(st.sampled_from(["{", "}", "a", "é", "\n", None]), max_size=9))
    def test_any_text_can_be_written(self, pieces: list[str | None]) -> None:
        """Any text can be escaped, and names in it are filled."""
        text = "".join("{0}" if it is None else it * (1 + (it in "{}")) for it in pieces)
        expected = "".join("!" if it is None else it for it in pieces).encode()
        found = read(template=text)
        self.assertEqual(found if isinstance(found, bytes) else filled(found, b"!"), expected)

    def test_a_single_brace(self) -> None:
        """The message for an unpaired brace says how to write the brace itself."""
        for text, brace in (("{", "{"), ("a}", "}"), ("{0}}", "}"), ("{a{0}", "{"), ("{{}", "}")):
            self.assert_none(
                f"unpaired {brace!r}: write {brace * 2!r} for the character itself", template=text
            )

    def test_unknown_names(self) -> None:
        """The message for an unknown name has the similar name, or all names."""
        for text, message in (
            ("{cuont}", "unknown name 'cuont'; did you mean count?"),
            ("{Peer}", "unknown name 'Peer'; did you mean peer?"),
            ("{ 0}", "unknown name ' 0'; did you mean 0?"),
            ("{}", f"unknown name ''; expected one of: {', '.join(NAMES)}"),
            ("{é\n}", f"unknown name 'é\\n'; expected one of: {', '.join(NAMES)}"),
        ):
            self.assert_none(message, template=text)
        self.assert_none(
            f"unknown name 'count'; expected one of: {', '.join(REQUEST_SOURCES)}",
            template="{count}",
            names=REQUEST_SOURCES,
        )

    def test_hex_around_bytes(self) -> None:
        """In template_hex, values are inserted as they are between hex digits."""
        self.assertEqual(filled(read(template_hex="00 {0}FF{0} 0a"), b"z9"), b"\0z9\xffz9\n")
        self.assertEqual(filled(read(template_hex="{0}"), b"\x80"), b"\x80")
        self.assertEqual(read(template_hex="0aff"), b"\n\xff")

    def test_hex_is_whole_between_names(self) -> None:
        """In template_hex, a name cannot split a byte, and braces are not digits."""
        for text, found in (("0{0}0", "0"), ("00{0}0", "0"), ("xx{0}", "xx"), ("{{00", "{00")):
            self.assert_none(f"expected pairs of hex digits, found {found!r}", template_hex=text)

    def test_where_no_template_is_allowed(self) -> None:
        """A key that takes only fixed bytes refuses every template."""
        for ways in ({"template": "a"}, {"template_hex": ""}):
            self.assert_none(
                "expected no template: this key takes only fixed bytes", names=None, **ways
            )


class GroupsTests(PayloadTestCase):
    """The groups of patterns."""

    def test_by_name_and_by_number(self) -> None:
        """A named group also has a number."""
        self.assertEqual(
            matched([r"(\w+) (?P<host>\S+)"], "{host}|{1}|{2}|", b"EHLO a.b"), b"a.b|EHLO|a.b|"
        )

    def test_bytes_stay_bytes(self) -> None:
        """The bytes of a group are inserted unchanged."""
        self.assertEqual(matched(["(?s)(.)(.*)"], "{2}{1}", b"\xff\n\x80"), b"\n\x80\xff")

    def test_a_group_that_took_no_part_is_empty(self) -> None:
        """A group that took no part, or matched nothing, is empty."""
        self.assertEqual(matched(["(?P<x>a)|(b)()"], "<{x}{3}>{2}", b"b"), b"<>b")

    def test_patterns_that_number_a_name_differently(self) -> None:
        """A name with different numbers in several patterns is that of the one that matches."""
        patterns = [r"(a)(?P<x>\d)", r"(?P<x>[bc])(\d)", r"(d)()(?P<x>.)"]
        for data, expected in ((b"a1", b"1"), (b"b1", b"b"), (b"c2", b"c"), (b"d3", b"3")):
            self.assertEqual(matched(patterns, "{x}", data), expected)

    def test_only_what_all_patterns_have(self) -> None:
        """A template can name only the groups that all patterns have."""
        patterns = [compile_pattern(it) for it in (b"(?P<x>a)(?P<y>b)", b"(?P<y>c)", b"(d)(?P<y>)")]
        self.assertEqual({*group_sources(patterns)}, {"y", "1"})
        self.assertEqual({*group_sources(patterns[:1])}, {"x", "y", "1", "2"})
        self.assertEqual(group_sources([]), {})
        self.assertEqual(group_sources([compile_pattern(b"a"), patterns[0]]), {})

    def test_group_names_that_are_not_ascii(self) -> None:
        """A group whose name is not ASCII has only its number."""
        self.assertEqual({*group_sources([compile_pattern("(?P<ê>a)".encode())])}, {"1"})
