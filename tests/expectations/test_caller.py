"""The line of the test that error messages name."""

import sys
from contextlib import ExitStack
from traceback import extract_tb

import pytest
from twisted.trial.unittest import SynchronousTestCase

from reqresp import Line, ScriptError
from reqresp.expectations.caller import calling_line, without_own_frames
from reqresp.framing import Decoder, Framing
from reqresp.testing import MemoryServer, serve

BAD_GREETING = "a\nb"


def this_line() -> int:
    """Return the line of the caller."""
    return sys._getframe(1).f_lineno


class CallingLineTests(SynchronousTestCase):
    """Tests that the line is one of the test, whatever calls the package."""

    def line_of(self, error: ScriptError) -> str:
        """Return the place that an error begins with."""
        return str(error).partition(": ")[0]

    def test_a_function(self) -> None:
        """The line is that of the call."""
        self.assertEqual(calling_line(), f"test_caller.py:{this_line()}")

    def test_a_method(self) -> None:
        """The line of a chained call is its own, not that of the first call."""
        server = MemoryServer()
        expectation = server.on("a")
        with self.assertRaises(ScriptError) as raised:
            expectation.reply("x").reply(hex="0")
        self.assertEqual(self.line_of(raised.exception), f"test_caller.py:{this_line() - 1}")
        self.assertEqual(expectation.where, f"test_caller.py:{this_line() - 4}")

    def test_a_context_manager(self) -> None:
        """The frames of contextlib and of unittest are skipped."""
        with self.assertRaises(ScriptError) as raised, serve(greeting=BAD_GREETING):
            pass
        self.assertEqual(self.line_of(raised.exception), f"test_caller.py:{this_line() - 2}")
        with ExitStack() as stack, self.assertRaises(ScriptError) as raised:
            stack.enter_context(serve(greeting=BAD_GREETING))
        self.assertEqual(self.line_of(raised.exception), f"test_caller.py:{this_line() - 1}")
        with self.assertRaises(ScriptError) as raised:
            self.enterContext(serve(greeting=BAD_GREETING))
        self.assertEqual(self.line_of(raised.exception), f"test_caller.py:{this_line() - 1}")

    def test_a_handler(self) -> None:
        """A handler is called by the server, and its line is that of the test."""
        server = MemoryServer()
        lines: list[str] = []
        server.on("a").call(lambda _request: lines.append(server.on("b").where))
        expected = f"test_caller.py:{this_line() - 1}"
        peer = server.reactor.connect_peer(server.port)
        peer.send(b"a\r\n")
        server.pump()
        self.assertEqual(lines, [expected])


class FramesTests(SynchronousTestCase):
    """Tests for tracebacks."""

    def test_frames_of_the_package_are_left_out(self) -> None:
        """Those before, between and after frames of others go, whatever is left."""

        class Broken(Line):
            def decoder(self, limit: int) -> Decoder:
                raise TypeError("mine")

        cases: list[tuple[str | Framing, list[str]]] = [("lines", []), (Broken(), ["decoder"])]
        for framing, names in cases:
            with self.assertRaises((TypeError, ValueError)) as raised:
                MemoryServer(framing=framing)
            error = without_own_frames(raised.exception)
            found = [it.name for it in extract_tb(error.__traceback__)]
            self.assertEqual(found, ["test_frames_of_the_package_are_left_out", *names])


def test_the_fixture(reqresp_server) -> None:  # type: ignore[no-untyped-def]  # as in most tests
    """The frame of the pytest plugin is skipped."""
    with pytest.raises(ScriptError) as raised:
        reqresp_server(greeting=BAD_GREETING)
    assert str(raised.value).startswith(f"test_caller.py:{this_line() - 1}: greeting: ")
