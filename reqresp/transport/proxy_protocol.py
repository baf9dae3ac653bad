"""
PROXY headers: what a balancer says of a client, before the client's first byte; sans-I/O.

Knows bytes and addresses: no transport, no clock, nor whom to believe.  Both versions are read, and
told apart by their first byte; bytes that begin neither are refused at the first that differs.

:source: https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt, of 2020/03/05
"""

from socket import AF_INET, AF_INET6, inet_ntop, inet_pton
from struct import Struct

from attrs import frozen
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IAddress

#: What a version 2 header begins with, and a version 1 header.
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
PROXY = b"PROXY "
#: Bytes of a version 1 header, at most, its CRLF included.
LONGEST_LINE = 107
#: Bytes that may follow the first 16 of a version 2 header.  It is meant to fit a segment of 536,
#: and what TLS adds, such as a client certificate's name, makes it longer; yet 64 KiB, which could
#: be announced, would let ten thousand connections hold 640 MB before any of them is known.
MOST = 4096

_FIXED = 16  # bytes of version 2 before the addresses
_LOCAL, _RELAYED = 0x20, 0x21  # version and command
_UNSPECIFIED, _STREAM, _DATAGRAMS = range(3)  # transports
_UNKNOWN, _INET, _INET6, _UNIX = range(0, 0x40, 0x10)  # families
_IPV4 = Struct("!4s4sHH")
_IPV6 = Struct("!16s16sHH")
_PATHS = Struct("!108s108s")
_LAYOUTS = {_INET: _IPV4, _INET6: _IPV6, _UNIX: _PATHS}
_CRC32C = 0x03  # the type of a checksum


class ProxyError(ValueError):
    """The bytes are no PROXY header, or none that a stream may begin with."""


@frozen
class Header:
    """
    Who connected to the balancer, and where.

    Both are None where the balancer speaks for itself (``LOCAL``, as in its health checks) or does
    not know (``UNKNOWN``, an unspecified family): then the connection's own addresses count.
    """

    source: IAddress | None = None
    destination: IAddress | None = None


class ProxyDecoder:
    """Reads the header of one connection."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept = bytearray()

    def __len__(self) -> int:
        """How many bytes of an unfinished header are kept."""
        return len(self._kept)

    def feed(self, data: bytes) -> tuple[Header, bytes] | None:
        """
        Take *data* as it arrived; give the header, once it is complete, and the bytes behind it.

        Nothing can be fed behind that.  Of what may follow the addresses in version 2, a checksum
        is checked, and all else passed over.

        :raises ProxyError: it is malformed.  Nothing can be fed any more.
        """
        kept = self._kept
        kept += data
        size = _size(kept)
        if size is None or len(kept) < size:
            return None
        header = bytes(kept[:size])
        parse = _parse_line if header[:1] == PROXY[:1] else _parse_binary
        return parse(header), bytes(kept[size:])


def _size(head: bytearray) -> int | None:
    """Tell how long the header is that begins with *head*; None as long as nobody can know."""
    if _may_begin(head, SIGNATURE):
        return _binary_size(head)
    if _may_begin(head, PROXY):
        return _line_size(head)
    raise ProxyError(f"no PROXY header, for it begins with {bytes(head[:12])!r}")


def _may_begin(head: bytearray, start: bytes) -> bool:
    return head[: len(start)] == start[: len(head)]


# Version 1


def _line_size(head: bytearray) -> int | None:
    end = head.find(b"\r\n", 0, LONGEST_LINE)
    if end >= 0:
        return end + 2
    if len(head) >= LONGEST_LINE:
        raise ProxyError(f"the PROXY line has more than {LONGEST_LINE} bytes")
    if b"\n" in head and not head.startswith(b"PROXY UNKNOWN"):
        # Nothing may follow that would end it, so why wait?
        raise ProxyError("the PROXY line ends with LF, not with CRLF")
    return None


def _parse_line(line: bytes) -> Header:
    _proxy, *fields = line[:-2].split(b" ")
    if fields[0] == b"UNKNOWN":
        return Header()  # whatever follows
    if fields[0] not in (b"TCP4", b"TCP6"):
        raise ProxyError(f"the PROXY line is of {_shown(fields[0])}, not of TCP4, TCP6 or UNKNOWN")
    if len(fields) != 5:
        raise ProxyError(f"the PROXY line has {len(fields) - 1} fields behind TCP*, not 4")
    kind, source, destination, from_port, to_port = fields
    family = AF_INET if kind == b"TCP4" else AF_INET6
    return Header(
        _address(family, _packed(family, source), _port(from_port)),
        _address(family, _packed(family, destination), _port(to_port)),
    )


def _port(text: bytes) -> int:
    number = int(text) if text.isdigit() and len(text) <= 5 else -1
    if b"%d" % number != text or number > 0xFFFF:
        raise ProxyError(f"the PROXY line has {_shown(text)} for a port")
    return number


def _packed(family: int, text: bytes) -> bytes:
    try:
        # A balancer writes an IPv4 address within IPv6 as the system does, so ours may read it.
        return inet_pton(family, text.decode("ascii"))
    except (OSError, ValueError):
        version = 4 if family == AF_INET else 6
        raise ProxyError(f"the PROXY line has {_shown(text)} for an IPv{version} address") from None


def _shown(text: bytes) -> str:
    return repr(text) if len(text) <= 40 else f"{text[:40]!r}..."


# Version 2


def _binary_size(head: bytearray) -> int | None:
    if len(head) > 12:
        _check_command(head[12])
    if len(head) > 13 and head[12] == _RELAYED:
        _check_family(head[13])
    if len(head) < _FIXED:
        return None
    length = head[14] << 8 | head[15]
    if length > MOST:
        raise ProxyError(f"the PROXY header has {length} bytes of addresses and more, over {MOST}")
    layout = _layout(head)
    if layout is not None and length < layout.size:
        raise ProxyError(f"the PROXY header has {length} bytes for addresses of {layout.size}")
    return _FIXED + length


def _check_command(byte: int) -> None:
    if byte >> 4 != 2:
        raise ProxyError(f"the PROXY header is of version {byte >> 4}, not 2")
    if byte not in (_LOCAL, _RELAYED):
        raise ProxyError(f"the PROXY header has command {byte & 15}, neither LOCAL nor PROXY")


def _check_family(byte: int) -> None:
    if byte & 15 == _DATAGRAMS:
        raise ProxyError("the PROXY header is of datagrams, on a stream")
    if byte & 15 > _DATAGRAMS or byte & 0xF0 > _UNIX:
        raise ProxyError(f"the PROXY header has family and transport 0x{byte:02x}, unassigned")


def _layout(head: bytes | bytearray) -> Struct | None:
    """How the addresses are written, if there are any that count."""
    if head[12] == _LOCAL or head[13] & 15 == _UNSPECIFIED:
        return None
    return _LAYOUTS.get(head[13] & 0xF0)


def _parse_binary(header: bytes) -> Header:
    layout = _layout(header)
    if layout is None:
        return Header()
    _check_rest(header, _FIXED + layout.size)
    source, destination, *ports = layout.unpack_from(header, _FIXED)
    if layout is _PATHS:
        return Header(_unix(source), _unix(destination))
    family = AF_INET if layout is _IPV4 else AF_INET6
    return Header(*map(_address, (family, family), (source, destination), ports))


def _address(family: int, packed: bytes, port: int) -> IAddress:
    """Give an address the one way that the system writes it: clients are told apart by it."""
    kind = IPv4Address if family == AF_INET else IPv6Address
    return kind("TCP", inet_ntop(family, packed), port)


def _unix(path: bytes) -> UNIXAddress:
    """
    Give the address of a UNIX socket.

    One without a name has none here either, nor has an abstract one, whose name begins with a zero:
    Twisted asks the file system for a name, which refuses those.
    """
    name, _, _ = path.partition(b"\0")
    return UNIXAddress(name or None)


def _check_rest(header: bytes, at: int) -> None:
    """
    Walk what follows the addresses, as far as to see that it adds up, and to check a checksum.

    :source: section 2.2.3: who knows of checksums must refuse a header with one that is wrong.
    """
    while at < len(header):
        value = at + 3
        end = value + int.from_bytes(header[at + 1 : value])
        if value > len(header) or end > len(header):
            raise ProxyError("the PROXY header ends within an extension of it")
        if header[at] == _CRC32C:
            without = header[:value] + bytes(end - value) + header[end:]
            if header[value:end] != _crc32c(without).to_bytes(4):
                raise ProxyError("the PROXY header has a checksum that is wrong")
        at = end


def _crc32c(data: bytes) -> int:
    """
    Give the CRC32c of *data*, whose first byte on the wire is its highest.

    :source: RFC 4960, appendix B, and what HAProxy sends
    """
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _CRCS[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def _crc_of(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
    return byte


_CRCS = tuple(map(_crc_of, range(256)))
