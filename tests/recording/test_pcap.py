"""Conversations out of captures: formats, links, order, gaps, and files that are none."""

import struct
from collections.abc import Sequence
from typing import Any
from unittest import mock

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from reqresp.recording import End, Recording, RecordingError, Sender, parse, pcap, write
from reqresp.recording.pcap import read_capture
from tests.support import captures
from tests.support.captures import ACK, FIN, QINQ, RST, SYN, VLAN, Packet, Talk
from tests.support.live import temporary

CLIENT, SERVER = Sender.CLIENT, Sender.SERVER
PROPERTY = settings(derandomize=True, deadline=None)


def talk() -> list[Packet]:
    """Return a short conversation with a half-close."""
    it = Talk()
    return [
        *it.open(),
        it.send(b"PING\r\n"),
        it.say(b"+PONG\r\n"),
        it.send(flags=FIN),
        it.say(b"bye", FIN),
        it.send(),
    ]


SAID = [
    (CLIENT, b"PING\r\n"),
    (SERVER, b"+PONG\r\n"),
    (CLIENT, End.EOF),
    (SERVER, b"bye"),
    (SERVER, End.EOF),
]


def said(recording: Recording, number: int = 1) -> list[Any]:
    """Return what was said in a conversation, reads of one side joined."""
    joined: list[Any] = []
    for event in recording.conversations[number - 1].events:
        if isinstance(event.data, End):
            joined.append((event.sender, event.data))
            continue
        data = b"".join(it for it in event.data if isinstance(it, bytes))
        if joined and joined[-1][0] is event.sender and isinstance(joined[-1][1], bytes):
            joined[-1] = event.sender, joined[-1][1] + data
        else:
            joined.append((event.sender, data))
    return joined


class CaptureCase(SynchronousTestCase):
    """Reads captures that the test makes."""

    def setUp(self) -> None:
        self.path = temporary(self) / "it.pcap"

    def read(self, data: bytes, port: int | None = 5432) -> Recording:
        """Return the conversations in a file with *data*."""
        self.path.write_bytes(data)
        return read_capture(self.path, port)

    def read_packets(self, packets: Sequence[Packet], port: int | None = 5432) -> Recording:
        """Return the conversations in a capture of *packets*."""
        return self.read(captures.pcap([(it.at, it.ethernet()) for it in packets]), port)

    def problem(self, data: bytes, port: int | None = 5432) -> str:
        """Return why a file with *data* is refused, in one line that names it."""
        with self.assertRaises(RecordingError) as caught:
            self.read(data, port)
        text = str(caught.exception)
        self.assertTrue(text.startswith(f"{self.path}: "))
        self.assertTrue(text.isprintable())
        return text.removeprefix(f"{self.path}: ")

    def warnings(self, recording: Recording) -> list[str]:
        """Return the warnings of *recording*, without the name of the file."""
        return [it.message for it in recording.warnings]


class FormatTests(CaptureCase):
    """Kinds of files and links."""

    def test_formats(self) -> None:
        """Both formats, in either byte order, and the two resolutions of pcap."""
        frames = [(it.at, it.ethernet()) for it in talk()]
        for data in (
            captures.pcap(frames),
            captures.pcap(frames, order=">"),
            captures.pcap(frames, nanoseconds=True),
            captures.pcapng(frames),
            captures.pcapng(frames, order=">"),
        ):
            recording = self.read(data)
            self.assertEqual(said(recording), SAID)
            self.assertEqual(self.warnings(recording), [])
            self.assertAlmostEqual(recording.conversations[0].events[0].after, 0.02, places=5)

    def test_links(self) -> None:
        """Ethernet with and without VLANs, Linux's any, loopback, and plain IP."""
        tag = b"\0\5"
        cooked = b"\0\0\0\1\0\6" + b"\2" * 8 + b"\x08\0"
        cooked2 = b"\x08\0\0\0\0\0\0\1\0\1\0\6" + b"\2" * 8
        for link, before in (
            *((1, b"\2" * 12 + VLAN + tag + b"\x08\0"),),
            *((1, b"\2" * 12 + QINQ + tag + VLAN + tag + b"\x08\0"),),
            *((113, cooked), (276, cooked2), (0, b"\2\0\0\0"), (101, b""), (228, b"")),
        ):
            frames = [(it.at, before + it.ip()) for it in talk()]
            self.assertEqual(said(self.read(captures.pcap(frames, link))), SAID, link)

    def test_ipv6(self) -> None:
        """The client's address is written in brackets."""
        it = Talk(client=("fd00::1", 40000), server=("fd00::2", 5432))
        recording = self.read_packets([*it.open(), it.send(b"a")])
        self.assertEqual(recording.conversations[0].peer, "[fd00::1]:40000")
        self.assertEqual(recording.header.service, "[fd00::2]:5432")

    def test_padding_is_not_data(self) -> None:
        """Short frames of Ethernet are filled up."""
        frames = [(it.at, it.ethernet(padding=b"\0" * 9)) for it in talk()]
        self.assertEqual(said(self.read(captures.pcap(frames))), SAID)

    def test_what_is_written_can_be_read(self) -> None:
        """An imported recording is a recording."""
        recording = self.read_packets(talk())
        again = parse(write(recording).decode())
        self.assertEqual(said(again), SAID)
        self.assertEqual(again.header.service, "10.0.0.2:5432")


class OrderTests(CaptureCase):
    """Segments that the network has delayed, repeated or lost."""

    def test_retransmissions_and_overlaps(self) -> None:
        """Every byte counts once."""
        it = Talk()
        packets = it.open()
        whole = it.send(b"abcdef")
        packets += [
            whole,
            whole,
            Packet(
                it.at, it.client, it.server, whole.sequence + 3, whole.acknowledged, ACK, b"defgh"
            ),
            evolve(whole, sequence=whole.sequence - 1, data=b"?"),
        ]
        it.sent = 8
        packets.append(it.say(b"ok"))
        recording = self.read_packets(packets)
        self.assertEqual(said(recording), [(CLIENT, b"abcdefgh"), (SERVER, b"ok")])
        self.assertEqual(self.warnings(recording), [])

    @PROPERTY
    @given(st.permutations(range(6)), st.booleans())
    def test_any_order(self, order: list[int], has_fin: bool) -> None:
        """Segments can arrive in any order, EOF among them."""
        it = Talk()
        packets = it.open()
        sent = [
            it.send(bytes([65 + number]) * 3, FIN * (has_fin and number == 5))
            for number in range(6)
        ]
        packets += [sent[number] for number in order]
        expected = [(CLIENT, b"AAABBBCCCDDDEEEFFF"), *[(CLIENT, End.EOF)] * has_fin]
        self.assertEqual(said(self.read_packets(packets)), expected)

    def test_the_server_has_seen_what_it_acknowledges(self) -> None:
        """A reply is due after the request that it had seen, though another was captured before."""
        it = Talk()
        packets = [*it.open(), it.send(b"one\n"), it.send(b"two\n")]
        packets += [it.say(b"1\n", seen=4), it.say(b"2\n")]
        recording = self.read_packets(packets)
        self.assertEqual(
            said(recording),
            [(CLIENT, b"one\n"), (SERVER, b"1\n"), (CLIENT, b"two\n"), (SERVER, b"2\n")],
        )
        self.assertGreaterEqual(min(it.after for it in recording.conversations[0].events), 0)

    def test_a_piece_can_be_seen_in_part(self) -> None:
        """The capture has larger pieces than the server, as with offloading."""
        it = Talk()
        packets = [*it.open(), it.send(b"one\ntwo\n"), it.say(b"1\n", seen=4), it.say(b"2\n")]
        self.assertEqual(
            said(self.read_packets(packets)),
            [(CLIENT, b"one\n"), (SERVER, b"1\n"), (CLIENT, b"two\n"), (SERVER, b"2\n")],
        )

    def test_a_greeting_comes_first(self) -> None:
        """The server has seen nothing yet, whatever was captured before it."""
        it = Talk()
        packets = [*it.open(), it.send(b"EHLO\n"), it.say(b"220\n", seen=0)]
        self.assertEqual(
            said(self.read_packets(packets)), [(SERVER, b"220\n"), (CLIENT, b"EHLO\n")]
        )

    def test_resets(self) -> None:
        """A reset ends the conversation; what follows is not part of it."""
        for sender in Sender:
            it = Talk()
            packets = [*it.open(), it.send(b"a")]
            packets.append(it.send(flags=RST) if sender is CLIENT else it.say(flags=RST))
            packets.append(it.say(b"late"))
            self.assertEqual(
                said(self.read_packets(packets)), [(CLIENT, b"a"), (sender, End.RESET)]
            )

    def test_gaps_are_told(self) -> None:
        """The conversation ends before the missing bytes; replies to these are left out, too."""
        it = Talk()
        packets = [*it.open(), it.send(b"one\n"), it.say(b"1\n")]
        it.send(b"lost")
        packets += [it.send(b"two\n"), it.say(b"2\n"), it.send(flags=RST)]
        recording = self.read_packets(packets)
        self.assertEqual(said(recording), [(CLIENT, b"one\n"), (SERVER, b"1\n")])
        self.assertEqual(
            self.warnings(recording),
            [
                "conversation 1: 4 bytes of the client are missing in the capture; leaving out"
                " what follows"
            ],
        )

    def test_a_gap_of_the_server(self) -> None:
        """What the client sends after it has seen missing bytes is left out."""
        it = Talk()
        packets = [*it.open(), it.send(b"one\n")]
        it.say(b"lost")
        packets += [it.send(b"two\n")]
        recording = self.read_packets(packets)
        self.assertEqual(said(recording), [(CLIENT, b"one\n")])
        self.assertIn("4 bytes of the server are missing", self.warnings(recording)[0])

    def test_packets_that_were_cut(self) -> None:
        """A capture with a small snapshot length lacks the ends of packets."""
        it = Talk()
        frames = [(each.at, each.ethernet()[:60]) for each in [*it.open(), it.send(b"x" * 100)]]
        frames += [(each.at, each.ethernet()) for each in [it.send(b"more"), it.say(b"ok")]]
        recording = self.read(captures.pcap(frames))
        self.assertEqual(said(recording), [(CLIENT, b"x" * 6)])
        self.assertIn("94 bytes of the client are missing", self.warnings(recording)[0])

    def test_very_many_early_segments(self) -> None:
        """Segments that wait for a missing one take bounded memory."""
        it = Talk()
        packets = it.open()
        it.send(b"lost")
        with mock.patch("reqresp.recording._tcp.MAX_EARLY_SEGMENTS", 10):
            packets += [it.send(b"x") for _ in range(50)]
            packets += [it.say(b"hello", seen=0)]
            recording = self.read_packets(packets)
        self.assertEqual(said(recording), [(SERVER, b"hello")])


class ConnectionTests(CaptureCase):
    """Which connections are imported."""

    def test_other_ports_are_left_out(self) -> None:
        """A port may be the client's by chance."""
        one, other = Talk(), Talk(client=("10.0.0.1", 5432), server=("10.0.0.3", 80))
        packets = [*one.open(), *other.open(), one.send(b"a"), other.send(b"b")]
        recording = self.read_packets(packets)
        self.assertEqual([said(recording)], [[(CLIENT, b"a")]])
        self.assertEqual(len(self.read_packets(packets, None).conversations), 2)

    def test_a_port_that_is_used_again(self) -> None:
        """Another SYN begins another connection, the same one does not."""
        one = Talk()
        other = Talk(client_first=77_000, at=one.at + 5)
        packets = [*one.open(), *one.open()[:1], one.send(b"a"), *other.open(), other.send(b"b")]
        recording = self.read_packets(packets)
        self.assertEqual(
            [said(recording, it) for it in (1, 2)], [[(CLIENT, b"a")], [(CLIENT, b"b")]]
        )

    def test_connections_that_had_begun_before(self) -> None:
        """They are told, as what they have said before is not known."""
        one, before = Talk(), Talk(client=("10.0.0.9", 1))
        recording = self.read_packets([before.send(b"x"), *one.open(), one.send(b"a")])
        self.assertEqual(len(recording.conversations), 1)
        self.assertEqual(
            self.warnings(recording),
            ["left out: packets of connections that have begun before the capture (1)"],
        )

    def test_refused_and_silent_connections(self) -> None:
        """A connection on which nothing was said leaves nothing."""
        refused, silent, one = Talk(), Talk(client=("10.0.0.1", 2)), Talk(client=("10.0.0.1", 3))
        packets = [refused.open()[0], refused.say(flags=RST), *silent.open(), *one.open()]
        recording = self.read_packets([*packets, one.send(b"a")])
        self.assertEqual([it.number for it in recording.conversations], [1])

    def test_nothing_to_import(self) -> None:
        """The line says what was looked for, and what was left out."""
        packets = [Talk().send(b"x")]
        self.assertEqual(
            self.problem(captures.pcap([(it.at, it.ethernet()) for it in packets])),
            "expected a TCP connection to port 5432, found none; left out: packets of connections"
            " that have begun before the capture (1)",
        )
        self.assertEqual(
            self.problem(captures.pcap([]), None), "expected a TCP connection, found none"
        )

    def test_too_much(self) -> None:
        """The number of connections and of bytes is bounded."""
        one, other = Talk(), Talk(client=("10.0.0.1", 2))
        frames = [(it.at, it.ethernet()) for it in [*one.open(), *other.open(), one.send(b"abc")]]
        with mock.patch.object(pcap, "MAX_CONNECTIONS", 1):
            self.assertEqual(self.problem(captures.pcap(frames)), "more than 1 connections")
        with mock.patch.object(pcap, "MAX_RECORDING_BYTES", 2):
            self.assertEqual(
                self.problem(captures.pcap(frames)), "more than 2 bytes of conversations"
            )


class HostileTests(CaptureCase):
    """Files that are not what they seem."""

    def test_early_bytes_count(self) -> None:
        """What waits for missing bytes counts, too: it is in memory."""
        it = Talk()
        packets = it.open()
        it.send(b"lost")
        packets += [it.send(b"x" * 10), it.send(b"y" * 10)]
        frames = [(each.at, each.ethernet()) for each in packets]
        with mock.patch.object(pcap, "MAX_RECORDING_BYTES", 15):
            self.assertEqual(
                self.problem(captures.pcap(frames)), "more than 15 bytes of conversations"
            )

    def test_other_files(self) -> None:
        """They are refused in one line."""
        expected = "expected a capture in the format pcap or pcapng"
        huge = struct.pack("<IIIHHq", 0x0A0D0D0A, 2**31, 0x1A2B3C4D, 1, 0, -1)
        small = struct.pack("<IIIHHq", 0x0A0D0D0A, 1, 0x1A2B3C4D, 1, 0, -1)
        for data in (b"", b"GIF89a", b"\xd4\xc3\xb2\xa1", bytes(100), huge, small):
            self.assertEqual(self.problem(data), expected)
        self.assertEqual(
            self.problem(captures.pcap([], link=127)),
            "expected Ethernet, Linux or raw IP, found link type 127",
        )

    def test_files_that_cannot_be_read(self) -> None:
        """The line says why."""
        for path, why in (
            (self.path, "cannot be read: No such file or directory"),
            ("/", "is not a regular file"),
        ):
            with self.assertRaises(RecordingError) as caught:
                read_capture(path)
            self.assertEqual(str(caught.exception), f"{path}: {why}")

    def test_a_packet_of_an_impossible_size(self) -> None:
        """What came before it is imported."""
        frames = [(it.at, it.ethernet()) for it in talk()]
        for data in (
            captures.pcap(frames) + struct.pack("<IIII", 0, 0, 2**32 - 1, 2**32 - 1),
            captures.pcap(frames) + b"\0\0",
        ):
            recording = self.read(data)
            self.assertEqual(said(recording), SAID)
            self.assertEqual(
                self.warnings(recording), ["left out: the capture is incomplete at its end (1)"]
            )

    def test_fragments_and_broken_packets(self) -> None:
        """They are counted."""
        frames = [(it.at, it.ethernet()) for it in talk()]
        broken = frames[0][1]
        fragment = broken[:20] + b"\x20\x00" + broken[22:]
        recording = self.read(captures.pcap([*frames, (0, broken[:10]), (0, fragment)]))
        self.assertEqual(said(recording), SAID)
        self.assertEqual(
            self.warnings(recording),
            ["left out: malformed packets (1)", "left out: fragments of IP (1)"],
        )

    @PROPERTY
    @given(
        st.integers(0, 2000), st.binary(min_size=1, max_size=6), st.booleans(), st.integers(0, 2000)
    )
    def test_any_bytes(self, place: int, new: bytes, is_ng: bool, end: int) -> None:
        """Whatever bytes a capture has, it is imported, or refused in one line."""
        frames = [(it.at, it.ethernet()) for it in talk()]
        data = captures.pcapng(frames) if is_ng else captures.pcap(frames)
        place %= len(data)
        for changed in (data[:place] + new + data[place + len(new) :], data[: end % len(data)]):
            self.path.write_bytes(changed)
            try:
                recording = read_capture(self.path)
            except RecordingError as error:
                self.assertTrue(str(error).isprintable())
                continue
            parse(write(recording).decode("utf-8", "surrogateescape"))


def test_syn_and_rst_differ() -> None:
    """The flags of the captures in these tests are those of TCP."""
    assert (FIN, SYN, RST, ACK) == (0x01, 0x02, 0x04, 0x10)
