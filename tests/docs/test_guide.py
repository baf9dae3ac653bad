"""The guide's examples that have a name: they run as they are."""

import os
import socket
import subprocess
import sys
from contextlib import redirect_stdout
from inspect import isfunction
from io import StringIO
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from reqresp import AcceptAfter, Limits, Line, ReqRespFactory, Script
from reqresp.testing import ThreadedReactor
from tests.support import live
from tests.support.documents import ROOT, blocks
from tests.support.issued import contexts, ours
from tests.support.live import PATIENCE
from tests.support.tls_peer import TLSEnd
from tests.support.wire import FakeReactor, Wire

GUIDE = (ROOT / "docs" / "guide.rst").read_text(encoding="utf-8")


def example(head: str) -> str:
    """Return the example whose first line is the comment *head*."""
    [code] = [it.code for it in blocks(GUIDE) if it.code.startswith(f"# {head}\n")]
    return f"{code}\n"


def run(head: str, replaced: str = "", by: str = "", **names: Any) -> dict[str, Any]:
    """
    Run the example whose first line is the comment *head*; return its names.

    :param replaced: text of the example, in whose place *by* is run.
    :param names: what it can use.
    """
    code = example(head)
    assert replaced in code
    exec(code.replace(replaced, by), names)  # noqa: S102 (an example of ours)
    return names


class GuideTests(SynchronousTestCase):
    """Examples with a name."""

    def setUp(self) -> None:
        self.directory = live.temporary(self)

    def test_the_observer(self) -> None:
        """The observer prints each event, with the arguments that it is documented with."""
        names = run("observer.py")
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
            described |= {"client_ended", "faulted"}
            if event in described or "upstream" in event:
                self.assertIn(f"``{event}(", GUIDE)
            else:
                self.assertIn(f"def {event}(self, ", example("observer.py"))

    def test_the_framing(self) -> None:
        """It passes the check at its end, and frames replies, also those of a script."""
        names = run("own_framing.py")
        self.assertEqual(names["Hexadecimal"]().encode(b"hello"), b"0005hello")
        clock = FakeReactor()
        script = Script.parse('rule = [{ equals = "ping", reply = "pong" }]')
        wire = Wire(ReqRespFactory(script, framing=names["Hexadecimal"](), clock=clock), clock)
        wire.send(b"0004pi", b"ng")
        self.assertEqual(wire.received(), b"0004pong")

    def test_requests_without_an_end(self) -> None:
        """A pause ends one, and the end of the client's side another."""
        names = run("pauses.py")
        clock = FakeReactor()
        meter, upload = (
            Wire(ReqRespFactory(names[it].config, clock=clock), clock) for it in ("meter", "upload")
        )
        meter.send(b"AT")
        meter.wait(0.1)
        meter.send(b"Z")
        meter.wait(0.1)
        self.assertEqual(meter.received(), b"")
        meter.wait(0.1)
        self.assertEqual(meter.received(), b"3 bytes")
        upload.send(b"a\n", b"b\n")
        self.assertEqual(upload.received(), b"")
        upload.send_eof()
        self.assertEqual((upload.received(), upload.got_eof), (b"4 bytes", True))

    def test_replies_that_overtake(self) -> None:
        """The one that waits comes last."""
        clock = FakeReactor()
        wire = Wire(ReqRespFactory(run("unordered.py")["factory"].config, clock=clock), clock)
        wire.send(b"1 report\n2 ping\n")
        self.assertEqual(wire.received(), b"2 pong\r\n")
        wire.wait(0.2)
        self.assertEqual(wire.received(), b"1 a long report\r\n")

    def test_starting_tls(self) -> None:
        """The certificate is that of the file, and what follows the reply is encrypted."""
        self.addCleanup(os.chdir, Path.cwd())
        os.chdir(self.directory)
        Path("server.pem").write_bytes(ours())
        clock = FakeReactor()
        line = "from twisted.internet import reactor\n"
        wire = Wire(run("start_tls.py", line, reactor=clock)["factory"], clock)
        wire.send(b"STARTTLS\n")
        self.assertEqual(wire.received(), b"220 go\r\n")
        end = TLSEnd(contexts()[1], "localhost")
        wire.send(end.take(b""))
        wire.send(end.take(wire.received()))
        wire.send(end.encrypt(b"NOOP\n"))
        end.take(wire.received())
        self.assertEqual(end.got, b"250 ok\r\n")

    def test_states(self) -> None:
        """A state has its framing from the byte after the request that enters it."""
        clock = FakeReactor()
        factory = ReqRespFactory(run("mail.py")["factory"].config, clock=clock)
        wire = Wire(factory, clock)
        wire.send(b"DATA\r\nSubject: hi\r\n\r\nNOOP\r\n.\r\nNOOP\r\nDATA\r\n")
        replies = b"354 end with .\r\n250 queued\r\n250 ok\r\n354 end with .\r\n"
        self.assertEqual(wire.received(), replies)
        self.assertEqual(factory.states(), {1: "data"})

    def test_one_state_for_all(self) -> None:
        """What one client changes holds for another one, whose timer runs from then on."""
        clock = FakeReactor()
        factory = ReqRespFactory(run("maintenance.py")["factory"].config, clock=clock)
        one, other = Wire(factory, clock), Wire(factory, clock)
        one.wait(90)
        one.send(b"STAT\r\nSTOP\r\n")
        self.assertEqual(one.received(), b"start\r\ndown\r\n")
        self.assertEqual(factory.states(), {1: "down", 2: "down"})
        other.wait(59)
        self.assertEqual(other.received(), b"")
        other.wait(1)
        self.assertEqual(other.received(), b"still down\r\n")
        other.send(b"STAT\r\n")
        self.assertEqual(other.received(), b"down\r\n")

    def test_accepting(self) -> None:
        """A client is accepted, some time after it has connected."""
        thread = ThreadedReactor()
        self.addCleanup(thread.stop)
        serve = run("accepting.py", "tcp:9999:", "tcp:0:")["serve"]
        port, acceptance = thread.call(lambda: Deferred.fromCoroutine(serve(thread.reactor)))
        self.addCleanup(thread.call, port.stopListening)
        self.addCleanup(thread.call, acceptance.close)
        self.assertEqual(acceptance.accept, AcceptAfter(0.2))
        address = "127.0.0.1", port.getHost().port
        with socket.create_connection(address, PATIENCE) as client:
            client.sendall(b"a\n")
            self.assertEqual(client.recv(100), b"response\r\n")

    def test_faults_of_a_server_that_runs(self) -> None:
        """The fault of the block has ended with it, and the others are there."""
        faults = run("live_faults.py")["factory"].faults
        self.assertEqual([it.name for it in faults], ["broken", "bandwidth"])

    def test_steering(self) -> None:
        """Connections are listed, and get what is for them."""
        clock = FakeReactor()
        factory = ReqRespFactory(framing=Line(), clock=clock)
        one, two = Wire(factory, clock), Wire(factory, clock)
        with redirect_stdout(StringIO()) as printed:
            run("steering.py")["steer"](factory)
        self.assertEqual(printed.getvalue(), "1 127.0.0.1 0\n2 127.0.0.1 0\n")
        one.turn()
        sent = b"you have mail\r\nthe end is near\r\n"
        self.assertEqual((one.received(), one.got_eof), (sent, True))
        self.assertEqual((two.received(), two.got_eof), (b"the end is near\r\n+OK bye\r\n", False))

    def test_the_ticker(self) -> None:
        """It greets, ticks from the first request on, and says why it closes."""
        names = run("ticker.py")
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

    def test_refusals(self) -> None:
        """A client over the limit is told so, and closed; the one before goes on."""
        config = run("refusals.py")["factory"].config
        clock = FakeReactor()
        factory = ReqRespFactory(config, clock=clock)
        first, second = Wire(factory, clock), Wire(factory, clock)
        self.assertEqual(second.received(), b"421 too many clients\r\n")
        self.assertEqual((second.got_eof, second.got_reset), (True, False))
        first.send(b"a\n")
        self.assertEqual(first.received(), b"A\r\n")
        self.assertEqual((factory.accepted, factory.refused), (1, 1))

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
