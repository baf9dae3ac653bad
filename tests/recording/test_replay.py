"""Recorded conversations, answered again."""

import tracemalloc
from base64 import b64encode
from pathlib import Path
from tempfile import mkdtemp

from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from reqresp import Line, Netstring
from reqresp._errors import FieldError
from reqresp.framing import FrameError
from reqresp.journal import RequestLog
from reqresp.recording import Conversation, Event, Header, Recording, RecordingError, Sender
from reqresp.recording._follower import MAX_MARK_BYTES
from reqresp.recording.replay import MAX_BEGINNING, Replay
from reqresp.recording.writing import write_bytes
from tests.support.calls import called_by
from tests.support.recorded import HEADER, Recorded, recorded

PING = ("> PING\\r\\n", "< +PONG\\r\\n")


class PositionTests(Recorded):
    """The server's bytes follow when the client has sent what it had sent then."""

    def test_a_reply_follows_its_request(self) -> None:
        """Each reply is sent once its request is complete, however the request is cut."""
        client = self.join(self.replay("> one", "< 1", "> two", "< 2"))
        client.send(b"on")
        self.assertEqual(client.received(), b"")
        client.send(b"e")
        self.assertEqual(client.received(), b"1")
        client.send(b"t", b"w", b"o")
        self.assertEqual(client.received(), b"2")

    def test_requests_that_arrive_together(self) -> None:
        """Requests that now arrive in one read have their replies in order."""
        client = self.join(self.replay("> one", "< 1", "> two", "< 2", "> three"))
        client.send(b"onetwoth")
        self.assertEqual(client.received(), b"12")
        client.send(b"ree")
        self.assertFalse(client.got_reset)

    def test_the_greeting_comes_first(self) -> None:
        """What the server said first is sent when a client connects."""
        client = self.join(self.replay("< 220 hi\\r\\n", "> QUIT\\r\\n", "< 221 bye\\r\\n"))
        self.assertEqual(client.received(), b"220 hi\r\n")
        client.send(b"QUIT\r\n")
        self.assertEqual(client.received(), b"221 bye\r\n")

    def test_binary_data(self) -> None:
        """All bytes are replayed as they are."""
        client = self.join(self.replay(r"> \x00\xff\n", ">base64 AAEC", r"< \x80\0"))
        client.send(b"\x00\xff\n\x00\x01\x02")
        self.assertEqual(client.received(), b"\x80\0")

    def test_the_end_of_the_recording(self) -> None:
        """A connection stays open after what was recorded, and is reset if more arrives."""
        client = self.join(self.replay(*PING))
        client.send(b"PING\r\n")
        client.received()
        self.assertTrue(client.is_open)
        client.send(b"PING\r\n")
        self.assertTrue(client.got_reset)
        [deviation] = self.replayer.deviations
        self.assertEqual(
            str(deviation),
            "differs from conversation 1 at byte 6 (it.rec): expected nothing more, found"
            r" b'PING\r\n'",
        )

    def test_long_conversations(self) -> None:
        """Megabytes pass both ways, in pieces that let other clients have their turn."""
        upload, download = b"u" * 3_000_000, b"d" * 5_000_000
        text = f"> {upload.decode()}\n", f"< {download.decode()}\n"
        client = self.join(self.replay(*map(str.strip, text)))
        client.send(upload)
        self.assertEqual(client.received(), download)
        self.assertLessEqual(client.largest_send, 128 * 1024)

    def test_a_client_that_does_not_read(self) -> None:
        """What a client does not read waits in the recording, not in the transport."""
        client = self.join(self.replay("> x", f"< {'d' * 5_000_000}"))
        client.stop_reading()
        client.send(b"x")
        self.assertLess(client.buffered, 512 * 1024)
        client.read_on()
        client.turn()
        self.assertEqual(len(client.received()), 5_000_000)


class EndTests(Recorded):
    """EOF and resets, as they were recorded."""

    def test_the_server_closes(self) -> None:
        """EOF of the server after which only the client's follows closes the connection."""
        client = self.join(self.replay("> QUIT", "< bye", "<eof", ">eof"))
        client.send(b"QUIT")
        self.assertEqual(client.received(), b"bye")
        self.assertTrue(client.got_eof)
        client.send_eof()
        client.wait(2)
        self.assertFalse(client.is_open)

    def test_the_server_half_closes(self) -> None:
        """After EOF of the server, the client can still send what it had sent then."""
        client = self.join(self.replay("> a", "< b", "<eof", "> c", ">eof"))
        client.send(b"a")
        self.assertEqual(client.received(), b"b")
        self.assertTrue(client.got_eof)
        client.send(b"c")
        self.assertFalse(client.got_reset)
        self.assertEqual(self.replayer.unused(), [])

    def test_the_server_resets(self) -> None:
        """A reset of the server comes after its bytes."""
        client = self.join(self.replay("> a", "< b", "<reset"))
        client.send(b"a")
        self.assertEqual(client.received(), b"b")
        self.assertTrue(client.got_reset)

    def test_the_client_is_not_closed_before_it_ends(self) -> None:
        """EOF of the server that followed the client's waits for the client's."""
        client = self.join(self.replay(*PING, ">eof", "<eof"))
        client.send(b"PING\r\n")
        self.assertEqual(client.received(), b"+PONG\r\n")
        self.assertFalse(client.got_eof)
        client.send_eof()
        client.turn()
        self.assertTrue(client.got_eof)

    def test_replies_after_eof_of_the_client(self) -> None:
        """A client that now sends its EOF earlier, or never, gets all replies."""
        lines = ("> a", ">eof", "(0.5 s)", "< one", "(0.5 s)", "< two", "<eof")
        early = self.join(self.replay(*lines, pace=1))
        early.put(b"a")
        early.send_eof()
        early.wait(0.5)
        early.wait(0.5)
        self.assertEqual(early.received(), b"onetwo")
        self.assertTrue(early.got_eof)
        never = self.join(self.server)
        never.send(b"a")
        never.wait(0.5)
        never.wait(0.5)
        self.assertEqual(never.received(), b"onetwo")
        self.assertFalse(never.got_eof)

    def test_a_reset_after_eof_of_the_client(self) -> None:
        """A reset of the server is sent, although the EOF before it has not come."""
        client = self.join(self.replay("> a", ">eof", "< b", "<reset"))
        client.send(b"a")
        self.assertEqual(client.received(), b"b")
        self.assertTrue(client.got_reset)

    def test_a_reset_of_the_client(self) -> None:
        """A reset of the client is not waited for."""
        client = self.join(self.replay(*PING, ">eof", ">reset"))
        client.send(b"PING\r\n")
        self.assertFalse(client.got_reset)
        self.assertEqual(client.received(), b"+PONG\r\n")


class PaceTests(Recorded):
    """When the server's bytes are sent."""

    LINES = ("(1 s)", "> a", "(0.5 s)", "< b", "(0.25 s)", "< c")

    def test_at_once(self) -> None:
        """By default nothing waits."""
        client = self.join(self.replay(*self.LINES))
        client.send(b"a")
        self.assertEqual(client.received(), b"bc")

    def test_as_recorded(self) -> None:
        """With pace 1, the server takes the time that it had taken; the client takes its own."""
        client = self.join(self.replay(*self.LINES, pace=1))
        client.send(b"a")
        client.wait(0.49)
        self.assertEqual(client.received(), b"")
        client.wait(0.02)
        self.assertEqual(client.received(), b"b")
        client.wait(0.25)
        self.assertEqual(client.received(), b"c")

    def test_any_factor(self) -> None:
        """With pace 2, it takes twice as long."""
        client = self.join(self.replay(*self.LINES, pace=2))
        client.send(b"a")
        client.wait(0.99)
        self.assertEqual(client.received(), b"")
        client.wait(0.02)
        self.assertEqual(client.received(), b"b")

    def test_an_impossible_pace(self) -> None:
        """A pace is a finite number that is not negative."""
        for pace in (-1, float("inf"), float("nan")):
            with self.assertRaisesRegex(FieldError, "pace: expected a finite number >= 0"):
                recorded(*PING, pace=pace)


class DeviationTests(Recorded):
    """Clients that do what was not recorded."""

    def test_another_byte(self) -> None:
        """The first byte that differs resets the connection, and one log line says where it is."""
        client = self.join(self.replay("> SET a 1\\n", "< +OK\\n", "> GET a\\n", "< 1\\n"))
        client.send(b"SET a 1\nGET b\n")
        self.assertEqual(client.received(), b"+OK\n")
        self.assertTrue(client.got_reset)
        [deviation] = self.replayer.deviations
        it = deviation.difference
        self.assertEqual((deviation.connection, deviation.conversation), (1, 1))
        self.assertEqual((it.position, it.line), (12, 4))
        self.assertEqual(it.expected[it.at :], b"a\n")
        self.assertEqual(it.found[it.at :], b"b\n")
        self.assertEqual(it.expected[: it.at], b"GET ")
        self.assertEqual(it.found[: it.at], b"GET ")

    def test_the_line_within_a_longer_event(self) -> None:
        """The line of the recording is that with the byte, also where lines were one read."""
        client = self.join(self.replay("> a\\n", "> b\\n", "> c\\n", "< x"))
        client.send(b"a\nb\nX")
        [deviation] = self.replayer.deviations
        self.assertEqual(deviation.difference.line, 4)

    def test_a_difference_in_a_later_read(self) -> None:
        """What is shown before the difference includes earlier reads."""
        client = self.join(self.replay("> hello world", "< x"))
        client.send(b"hello ", b"wurld")
        [deviation] = self.replayer.deviations
        it = deviation.difference
        self.assertEqual((it.position, it.found), (7, b"hello wurld"))

    def test_the_log(self) -> None:
        """The log has one line, with the client and both sides."""
        with capturedLogs() as events:
            self.join(self.replay(*PING)).send(b"PONG")
        lines = [it["log_format"].format(**it) for it in events if it["log_level"].name == "warn"]
        self.assertEqual(
            lines,
            [
                "127.0.0.1:50000: differs from conversation 1 at byte 1 (it.rec:2): expected"
                r" b'ING\r\n', found b'ONG'; resetting"
            ],
        )

    def test_its_place_in_the_log(self) -> None:
        """The line comes after those of what has happened before."""
        with capturedLogs() as events:
            factory = self.replay("> a", "< 1", "> b", observers=[RequestLog(self.reactor)])
            client = self.join(factory)
            client.send(b"a", b"X")
            client.wait(1)
        text = "\n".join(it["log_format"].format(**it) for it in events)
        self.assertRegex(
            text,
            r"#1 .* connected\n#1 < 'a' .*\n127.0.0.1:50000: differs from .*\n#1 < 'X' ",
        )


class LineTests(Recorded):
    """Which line of the recording a difference, and what is unused, names."""

    def check(self, line: int, sent: bytes, *lines: str) -> None:
        """Check that a client that sends *sent* differs at *line*."""
        client = self.join(self.replay(*lines))
        client.send(sent)
        [deviation] = self.replayer.deviations
        self.assertEqual(deviation.difference.line, line)

    def test_lines_before_a_mark(self) -> None:
        """Lines of one read are counted before a mark, and after it."""
        lines = (r"> A\n", r"> B\n", r"> C \<x:1> D\n", r"> E\n", "< ok")
        self.check(2, b"X", *lines)
        self.check(3, b"A\nX", *lines)
        self.check(4, b"A\nB\nX", *lines)
        self.check(4, b"A\nB\nC 1 X", *lines)
        self.check(5, b"A\nB\nC 1 D\nX", *lines)

    def test_a_mark(self) -> None:
        """A mark that does not end is on its own line."""
        self.check(4, b"A\nB\nC " + b"1" * 2 * MAX_MARK_BYTES, r"> A\n", r"> B\n", r"> C \<x>;")

    def test_several_marks_in_a_line(self) -> None:
        """Marks and bytes after each other on a line, and on the next, have their lines."""
        lines = (r"> A\n", r"> \<x:1>,\<y:1>\<z:1>,", r"> \<x:1>B")
        self.check(3, b"A\n1X", *lines)
        self.check(3, b"A\n1,23X", *lines)
        self.check(4, b"A\n1,23,1X", *lines)

    def test_line_ends_within_a_line(self) -> None:
        """LF that was written within a line makes no other line."""
        self.check(2, b"a\nX", r"> a\nb\nc\n", r"> d\n")
        self.check(3, b"a\nb\nc\nX", r"> a\nb\nc\n", r"> d\n")

    def test_lines_between(self) -> None:
        """Comments, blank lines, empty data and other conversations in between are counted."""
        self.check(5, b"a\nX", r"> a\n", "# note", "", r"> b\n")
        self.check(4, b"a\nX", r"> a\n", "> ", r"> b\n")
        self.check(7, b"a\nX", "-- 1", r"> a\n", "-- 2", r"> z\n", "-- 1", r"> b\n")
        self.check(4, b"a\nX", r"> a\n", "(1 s)", r"> b\n")

    def test_base64(self) -> None:
        """Each line of base64 has its own bytes, whether there is LF or NUL among them."""
        text = [f">base64 {b64encode(it).decode()}" for it in (b"a\nb\n", b"c\n\0", b"d\n")]
        lines = (*text, r"> e\n")
        self.check(2, b"a\nX", *lines)
        self.check(3, b"a\nb\nX", *lines)
        self.check(4, b"a\nb\nc\n\0X", *lines)
        self.check(5, b"a\nb\nc\n\0d\nX", *lines)

    def test_long_base64(self) -> None:
        """Bytes that were recorded as many lines of base64 are found on theirs."""
        data = bytes(range(256)) * 40
        lines = write_bytes(Sender.CLIENT, data).decode().splitlines()
        self.assertEqual(len(lines), 4)
        self.check(4, data[:7000] + b"\0" * 9, *lines)
        self.check(6, data + b"X", *lines, r"> a\n")

    def test_unused(self) -> None:
        """What was not asked for begins at the line of its mark."""
        self.join(self.replay(r"> A\n", r"> B\n", r"> C\<x:1>\n", "< ok")).send(b"A\nB\nC")
        [unused] = self.replayer.unused()
        self.assertEqual(unused.line, 4)
        self.join(self.server).send(b"A\nB\nC1")
        [unused] = self.replayer.unused()
        self.assertEqual((unused.line, unused.data), (4, b"\n"))

    def test_unused_after_a_part(self) -> None:
        """Lines that the client has sent are not unused; of one that it has begun, all is."""
        self.join(self.replay(r"> A\n", r"> B\n", r"> C\n", "< ok")).send(b"A\nB")
        [unused] = self.replayer.unused()
        self.assertEqual((unused.line, unused.is_whole, unused.data), (3, False, b"B\nC\n"))

    def test_ignored_in_base64(self) -> None:
        """A mark in base64 needs more lines; the lines of the file keep their numbers."""
        path = Path(mkdtemp()) / "it.rec"
        path.write_text(HEADER + ">base64 AAECAwQF\n> a\\n\n< b\n", encoding="utf-8")
        self.server = self.factory(Replay.load(path, ignore=[r"\x01\x02\x03\x04"]))
        for sent, line in ((b"\0wxyzX", 2), (b"\0wxyz\5X", 3)):
            self.join(self.server).send(sent)
            self.assertEqual(self.replayer.deviations[-1].difference.line, line)

    def test_a_recording_without_lines(self) -> None:
        """Where a recording was not read from a file, no line is named."""
        event = Event(Sender.CLIENT, (b"a\nb\n",))
        recording = Recording(Header(), (Conversation(1, "", (event,)),), "made")
        self.server = self.factory(Replay(recording))
        self.join(self.server).send(b"a\nX")
        self.join(self.server).send(b"a\nb\nX")
        self.assertEqual(
            [*map(str, self.replayer.deviations)],
            [
                r"differs from conversation 1 at byte 2 (made): expected b'b\n', found b'X'",
                "differs from conversation 1 at byte 4 (made): expected nothing more, found b'X'",
            ],
        )


class ChoiceTests(Recorded):
    """Which conversation a connection follows."""

    def test_by_how_it_begins(self) -> None:
        """A connection follows the conversation that begins as it does."""
        factory = self.replay("-- 1", "> a", "< 1", "-- 2", "> b", "< 2", "-- 3", "> c", "< 3")
        for request, reply in ((b"c", b"3"), (b"a", b"1"), (b"b", b"2")):
            client = self.join(factory)
            client.send(request)
            self.assertEqual(client.received(), reply)
        self.assertEqual(self.replayer.unused(), [])

    def test_the_least_used_first(self) -> None:
        """Of conversations that begin alike, the next connection follows the least used."""
        factory = self.replay("-- 1", "> a", "< 1", "-- 2", "> a", "< 2")
        replies = []
        for _ in range(5):
            client = self.join(factory)
            client.send(b"a")
            replies.append(client.received())
        self.assertEqual(replies, [b"1", b"2", b"1", b"2", b"1"])

    def test_conversations_that_differ_later(self) -> None:
        """A connection turns to another conversation with the same beginning and replies."""
        factory = self.replay(
            *("-- 1", "> hello", "< hi", "> a", "< 1"), *("-- 2", "> hello", "< hi", "> b", "< 2")
        )
        client = self.join(factory)
        client.send(b"hello")
        client.send(b"b")
        self.assertEqual(client.received(), b"hi2")
        self.assertEqual([it.conversation for it in self.replayer.unused()], [1])

    def test_other_replies_are_another_conversation(self) -> None:
        """A conversation whose earlier replies were others is not turned to."""
        factory = self.replay("-- 1", "< one", "> a", "-- 2", "< two", "> b")
        client = self.join(factory)
        client.send(b"b")
        self.assertTrue(client.got_reset)
        [deviation] = self.replayer.deviations
        self.assertEqual(deviation.conversation, 1)

    def test_replies_that_were_cut_otherwise(self) -> None:
        """How replies were cut makes no difference, nor when they were sent."""
        factory = self.replay(
            *("-- 1", "> hello", "< h", "(0.1 s)", "< i", "> a", "< 1"),
            *("-- 2", "> he", "< h", "> llo", "< i", "> b", "< 2"),
        )
        client = self.join(factory)
        client.send(b"hello", b"b")
        self.assertEqual(client.received(), b"hi2")

    def test_a_reply_is_preferred_to_silence(self) -> None:
        """If another conversation has a reply where this one waits for more, it is followed."""
        factory = self.replay(
            *("-- 1", "> PINGPING", "< PONGPONG"), *("-- 2", "> PING", "< PONG", "> QUIT", "< bye")
        )
        single = self.join(factory)
        single.send(b"PING")
        self.assertEqual(single.received(), b"PONG")
        single.send(b"QUIT")
        self.assertEqual(single.received(), b"bye")
        double = self.join(factory)
        double.send(b"PINGPING")
        self.assertEqual(double.received(), b"PONGPONG")
        slow = self.join(factory)
        slow.send(b"PING", b"PING")
        self.assertEqual(slow.received(), b"PONGPONG")

    def test_a_reply_that_another_conversation_has_later(self) -> None:
        """A conversation that says later what was said already is followed once it says more."""
        for mark in ("", r"\<it:1>"):
            factory = self.replay(
                *("-- 1", "> a" + mark, "< 1", "> bbbbbb", "< 2"),
                *("-- 2", f"> a{mark}bb", "< 1", "> b", "< more"),
            )
            client = self.join(factory)
            client.send(b"a" + b"x" * bool(mark))
            self.assertEqual(client.received(), b"1")
            client.send(b"b", b"b")
            self.assertEqual(client.received(), b"")
            client.send(b"b")
            self.assertEqual(client.received(), b"more")

    def test_another_reply_is_no_reply_at_this_place(self) -> None:
        """Of conversations with other replies, and with other requests, none is followed."""
        factory = self.replay(
            *("-- 1", r"> \<it:1>", "< 1", "> bbb", "< 2"),
            *("-- 2", r"> \<it:1>", "< other", "> b", "< 3"),
            *("-- 3", r"> \<it:1>", "< 1", "> c", "< 4", "> b"),
        )
        client = self.join(factory)
        client.send(b"x", b"b", b"b")
        self.assertEqual(client.received(), b"1")
        client.send(b"b")
        self.assertEqual(client.received(), b"2")

    def test_a_read_of_a_long_conversation_costs_as_much_as_of_a_short_one(self) -> None:
        """Another conversation with marks is compared with what is new, not from its beginning."""

        def lines(number: int, last: str) -> list[str]:
            turns = [(rf"> GET \<id:4> k{it}\n", r"< OK \<id>\n") for it in range(300)]
            return [f"-- {number}", *(line for turn in turns for line in turn), f"> {last}"]

        client = self.join(self.replay(*lines(1, "x"), *lines(2, "y")))
        costs = []
        for number in range(300):
            client.send(b"GET %04d" % number)  # a part: the other conversation may have a reply
            costs.append(len(called_by(lambda: client.send(b" k"), ["reqresp/recording/"])))
            client.send(b"%d\n" % number)
        self.assertEqual(len(client.received()), 300 * len(b"OK 0000\n"))
        self.assertEqual(costs[1:], costs[1:2] * 299)

    def test_the_deviation_of_the_conversation_that_was_followed_longest(self) -> None:
        """If no conversation fits, the one that fits longest is shown."""
        factory = self.replay("-- 1", "> abc", "-- 2", "> abdef", "-- 3", "> x")
        self.join(factory).send(b"abdeX")
        [deviation] = self.replayer.deviations
        self.assertEqual((deviation.conversation, deviation.difference.position), (2, 4))

    def test_a_connection_without_a_byte_uses_nothing(self) -> None:
        """A client that only looks whether the port is open does not change which is next."""
        factory = self.replay("-- 1", "> a", "< 1", "-- 2", "> a", "< 2")
        self.join(factory).send_eof()
        waiting = self.join(factory)
        first = self.join(factory)
        first.send(b"a")
        self.assertEqual(first.received(), b"1")
        waiting.send(b"a")
        self.assertEqual(waiting.received(), b"2")

    def test_after_a_long_beginning(self) -> None:
        """Conversations are told apart by their first megabyte, so that memory is bounded."""
        same = "s" * (MAX_BEGINNING + 1)
        factory = self.replay("-- 1", f"> {same}", "< 1", "> a", "-- 2", f"> {same}", "< 1", "> b")
        client = self.join(factory)
        client.send(same.encode())
        self.assertEqual(client.received(), b"1")
        client.send(b"b")
        self.assertTrue(client.got_reset)

    def test_a_read_without_a_reply_copies_little(self) -> None:
        """A long request that arrives in small reads is not copied for each of them."""
        same = "s" * 500_000
        factory = self.replay("-- 1", f"> {same}1", "< 1", "-- 2", f"> {same}2", "< 2")
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        client = self.join(factory)
        client.send(same[:-10].encode(), b"s")  # the second read makes room for more
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        client.send(*[b"s"] * 9)
        self.assertLess(tracemalloc.get_traced_memory()[1] - before, 250_000)
        client.send(b"2")
        self.assertEqual(client.received(), b"2")


class UnusedTests(Recorded):
    """What was recorded and never asked for."""

    def test_whole_conversations(self) -> None:
        """A conversation that no client has followed is unused from its first line."""
        self.join(self.replay("-- 1", "> a", "< 1", "-- 2", "> b", "< 2")).send(b"a")
        [unused] = self.replayer.unused()
        self.assertEqual((unused.conversation, unused.line, unused.is_whole), (2, 6, True))
        self.assertEqual(unused.data, b"b")

    def test_the_rest_of_a_conversation(self) -> None:
        """Of a conversation that was followed in part, the rest is unused."""
        factory = self.replay("> a", "< 1", "> b", "< 2", "> c", "< 3")
        self.join(factory).send(b"ab")
        self.join(factory).send(b"a")
        [unused] = self.replayer.unused()
        self.assertEqual((unused.line, unused.is_whole, unused.data), (6, False, b"c"))

    def test_a_conversation_without_requests(self) -> None:
        """A greeting alone is used by a client that connects."""
        factory = self.replay("< hi", "<eof")
        [unused] = self.replayer.unused()
        self.assertTrue(unused.is_whole)
        self.join(factory)
        self.assertEqual(self.replayer.unused(), [])

    def test_looking_for_a_conversation_does_not_use_others(self) -> None:
        """Only the conversation that is followed in the end counts as used."""
        factory = self.replay("-- 1", "> ab", "< 1", "-- 2", "> ac", "< 2", "-- 3", "> ad", "< 3")
        self.join(factory).send(b"a", b"d")
        self.assertEqual([it.conversation for it in self.replayer.unused()], [1, 2])


class MarkTests(Recorded):
    """What differs at each run."""

    def test_up_to_the_next_literal(self) -> None:
        """A mark takes the shortest run up to the bytes that follow it."""
        client = self.join(self.replay(r"> id=\<id>;x\n", r"< ok \<id>\n"))
        client.send(b"id=;x\n")
        self.assertEqual(client.received(), b"ok \n")
        client = self.join(self.server)
        client.send(b"id=4;5;x\n;x\n")
        self.assertEqual(client.received(), b"ok 4;5\n")
        self.assertTrue(client.got_reset)

    def test_across_reads(self) -> None:
        """A mark, and the literal that ends it, may arrive in any pieces."""
        for cuts in range(1, 20):
            client = self.join(self.replay(r"> id=\<id>\r\nEND\r\n", r"< ok \<id>", r"> x", "< y"))
            data = b"id=12\r45\r\nEND\r\nx"
            client.send(*(data[at : at + cuts] for at in range(0, len(data), cuts)))
            self.assertEqual(client.received(), b"ok 12\r45y", cuts)

    def test_so_many_bytes(self) -> None:
        """A mark with a size takes any bytes, also at the end of what is sent."""
        for cuts in range(1, 9):
            client = self.join(
                self.replay(r"> \x01\<xid:4>", r"< \<xid:4>!", r"> \<xid:2>.", r"< \<xid>")
            )
            data = b"\x01\0\xff\r\nab."
            client.send(*(data[at : at + cuts] for at in range(0, len(data), cuts)))
            self.assertEqual(client.received(), b"\0\xff\r\n!ab", cuts)

    def test_the_latest_value_is_echoed(self) -> None:
        """A name that comes again stands for the latest value."""
        client = self.join(self.replay(r"> \<id>\n", r"< \<id>.", r"> \<id>\n", r"< \<id>."))
        client.send(b"one\ntwo\n")
        self.assertEqual(client.received(), b"one.two.")

    def test_a_difference_after_a_mark(self) -> None:
        """What follows a mark is compared, past the line end that ends the mark."""
        client = self.join(self.replay(r"> \<id>\r\n", r"> From: me\r\n", "< ok"))
        client.send(b"xyz\r\nFrom: you\r\n")
        [deviation] = self.replayer.deviations
        self.assertEqual((deviation.difference.position, deviation.difference.line), (11, 3))

    def test_a_mark_without_an_end(self) -> None:
        """A run is bounded: a client that never ends it is reset."""
        client = self.join(self.replay(r"> \<id>\n", "< ok"))
        client.send(b"x" * MAX_MARK_BYTES)
        self.assertFalse(client.got_reset)
        client.send(b"x\n")
        self.assertTrue(client.got_reset)
        [deviation] = self.replayer.deviations
        self.assertIn(r"\<id> has no end in 65536 bytes", str(deviation))

    def test_conversations_with_marks_are_told_apart(self) -> None:
        """A connection can turn from a mark to bytes, and back."""
        factory = self.replay(
            *("-- 1", r"> id=\<id>;a", r"< \<id>"), *("-- 2", r"> id=\<id>;b", r"< <\<id>>")
        )
        client = self.join(factory)
        client.send(b"id=7;", b"b")
        self.assertEqual(client.received(), b"<7>")

    def test_unused_from_a_mark(self) -> None:
        """What is unused can begin with a mark."""
        self.join(self.replay(r"> a", r"< b", r"> \<id>\n")).send(b"a")
        [unused] = self.replayer.unused()
        self.assertEqual((unused.line, unused.data), (4, b""))


class LoadTests(SynchronousTestCase):
    """Replays as a source of configs."""

    def test_a_file(self) -> None:
        """A replay is loaded from a file."""
        path = Path(mkdtemp()) / "it.rec"
        path.write_text(HEADER + "> a\n< b\n", encoding="utf-8")
        self.assertEqual(Replay.load(path, pace=2).pace, 2)

    def test_problems(self) -> None:
        """A file with problems is not replayed; the error names file and line."""
        path = Path(mkdtemp()) / "it.rec"
        path.write_text(HEADER + "oops\n", encoding="utf-8")
        with self.assertRaisesRegex(RecordingError, r"it\.rec:2: expected"):
            Replay.load(path)

    def test_nothing_recorded(self) -> None:
        """A recording without a conversation is an error: a server would reset everybody."""
        with self.assertRaisesRegex(RecordingError, "it.rec: expected a conversation, found none"):
            recorded()

    def test_servers_share_nothing(self) -> None:
        """Each config counts for itself which conversations are used."""
        replay = recorded("-- 1", "> a", "< 1", "-- 2", "> a", "< 2")
        first, second = replay.config().responder, replay.config().responder
        self.assertIsNot(first, second)

    def test_framings(self) -> None:
        """A framing that changes bytes is an error: all bytes are compared."""
        from reqresp import ReqRespFactory

        for framing in (Line(), Netstring()):
            with self.assertRaisesRegex(FieldError, "framing: expected none with a replay"):
                ReqRespFactory(recorded(*PING), framing=framing)
        with self.assertRaises(FrameError):
            Line().encode(b"\n")
