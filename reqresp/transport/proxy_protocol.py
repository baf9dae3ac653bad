"""
PROXY headers: the client's address, as a balancer sends it before the client's first byte.

Parses bytes into addresses, and writes addresses as bytes, without I/O.  It must not know
transports, clocks, or which balancers are trusted.  The first byte decides between version 1 and
version 2.  Bytes that start neither are refused at the first wrong byte.

:source: https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt, of 2020/03/05
"""

from socket import AF_INET, AF_INET6, inet_ntop, inet_pton
from struct import Struct

from attrs import frozen
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IAddress

#: The first bytes of a version 2 header, and of a version 1 header.
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
PROXY = b"PROXY "
#: The longest version 1 header, in bytes, with its CRLF.
MAX_LINE = 107
#: The most bytes after the first 16 of a version 2 header.  A header is meant to fit a segment of
#: 536 bytes, and is longer if it describes TLS, with a certificate's name for example.  The format
#: allows 64 KiB: ten thousand unfinished headers would hold 640 MB.
MAX_BINARY_REST = 4096

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
    """The bytes are not a PROXY header, or not one for a stream."""


@frozen
class ProxyHeader:
    """
    The addresses in a PROXY header.

    Both are None if the balancer connects for itself (``LOCAL``, such as a health check) or does
    not know the client (``UNKNOWN``, or an unspecified family).  Then use the connection's own
    addresses.

    :param source: the client's address.
    :param destination: the address that the client connected to.
    """

    source: IAddress | None = None
    destination: IAddress | None = None


class ProxyDecoder:
    """Parses the header of one connection."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept = bytearray()

    def __len__(self) -> int:
        """Return how many bytes of an unfinished header are kept."""
        return len(self._kept)

    def feed(self, data: bytes) -> tuple[ProxyHeader, bytes] | None:
        """
        Take *data*, in pieces of any size.

        Of the extensions in version 2, a checksum is verified, and all others are ignored.  Do not
        call this again after a header was returned or an error raised.

        :return: the header and the bytes after it; None: the header is not complete yet.
        :raises ProxyError: the header is malformed.
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
    """Return the length of the header that starts with *head*; None if it is not known yet."""
    if _may_start(head, SIGNATURE):
        return _binary_size(head)
    if _may_start(head, PROXY):
        return _line_size(head)
    raise ProxyError(f"not a PROXY header: it starts with {bytes(head[:12])!r}")


def _may_start(head: bytearray, start: bytes) -> bool:
    return head[: len(start)] == start[: len(head)]


# Version 1


def _line_size(head: bytearray) -> int | None:
    end = head.find(b"\r\n", 0, MAX_LINE)
    if end >= 0:
        return end + 2
    if len(head) >= MAX_LINE:
        raise ProxyError(f"PROXY line: longer than {MAX_LINE} bytes")
    if b"\n" in head and not head.startswith(b"PROXY UNKNOWN"):
        # No later byte can make it valid.
        raise ProxyError("PROXY line: ends with LF; expected CRLF")
    return None


def _parse_line(line: bytes) -> ProxyHeader:
    _proxy, *fields = line[:-2].split(b" ")
    if fields[0] == b"UNKNOWN":
        return ProxyHeader()  # the specification says to ignore the rest of the line
    if fields[0] not in (b"TCP4", b"TCP6"):
        raise ProxyError(
            f"PROXY line: unknown protocol {_quoted(fields[0])}; expected TCP4, TCP6 or UNKNOWN"
        )
    if len(fields) != 5:
        raise ProxyError(f"PROXY line: {len(fields) - 1} fields after the protocol; expected 4")
    kind, source, destination, from_port, to_port = fields
    family = AF_INET if kind == b"TCP4" else AF_INET6
    return ProxyHeader(
        _address(family, _packed(family, source), _port(from_port)),
        _address(family, _packed(family, destination), _port(to_port)),
    )


def _port(text: bytes) -> int:
    number = int(text) if text.isdigit() and len(text) <= 5 else -1
    if b"%d" % number != text or number > 0xFFFF:
        raise ProxyError(f"PROXY line: {_quoted(text)} is not a port")
    return number


def _packed(family: int, text: bytes) -> bytes:
    try:
        # The system's own parser: balancers write an IPv4 address within IPv6 as the system does.
        return inet_pton(family, text.decode("ascii"))
    except (OSError, ValueError):
        version = 4 if family == AF_INET else 6
        raise ProxyError(f"PROXY line: {_quoted(text)} is not an IPv{version} address") from None


def _quoted(text: bytes) -> str:
    return repr(text) if len(text) <= 40 else f"{text[:40]!r}..."


def encode_line(header: ProxyHeader) -> bytes:
    """
    Return *header* as version 1, which knows TCP addresses only.

    Addresses of other kinds, and of two families, are written as unknown.
    """
    source, destination = header.source, header.destination
    for kind, name in ((IPv4Address, "TCP4"), (IPv6Address, "TCP6")):
        if isinstance(source, kind) and isinstance(destination, kind):
            hosts = f"{_host(source)} {_host(destination)}"
            return f"PROXY {name} {hosts} {source.port} {destination.port}\r\n".encode("ascii")
    return b"PROXY UNKNOWN\r\n"


def _host(address: IPv4Address | IPv6Address) -> str:
    return address.host.partition("%")[0]  # without a zone, which means nothing elsewhere


# Version 2


def encode_binary(header: ProxyHeader) -> bytes:
    """
    Return *header* as version 2.

    Addresses of two families, and unknown ones, are written as unspecified.
    """
    source, destination = header.source, header.destination
    for kind, family, packed, layout in (
        (IPv4Address, _INET, AF_INET, _IPV4),
        (IPv6Address, _INET6, AF_INET6, _IPV6),
    ):
        if isinstance(source, kind) and isinstance(destination, kind):
            hosts = (inet_pton(packed, _host(it)) for it in (source, destination))
            return _binary(family | _STREAM, layout.pack(*hosts, source.port, destination.port))
    if isinstance(source, UNIXAddress) and isinstance(destination, UNIXAddress):
        return _binary(_UNIX | _STREAM, _PATHS.pack(source.name or b"", destination.name or b""))
    return _binary(_UNSPECIFIED, b"")


def _binary(kind: int, addresses: bytes) -> bytes:
    return SIGNATURE + bytes((_RELAYED, kind)) + len(addresses).to_bytes(2) + addresses


def _binary_size(head: bytearray) -> int | None:
    if len(head) > 12:
        _check_command(head[12])
    if len(head) > 13 and head[12] == _RELAYED:
        _check_family(head[13])
    if len(head) < _FIXED:
        return None
    length = head[14] << 8 | head[15]
    if length > MAX_BINARY_REST:
        limit = f"expected at most {MAX_BINARY_REST}"
        raise ProxyError(f"PROXY header: {length} bytes after the first {_FIXED}; {limit}")
    layout = _layout(head)
    if layout is not None and length < layout.size:
        raise ProxyError(
            f"PROXY header: {length} bytes for addresses; expected at least {layout.size}"
        )
    return _FIXED + length


def _check_command(byte: int) -> None:
    if byte >> 4 != 2:
        raise ProxyError(f"PROXY header: version {byte >> 4}; expected 2")
    if byte not in (_LOCAL, _RELAYED):
        raise ProxyError(
            f"PROXY header: unknown command {byte & 15}; expected 0 (LOCAL) or 1 (PROXY)"
        )


def _check_family(byte: int) -> None:
    if byte & 15 == _DATAGRAMS:
        raise ProxyError("PROXY header: a datagram transport; expected a stream")
    if byte & 15 > _DATAGRAMS or byte & 0xF0 > _UNIX:
        raise ProxyError(f"PROXY header: unassigned family and transport 0x{byte:02x}")


def _layout(head: bytes | bytearray) -> Struct | None:
    """Return the layout of the addresses, or None if the header has no addresses to use."""
    if head[12] == _LOCAL or head[13] & 15 == _UNSPECIFIED:
        return None
    return _LAYOUTS.get(head[13] & 0xF0)


def _parse_binary(header: bytes) -> ProxyHeader:
    layout = _layout(header)
    if layout is None:
        return ProxyHeader()
    _check_rest(header, _FIXED + layout.size)
    source, destination, *ports = layout.unpack_from(header, _FIXED)
    if layout is _PATHS:
        return ProxyHeader(_unix(source), _unix(destination))
    family = AF_INET if layout is _IPV4 else AF_INET6
    return ProxyHeader(*map(_address, (family, family), (source, destination), ports))


def _address(family: int, packed: bytes, port: int) -> IAddress:
    """Return an address in the system's notation: limits for each client compare it as text."""
    kind = IPv4Address if family == AF_INET else IPv6Address
    return kind("TCP", inet_ntop(family, packed), port)


def _unix(path: bytes) -> UNIXAddress:
    """
    Return the address of a UNIX socket.

    A socket without a name gets no name here.  Neither does an abstract one, whose name starts with
    a zero byte: Twisted looks names up in the file system, which refuses a zero byte.
    """
    name, _, _ = path.partition(b"\0")
    return UNIXAddress(name or None)


def _check_rest(header: bytes, at: int) -> None:
    """
    Check the lengths of the extensions after the addresses, and the checksum if there is one.

    :source: section 2.2.3: a receiver that supports checksums must refuse a wrong one.
    """
    while at < len(header):
        value = at + 3
        end = value + int.from_bytes(header[at + 1 : value])
        if value > len(header) or end > len(header):
            raise ProxyError("PROXY header: the last extension is incomplete")
        if header[at] == _CRC32C:
            without = header[:value] + bytes(end - value) + header[end:]
            if header[value:end] != _crc32c(without).to_bytes(4):
                raise ProxyError("PROXY header: wrong checksum")
        at = end


def _crc32c(data: bytes) -> int:
    """
    Return the CRC32c of *data*.  On the wire its highest byte comes first.

    :source: RFC 4960, appendix B, and the headers that HAProxy sends.
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
