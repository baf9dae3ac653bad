"""Captures of packets, made byte by byte as tcpdump and Wireshark write them."""

import struct
from ipaddress import ip_address
from typing import Any

from attrs import define, frozen

FIN, SYN, RST, ACK = 1, 2, 4, 16
VLAN, QINQ = b"\x81\x00", b"\x88\xa8"


@frozen
class Packet:
    """A segment of TCP, and when it was captured."""

    at: float
    source: tuple[str, int]
    target: tuple[str, int]
    sequence: int
    acknowledged: int
    flags: int
    data: bytes = b""

    def ip(self, padding: bytes = b"") -> bytes:
        """Return the packet of IP, in the version of the addresses, and *padding*."""
        tcp = struct.pack(
            ">HHIIBBHHH",
            self.source[1],
            self.target[1],
            self.sequence % 2**32,
            self.acknowledged % 2**32,
            5 << 4,
            self.flags,
            65535,
            0,
            0,
        )
        body = tcp + self.data
        source, target = ip_address(self.source[0]), ip_address(self.target[0])
        if source.version == 6:
            header = struct.pack(">IHBB", 6 << 28, len(body), 6, 64)
        else:
            header = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(body), 1, 0x4000, 64, 6, 0)
        return header + source.packed + target.packed + body + padding

    def ethernet(self, tags: bytes = b"", padding: bytes = b"") -> bytes:
        """Return the frame of Ethernet; *tags* are those of VLANs."""
        kind = b"\x86\xdd" if ":" in self.source[0] else b"\x08\x00"
        return b"\2" * 12 + tags + kind + self.ip(padding)


@define
class Talk:
    """
    The packets of one connection, in the order in which they are sent.

    Each side acknowledges all that the other has sent so far, unless *acknowledged* says otherwise.
    """

    client: tuple[str, int] = ("10.0.0.1", 40000)
    server: tuple[str, int] = ("10.0.0.2", 5432)
    at: float = 1_000_000.0
    client_first: int = 1000
    server_first: int = 2**32 - 3  # so that numbers wrap
    sent: int = 0
    said: int = 0

    def open(self) -> list[Packet]:
        """Return the handshake."""
        return [
            self._packet(self.client, self.client_first - 1, 0, SYN),
            self._packet(self.server, self.server_first - 1, self.client_first, SYN | ACK),
            self._packet(self.client, self.client_first, self.server_first, ACK),
        ]

    def send(self, data: bytes = b"", flags: int = 0) -> Packet:
        """Return a packet of the client."""
        packet = self._packet(
            self.client,
            self.client_first + self.sent,
            self.server_first + self.said,
            ACK | flags,
            data,
        )
        self.sent += len(data) + (flags & FIN)
        return packet

    def say(self, data: bytes = b"", flags: int = 0, seen: int | None = None) -> Packet:
        """Return a packet of the server, which has seen *seen* bytes; None: all that was sent."""
        packet = self._packet(
            self.server,
            self.server_first + self.said,
            self.client_first + (self.sent if seen is None else seen),
            ACK | flags,
            data,
        )
        self.said += len(data) + (flags & FIN)
        return packet

    def _packet(
        self, source: Any, sequence: int, seen: int, flags: int, data: bytes = b""
    ) -> Packet:
        self.at += 0.01
        target = self.server if source is self.client else self.client
        return Packet(self.at, source, target, sequence, seen, flags, data)


def pcap(
    frames: list[tuple[float, bytes]], link: int = 1, order: str = "<", nanoseconds: bool = False
) -> bytes:
    """Return a file of tcpdump."""
    magic, unit = (0xA1B23C4D, 10**9) if nanoseconds else (0xA1B2C3D4, 10**6)
    parts = [struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, 262144, link)]
    for at, frame in frames:
        size = len(frame)
        parts += [struct.pack(f"{order}IIII", int(at), round(at % 1 * unit), size, size), frame]
    return b"".join(parts)


def pcapng(frames: list[tuple[float, bytes]], link: int = 1, order: str = "<") -> bytes:
    """Return a file of Wireshark."""

    def block(kind: int, body: bytes) -> bytes:
        body += bytes(-len(body) % 4)
        size = struct.pack(f"{order}I", len(body) + 12)
        return struct.pack(f"{order}I", kind) + size + body + size

    parts = [
        block(0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1)),
        block(1, struct.pack(f"{order}HHI", link, 0, 262144)),
        block(4, b"names, which mean nothing here"),
    ]
    for at, frame in frames:
        time = round(at * 10**6)
        head = struct.pack(
            f"{order}IIIII", 0, time >> 32, time & 0xFFFFFFFF, len(frame), len(frame)
        )
        parts.append(block(6, head + frame))
    return b"".join(parts)
