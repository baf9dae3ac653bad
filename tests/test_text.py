"""How bytes and addresses are written for people."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.address import HostnameAddress, IPv4Address, IPv6Address, UNIXAddress
from twisted.trial.unittest import SynchronousTestCase

from reqresp._text import (
    MAX_COMPARED_CHARACTERS,
    MAX_COMPARED_NAMES,
    escape,
    escape_lines,
    format_address,
    printable,
    printable_lines,
    similar,
    unescape,
    unknown,
)

PROPERTY = settings(derandomize=True)


class UnescapeTests(SynchronousTestCase):
    """`unescape`."""

    def test_named_escapes(self) -> None:
        """Each one-letter escape is the control character that C gives that name."""
        self.assertEqual(unescape(r"a\r\n\t\0z"), b"a\r\n\t\x00z")

    def test_a_backslash_is_doubled(self) -> None:
        """A doubled backslash is one backslash, and starts no escape."""
        self.assertEqual(unescape(r"\\n\\\n"), b"\\n\\\n")

    def test_a_byte_by_its_number(self) -> None:
        """Two digits make a byte, in either case; a third is text."""
        self.assertEqual(unescape(r"\x00\xfF\x411"), b"\x00\xffA1")

    def test_other_text_is_utf_8(self) -> None:
        """Other text is encoded in UTF-8."""
        self.assertEqual(unescape("größer %s {x}"), "größer %s {x}".encode())

    def test_bytes_that_were_no_utf_8(self) -> None:
        """Bytes of an argument that are not UTF-8 are restored."""
        passed = b"\xff\xfe".decode("utf-8", "surrogateescape")
        self.assertEqual(unescape(passed), b"\xff\xfe")

    def test_nothing(self) -> None:
        """Empty text is empty bytes."""
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
                rf"unknown escape {found}; expected one of: \r, \n, \t, \0, \\, \xNN",
            )

    @PROPERTY
    @given(st.binary())
    def test_all_bytes_can_be_typed(self, data: bytes) -> None:
        """Every byte can be written as an escape."""
        self.assertEqual(unescape("".join(f"\\x{byte:02x}" for byte in data)), data)

    @PROPERTY
    @given(st.text(st.characters(codec="utf-8")))
    def test_doubled_backslashes_are_all_that_text_needs(self, text: str) -> None:
        """Text in which each backslash is doubled means itself."""
        self.assertEqual(unescape(text.replace("\\", "\\\\")), text.encode())


class EscapeTests(SynchronousTestCase):
    """Bytes as text that can be sent again."""

    def test_escapes(self) -> None:
        """Printable characters stand for themselves; all others are escaped."""
        for data, text in (
            (b"250 ok 'x' \"y\"", "250 ok 'x' \"y\""),
            ("grün 日本".encode(), "grün 日本"),
            (b"a\\b\r\n\t\0", r"a\\b\r\n\t\0"),
            (b"\x1b[31m\x7f", r"\x1b[31m\x7f"),
            (b"\xff\xfe\xc3", r"\xff\xfe\xc3"),
            ("\u202e\u2028\xa0".encode(), r"\xe2\x80\xae\xe2\x80\xa8\xc2\xa0"),
            (b"", ""),
        ):
            self.assertEqual(escape(data), text)

    @PROPERTY
    @given(st.one_of(st.binary(), st.text().map(lambda text: text.encode("utf-8", "replace"))))
    def test_escaped_bytes_can_be_read_back(self, data: bytes) -> None:
        """Any bytes are one line of text, from which the same bytes are read."""
        text = escape(data)
        self.assertEqual(unescape(text), data)
        self.assertTrue(text.isprintable(), text)

    def test_lines(self) -> None:
        """`escape_lines` breaks the text after each LF, and nowhere else."""
        self.assertEqual(escape_lines(b"a\\n\r\nb\n\nc\xff"), "a\\\\n\\r\\n\nb\\n\n\\n\nc\\xff")

    def test_rare_characters_take_no_memory_for_good(self) -> None:
        """Text of very many different characters is escaped all the same."""
        text = "".join(map(chr, range(0x4E00, 0x9000)))
        self.assertEqual(escape(text.encode() * 2), text * 2)
        self.assertEqual(escape(b"\r"), r"\r")


class PrintableTests(SynchronousTestCase):
    """`printable` and `printable_lines`."""

    def test_printable_text(self) -> None:
        """Text in any script stays as it is."""
        for text in ("", "a b", "größer", "日本語", "{x}"):
            self.assertEqual(printable(text), text)

    def test_anything_else(self) -> None:
        """Control, invisible and undecodable characters are escaped."""
        self.assertEqual(
            printable("a\n\r\t\x00\x1b\x7f\x9b\u202e\u200b\udcff\U000e0001"),
            r"a\n\r\t\x00\x1b\x7f\x9b\u202e\u200b\udcff\U000e0001",
        )

    @PROPERTY
    @given(st.text())
    def test_any_text_becomes_one_line(self, text: str) -> None:
        """The result is printable, and can be encoded."""
        self.assertTrue(printable(text).isprintable())
        printable(text).encode()

    def test_lines(self) -> None:
        """Line feeds stay; what else ends a line is escaped."""
        self.assertEqual(printable_lines("a\nb\r\n\u2028c"), "a\nb\\r\n\\u2028c")


class FormatAddressTests(SynchronousTestCase):
    """`format_address`."""

    def test_ipv4(self) -> None:
        """An IPv4 address is the host, a colon and the port."""
        self.assertEqual(format_address(IPv4Address("TCP", "127.0.0.1", 9999)), "127.0.0.1:9999")

    def test_ipv6(self) -> None:
        """An IPv6 address has the host in brackets, before a colon and the port."""
        self.assertEqual(format_address(IPv6Address("TCP", "::1", 9999)), "[::1]:9999")

    def test_a_unix_socket_with_a_path(self) -> None:
        """A UNIX socket is its path."""
        for path in ("/run/client.sock", "/run/a-b_c+d@2/é.sock"):
            self.assertEqual(format_address(UNIXAddress(path)), path)

    def test_a_path_that_looks_like_something_else(self) -> None:
        """A path that is relative, or has other characters, is in quotes."""
        for path in ("1.2.3.4:5", "/a: b'STAT'", "a UNIX socket", "[::1]:80", "/a b", "a.sock"):
            self.assertEqual(format_address(UNIXAddress(path)), repr(path))

    def test_a_unix_socket_without_a_name(self) -> None:
        """A UNIX socket without a name is called so."""
        self.assertEqual(format_address(UNIXAddress(None)), "a UNIX socket")

    def test_a_unix_socket_with_an_empty_name(self) -> None:
        """A UNIX socket with an empty name has none: so Twisted passes it."""
        self.assertEqual(format_address(UNIXAddress(b"")), "a UNIX socket")

    def test_a_unix_socket_cannot_break_a_line(self) -> None:
        """Control characters in the path of a client are escaped."""
        for name in (b"/run/a\nfrom client b", b"/run/a\rb", b"\0abstract", b"/run/\x1b[2J"):
            shown = format_address(UNIXAddress(name))
            self.assertTrue(shown.isprintable(), f"{name!r} is shown as {shown!r}")

    def test_a_unix_socket_whose_path_is_no_text(self) -> None:
        """A path that is not UTF-8 can be written to a log."""
        shown = format_address(UNIXAddress(b"/run/\xff.sock"))
        self.assertIn(b"/run/", shown.encode("utf-8"))

    def test_any_other_address(self) -> None:
        """An address of another kind is its `str`."""
        address = HostnameAddress(b"example.com", 80)
        self.assertEqual(format_address(address), str(address))


class UnknownTests(SynchronousTestCase):
    """Misspelt names."""

    def test_a_similar_name(self) -> None:
        """The similar name is suggested."""
        names = ["reply", "reply_framing", "cycle", "close"]
        for name, near in (("repyl", "reply"), ("Reply", "reply"), ("clos", "close")):
            self.assertEqual(
                unknown("key", name, names), f"unknown key {name!r}; did you mean {near}?"
            )

    def test_names_that_begin_alike(self) -> None:
        """Of names that differ as much, the one that begins alike is suggested."""
        self.assertEqual(similar("frame", ["name", "framing"]), "framing")
        self.assertEqual(similar("clsoe", ["lose", "close"]), "close")

    def test_no_similar_name(self) -> None:
        """All names are listed, up to a limit; names whose end would not be clear are quoted."""
        self.assertEqual(
            unknown("key", "zzz", ["a", "b"]), "unknown key 'zzz'; expected one of: a, b"
        )
        self.assertEqual(
            unknown("state", "zzz", ["", "a\n"]), r"unknown state 'zzz'; expected one of: '', 'a\n'"
        )
        self.assertEqual(
            unknown("rule", "zzz", ["say a, b", "rule[1]", "it's"]),
            "unknown rule 'zzz'; expected one of: 'say a, b', rule[1], \"it's\"",
        )
        self.assertEqual(unknown("state", "a", []), "unknown state 'a'")
        many = [f"s{number}" for number in range(31)]
        self.assertTrue(unknown("state", "zzz", many[:30]).endswith(", s29"))
        self.assertTrue(unknown("state", "zzz", many).endswith(", s29, ..."))

    def test_long_names(self) -> None:
        """Long names are shortened."""
        self.assertLess(len(unknown("key", "z" * 10_000, ["a"])), 100)

    def test_a_bounded_number_of_names_is_compared(self) -> None:
        """However many names there are, so many are looked at."""
        names = iter([f"s{number}" for number in range(10_000)])
        unknown("state", "s9999x", names)
        self.assertEqual(next(names), f"s{MAX_COMPARED_NAMES + 1}")

    def test_long_names_are_not_compared(self) -> None:
        """To compare long names takes long, so they are only listed, shortened."""
        long = "s" * (MAX_COMPARED_CHARACTERS + 1)
        self.assertIn("expected one of: ss", unknown("state", long, [long[1:]]))
        self.assertIn("expected one of: ss", unknown("state", long[1:], [long]))
        self.assertIn("did you mean ss", unknown("state", long[1:], [long[2:]]))
        self.assertLess(len(unknown("key", "a", ["z" * 10_000] * 30)), 2500)
