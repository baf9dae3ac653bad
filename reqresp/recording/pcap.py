"""
Pcap: conversations out of a capture of packets, as tcpdump and Wireshark write them.

Finds the segments of TCP in a capture.  It must not know how they are put in order.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any, BinaryIO

from attrs import frozen

from reqresp._errors import Problem
from reqresp._files import open_regular
from reqresp._text import format_host_port
from reqresp.recording._tcp import Segment, TCPConnection
from reqresp.recording.conversations import Conversation, Header, Recording, Sender
from reqresp.recording.notation import MAX_RECORDING_BYTES, RecordingError

try:
    from dpkt import (  # type: ignore[import-untyped]  # dpkt has no annotations
        ethernet,
        ip,
        ip6,
        loopback,
        pcap,
        sll,
        sll2,
        tcp,
    )
except ImportError as error:
    raise ImportError(f"{error} (pip install 'reqresp[pcap]')") from None

#: Bytes that one packet, or one block of a capture, may have.
MAX_PACKET_BYTES = 16 * 1024 * 1024
#: Connections that are imported.
MAX_CONNECTIONS = 100_000

#: What each kind of link puts around a packet of IP, by its number in a capture.
_LINKS: Mapping[int, Callable[[bytes], Any]] = {
    0: loopback.Loopback,
    1: ethernet.Ethernet,
    108: loopback.Loopback,
    113: sll.SLL,
    276: sll2.SLL2,
}
#: Kinds of links that put nothing around it.
_RAW_LINKS = {12, 14, 101, 228, 229}

_SIDES = {Sender.CLIENT: "the client", Sender.SERVER: "the server"}


@frozen
class _Bounded:
    """A *file* of which a capture with wrong sizes cannot demand all at once."""

    file: BinaryIO

    def read(self, size: int) -> bytes:
        """
        Return at most *size* bytes.

        :raises ValueError: *size* is not that of a packet.
        """
        if not 0 <= size <= MAX_PACKET_BYTES:
            raise ValueError("a packet has an impossible size")
        return self.file.read(size)

    def seek(self, place: int) -> int:
        """Continue at *place*."""
        return self.file.seek(place)


def read_capture(path: str | Path, port: int | None = None) -> Recording:
    """
    Return the conversations in the capture at *path*.

    What cannot be imported is among the recording's warnings.

    :param port: the server's; None: connections to any port.
    :raises RecordingError: the file cannot be read, is not a capture, or has no such connection.
    """
    name = str(path)
    try:
        descriptor = open_regular(path)
    except OSError as error:
        raise _error(name, f"cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise _error(name, str(error)) from None
    with os.fdopen(descriptor, "rb") as file:
        importer = _Importer(name, port)
        importer.read(file)
    return importer.recording()


def _error(name: str, problem: str) -> RecordingError:
    return RecordingError(Problem(name, None, "", problem))


class _Importer:
    """Collects the connections to *port* of the capture *name*."""

    def __init__(self, name: str, port: int | None) -> None:
        self._name = name
        self._port = port
        self._all: list[TCPConnection] = []
        self._open: dict[frozenset[tuple[str, int]], TCPConnection] = {}
        self._left_out: Counter[str] = Counter()
        self._bytes = 0

    def read(self, file: BinaryIO) -> None:
        """
        Read all packets of *file*.

        :raises RecordingError: it is not a capture, or is too large.
        """
        try:
            reader = pcap.UniversalReader(_Bounded(file))
            link = int(reader.datalink())
        except Exception:
            raise _error(self._name, "expected a capture in the format pcap or pcapng") from None
        if link not in _LINKS and link not in _RAW_LINKS:
            raise _error(self._name, f"expected Ethernet, Linux or raw IP, found link type {link}")
        for at, packet in self._packets(iter(reader)):
            segment = self._segment(at, packet, link)
            if segment is not None:
                self._add(segment)

    def _packets(self, packets: Iterator[Any]) -> Iterator[tuple[float, bytes]]:
        while True:
            try:
                at, packet = next(packets)
                yield float(at), packet
            except StopIteration:
                return
            except Exception:
                self._left_out["the capture is incomplete at its end"] += 1
                return

    def _segment(self, at: float, packet: bytes, link: int) -> Segment | None:
        """Return the segment of TCP in *packet*; None: it has none for the port."""
        try:
            found = _internet(packet) if link in _RAW_LINKS else _LINKS[link](packet).data
            if not isinstance(found, ip.IP | ip6.IP6):
                return None
            if isinstance(found, ip.IP) and (found.mf or found.offset):
                self._left_out["fragments of IP"] += found.p == ip.IP_PROTO_TCP
                return None
            inner = found.data
            if not isinstance(inner, tcp.TCP):
                return None
            return Segment(
                at,
                (str(ip_address(found.src)), inner.sport),
                (str(ip_address(found.dst)), inner.dport),
                inner.seq,
                inner.ack if inner.flags & tcp.TH_ACK else None,
                bytes(inner.data),
                bool(inner.flags & tcp.TH_SYN),
                bool(inner.flags & tcp.TH_FIN),
                bool(inner.flags & tcp.TH_RST),
            )
        except Exception:
            self._left_out["malformed packets"] += 1
            return None

    def _add(self, segment: Segment) -> None:
        is_first = segment.syn and segment.acknowledged is None
        if self._port not in (None, segment.target[1], None if is_first else segment.source[1]):
            return
        key = frozenset((segment.source, segment.target))
        connection = self._open.get(key)
        if is_first and (connection is None or not connection.begins_with(segment)):
            if len(self._all) == MAX_CONNECTIONS:
                raise _error(self._name, f"more than {MAX_CONNECTIONS} connections")
            self._open[key] = connection = TCPConnection(segment)
            self._all.append(connection)
            return
        if connection is None:
            self._left_out["packets of connections that have begun before the capture"] += 1
            return
        self._bytes += connection.add(segment)
        if self._bytes > MAX_RECORDING_BYTES:
            raise _error(self._name, f"more than {MAX_RECORDING_BYTES} bytes of conversations")

    def recording(self) -> Recording:
        """
        Return what was collected.

        :raises RecordingError: nothing was.
        """
        conversations: list[Conversation] = []
        warnings: list[str] = []
        for connection in self._all:
            number = len(conversations) + 1
            for sender, size in connection.gaps():
                warnings.append(
                    f"conversation {number}: {size} bytes of {_SIDES[sender]} are missing in the"
                    " capture; leaving out what follows"
                )
            conversation = connection.conversation(number) if connection.is_established else None
            if conversation is not None:
                conversations.append(conversation)
        warnings += [f"left out: {what} ({count})" for what, count in self._left_out.items()]
        if not conversations:
            where = "" if self._port is None else f" to port {self._port}"
            reasons = "".join(f"; {it}" for it in warnings)
            raise _error(self._name, f"expected a TCP connection{where}, found none{reasons}")
        servers = {it.server for it in self._all}
        service = format_host_port(*servers.pop()) if len(servers) == 1 else ""
        problems = tuple(Problem(self._name, None, "", it) for it in warnings)
        return Recording(Header(service=service), tuple(conversations), self._name, problems)


def _internet(packet: bytes) -> Any:
    """Return *packet* as one of IPv4 or IPv6."""
    return ip.IP(packet) if packet[0] >> 4 == 4 else ip6.IP6(packet)
