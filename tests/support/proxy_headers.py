"""
PROXY headers, valid and invalid.

`line` and `binary` write valid headers, independently of the code that reads them.
`mutated_headers` makes many that are nearly valid.
"""

from ipaddress import ip_address
from random import Random
from struct import pack

SIGNATURE = bytes.fromhex("0d0a0d0a000d0a515549540a")

#: An address and a port.
Place = tuple[str, int]


def line(source: Place, destination: Place = ("127.0.0.1", 9999)) -> bytes:
    """Return a version 1 header for a client at *source*; both addresses have one family."""
    version = ip_address(source[0]).version
    fields = f"{source[0]} {destination[0]} {source[1]} {destination[1]}"
    return f"PROXY TCP{version} {fields}\r\n".encode()


def binary(
    source: Place | bytes, destination: Place | bytes = ("127.0.0.1", 9999), behind: bytes = b""
) -> bytes:
    """
    Return a version 2 header for a client at *source*.

    :param source: address and port, or the path of a UNIX socket; *destination* is of its family.
    :param behind: bytes after the addresses, for example extensions.
    """
    if isinstance(source, bytes):
        assert isinstance(destination, bytes)
        return raw(0x21, 0x31, source.ljust(108, b"\0") + destination.ljust(108, b"\0") + behind)
    assert not isinstance(destination, bytes)
    hosts = [ip_address(host) for host, _ in (source, destination)]
    addresses = b"".join(host.packed for host in hosts) + pack("!HH", source[1], destination[1])
    return raw(0x21, 0x11 if hosts[0].version == 4 else 0x21, addresses + behind)


def raw(command: int, family: int, content: bytes = b"", length: int | None = None) -> bytes:
    """Return a version 2 header; *length* is that of *content* unless it is given."""
    fixed = pack("!BBH", command, family, len(content) if length is None else length)
    return SIGNATURE + fixed + content


def extension(kind: int, value: bytes) -> bytes:
    """Return an extension, which may follow the addresses of a version 2 header."""
    return pack("!BH", kind, len(value)) + value


def summed(header: bytes) -> bytes:
    """Return the version 2 *header* with its checksum as the last extension."""
    content = header[16:] + extension(3, bytes(4))
    zeroed = raw(header[12], header[13], content)
    return zeroed[:-4] + pack("!I", crc32c(zeroed))


def crc32c(data: bytes) -> int:
    """Return the CRC-32C of *data*, computed bit by bit."""
    rest = 2**32 - 1
    for bit in (byte >> at & 1 for byte in data for at in range(8)):
        rest = rest >> 1 ^ 0x82F63B78 * (rest & 1 ^ bit)
    return rest ^ 2**32 - 1


#: Headers as HAProxy 2.6.12 wrote them.
FROM_HAPROXY = {
    b"PROXY TCP4 127.0.0.1 127.0.0.1 45328 45021\r\n": ("127.0.0.1", 45328),
    b"PROXY TCP6 ::1 ::1 60422 45021\r\n": ("::1", 60422),
    b"PROXY UNKNOWN\r\n": None,
    SIGNATURE + bytes.fromhex("2111 000c 7f000001 7f000001 ae02 8155"): ("127.0.0.1", 44546),
    SIGNATURE + bytes.fromhex("2121 0024" + 2 * ("00" * 15 + "01") + "a106 8155"): ("::1", 41222),
    SIGNATURE + bytes.fromhex("2000 0000"): None,
    # with "proxy-v2-options crc32c,unique-id"
    SIGNATURE + bytes.fromhex("2111 0016 7f000001 7f000001 b234 9319 030004 024a22e4 050000"): (
        "127.0.0.1",
        45620,
    ),
    SIGNATURE
    + bytes.fromhex("2121 002e" + 2 * ("00" * 15 + "01") + "8928 9319 030004 39e160da 050000"): (
        "::1",
        35112,
    ),
    SIGNATURE + bytes.fromhex("2000 000a 030004 826374b8 050000"): None,
}


def valid_header(random: Random) -> bytes:
    """Return a random valid header."""
    kind = random.choice(["line", "line", "UNKNOWN", "LOCAL", "binary", "binary", "path"])
    if kind == "UNKNOWN":
        return random.choice([b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN ::1 ::1 1 2\r\n"])
    if kind == "LOCAL":
        return raw(0x20, random.randrange(256), random.randbytes(random.randrange(40)))
    behind = b"".join(
        extension(random.randrange(4, 256), random.randbytes(random.randrange(60)))
        for _ in range(random.randrange(3))
    )
    if kind == "path":
        header = binary(b"/run/" + random.randbytes(4).hex().encode(), b"", behind)
    else:
        size = random.choice([4, 16])
        source, destination = ((_host(random, size), random.randrange(2**16)) for _ in range(2))
        if kind == "line":
            return line(source, destination)
        header = binary(source, destination, behind)
    return summed(header) if random.random() < 0.3 else header


def _host(random: Random, size: int) -> str:
    return str(ip_address(random.randbytes(size)))


def mutated_headers(random: Random) -> bytes:
    """
    Return the beginning of a random connection: a header, valid or not, and what follows it.
    """
    if random.random() < 0.1:
        start = random.choice([b"", b"PROXY ", b"PROXY TCP4 ", SIGNATURE, SIGNATURE + b"!\x11"])
        return start + random.randbytes(random.randrange(200))
    data = bytearray(valid_header(random) + random.randbytes(random.choice([0, 0, 20])))
    for _ in range(random.choice([0, 1, 1, 1, 2, 4])):
        at = random.randrange(len(data) + 1)
        end = at + random.choice([0, 1, 1, 3, 20])
        data[at:end] = random.choice(
            [
                b"",
                random.randbytes(1),
                random.randbytes(random.randrange(20)),
                random.choice([b" ", b"\r", b"\n", b"\r\n", b"\0", b"\xff", b"0", b"9", b"."]),
                data[at : at + random.randrange(30)] * 2,
            ]
        )
    return bytes(data)
