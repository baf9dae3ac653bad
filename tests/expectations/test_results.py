"""What has come otherwise than was expected."""

from twisted.internet.address import IPv4Address
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from reqresp.expectations.report import Findings
from reqresp.expectations.results import MAX_KEPT, MAX_KEPT_BYTES, Results
from reqresp.framing import FrameError
from reqresp.steps import Request

PEER = IPv4Address("TCP", "127.0.0.1", 50000)


class ResultsTests(SynchronousTestCase):
    """What is kept, and for how long."""

    def setUp(self) -> None:
        self.results = Results()

    def problems(self) -> str:
        return Findings(
            name="it", encode=bytes, entries=[], dropped=0, results=self.results, strict=True
        ).problems()

    def test_a_server_that_runs_for_long(self) -> None:
        """The first unexpected requests and errors are kept, and all are counted."""
        error = ValueError("wrong")
        for number in range(MAX_KEPT + 5):
            self.results.add_unexpected(Request(b"x", PEER, 1, number))
            self.results.add_error(None, error)
        self.assertEqual(len(self.results.unexpected), MAX_KEPT)
        self.assertEqual(len(self.results.errors), MAX_KEPT)
        text = self.problems()
        self.assertIn("it: 10005 unexpected requests, 10005 errors\n", text)
        self.assertIn("\nunexpected: 9995 more", text)
        self.assertIn("\nerrors: 9995 more", text)

    def test_large_requests(self) -> None:
        """The bytes that are kept are limited, too."""
        size = MAX_KEPT_BYTES // 4
        for number in range(6):
            self.results.add_unexpected(Request(b"x" * size, PEER, 1, number))
        self.assertEqual((len(self.results.unexpected), self.results.more_unexpected), (4, 2))

    def test_errors_of_connections(self) -> None:
        """What is no request is counted, any other error is kept."""
        self.results.failed(PEER, 1, Failure(FrameError("no length")))
        self.results.failed(PEER, 1, Failure(ValueError("wrong")))
        self.assertIn("it: 1 malformed request, 1 error\n", self.problems())
        self.assertIn("error: ValueError: wrong", self.problems())

    def test_clear(self) -> None:
        """Everything that has come is forgotten."""
        self.results.add_unexpected(Request(b"x", PEER, 1, 1))
        self.results.add_error(None, ValueError())
        self.results.malformed = 1
        self.results.clear()
        self.assertEqual(self.problems(), "")
