"""PROXY headers: how valid ones are parsed, and the errors for others."""

from ipaddress import ip_address
from random import Random
from typing import Any

from attrs.exceptions import FrozenInstanceError
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.protocols.haproxy._v1parser import V1Parser
from twisted.protocols.haproxy._v2parser import V2Parser
from twisted.trial.unittest import SynchronousTestCase

from reqresp.transport.proxy_protocol import (
    ProxyDecoder,
    ProxyError,
    ProxyHeader,
    encode_binary,
    encode_line,
)
from tests.support.proxy_headers import (
    FROM_HAPROXY,
    SIGNATURE,
    Place,
    binary,
    extension,
    line,
    mutated_headers,
    raw,
    summed,
    valid_header,
)
from tests.support.streams import cut, every_cut, single

PROPERTY = settings(derandomize=True, max_examples=300)
SEEDS = st.integers(0, 2**64)


def decode(*pieces: bytes) -> tuple[ProxyHeader, bytes] | None:
    """Return the header and the rest of the bytes; None: the header is incomplete."""
    decoder = ProxyDecoder()
    for at, piece in enumerate(pieces):
        if (found := decoder.feed(piece)) is not None:
            return found[0], found[1] + b"".join(pieces[at + 1 :])
    return None


def problem(*pieces: bytes) -> str:
    """Return the error for the bytes; an empty string: there is none."""
    try:
        decode(*pieces)
    except ProxyError as error:
        return str(error)
    return ""


def chance(seed: int) -> Random:
    """Return random numbers for *seed*."""
    return Random(seed)  # noqa: S311 (predictable on purpose)


def tcp(place: Place | None) -> IPv4Address | IPv6Address | None:
    """Return Twisted's address for a host and port."""
    if place is None:
        return None
    return (IPv6Address if ":" in place[0] else IPv4Address)("TCP", *place)


class HeaderTestCase(SynchronousTestCase):
    """Assertions on headers."""

    def assert_from(self, source: Any, header: bytes) -> None:
        """Assert the source of *header*, and that later bytes are returned."""
        for rest in (b"", b"GET / HTTP/1.1\r\n", b"\r\n", header):
            found = decode(header + rest)
            assert found is not None
            self.assertEqual((found[0].source, found[1]), (source, rest))

    def assert_refused(self, header: bytes, wording: str) -> None:
        self.assertEqual(problem(header), wording)


class ValidTests(HeaderTestCase):
    """Headers that balancers send."""

    def test_the_client_and_where_it_connected(self) -> None:
        """Both addresses are parsed, for both versions and families."""
        for client, service in (
            (("192.0.2.7", 56324), ("192.0.2.1", 443)),
            (("2001:db8::7", 0), ("2001:db8::1", 65535)),
        ):
            wanted = ProxyHeader(tcp(client), tcp(service))
            for header in (line(client, service), binary(client, service)):
                self.assertEqual(decode(header), (wanted, b""))

    def test_what_haproxy_writes(self) -> None:
        """Headers of HAProxy are parsed, for clients and for its health checks."""
        for header, client in FROM_HAPROXY.items():
            self.assert_from(tcp(client), header)

    def test_the_balancer_speaks_for_itself(self) -> None:
        """A LOCAL header has no addresses, for any family and any further bytes."""
        for family in (0x00, 0x11, 0x12, 0x21, 0xFF):
            for content in (b"", b"\1\2\3", bytes(4096)):
                self.assert_from(None, raw(0x20, family, content))

    def test_who_it_is_was_not_known(self) -> None:
        """A header of an unknown client has no addresses, and its rest is ignored."""
        for rest in ("", " ", " ::1 ::1 1 2", " \0\xff\r \n", " " + "f" * 91):
            self.assert_from(None, f"PROXY UNKNOWN{rest}\r\n".encode("latin-1"))
        for family in (0x00, 0x01, 0x10, 0x20, 0x30):
            for content in (b"", b"\1\2\3", bytes(300)):
                self.assert_from(None, raw(0x21, family, content))

    def test_an_address_is_written_one_way(self) -> None:
        """Addresses are returned in one notation, since limits compare them as text."""
        for text in ("2001:DB8:0:0:0:0:0:a", "2001:db8::000a", "2001:db8::0.0.0.10"):
            self.assert_from(tcp(("2001:db8::a", 1)), line((text, 1), ("::", 2)))
        for text in ("::ffff:192.0.2.7", "::ffff:c000:207"):
            for write in (line, binary):
                self.assert_from(tcp(("::ffff:192.0.2.7", 1)), write((text, 1), ("::", 2)))

    def test_the_longest_lines(self) -> None:
        """The longest lines of the specification are parsed."""
        full = "ffff:" * 7 + "ffff"
        lines = [
            (line(("255.255.255.255", 65535), ("255.255.255.255", 65535)), 56),
            (line((full, 65535), (full, 65535)), 104),
            (f"PROXY UNKNOWN {full} {full} 65535 65535\r\n".encode(), 107),
        ]
        for header, size in lines:
            self.assertEqual(len(header), size)
            self.assertEqual(problem(header), "")

    def test_unix_sockets(self) -> None:
        """The path of a UNIX socket is returned; an empty or abstract one is not a name."""
        for path, name in (
            (b"/run/client.sock", b"/run/client.sock"),
            (b"/" + b"x" * 107, b"/" + b"x" * 107),
            (b"/run/x\0left from before", b"/run/x"),
            (b"", None),
            (b"\0abstract", None),
        ):
            source = UNIXAddress(name)
            self.assert_from(source, binary(path, b"/run/service"))
            self.assertEqual(hash(source), hash(UNIXAddress(name)))

    def test_what_follows_the_addresses(self) -> None:
        """Extensions after the addresses are ignored."""
        behind = extension(1, b"h2") + extension(0x20, bytes(300)) + extension(0xFF, b"")
        for source, service in (
            (("192.0.2.7", 1), ("192.0.2.1", 2)),
            (("2001:db8::7", 1), ("::", 2)),
        ):
            self.assert_from(tcp(source), binary(source, service, behind))
        self.assert_from(UNIXAddress(b"/x"), binary(b"/x", b"/y", behind))

    def test_a_checksum(self) -> None:
        """A valid checksum is accepted in any position."""
        client = ("192.0.2.7", 1)
        self.assert_from(tcp(client), summed(binary(client)))
        self.assert_from(tcp(client), summed(binary(client, behind=extension(1, b"h2"))))

    def test_the_longest_header(self) -> None:
        """A header with 4096 bytes after the first 16 is parsed."""
        header = binary(("192.0.2.7", 1), behind=extension(4, bytes(4096 - 12 - 3)))
        self.assertEqual(len(header), 4112)
        self.assert_from(tcp(("192.0.2.7", 1)), header)

    def test_a_header_is_a_value(self) -> None:
        """A header can be compared, and is immutable."""
        header = ProxyHeader(tcp(("192.0.2.7", 1)))
        self.assertEqual(header, ProxyHeader(tcp(("192.0.2.7", 1)), None))
        with self.assertRaises(FrozenInstanceError):
            header.source = None  # type: ignore[misc]


class CutTests(HeaderTestCase):
    """Headers that arrive in pieces."""

    def test_every_cut(self) -> None:
        """Any cut gives the same result, and none before the header is complete."""
        for header in (
            line(("192.0.2.7", 1)),
            b"PROXY UNKNOWN\r\n",
            binary(("192.0.2.7", 1), behind=extension(4, b"\r\n")),
            raw(0x20, 0, b"x"),
        ):
            wanted = decode(header + b"a\r\n")
            for pieces in every_cut(header + b"a\r\n"):
                self.assertEqual(decode(*pieces), wanted)
            for size in range(len(header)):
                self.assertIsNone(decode(header[:size]))

    @PROPERTY
    @given(SEEDS, st.binary(max_size=50), st.sets(st.integers(0, 400)))
    def test_any_cut(self, seed: int, rest: bytes, places: set[int]) -> None:
        """Any header with any following bytes can be cut anywhere."""
        stream = valid_header(chance(seed)) + rest
        wanted = decode(stream)
        assert wanted is not None
        self.assertEqual(wanted[1], rest)
        self.assertEqual(decode(*cut(stream, {min(it, len(stream)) for it in places})), wanted)
        self.assertEqual(decode(*single(stream)), wanted)

    def test_what_is_kept_is_counted(self) -> None:
        """The length of the decoder is the number of bytes kept."""
        decoder = ProxyDecoder()
        self.assertEqual(len(decoder), 0)
        decoder.feed(b"")
        self.assertEqual(len(decoder), 0)
        decoder.feed(b"PRO")
        decoder.feed(b"XY")
        self.assertEqual(len(decoder), 5)

    def test_single_bytes_cost_no_more_than_their_number(self) -> None:
        """A long header in single bytes costs the same for each byte."""
        header = binary(("192.0.2.7", 1), behind=extension(4, bytes(4000)))
        looked_at = 0

        class Counted(bytearray):
            """A bytearray that counts the bytes read from it."""

            def __getitem__(self, key: Any) -> Any:
                nonlocal looked_at
                found = super().__getitem__(key)
                looked_at += 1 if isinstance(found, int) else len(found)
                return found

        decoder = ProxyDecoder()
        decoder._kept = Counted()
        for at in range(len(header) - 1):
            decoder.feed(header[at : at + 1])
        self.assertLess(looked_at, 50 * len(header))


class MalformedTests(HeaderTestCase):
    """Bytes that are not a header are refused, with an error that says what is wrong."""

    def test_something_else(self) -> None:
        """The error for other data quotes its first bytes."""
        for data, shown in (
            (b"GET / HTTP/1.1\r\nHost: x\r\n", "b'GET / HTTP/1'"),
            (b"\x16\x03\x01\x02\x00", "b'\\x16\\x03\\x01\\x02\\x00'"),
            (b"\r\n\r\n\x01", "b'\\r\\n\\r\\n\\x01'"),
            (b"PROXY\t", "b'PROXY\\t'"),
            (b"proxy ", "b'proxy '"),
        ):
            self.assert_refused(data, f"not a PROXY header: it starts with {shown}")

    def test_the_first_byte_that_differs(self) -> None:
        """A wrong byte is refused at once, in any position of the start."""
        starts = [(b"PROXY ", 6), (SIGNATURE, 12), (SIGNATURE + b"\x21\x11", 14)]
        for start, size in starts:
            for at in range(size):
                pieces = single(start[:at]) if at > 1 else [start[:at]]
                self.assertEqual(problem(*pieces), "")
                wrong = bytes([start[at] ^ 0x80])
                self.assertNotEqual(problem(*pieces, wrong), "", start[:at] + wrong)

    def test_lines(self) -> None:
        """Each field of a line is checked."""
        good = "PROXY TCP4 192.0.2.7 192.0.2.1 5 6"
        self.assertEqual(problem(f"{good}\r\n".encode()), "")
        known = "expected TCP4, TCP6 or UNKNOWN"
        for wrong, wording in {
            good.replace("TCP4", "UDP4"): f"unknown protocol b'UDP4'; {known}",
            good.replace("TCP4", "tcp4"): f"unknown protocol b'tcp4'; {known}",
            "PROXY ": f"unknown protocol b''; {known}",
            "PROXY UNKNOWN2": f"unknown protocol b'UNKNOWN2'; {known}",
            "PROXY TCP4": "0 fields after the protocol; expected 4",
            good + " ": "5 fields after the protocol; expected 4",
            good + " 7": "5 fields after the protocol; expected 4",
            good.replace(" 5", "  5"): "5 fields after the protocol; expected 4",
            good[:-2]: "3 fields after the protocol; expected 4",
            good.replace("TCP4", "TCP6"): "b'192.0.2.7' is not an IPv6 address",
            good.replace("192.0.2.1", "::1"): "b'::1' is not an IPv4 address",
            good.replace("TCP4 192.0.2.7", "TCP6 fe80::1%lo"): (
                "b'fe80::1%lo' is not an IPv6 address"
            ),
            good.replace(".7", ".07"): "b'192.0.2.07' is not an IPv4 address",
            good.replace(".7", ".256"): "b'192.0.2.256' is not an IPv4 address",
            good.replace("192.0.2.7", "3221225991"): "b'3221225991' is not an IPv4 address",
            good.replace(".7", ".\xff"): "b'192.0.2.\\xff' is not an IPv4 address",
            good.replace(".7", ".7\0"): "b'192.0.2.7\\x00' is not an IPv4 address",
            good.replace("192.0.2.7", ""): "b'' is not an IPv4 address",
            good.replace(" 5", " 05"): "b'05' is not a port",
            good.replace(" 5", " 65536"): "b'65536' is not a port",
            good.replace(" 5", " -5"): "b'-5' is not a port",
            good.replace(" 5", " +5"): "b'+5' is not a port",
            good.replace(" 5", " 5_5"): "b'5_5' is not a port",
            good.replace(" 5", " \xb2"): "b'\\xb2' is not a port",
            good.replace(" 6", " "): "b'' is not a port",
            good + "\r": "b'6\\r' is not a port",
            "PROXY " + "x" * 50: f"unknown protocol {b'x' * 40!r}...; {known}",
        }.items():
            self.assert_refused(f"{wrong}\r\n".encode("latin-1"), f"PROXY line: {wording}")

    def test_how_a_line_ends(self) -> None:
        """A line that ends without CRLF is refused at once."""
        wording = "PROXY line: ends with LF; expected CRLF"
        self.assert_refused(b"PROXY TCP4 192.0.2.7 192.0.2.1 5 6\n", wording)
        self.assert_refused(b"PROXY TCP4 192.0.2.7 192.0.2.1 5 6\nhello", wording)
        self.assertNotEqual(problem(b"PROXY TCP4 192.0.2.7 192.0.2.1 5 6\nhello\r\n"), "")
        self.assertNotEqual(problem(b"PROXY TCP4 192.0.2.7 192.0.2.1 5 6\rhello\r\n"), "")

    def test_a_line_without_end(self) -> None:
        """A line over 107 bytes is refused, wherever its CRLF is cut."""
        wording = "PROXY line: longer than 107 bytes"
        start = b"PROXY UNKNOWN ".ljust(105, b"x")
        self.assertEqual(problem(start + b"\r\n"), "")
        self.assertEqual(problem(start + b"x"), "")
        self.assert_refused(start + b"xx", wording)
        self.assert_refused(start + b"x\r\n", wording)
        self.assert_refused(start + b"x\r", wording)

    def test_versions_and_commands(self) -> None:
        """Unassigned versions and commands are refused at their byte."""
        for command, wording in (
            (0x11, "version 1; expected 2"),
            (0x31, "version 3; expected 2"),
            (0x00, "version 0; expected 2"),
            (0x22, "unknown command 2; expected 0 (LOCAL) or 1 (PROXY)"),
            (0x2F, "unknown command 15; expected 0 (LOCAL) or 1 (PROXY)"),
        ):
            self.assert_refused(SIGNATURE + bytes([command]), f"PROXY header: {wording}")

    def test_families_and_transports(self) -> None:
        """Of all 256 families and transports, those of streams are accepted."""
        valid = {0x00, 0x01, 0x10, 0x11, 0x20, 0x21, 0x30, 0x31}
        for family in range(256):
            said = problem(SIGNATURE + bytes([0x21, family]))
            if family in valid:
                self.assertEqual(said, "")
            elif family & 15 == 2:
                self.assertEqual(said, "PROXY header: a datagram transport; expected a stream")
            else:
                wording = f"PROXY header: unassigned family and transport 0x{family:02x}"
                self.assertEqual(said, wording)

    def test_too_few_bytes_for_addresses(self) -> None:
        """A length that is too short for the addresses is refused."""
        for family, size in ((0x11, 12), (0x21, 36), (0x31, 216)):
            self.assertEqual(problem(raw(0x21, family, length=size)), "")
            for length in (0, size - 1):
                self.assert_refused(
                    raw(0x21, family, length=length),
                    f"PROXY header: {length} bytes for addresses; expected at least {size}",
                )

    def test_too_many_bytes(self) -> None:
        """A length over the limit is refused, even if the bytes have no meaning."""
        for command, family in ((0x21, 0x11), (0x21, 0x00), (0x20, 0x00)):
            self.assert_refused(
                raw(command, family, length=4097),
                "PROXY header: 4097 bytes after the first 16; expected at most 4096",
            )

    def test_extensions_that_do_not_add_up(self) -> None:
        """An extension has at least three bytes, and ends within the header."""
        for behind in (b"\4", b"\4\0", b"\4\0\1", extension(4, b"abc")[:-1], b"\4\xff\xff"):
            self.assert_refused(
                binary(("192.0.2.7", 1), behind=behind),
                "PROXY header: the last extension is incomplete",
            )

    def test_a_wrong_checksum(self) -> None:
        """A wrong checksum is refused, for any changed bit and any other size."""
        header = summed(binary(("192.0.2.7", 1), behind=extension(1, b"h2")))
        wording = "PROXY header: wrong checksum"
        for at in (*range(16, 28), *range(31, 33), *range(36, 40)):
            for bit in range(8):
                changed = bytearray(header)
                changed[at] ^= 1 << bit
                self.assert_refused(bytes(changed), wording)
        for size in (0, 3, 5):
            self.assert_refused(binary(("192.0.2.7", 1), behind=extension(3, bytes(size))), wording)


class FuzzTests(HeaderTestCase):
    """Any bytes give a header or a `ProxyError`."""

    @PROPERTY
    @given(SEEDS)
    def test_mutated_headers(self, seed: int) -> None:
        """A mutated header gives the same result for any cut."""
        random = chance(seed)
        for _ in range(20):
            data = mutated_headers(random)
            wrong = problem(data)
            self.assertEqual(len(wrong.splitlines()), bool(wrong))
            self.assertLess(len(wrong), 300)
            self.assertEqual(bool(problem(*single(data))), bool(wrong), data)
            if not wrong:
                self.assertEqual(decode(*single(data)), decode(data))

    @PROPERTY
    @given(st.binary(max_size=300))
    def test_any_bytes(self, data: bytes) -> None:
        """Any bytes, after the start of a header too, give the same result for any cut."""
        for start in (b"", b"PROXY ", b"PROXY TCP6 ", SIGNATURE, SIGNATURE + b"\x21"):
            wrong = problem(start + data)
            self.assertEqual(bool(problem(*single(start + data))), bool(wrong))

    def test_mutations_are_of_every_kind(self) -> None:
        """Mutations give all three outcomes often, and depend on the seed only."""
        random = chance(6)
        found = [mutated_headers(random) for _ in range(3000)]
        refused = sum(bool(problem(data)) for data in found)
        complete = sum(not problem(data) and decode(data) is not None for data in found)
        for count in (refused, complete, len(found) - refused - complete):
            self.assertGreater(count, 100)
        again = chance(6)
        self.assertEqual(found, [mutated_headers(again) for _ in range(3000)])


PLACES4 = st.tuples(st.ip_addresses(v=4).map(str), st.integers(0, 65535))
PLACES6 = st.tuples(st.ip_addresses(v=6).map(str), st.integers(0, 65535))
PAIRS = st.tuples(PLACES4, PLACES4) | st.tuples(PLACES6, PLACES6)


class ComparedTests(HeaderTestCase):
    """Other implementations read the same headers."""

    @PROPERTY
    @given(PAIRS)
    def test_what_was_written_is_read(self, places: tuple[Place, Place]) -> None:
        """Any addresses and ports are parsed, in both versions."""
        for header in (line(*places), binary(*places), summed(binary(*places))):
            found = decode(header)
            assert found is not None
            for address, (host, port) in zip(
                (found[0].source, found[0].destination), places, strict=True
            ):
                assert isinstance(address, IPv4Address | IPv6Address)
                self.assertEqual((ip_address(address.host), address.port), (ip_address(host), port))

    @PROPERTY
    @given(PAIRS, st.binary(max_size=9))
    def test_twisted_reads_the_same(self, places: tuple[Place, Place], rest: bytes) -> None:
        """Twisted's parsers return the same addresses and rest."""
        for header, parser in ((line(*places), V1Parser()), (binary(*places), V2Parser())):
            ours, theirs = decode(header + rest), parser.feed(header + rest)
            assert ours is not None
            assert theirs[0] is not None
            self.assertEqual(ours[1], theirs[1])
            for address, other in (
                (ours[0].source, theirs[0].source),
                (ours[0].destination, theirs[0].destination),
            ):
                assert isinstance(address, IPv4Address | IPv6Address)
                assert isinstance(other, IPv4Address | IPv6Address)
                self.assertEqual(type(address), type(other))
                self.assertEqual(address.port, other.port)
                # Twisted does not always use the short form of an IPv6 address.
                self.assertEqual(ip_address(address.host), ip_address(other.host))

    def test_twisted_reads_what_haproxy_writes(self) -> None:
        """Twisted's parsers read HAProxy's headers as ours does."""
        for header, client in FROM_HAPROXY.items():
            parser = V2Parser() if header.startswith(SIGNATURE) else V1Parser()
            if header == b"PROXY UNKNOWN\r\n":
                continue  # Twisted expects a space after UNKNOWN
            info, rest = parser.feed(header)
            assert info is not None
            source: Any = info.source
            found = source and (str(ip_address(source.host)), source.port)
            self.assertEqual((found, rest), (client, b""))


ADDRESSES = st.one_of(
    st.tuples(st.ip_addresses(v=4), st.ip_addresses(v=4)),
    st.tuples(st.ip_addresses(v=6), st.ip_addresses(v=6)),
)
PORTS = st.tuples(st.integers(0, 0xFFFF), st.integers(0, 0xFFFF))


class EncodeTests(SynchronousTestCase):
    """Headers that are written."""

    @PROPERTY
    @given(ADDRESSES, PORTS)
    def test_what_is_written_is_read_again(self, hosts: Any, ports: Any) -> None:
        """Both versions keep both addresses, as this module and as Twisted read them."""
        kind = IPv4Address if hosts[0].version == 4 else IPv6Address
        source, destination = (
            kind("TCP", str(host), port) for host, port in zip(hosts, ports, strict=True)
        )
        header = ProxyHeader(source, destination)
        for written, parser in (
            (encode_line(header), V1Parser),
            (encode_binary(header), V2Parser),
        ):
            found = decode(written)
            assert found is not None
            self.assertEqual(
                [ip_address(it.host) for it in (found[0].source, found[0].destination)],  # type: ignore[union-attr]
                list(hosts),
            )
            self.assertEqual(
                [it.port for it in (found[0].source, found[0].destination)],  # type: ignore[union-attr]
                list(ports),
            )
            self.assertEqual(found[1], b"")
            info, rest = parser().feed(written + b"rest")
            its: Any = info
            self.assertEqual((ip_address(its.source.host), rest), (hosts[0], b"rest"))

    def test_unix_addresses_have_paths_in_version_2_only(self) -> None:
        """Version 1 says that it does not know them."""
        header = ProxyHeader(UNIXAddress("/run/a"), UNIXAddress("/run/b"))
        self.assertEqual(encode_line(header), b"PROXY UNKNOWN\r\n")
        self.assertEqual(decode(encode_binary(header)), (header, b""))

    def test_addresses_of_two_families_are_unknown(self) -> None:
        """Neither version can write them."""
        header = ProxyHeader(IPv4Address("TCP", "192.0.2.1", 1), IPv6Address("TCP", "::1", 2))
        self.assertEqual(encode_line(header), b"PROXY UNKNOWN\r\n")
        self.assertEqual(decode(encode_binary(header)), (ProxyHeader(), b""))

    def test_a_zone_is_left_out(self) -> None:
        """It names an interface of this machine."""
        header = ProxyHeader(
            IPv6Address("TCP", "fe80::1%eth0", 1), IPv6Address("TCP", "fe80::2", 2)
        )
        self.assertEqual(encode_line(header), b"PROXY TCP6 fe80::1 fe80::2 1 2\r\n")
        self.assertIsNotNone(decode(encode_binary(header)))
