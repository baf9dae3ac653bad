"""A test server for the duration of a block."""

from contextlib import AbstractContextManager

from twisted.trial.unittest import SynchronousTestCase

from reqresp.testing import Server, serve
from tests.support.threaded import ask


class ServeTests(SynchronousTestCase):
    """Tests for ``serve``."""

    def test_the_server_is_verified(self) -> None:
        """The end of the block verifies the server, and ends it in any case."""
        with serve() as server:
            server.expect("a").reply("b")
            self.assertEqual(ask(server, "a"), b"b\r\n")
        self.assertRaises(ConnectionRefusedError, ask, server)
        with self.assertRaisesRegex(AssertionError, "1 unmet expectation"), serve() as server:
            server.expect("a")
        self.assertRaises(ConnectionRefusedError, ask, server)

    def test_an_error_of_the_block(self) -> None:
        """An exception of the block is raised, and the server is not verified."""
        with self.assertRaises(KeyError), serve() as server:
            server.expect("a")
            raise KeyError
        self.assertRaises(ConnectionRefusedError, ask, server)

    def test_a_wrong_argument(self) -> None:
        """The error of a wrong argument names the line of the test."""
        context: AbstractContextManager[Server] = serve(greeting="a\nb")
        with self.assertRaisesRegex(ValueError, r"^test_serve\.py:\d+: "):
            context.__enter__()

    def test_the_report_is_a_note(self) -> None:
        """The exception of a block has the server's report as a note."""
        with self.assertRaises(KeyError) as caught, serve() as server:
            server.expect("STAT").reply("+OK")
            raise KeyError("mine")
        self.assertIn("unmet: expect", "".join(caught.exception.__notes__))

    def test_the_report_is_there_once(self) -> None:
        """The error of ``verify`` has no note with the same text."""
        with self.assertRaises(AssertionError) as caught, serve() as server:
            server.expect("STAT").reply("+OK")
        self.assertIn("unmet: expect", str(caught.exception))
        self.assertFalse(hasattr(caught.exception, "__notes__"))
