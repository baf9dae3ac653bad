"""What a recorder of a relay writes, and what happens with its file."""

import gc
import os
import stat
import tracemalloc
from errno import ENOSPC
from typing import Any, cast

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from reqresp._line_file import MAX_BUFFER_SIZE
from reqresp.recording import End, Event, Recording, Sender, load
from reqresp.recording._follower import Follower
from reqresp.recording._tracks import make_track
from reqresp.recording.recorder import (
    LARGE_BYTES,
    MAX_KNOWN,
    MAX_KNOWN_BYTES,
    WRITE_BYTES,
    WRITE_INTERVAL,
    Recorder,
)
from reqresp.recording.writing import write_bytes
from reqresp.server.observers import Direction
from reqresp.steps import Send
from tests.support.live import temporary
from tests.support.relayed import RelayedCase

UP, DOWN = Direction.UPSTREAM, Direction.DOWNSTREAM
CLIENT, SERVER = Sender.CLIENT, Sender.SERVER
PEER = IPv4Address("TCP", "127.0.0.1", 50000)
HEADER = b"# reqresp recording 1 at=1970-01-01T00:00:00Z of=127.0.0.1:6379\n"


class RecorderCase(SynchronousTestCase):
    """A recorder, whose disk may be full."""

    def setUp(self) -> None:
        self.path = temporary(self) / "a.rec"
        self.clock = Clock()
        self.room = 2**60
        self.writes = 0
        self.real_write = os.write
        self.patch(os, "write", self.write)
        self.recorder = self.open()

    def open(self, **options: Any) -> Recorder:
        recorder = Recorder(
            self.path, self.clock, service="127.0.0.1:6379", now=lambda: 0, **options
        )
        self.addCleanup(recorder.close)
        return recorder

    def write(self, file: int, data: Any) -> int:
        self.writes += 1
        if not self.room:
            raise OSError(ENOSPC, os.strerror(ENOSPC))
        part = bytes(data[: self.room])
        self.room -= len(part)
        return self.real_write(file, part)

    def connect(self, number: int) -> None:
        """Report that a client, and the service for it, are connected."""
        self.recorder.connected(PEER, number)
        self.recorder.upstream_opened(PEER, number)

    def exchange(self, number: int, *, opened: bool = True) -> None:
        """Report a request and a reply on connection *number*."""
        if opened:
            self.connect(number)
        self.recorder.passed(PEER, number, UP, b"PING\r\n")
        self.recorder.passed(PEER, number, DOWN, b"+PONG\r\n")

    def lost(self, number: int, reason: Exception | None = None) -> None:
        """Report that connection *number* is lost."""
        failure = Failure(reason or ConnectionDone())
        self.recorder.upstream_ended(PEER, number, failure)
        self.recorder.disconnected(PEER, number, failure)

    def lines(self) -> bytes:
        """Return what the file has after its header."""
        self.recorder.flush()
        data = self.path.read_bytes()
        self.assertTrue(data.startswith(HEADER))
        return data.removeprefix(HEADER)


class WritingTests(RecorderCase):
    """What is written, and when."""

    def test_a_conversation(self) -> None:
        """The peer, bytes, times and EOF of both sides."""
        self.recorder.connected(PEER, 1)
        self.clock.advance(5)
        self.recorder.upstream_opened(PEER, 1)  # times count from here
        self.clock.advance(0.2)
        self.exchange(1, opened=False)
        self.recorder.passed(PEER, 1, UP, b"")
        self.clock.advance(0.00005)
        self.recorder.passed(PEER, 1, DOWN, b"")
        self.lost(1)
        self.assertEqual(
            self.lines(),
            b"-- 1 127.0.0.1:50000\n(0.2 s)\n> PING\\r\\n\n< +PONG\\r\\n\n>eof\n<eof\n",
        )

    def test_times_do_not_drift(self) -> None:
        """What is too short to be written counts for the next time."""
        self.connect(1)
        for _ in range(100):
            self.clock.advance(0.00004)
            self.recorder.passed(PEER, 1, UP, b"a")
        self.recorder.close()
        [conversation] = load(self.path).conversations
        self.assertAlmostEqual(sum(it.after for it in conversation.events), 0.004, places=4)

    def test_conversations_take_turns(self) -> None:
        """Each has times of its own."""
        self.exchange(1)
        self.clock.advance(0.01)
        self.exchange(2)
        self.clock.advance(0.01)
        self.exchange(1, opened=False)
        self.assertEqual(
            self.lines().split(b"\n")[3:8],
            [b"-- 2 127.0.0.1:50000", b"> PING\\r\\n", b"< +PONG\\r\\n", b"-- 1", b"(0.02 s)"],
        )

    def test_bytes_that_were_seen_before(self) -> None:
        """They have the same line as the first time, and each side has its own."""
        self.connect(1)
        pieces = [b"a\n", b"\\", b"a\n", b"x" * (MAX_KNOWN_BYTES + 1)]
        for data in pieces * 2:
            self.recorder.passed(PEER, 1, UP, data)
            self.recorder.passed(PEER, 1, DOWN, data)
        expected = [write_bytes(side, data) for data in pieces * 2 for side in (CLIENT, SERVER)]
        self.assertEqual(self.lines(), b"-- 1 127.0.0.1:50000\n" + b"".join(expected))

    def test_more_than_what_is_remembered(self) -> None:
        """All bytes are written, however many differ."""
        self.connect(1)
        pieces = [b"%d" % number for number in range(MAX_KNOWN + 10)] * 2
        for data in pieces:
            self.recorder.passed(PEER, 1, UP, data)
        expected = b"".join(write_bytes(CLIENT, data) for data in pieces)
        self.assertEqual(self.lines(), b"-- 1 127.0.0.1:50000\n" + expected)

    def test_resets(self) -> None:
        """A reset of the client, or of the service, ends the conversation."""
        self.exchange(1)
        self.recorder.upstream_ended(PEER, 1, Failure(ConnectionAborted()))
        self.recorder.disconnected(PEER, 1, Failure(ConnectionLost()))
        self.exchange(2)
        self.recorder.upstream_ended(PEER, 2, Failure(ConnectionLost()))
        self.recorder.disconnected(PEER, 2, Failure(ConnectionLost()))
        self.recorder.close()
        self.assertEqual(
            [it.events[-1] for it in load(self.path).conversations],
            [Event(CLIENT, End.RESET), Event(SERVER, End.RESET)],
        )

    def test_resets_by_the_relay_are_not_recorded(self) -> None:
        """As when it stops, or a client was idle for too long."""
        self.exchange(1)
        self.lost(1, ConnectionAborted())
        self.assertEqual(self.lines(), b"-- 1 127.0.0.1:50000\n> PING\\r\\n\n< +PONG\\r\\n\n")

    def test_nothing_passed(self) -> None:
        """A client of a service that cannot be reached leaves no line, nor does a silent one."""
        self.recorder.connected(PEER, 1)
        self.recorder.upstream_failed(PEER, 1, Failure(ConnectionLost()))
        self.recorder.disconnected(PEER, 1, Failure(ConnectionLost()))
        self.connect(2)
        self.lost(2)
        self.recorder.close()
        self.assertEqual(self.path.read_bytes(), HEADER)

    def test_what_passes_before_the_service_is_connected(self) -> None:
        """A server that forwards some requests only connects when the first is there."""
        self.recorder.connected(PEER, 1)
        self.recorder.passed(PEER, 1, UP, b"early")
        self.recorder.flush()
        self.clock.advance(1)
        self.recorder.upstream_opened(PEER, 1)
        self.recorder.passed(PEER, 1, DOWN, b"late")
        self.assertEqual(self.lines(), b"-- 1 127.0.0.1:50000\n> early\n(1 s)\n< late\n")

    def test_in_bulk(self) -> None:
        """What passes within a moment is written at once; nothing waits after that."""
        for number in range(1, 21):
            self.exchange(number)
        self.assertEqual(self.writes, 0)
        self.clock.advance(WRITE_INTERVAL)
        self.assertEqual(self.writes, 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(len(load(self.path).conversations), 20)

    def test_much_is_written_at_once(self) -> None:
        """So memory does not grow with what passes."""
        self.connect(1)
        for _ in range(100):
            self.recorder.passed(PEER, 1, DOWN, b"x" * 1000)
        self.assertGreater(self.path.stat().st_size, 100_000 - WRITE_BYTES)
        self.assertEqual(self.recorder.file.waiting, 0)

    def test_ended_connections_take_no_memory(self) -> None:
        """A connection is forgotten once it is lost; what is reported later means nothing."""
        for number in range(1, 50):
            self.exchange(number)
            self.lost(number)
        self.recorder.flush()
        before = self.path.stat().st_size
        self.exchange(1, opened=False)
        self.lost(1)
        self.recorder.close()
        self.assertEqual(self.path.stat().st_size, before)

    def test_the_owner_alone_can_read_it(self) -> None:
        """A recording may contain secrets."""
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)

    def test_appends(self) -> None:
        """Numbers begin anew after another header, and are told apart when they are read."""
        self.exchange(1)
        self.recorder.close()
        self.recorder = self.open()
        self.exchange(1)
        self.recorder.close()
        self.assertEqual([it.number for it in load(self.path).conversations], [1, 2])

    def test_what_a_crash_left(self) -> None:
        """All whole lines count, and the torn one is left out with a warning."""
        self.exchange(1)
        self.recorder.flush()
        with self.path.open("ab") as file:
            file.write(b"> hal")
        self.assertEqual(len(load(self.path).warnings), 1)
        self.recorder = self.open()
        self.exchange(1)
        self.recorder.close()
        recording = load(self.path)
        self.assertEqual(len(recording.warnings), 1)
        one, other = recording.conversations
        self.assertEqual(one.events, other.events)

    def test_other_files_are_not_appended_to(self) -> None:
        """A name that was mistyped costs nothing."""
        self.recorder.close()
        self.path.write_bytes(b"precious")
        with self.assertRaises(ValueError) as caught:
            self.open()
        self.assertEqual(
            str(caught.exception), "expected a recording, or no file: it has other contents"
        )


class RedactionTests(RecorderCase):
    """Secrets are not in the file."""

    def setUp(self) -> None:
        super().setUp()
        self.recorder.close()
        self.path.unlink()
        self.recorder = self.open(redact=[r"PASS (?P<password>\S+)"])

    def text(self) -> bytes:
        self.recorder.close()
        return self.path.read_bytes()

    def test_across_reads(self) -> None:
        """The header names what was replaced; order and times stay."""
        self.connect(1)
        self.recorder.passed(PEER, 1, UP, b"PASS hun")
        self.clock.advance(WRITE_INTERVAL)
        self.recorder.passed(PEER, 1, UP, b"ter2\r\n")
        self.recorder.passed(PEER, 1, DOWN, b"+OK\r\n")
        self.recorder.passed(PEER, 1, UP, b"")
        self.lost(1)
        self.assertEqual(
            self.text(),
            HEADER.replace(b"\n", b" redacted=password\n")
            + b"-- 1 127.0.0.1:50000\n> PASS \\<password:7>\n(0.05 s)\n> \\r\\n\n"
            b"< +OK\\r\\n\n>eof\n",
        )
        self.assertEqual(load(self.path).header.redacted, ("password",))

    def test_a_replay_takes_another_secret(self) -> None:
        """What was redacted of a client can be of any size; the service's has its size."""
        self.connect(1)
        for direction, data in (
            *((UP, b"USER me\r\nPASS hunter2\r\n"), (DOWN, b"PASS abc\r\n")),
            *((UP, b"QUIT\r\n"), (DOWN, b"bye\r\n")),
        ):
            self.recorder.passed(PEER, 1, direction, data)
        self.recorder.close()
        [conversation] = load(self.path).conversations
        track = make_track(conversation, 0)
        assert track is not None
        follower = Follower(track)
        steps = []
        for data in (b"USER me\r\nPASS x\r\n", b"QUIT\r\n"):
            more, difference = follower.feed(data)
            self.assertIsNone(difference)
            steps += more
        said = b"".join(it.data for it in steps if isinstance(it, Send))
        self.assertEqual(said, b"PASS ***\r\nbye\r\n")

    def test_what_is_held_back_is_written_at_the_end(self) -> None:
        """A connection that is open when the recorder is closed is recorded, too."""
        self.connect(1)
        self.recorder.passed(PEER, 1, UP, b"PASS a\r\n")
        self.assertTrue(self.text().endswith(b"\n> PASS \\<password>\\r\\n\n"))


class FullTests(RecorderCase):
    """A disk that is full."""

    def fill(self, number: int) -> None:
        """Let lines of connection *number* be lost."""
        self.room = 0
        for _ in range(2 * MAX_BUFFER_SIZE // WRITE_BYTES):
            self.recorder.passed(PEER, number, DOWN, b"x" * WRITE_BYTES)

    def test_a_moment_loses_nothing(self) -> None:
        """One line in the log, another when it is over."""
        with capturedLogs() as events:
            self.exchange(1)
            self.room = 10
            self.recorder.flush()
            self.exchange(1, opened=False)
            self.recorder.flush()
            self.room = 2**60
            self.clock.advance(1)
        self.assertEqual(
            [it["log_format"].format(**it) for it in events],
            [
                f"recording {self.path}: cannot be written: No space left on device; retrying",
                f"recording {self.path}: can be written again; 0 lines lost",
            ],
        )
        self.assertEqual(self.lines().count(b"PING"), 2)

    def test_a_conversation_ends_where_lines_were_lost(self) -> None:
        """What was recorded of it is right; others are whole, and new ones are recorded."""
        self.exchange(1)
        self.exchange(2)
        self.fill(1)
        self.room = 2**60
        self.clock.advance(1)
        self.exchange(1, opened=False)
        self.exchange(2, opened=False)
        self.exchange(3)
        self.recorder.close()
        self.assertIn(b" lines were lost here: the file could not be written\n", self.lines())
        recording = load(self.path)
        first, *others = recording.conversations
        self.assertEqual([it.number for it in recording.conversations], [1, 2, 3])
        self.assertEqual(len(first.events), 2)
        self.assertEqual([self.pings(it) for it in others], [2, 1])

    @staticmethod
    def pings(conversation: Any) -> int:
        return sum(
            b"".join(it.data).count(b"PING") for it in conversation.events if it.sender is CLIENT
        )

    def test_a_new_file_gets_no_line_without_its_beginning(self) -> None:
        """Lines that could not be written to the old file are lost."""
        self.exchange(1)
        self.recorder.flush()
        self.room = 20
        self.exchange(2)
        self.recorder.flush()
        self.path.rename(self.path.with_name("old"))
        self.room = 2**60
        self.disk_is_full_once()
        self.recorder.reopen()
        self.exchange(2, opened=False)
        self.exchange(3)
        self.recorder.close()
        recording = load(self.path)
        self.assertEqual([it.number for it in recording.conversations], [3])

    def disk_is_full_once(self) -> None:
        """Let the next flush fail."""
        room = [0, 0]

        def write(file: int, data: Any) -> int:
            self.room = room.pop(0) if room else 2**60
            return self.write(file, data)

        self.patch(os, "write", write)


class RotationTests(RecorderCase):
    """A file that is renamed."""

    def test_a_new_file(self) -> None:
        """It has a header, and a conversation that goes on says that it has begun elsewhere."""
        self.exchange(1)
        self.recorder.reopen()
        self.exchange(1, opened=False)
        self.path.rename(self.path.with_name("old"))
        self.recorder.reopen()
        self.exchange(1, opened=False)
        self.exchange(2)
        self.assertEqual(
            self.lines(),
            b"-- 1 127.0.0.1:50000\n# continued: it has begun in a file that was renamed or"
            b" emptied\n> PING\\r\\n\n< +PONG\\r\\n\n"
            b"-- 2 127.0.0.1:50000\n> PING\\r\\n\n< +PONG\\r\\n\n",
        )
        self.assertEqual(len(load(self.path.with_name("old")).conversations), 1)

    def test_an_emptied_file(self) -> None:
        """As after ``copytruncate``: it begins anew, and a later recorder continues it."""
        self.exchange(1)
        self.recorder.flush()
        os.truncate(self.path, 0)
        self.exchange(1, opened=False)
        self.assertEqual(
            self.lines(),
            b"-- 1 127.0.0.1:50000\n# continued: it has begun in a file that was renamed or"
            b" emptied\n> PING\\r\\n\n< +PONG\\r\\n\n",
        )
        self.recorder.close()
        self.open().close()
        self.assertEqual(len(load(self.path).conversations), 1)

    def test_a_file_that_is_emptied_while_the_disk_is_full(self) -> None:
        """Lines that wait for it are lost: what they continue is gone."""
        self.exchange(1)
        self.recorder.flush()
        self.room = 0
        self.exchange(1, opened=False)
        self.recorder.flush()
        os.truncate(self.path, 0)
        self.room = 2**60
        self.clock.advance(1)
        self.exchange(1, opened=False)
        self.exchange(2)
        self.recorder.close()
        self.assertIn(b"# 2 lines were lost here", self.lines())
        self.assertEqual([it.number for it in load(self.path).conversations], [2])

    def test_a_large_file(self) -> None:
        """The log says once for each file what to do, while the file can still be read."""
        with capturedLogs() as events:
            for name in ("first", "second"):
                self.exchange(1)
                self.recorder.flush()
                os.truncate(self.path, LARGE_BYTES)
                for _ in range(2):
                    self.exchange(1)
                    self.recorder.flush()
                self.path.rename(self.path.with_name(name))
                self.recorder.reopen()
        texts = [it["log_format"].format(**it) for it in events]
        warning = (
            f"recording {self.path}: has 192 MiB, and with more than 256 MiB it cannot be read;"
            " to continue in a new file, rename it and send SIGHUP"
        )
        self.assertEqual([it for it in texts if "MiB" in it], [warning] * 2)


class RelayTests(RelayedCase):
    """A recorder of a real relay, on the network in memory."""

    def setUp(self) -> None:
        self.path = temporary(self) / "a.rec"
        self.clock = Clock()
        self.recorder = Recorder(str(self.path), cast(Any, self.clock))
        self.arguments = {"observers": [self.recorder]}
        super().setUp()

    def recorded(self) -> Recording:
        """Return what was recorded so far."""
        self.recorder.close()
        return load(self.path)

    def data(self) -> list[Any]:
        """Return the events of the only conversation, times left out."""
        [conversation] = self.recorded().conversations
        return [(it.sender, it.data) for it in conversation.events]

    def test_a_half_close(self) -> None:
        """EOF of either side stands where it came."""
        client, service = self.connect_both()
        client.send(b"request")
        client.half_close()
        service.transport.write(b"late reply")
        service.transport.loseConnection()
        self.advance(0)
        self.assertEqual(
            self.data(),
            [
                (CLIENT, (b"request",)),
                (CLIENT, End.EOF),
                (SERVER, (b"late reply",)),
                (SERVER, End.EOF),
            ],
        )

    def test_a_reset_of_the_client(self) -> None:
        """It is the client's, though the relay resets the service then."""
        client, _service = self.connect_both()
        client.send(b"half")
        client.reset()
        self.advance(1)
        self.assertEqual(self.data(), [(CLIENT, (b"half",)), (CLIENT, End.RESET)])

    def test_a_reset_that_a_fault_delays(self) -> None:
        """It stands where it came, and the conversation ends there."""
        self.factory.fault("latency", stream="upstream", delay=60)
        client, service = self.connect_both()
        client.send(b"half")
        client.reset()
        self.advance(1)
        service.transport.write(b"late")
        self.advance(50)
        self.assertFalse(service.was_reset)
        self.advance(10)
        self.assertTrue(service.was_reset)
        self.assertEqual(self.data(), [(CLIENT, (b"half",)), (CLIENT, End.RESET)])

    def test_a_reset_of_the_service(self) -> None:
        """It is the service's, though the relay resets the client then."""
        _client, service = self.connect_both()
        service.transport.write(b"half")
        self.advance(0)
        service.transport.abortConnection()
        self.advance(1)
        self.assertEqual(self.data(), [(SERVER, (b"half",)), (SERVER, End.RESET)])

    def test_an_end_by_the_relay(self) -> None:
        """What was not sent by a peer is not recorded."""
        client, _service = self.connect_both()
        client.send(b"a")
        self.factory.drain(0)
        self.advance(1)
        self.assertEqual(self.factory.open, 0)
        self.assertEqual(self.data(), [(CLIENT, (b"a",))])

    def test_what_faults_change_is_recorded_as_it_came(self) -> None:
        """Bytes that are changed, dropped or late, and an end that is late, on either side."""
        self.factory.fault("blackhole", stream="upstream")
        self.factory.fault("corrupt", stream="downstream", bytes=4)
        self.factory.fault("latency", stream="downstream", delay=60)
        self.factory.fault("slow_close", stream="downstream", delay=60)
        client, service = self.connect_both()
        client.send(b"request")
        service.transport.write(b"reply")
        service.transport.loseConnection()
        self.advance(1)
        self.assertEqual((service.got, client.received()), (b"", b""))
        self.assertEqual(
            self.data(), [(CLIENT, (b"request",)), (SERVER, (b"reply",)), (SERVER, End.EOF)]
        )


class MemoryTests(RecorderCase):
    """The file grows, and memory does not."""

    #: Bytes that pass in a round, and the bytes of a piece.
    ROUND, PIECE = 2 * 1024 * 1024, 16 * 1024

    def grow(self, recorder: Recorder, rounds: int) -> int:
        """Record so many rounds on two connections, and return the bytes that are allocated."""
        line = b"GET something or other, %06d\r\n"
        for number in range(rounds * self.ROUND // self.PIECE):
            data = b"key:%d\r\n" % number
            data += (line % number) * (self.PIECE // len(line % number))
            for connection in (1, 2):
                recorder.passed(PEER, connection, UP, data[: self.PIECE // 4])
                recorder.passed(PEER, connection, DOWN, data)
            self.clock.advance(WRITE_INTERVAL)
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    def check(self, **options: Any) -> None:
        """Check that two rounds more take no memory more than what may wait."""
        self.recorder = self.open(**options)
        for connection in (1, 2):
            self.connect(connection)
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        before, size = self.grow(self.recorder, 1), self.path.stat().st_size
        after = self.grow(self.recorder, 2)
        self.assertGreater(self.path.stat().st_size, 2.5 * size)
        self.assertLess(after - before, 64 * 1024)
        peak = tracemalloc.get_traced_memory()[1]
        self.assertLess(peak, 4 * 1024 * 1024)

    def test_a_long_recording(self) -> None:
        """As large as the pieces that wait to be written."""
        self.check()

    def test_with_redaction(self) -> None:
        """What may be part of a secret waits, too, and no more than that."""
        self.check(redact=[r"key:(?P<key>\d+)", r"(?s)never.*ends"])
