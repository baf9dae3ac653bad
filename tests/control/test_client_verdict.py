"""What a server in another process says of what has come so far."""

from reqresp import Close, Exchange, Forward, Send
from reqresp.control import ControlClient
from reqresp.control._client_values import exchange_of
from reqresp.steps import Broadcast, FaultEffect, Wait
from tests.support.steered import Steered


class VerdictTests(Steered):
    """The texts and values of what has come."""

    def setUp(self) -> None:
        super().setUp()
        self.client = ControlClient(self.url)

    def test_texts(self) -> None:
        """The conversation is there without problems; a report has the problems, if any."""
        self.assertEqual(self.client.conversation(), "")
        self.assertEqual(self.client.report(), "no request received")
        self.ask(b"NOOP")
        line = "#1 < b'NOOP'  > b'+OK\\r\\n'  (rule[0])"
        self.assertEqual((self.client.conversation(), self.client.problems()), (line, ""))
        self.assertEqual(self.client.report(), line)
        self.ask(b"STAS")
        problems = self.client.problems()
        self.assertTrue(problems.startswith("reqresp default: 1 unexpected request\n"), problems)
        self.assertEqual(self.client.report(), problems)
        self.assertEqual(self.client.problems(strict=False), "")

    def test_a_server_that_does_not_answer(self) -> None:
        """The report says why."""
        report = ControlClient("http://127.0.0.1:1").report()
        self.assertIn("ControlError: http://127.0.0.1:1 does not answer", report)

    def test_long_conversations(self) -> None:
        """An error shows the last lines, and how many others there are."""
        self.ask(*[b"NOOP"] * 53)
        with self.assertRaises(AssertionError) as raised:
            self.client.wait_for("x", timeout=0)
        head, omitted, *lines = str(raised.exception).splitlines()
        self.assertEqual(head, 'reqresp default: received "x" 0 times, expected at least 1')
        self.assertEqual((omitted, len(lines)), ("  ... 3 earlier lines omitted", 50))

    def test_exchanges(self) -> None:
        """Each request has the steps of its reply, what answered, and faults."""
        self.client.on("a").reply(b"\xff", "b", raw=True).wait(0.001).close()
        self.client.on("c").reply("cc").fault("limit_data", bytes=1)
        self.ask(b"NOOP", b"a")
        self.ask(b"c")
        noop, a, c = self.client.exchanges
        self.assertEqual((noop.request.data, noop.by), (b"NOOP", "rule[0]"))
        self.assertEqual(noop.steps, (Send(b"+OK"),))
        raw = Send(b"\xff", raw=True), Send(b"b", raw=True)
        self.assertEqual(a.steps, (*raw, Wait(0.001), Close()))
        self.assertEqual(c.effect, FaultEffect(data=b"c"))
        self.assertEqual(len(c.injected), 1)
        self.client.clear()
        self.assertEqual(self.client.exchanges, [])

    def test_steps(self) -> None:
        """Each step of an entry is the step that was performed."""
        found: Exchange = exchange_of(
            {
                "request": "a",
                "connection": 1,
                "number": 2,
                "peer": "[::1]:5",
                "by": "it",
                "steps": [
                    {"send": {"text": "x", "raw": True}, "to": "state:in"},
                    {"forward": {"base64": "/w=="}},
                    {"forward": True},
                ],
                "delayed": 1.5,
                "slices": [1, 2],
            }
        )
        steps = Broadcast(b"x", "state:in", raw=True), Forward(b"\xff"), Forward()
        self.assertEqual(found.steps, steps)
        self.assertEqual(found.effect, FaultEffect(1.5, (1, 2)))
