"""What a server logs of its connections: nothing that a client chose acts as more than text."""

from collections.abc import Callable
from typing import Any

from twisted.internet.address import UNIXAddress
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IAddress
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import capturedLogs, eventAsText
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from reqresp.framing import FrameError, Line
from reqresp.journal import RequestLog
from reqresp.script import Script
from reqresp.server.factory import ReqRespFactory
from reqresp.server.proxied import ProxiedFactory
from reqresp.steps import Request
from reqresp.transport.access import parse_networks

#: What acts on a terminal: CSI of eight bits, an escape, an override of direction, line ends.
HOSTILE = "\x9b2J\x1b[1m\u202e\u2028\r\x85"
#: The path of a client that wants to look like another one, and like the start of a line.
FORGED = f"1.2.3.4:5: b'STAT'\n#2 < 'DELE 1'  > '+OK'{HOSTILE}"
PEER = UNIXAddress(FORGED.encode())


class Refusing(Line):
    """A framing of a user, whose error has what the client sent."""

    def decoder(self, limit: int) -> Any:
        class Decoder:
            def feed(self, data: bytes) -> list[bytes]:
                raise FrameError(f"refused: {data.decode()}")

            def __len__(self) -> int:
                return 0

        return Decoder()


def fail(request: Request) -> bytes:
    """Raise an error that has what the client sent."""
    raise ValueError(f"cannot: {request.data.decode()}")


def as_text(event: Any) -> str:
    """Return the message of a log event, and its traceback."""
    return eventAsText(event, includeTimestamp=False, includeSystem=False)


class HostileClientTests(SynchronousTestCase):
    """A client whose name and requests are hostile."""

    def lines(self, source: Any, act: Callable[[Any], object], **options: Any) -> list[str]:
        """Return the lines that are logged when a client connects and *act* is called."""
        clock = self.clock = Clock()
        options.setdefault("framing", Line())
        is_proxied = options.pop("proxied", False)
        with capturedLogs() as events:
            factory: Any = ReqRespFactory(
                source, clock=clock, observers=[RequestLog(clock)], **options
            )
            if is_proxied:
                factory = ProxiedFactory(factory, server=factory, trusted=parse_networks("::/0"))
            self.server = factory
            self.connect(PEER, act)
            clock.advance(60)
        return [line for event in events for line in as_text(event).split("\n")]

    def connect(self, peer: IAddress, act: Callable[[Any], object]) -> None:
        protocol = self.server.buildProtocol(peer)
        if protocol is None:
            return
        transport = StringTransport(peerAddress=peer)
        protocol.makeConnection(transport)
        act(protocol)
        protocol.connectionLost(Failure(ConnectionDone()))

    def end_early(self, protocol: Any) -> None:
        protocol.dataReceived(b"a")
        protocol.readConnectionLost()

    def test_every_line(self) -> None:
        """Whatever is logged about the client is printable, and starts no line of its own."""
        request = f"{HOSTILE}\n".encode()
        script = Script.parse('rule = [{ equals = "a", reply = "b" }]')

        def send(protocol: Any) -> None:
            protocol.dataReceived(request)

        situations: dict[str, list[str]] = {
            "no rule matches": self.lines(script, send),
            "failed; aborting": self.lines(fail, send),
            "refused: ": self.lines(fail, send, framing=Refusing()),
            "expected a request of at most": self.lines(fail, send, limits={"max_request": 1}),
            ": unfinished request ": self.lines(fail, self.end_early),
            "idle; closing": self.lines(
                fail, lambda _: self.clock.pump([1] * 60), limits={"idle_timeout": 1}
            ),
            "refused, ": self.lines(
                fail, lambda _: self.connect(PEER, send), limits={"max_connections": 1}
            ),
            "PROXY": self.lines(fail, send, proxied=True),
        }
        self.flushLoggedErrors(ValueError)
        for text, lines in situations.items():
            self.assertTrue(any(text in line for line in lines), f"{text}: {lines}")
            for line in lines:
                self.assertTrue(line.isprintable(), f"{text}: {line!r}")
                self.assertFalse(line.startswith(("1.2.3.4", "#2 <", "DELE")), line)
