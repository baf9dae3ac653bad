"""One process's log, continued in another's."""

import os
import threading
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import Logger, LogLevel, LogPublisher, globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from reqresp.daemon.log_relay import Continued, Lines, PipeObserver
from tests.support.live import PATIENCE


class LinesTests(SynchronousTestCase):
    """Cutting what arrives into lines."""

    @given(st.lists(st.binary()), st.binary())
    def test_however_it_is_cut(self, pieces: list[bytes], last: bytes) -> None:
        """The same lines come out, of any size, and what is left at the end is one."""
        taken: list[bytes] = []
        lines = Lines(taken.append)
        for piece in (*pieces, last):
            lines.feed(piece)
        lines.end()
        expected = b"".join((*pieces, last)).split(b"\n")
        self.assertEqual(taken, expected if expected[-1] else expected[:-1])


class PipeTests(SynchronousTestCase):
    """From an event in one process to an event in another."""

    def setUp(self) -> None:
        self.reader, self.writer = os.pipe()
        self.addCleanup(os.close, self.reader)
        self.words: list[Any] = []
        self.continued = Continued("worker 7", self.words.append)
        self.events: list[Any] = []
        observer: Any = self.events.append
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    def pass_on(self, size: int = 65536) -> None:
        """Let all that was written arrive."""
        os.close(self.writer)
        while data := os.read(self.reader, size):
            self.continued.feed(1, data)
        self.continued.end()

    def logger(self, namespace: str = "there") -> Logger:
        observer: Any = PipeObserver(self.writer)
        return Logger(namespace, observer=LogPublisher(observer))

    def told(self) -> list[tuple[str, str, str]]:
        return [
            (event["log_level"].name, event["log_system"], event["text"]) for event in self.events
        ]

    def test_an_event(self) -> None:
        """Level, text and where it comes from arrive, and so does whose it is."""
        self.logger().warn("{what} is {how}", what="it", how="so")
        self.pass_on()
        self.assertEqual(self.told(), [("warn", "worker 7 there#warn", "it is so")])

    def test_several_lines_are_one_event(self) -> None:
        """As they were, with whatever stands in them; surrogates so that a file can take them."""
        text = "one\ntwo {three}\u2028\udcff\x00"
        self.logger().info("{text}", text=text)
        self.pass_on(1)
        [(level, _system, told)] = self.told()
        self.assertEqual((level, told), ("info", text.replace("\udcff", r"\udcff")))

    def test_a_failure(self) -> None:
        """Comes with its traceback."""
        try:
            int("no")
        except ValueError:
            self.logger().failure("it failed", Failure())
        self.pass_on()
        [(level, _system, text)] = self.told()
        self.assertEqual(level, "critical")
        self.assertRegex(text, r"(?s)\Ait failed\nTraceback.*ValueError: ")

    def test_words(self) -> None:
        """What is no event is for whoever asked for it, and in no log."""
        PipeObserver(self.writer).write(ready=5)
        self.pass_on()
        self.assertEqual((self.words, self.told()), ([{"ready": 5}], []))

    def test_anything_else(self) -> None:
        """Is told as it is: a library that prints, a Python that ends badly."""
        os.write(self.writer, b'hello\n[1]\n{"text": 1\n\xff')
        self.pass_on()
        self.continued.feed(2, b"Fatal Python error\n")
        self.assertEqual(
            self.told(),
            [
                ("info", "worker 7 stdout", "hello"),
                ("info", "worker 7 stdout", "[1]"),
                ("info", "worker 7 stdout", '{"text": 1'),
                ("info", "worker 7 stdout", r"\xff"),
                ("warn", "worker 7 stderr", "Fatal Python error"),
            ],
        )

    def test_nobody_reads(self) -> None:
        """Who is not heard any more goes on."""
        reader, writer = os.pipe()
        os.close(reader)
        self.addCleanup(os.close, writer)
        observer: Any = PipeObserver(writer)
        Logger("there", observer=LogPublisher(observer)).info("hello")
        self.assertEqual(self.told(), [])
        os.close(self.writer)

    def test_something_logs_meanwhile(self) -> None:
        """As what is collected as garbage may do: it comes before, or behind, and nothing waits."""
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
        self.assertEqual([text for _level, _system, text in self.told()], ["inner", "outer"])

    def test_levels(self) -> None:
        """Every level is the same there."""
        log = self.logger()
        for level in LogLevel.iterconstants():
            log.emit(level, "x")
        self.pass_on()
        levels = [level.name for level in LogLevel.iterconstants()]
        self.assertEqual([it[0] for it in self.told()], levels)
