"""Events that one process logs, in the log of another."""

import os
import threading
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import Logger, LogLevel, LogPublisher, globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from reqresp.daemon.log_relay import LineSplitter, LogRelay, PipeObserver
from tests.support.live import PATIENCE


class LineSplitterTests(SynchronousTestCase):
    """Splitting a stream into lines."""

    @given(st.lists(st.binary()), st.binary())
    def test_however_it_is_cut(self, pieces: list[bytes], last: bytes) -> None:
        """However the stream is cut, the lines are the same; an unfinished one counts, too."""
        taken: list[bytes] = []
        lines = LineSplitter(taken.append)
        for piece in (*pieces, last):
            lines.feed(piece)
        lines.end()
        expected = b"".join((*pieces, last)).split(b"\n")
        self.assertEqual(taken, expected if expected[-1] else expected[:-1])


class LogRelayTests(SynchronousTestCase):
    """From an event in one process to an event in another."""

    def setUp(self) -> None:
        self.reader, self.writer = os.pipe()
        self.addCleanup(os.close, self.reader)
        self.messages: list[Any] = []
        self.relay = LogRelay("worker 7", self.messages.append)
        self.events: list[Any] = []
        observer: Any = self.events.append
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    def pass_on(self, size: int = 65536) -> None:
        """Read all that was written, in pieces of *size*."""
        os.close(self.writer)
        while data := os.read(self.reader, size):
            self.relay.feed(1, data)
        self.relay.end()

    def logger(self, namespace: str = "there") -> Logger:
        observer: Any = PipeObserver(self.writer)
        return Logger(namespace, observer=LogPublisher(observer))

    def logged(self) -> list[tuple[str, str, str]]:
        return [
            (event["log_level"].name, event["log_system"], event["text"]) for event in self.events
        ]

    def test_control_characters(self) -> None:
        """What a process prints, perhaps of a client, cannot act on a terminal."""
        os.close(self.writer)
        self.relay.feed(2, b"\x1b[2J\xc2\x9b\xe2\x80\xaea\r\xff\n")
        self.relay.end()
        [(_, _, text)] = self.logged()
        self.assertEqual(text, r"\x1b[2J\x9b\u202ea\r\xff")

    def test_an_event(self) -> None:
        """The level, the text and the system are those of the event, with the process's name."""
        self.logger().warn("{what} is {how}", what="it", how="so")
        self.pass_on()
        self.assertEqual(self.logged(), [("warn", "worker 7 there#warn", "it is so")])

    def test_several_lines_are_one_event(self) -> None:
        """A text of several lines stays one event; surrogates are escaped, for log files."""
        text = "one\ntwo {three}\u2028\udcff\x00"
        self.logger().info("{text}", text=text)
        self.pass_on(1)
        [(level, _system, found)] = self.logged()
        self.assertEqual((level, found), ("info", text.replace("\udcff", r"\udcff")))

    def test_a_failure(self) -> None:
        """A failure has its traceback."""
        try:
            int("no")
        except ValueError:
            self.logger().failure("it failed", Failure())
        self.pass_on()
        [(level, _system, text)] = self.logged()
        self.assertEqual(level, "critical")
        self.assertRegex(text, r"(?s)\Ait failed\nTraceback.*ValueError: ")

    def test_messages(self) -> None:
        """A message that is not an event is passed on, and is not logged."""
        PipeObserver(self.writer).write(ready=5)
        self.pass_on()
        self.assertEqual((self.messages, self.logged()), ([{"ready": 5}], []))

    def test_anything_else(self) -> None:
        """Any other line is logged as it is, such as what a library prints."""
        os.write(self.writer, b'hello\n[1]\n{"text": 1\n\xff')
        self.pass_on()
        self.relay.feed(2, b"Fatal Python error\n")
        self.assertEqual(
            self.logged(),
            [
                ("info", "worker 7 stdout", "hello"),
                ("info", "worker 7 stdout", "[1]"),
                ("info", "worker 7 stdout", '{"text": 1'),
                ("info", "worker 7 stdout", r"\xff"),
                ("warn", "worker 7 stderr", "Fatal Python error"),
            ],
        )

    def test_no_reader(self) -> None:
        """If the reader has gone, logging has no effect and raises nothing."""
        reader, writer = os.pipe()
        os.close(reader)
        self.addCleanup(os.close, writer)
        observer: Any = PipeObserver(writer)
        Logger("there", observer=LogPublisher(observer)).info("hello")
        self.assertEqual(self.logged(), [])
        os.close(self.writer)

    def test_something_logs_meanwhile(self) -> None:
        """An event that is logged while another is written, as on garbage collection, is kept."""
        write, log = os.write, self.logger()
        nested = ["inner"]

        def interrupted(descriptor: int, data: Any) -> int:
            while nested:
                log.info("{what}", what=nested.pop())
            return write(descriptor, data)

        self.patch(os, "write", interrupted)
        thread = threading.Thread(target=log.info, args=("outer",), daemon=True)
        thread.start()
        thread.join(PATIENCE)
        self.assertFalse(thread.is_alive())
        self.pass_on()
        self.assertEqual([text for _level, _system, text in self.logged()], ["inner", "outer"])

    def test_levels(self) -> None:
        """All levels are kept."""
        log = self.logger()
        for level in LogLevel.iterconstants():
            log.emit(level, "x")
        self.pass_on()
        levels = [level.name for level in LogLevel.iterconstants()]
        self.assertEqual([it[0] for it in self.logged()], levels)
