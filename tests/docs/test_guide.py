"""The guide's examples that have a name: they run as they are."""

import subprocess
import sys
from contextlib import redirect_stdout
from inspect import isfunction
from io import StringIO
from typing import Any

from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from reqresp import Limits, Line, ReqRespFactory
from tests.support import live
from tests.support.documents import ROOT, blocks
from tests.support.live import PATIENCE
from tests.support.wire import FakeReactor, Wire

GUIDE = (ROOT / "docs" / "guide.rst").read_text(encoding="utf-8")


def example(head: str) -> str:
    """Return the example whose first line is the comment *head*."""
    [code] = [it.code for it in blocks(GUIDE) if it.code.startswith(f"# {head}\n")]
    return f"{code}\n"


class GuideTests(SynchronousTestCase):
    """Examples with a name."""

    def setUp(self) -> None:
        self.directory = live.temporary(self)

    def test_the_observer(self) -> None:
        """The observer prints each event, with the arguments that it is documented with."""
        names: dict[str, Any] = {}
        exec(example("observer.py"), names)  # noqa: S102 (an example of ours)
        peer = StringTransport().getPeer()
        with redirect_stdout(StringIO()) as printed:
            protocol = names["factory"].buildProtocol(peer)
            protocol.makeConnection(StringTransport())
            protocol.dataReceived(b"hello")
            protocol.connectionLost(None)
        self.assertEqual(
            printed.getvalue().splitlines(),
            [
                "#1 connected",
                "#1 received [b'hello']",
                "#1 answered b'hello' by table",
                "#1 disconnected",
            ],
        )

    def test_each_event_is_shown(self) -> None:
        """The observer has every method of an observer, but for those that are described."""
        from reqresp import Observer

        for event in (name for name, it in vars(Observer).items() if isfunction(it)):
            described = {"answered_at_once", "before_log_line", "changed", "passed", "sent"}
            described |= {"faulted"}
            if event in described or "upstream" in event:
                self.assertIn(f"``{event}(", GUIDE)
            else:
                self.assertIn(f"def {event}(self, ", example("observer.py"))

    def test_the_framing(self) -> None:
        """It passes the check at its end, and frames replies."""
        names: dict[str, Any] = {}
        exec(example("own_framing.py"), names)  # noqa: S102 (an example of ours)
        self.assertEqual(names["Hexadecimal"]().encode(b"hello"), b"0005hello")

    def test_the_ticker(self) -> None:
        """It greets, ticks from the first request on, and says why it closes."""
        names: dict[str, Any] = {}
        exec(example("ticker.py"), names)  # noqa: S102 (an example of ours)
        clock = FakeReactor()
        responder = names["factory"].config.responder
        limits = Limits(idle_timeout=5)
        factory = ReqRespFactory(responder, framing=Line(), limits=limits, clock=clock)
        wire = Wire(factory, clock)
        wire.wait(3)
        wire.send(b"a\n")
        self.assertEqual(wire.received(), b"ready\r\nA\r\n")
        wire.wait(2.5)
        self.assertEqual(wire.received(), b"tick\r\n")
        idle = Wire(factory, clock)
        for _ in range(7):
            idle.wait(1)
        self.assertEqual((idle.received(), idle.got_eof), (b"ready\r\ntimeout\r\n", True))

    def test_the_tac_file(self) -> None:
        """twistd runs the file: a client is answered and logged, and can read until the end."""
        text = example("server.tac").replace("eager:9999:", "eager:0:")
        (self.directory / "server.tac").write_text(text)
        with (
            live.start(self.directory, "--python=server.tac") as server,
            server.connect() as client,
        ):
            client.send(b"hello\n")
            self.assertEqual(client.receive(7), b"HELLO\r\n")
            server.log.wait("#1 < 'hello'  > 'HELLO'")
            server.process.terminate()
            self.assertEqual(client.rest(), b"")

    def test_the_unit_test(self) -> None:
        """The unit test passes, run by the command in its first line."""
        (self.directory / "test_shout.py").write_text(example("python -m twisted.trial test_shout"))
        ran = subprocess.run(
            [sys.executable, "-W", "error", "-m", "twisted.trial", "test_shout"],
            cwd=self.directory,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)
        self.assertIn("PASSED (successes=2)", ran.stdout)
