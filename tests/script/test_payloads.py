"""Payloads: the bytes that a script compares and sends, and what it has filled in."""

import base64
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.trial.unittest import SynchronousTestCase

from reqresp._re2 import compile_pattern
from reqresp.script.payloads import (
    REQUEST_SOURCES,
    RULE_SOURCES,
    Template,
    TemplateContext,
    group_sources,
    read_payload,
)
from reqresp.script.schema import PayloadTable
from tests.support.live import temporary

PROPERTY = settings(deadline=None, derandomize=True, max_examples=200)
NAMES = {**REQUEST_SOURCES, **RULE_SOURCES}


def read(*, names: Any = NAMES, base: Path = Path(), **ways: Any) -> bytes | Template:
    """What a table comes to."""
    return read_payload(PayloadTable(**ways), base, names)


def client(number: int = 7, taken: int = 3, peer: Any = None) -> Any:
    """A connection, as far as payloads look at it."""
    peer = peer or IPv4Address("TCP", "192.0.2.1", 50000)
    return SimpleNamespace(number=number, taken=taken, peer=peer)


def filled(
    template: bytes | Template, data: bytes = b"", match: Any = None, count: int = 0
) -> bytes:
    """What it comes to for a request."""
    assert isinstance(template, Template), template
    return template.fill_from(TemplateContext(data, client(), match, count))


def matched(patterns: list[str], text: str, data: bytes) -> bytes:
    """What a template comes to with the groups of the first of *patterns* that fits."""
    compiled = [compile_pattern(pattern.encode()) for pattern in patterns]
    match = next(match for pattern in compiled if (match := pattern.fullmatch(data)))
    return filled(read(template=text, names=group_sources(compiled)), data, match)


class PayloadTestCase(SynchronousTestCase):
    """What tests of payloads need."""

    def assert_none(self, expected: str, **ways: Any) -> None:
        """It is no payload, and this says why."""
        with self.assertRaises(ValueError) as caught:
            read(**ways)
        self.assertEqual(str(caught.exception), expected)


class BytesTests(PayloadTestCase):
    """What is the same for every request."""

    def test_text_is_utf8(self) -> None:
        """Alone or in a table; braces mean nothing in it."""
        self.assertEqual(read_payload("{0} é", Path(), NAMES), "{0} é".encode())
        self.assertEqual(read(text="{0} é"), "{0} é".encode())
        self.assertEqual(read(text=""), b"")

    @PROPERTY
    @given(st.binary(max_size=40), st.sampled_from(["", " ", "\n", "\t "]))
    def test_hex_is_any_bytes(self, data: bytes, blank: str) -> None:
        """With blanks between bytes, in either case."""
        self.assertEqual(read(hex=blank.join(f"{byte:02x}" for byte in data)), data)
        self.assertEqual(read(hex=data.hex().upper()), data)

    @PROPERTY
    @given(st.binary(max_size=40), st.integers(1, 9))
    def test_base64_is_any_bytes(self, data: bytes, width: int) -> None:
        """In lines of any length."""
        text = base64.b64encode(data).decode()
        lines = [text[start : start + width] for start in range(0, len(text), width)]
        self.assertEqual(read(base64="\n  ".join(lines)), data)

    def test_what_is_no_hex(self) -> None:
        """An odd digit, a prefix, letters of other scripts."""
        for digits in ("0", "0x00", "zz", "0 0", "٣٣", "00\0"):
            self.assert_none(f"expected pairs of hex digits, found {digits!r}", hex=digits)
        self.assert_none(f"expected pairs of hex digits, found {'z' * 60!r}", hex="z" * 999)

    def test_what_is_no_base64(self) -> None:
        """Nothing is guessed."""
        for text in ("a", "YQ", "YQ==YQ==", "Y-Q=", "é", "YQ==\0"):
            with self.assertRaisesRegex(ValueError, r"\Aexpected base64, found '.*' \(.+\)\Z"):
                read(base64=text)

    def test_a_file_stands_beside_the_script(self) -> None:
        """Or wherever its path says; it is taken as it is."""
        base = temporary(self)
        data = bytes(range(256)) + b"\r\n{0}"
        (base / "a file").write_bytes(data)
        (base / "empty").touch()
        self.assertEqual(read(file="a file", base=base), data)
        self.assertEqual(read(file=str(base / "a file")), data)
        self.assertEqual(read(file="empty", base=base), b"")

    def test_what_is_no_file(self) -> None:
        """Missing, a directory, the way there is barred, or no name at all."""
        base = temporary(self)
        (base / "file").touch()
        os.mkfifo(base / "pipe")
        for name, reason in {
            "missing": "cannot be read: No such file or directory",
            "\n": "cannot be read: No such file or directory",
            ".": "is not a regular file",
            "": "is not a regular file",
            "pipe": "is not a regular file",
            "file/inside": "cannot be read: Not a directory",
            "a\0b": "embedded null byte",
            "x" * 300: "cannot be read: File name too long",
        }.items():
            self.assert_none(f"{str(base / name)!r} {reason}", file=name, base=base)

    def test_too_large_a_file(self) -> None:
        """A script holds all of it in memory."""
        base = temporary(self)
        with (base / "large").open("wb") as file:
            file.truncate(64 * 1024 * 1024 + 1)
        path = str(base / "large")
        self.assert_none(f"{path!r} is larger than 67108864 bytes", file="large", base=base)

    def test_one_way_to_write_it(self) -> None:
        """Neither none nor two."""
        ways = "expected exactly one of text, hex, base64, file, template, template_hex; found"
        self.assert_none(f"{ways} 0")
        self.assert_none(f"{ways} 0", raw=True)
        self.assert_none(f"{ways} 2", text="", hex="")


class TemplateTests(PayloadTestCase):
    """What depends on the request."""

    def test_what_there_is_to_fill_in(self) -> None:
        """The request, who asks, and how often."""
        text = "{0}|{peer}|{connection}|{request}|{count}"
        self.assertEqual(
            filled(read(template=text), b"a\xff{0}", count=12), b"a\xff{0}|192.0.2.1:50000|7|3|12"
        )

    def test_peers_of_other_kinds(self) -> None:
        """As they are logged; a path may be no UTF-8."""
        template = read(template="{peer}")
        assert isinstance(template, Template)
        for peer, expected in (
            (IPv6Address("TCP", "::1", 9), b"[::1]:9"),
            (UNIXAddress(b"/tmp/it"), b"/tmp/it"),
            (UNIXAddress(None), b"a UNIX socket"),
        ):
            self.assertEqual(template.fill(b"", client(peer=peer)), expected)

    def test_names_stand_anywhere(self) -> None:
        """Also first, last, next to each other, and again."""
        self.assertEqual(filled(read(template="{0}{0} é {0}"), b"x"), "xx é x".encode())

    def test_braces_are_doubled(self) -> None:
        """Each pair is one; without a name it is no template, but bytes."""
        self.assertEqual(read(template="{{}} {{0}}"), b"{} {0}")
        self.assertEqual(read(template=""), b"")
        self.assertEqual(filled(read(template="{{{0}}}"), b"x"), b"{x}")
        self.assertEqual(filled(read(template="{{0}}{0}}}{{"), b"x"), b"{0}x}{")

    @PROPERTY
    @given(st.lists(st.sampled_from(["{", "}", "a", "é", "\n", None]), max_size=9))
    def test_any_text_can_be_written(self, pieces: list[str | None]) -> None:
        """Escaped, it comes back; names in it are filled in."""
        text = "".join("{0}" if it is None else it * (1 + (it in "{}")) for it in pieces)
        expected = "".join("!" if it is None else it for it in pieces).encode()
        found = read(template=text)
        self.assertEqual(found if isinstance(found, bytes) else filled(found, b"!"), expected)

    def test_a_single_brace(self) -> None:
        """Is a mistake, and both remedies are said."""
        for text, brace in (("{", "{"), ("a}", "}"), ("{0}}", "}"), ("{a{0}", "{"), ("{{}", "}")):
            self.assert_none(
                f"unpaired {brace!r}: write {brace * 2!r} for the character itself", template=text
            )

    def test_unknown_names(self) -> None:
        """With the nearest, or all there are."""
        for text, message in (
            ("{cuont}", "unknown name 'cuont'; did you mean count?"),
            ("{Peer}", "unknown name 'Peer'; did you mean peer?"),
            ("{ 0}", "unknown name ' 0'; did you mean 0?"),
            ("{}", "unknown name ''; expected one of: 0, peer, connection, request, count"),
            ("{é\n}", "unknown name 'é\\n'; expected one of: 0, peer, connection, request, count"),
        ):
            self.assert_none(message, template=text)
        self.assert_none(
            "unknown name 'count'; expected one of: 0, peer, connection, request",
            template="{count}",
            names=REQUEST_SOURCES,
        )

    def test_hex_around_bytes(self) -> None:
        """What is filled in stays as it came; the rest is digits, with blanks."""
        self.assertEqual(filled(read(template_hex="00 {0}FF{0} 0a"), b"z9"), b"\0z9\xffz9\n")
        self.assertEqual(filled(read(template_hex="{0}"), b"\x80"), b"\x80")
        self.assertEqual(read(template_hex="0aff"), b"\n\xff")

    def test_hex_is_whole_between_names(self) -> None:
        """No name splits a byte, and no brace is a digit."""
        for text, found in (("0{0}0", "0"), ("00{0}0", "0"), ("xx{0}", "xx"), ("{{00", "{00")):
            self.assert_none(f"expected pairs of hex digits, found {found!r}", template_hex=text)

    def test_where_there_is_no_request(self) -> None:
        """Nothing can be filled in, not even nothing."""
        for ways in ({"template": "a"}, {"template_hex": ""}):
            self.assert_none(
                "expected no template: this key takes only fixed bytes", names=None, **ways
            )


class GroupsTests(PayloadTestCase):
    """What patterns find."""

    def test_by_name_and_by_number(self) -> None:
        """A named group has a number, too."""
        self.assertEqual(
            matched([r"(\w+) (?P<host>\S+)"], "{host}|{1}|{2}|", b"EHLO a.b"), b"a.b|EHLO|a.b|"
        )

    def test_bytes_stay_bytes(self) -> None:
        """Whatever they are."""
        self.assertEqual(matched(["(?s)(.)(.*)"], "{2}{1}", b"\xff\n\x80"), b"\n\x80\xff")

    def test_a_group_that_took_no_part_is_empty(self) -> None:
        """As is one that found nothing."""
        self.assertEqual(matched(["(?P<x>a)|(b)()"], "<{x}{3}>{2}", b"b"), b"<>b")

    def test_patterns_that_number_a_name_differently(self) -> None:
        """The name is that of the pattern that fitted."""
        patterns = [r"(a)(?P<x>\d)", r"(?P<x>[bc])(\d)", r"(d)()(?P<x>.)"]
        for data, expected in ((b"a1", b"1"), (b"b1", b"b"), (b"c2", b"c"), (b"d3", b"3")):
            self.assertEqual(matched(patterns, "{x}", data), expected)

    def test_only_what_all_patterns_have(self) -> None:
        """Whichever of them fits, there has to be something."""
        patterns = [compile_pattern(it) for it in (b"(?P<x>a)(?P<y>b)", b"(?P<y>c)", b"(d)(?P<y>)")]
        self.assertEqual({*group_sources(patterns)}, {"y", "1"})
        self.assertEqual({*group_sources(patterns[:1])}, {"x", "y", "1", "2"})
        self.assertEqual(group_sources([]), {})
        self.assertEqual(group_sources([compile_pattern(b"a"), patterns[0]]), {})

    def test_names_that_are_no_ascii_are_numbers_alone(self) -> None:
        """RE2 reads another name than the script has, where it takes it at all."""
        self.assertEqual({*group_sources([compile_pattern("(?P<ê>a)".encode())])}, {"1"})
