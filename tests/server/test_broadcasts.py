"""What one connection, or nobody, sends to several connections."""

from reqresp import (
    Broadcast,
    EagerServer,
    FrameError,
    Journal,
    Line,
    Request,
    Script,
    ScriptError,
    Send,
    Slicer,
    Steps,
    Wait,
)
from reqresp._errors import FieldError
from reqresp.journal import as_json
from reqresp.server.pushes import MAX_PUSHED_BYTES
from tests.support.framings import CountedLines
from tests.support.scripted import Scripted
from tests.support.server_case import ServerCase


def said(request: Request) -> Steps:
    """Tell the others what was said."""
    return (Broadcast(request.data), Send(b"ok"))


class BroadcastTests(Scripted):
    """Who receives it, and when."""

    def test_the_others(self) -> None:
        """They receive a frame each; the client that causes it does not."""
        factory = self.factory(said, framing=Line())
        first, second, third = (self.join(factory) for _ in range(3))
        first.send(b"hello\n")
        self.assertEqual(first.received(), b"ok\r\n")
        self.assertEqual([it.received() for it in (second, third)], [b"hello\r\n"] * 2)

    def test_all(self) -> None:
        """The client that causes it receives it in its place among the steps."""
        steps = (Send(b"1"), Broadcast(b"2", "all"), Broadcast(b"3", "all", raw=True), Send(b"4"))
        factory = self.factory(lambda _: steps, framing=Line())
        first, second = self.join(factory), self.join(factory)
        first.send(b"x\n")
        self.assertEqual(first.received(), b"1\r\n2\r\n34\r\n")
        self.assertEqual(second.received(), b"2\r\n3")

    def test_a_reply_that_waits(self) -> None:
        """It leaves between two frames of a reply, and not within one."""
        script = """
            seed = 1
            [[rule]]
            equals = "wait"
            do     = [{ send = "a" }, { wait = 2 }, { send = "b" }]
            [[rule]]
            equals = "pieces"
            reply  = "abcd"
            faults = [{ kind = "slicer", size = 2, delay = 1 }]
            [[rule]]
            do = [{ send = { template = "{0}" }, to = "others" }]
        """
        factory = self.server(script)
        first, second = self.join(factory), self.join(factory)
        second.send(b"wait\n")
        first.send(b"x\n")
        self.assertEqual(second.received(), b"a\r\nx\r\n")
        second.wait(2)
        self.assertEqual(second.received(), b"b\r\n")
        second.send(b"pieces\n")
        first.send(b"y\n")
        second.wait(1)
        self.assertEqual(second.received(), b"abcd")
        second.wait(1)
        self.assertEqual(second.received(), b"\r\ny\r\n")

    def test_a_reply_in_many_pieces(self) -> None:
        """While a broadcast waits for its end, it is framed a few times, not once for a piece."""
        framing = CountedLines()
        factory = self.factory(
            lambda request: (Send(request.data),), framing=framing, faults=[Slicer(size=1, delay=1)]
        )
        wire = self.join(factory)
        wire.send(b"a" * 200 + b"\n")
        factory.broadcast(b"z")
        for _ in range(202):
            wire.wait(1)
        self.assertEqual(wire.received(), b"a" * 200 + b"\r\nz\r\n")
        self.assertLess(framing.encoded, 10)

    def test_a_client_that_does_not_read(self) -> None:
        """It is left out once too much waits for it; the others are not."""
        factory = self.factory(said, framing=Line())
        first, second, third = (self.join(factory) for _ in range(3))
        second.stop_reading()
        for _ in range(MAX_PUSHED_BYTES // 65536 + 9):
            factory.broadcast(b"x" * 65536, raw=True)
            first.turn()
            third.received()
        self.assertEqual(factory.broadcast(b"y"), 2)
        self.assertLessEqual(second.buffered, MAX_PUSHED_BYTES)

    def test_from_python(self) -> None:
        """To all or to a state; a frame or the bytes as they are; or to one connection."""
        factory = self.server("""
            rule = [{ equals = "in", silent = true, goto = "in" }, { when = "in", silent = true }]
        """)
        first, second = self.join(factory), self.join(factory)
        second.send(b"in\n")
        self.assertEqual(factory.broadcast(b"a"), 2)
        self.assertEqual(factory.broadcast(b"b", "state:in", raw=True), 1)
        self.assertEqual(factory.broadcast(b"c", "state:nobody"), 0)
        first.protocol.send(b"d")
        first.turn()
        self.assertEqual((first.received(), second.received()), (b"a\r\nd\r\n", b"a\r\nb"))

    def test_mistakes(self) -> None:
        """An addressee that there is not, and data that is no line."""
        factory = self.factory(said, framing=Line())
        self.join(factory)
        with self.assertRaises(FieldError):
            factory.broadcast(b"a", "everyone")
        with self.assertRaises(FrameError):
            factory.broadcast(b"a\nb")
        for step in ('{ send = "a", to = "state:" }', '{ wait = 1, to = "all" }'):
            with self.assertRaises(ScriptError) as caught:
                Script.parse(f"rule = [{{ do = [{step}] }}]")
            self.assertIn('rule[0].do[0].to: expected "others", "all" or', str(caught.exception))

    def test_a_timer_tells_the_others(self) -> None:
        """A tick has all steps of a rule."""
        factory = self.server('rule = [{ every = 1, do = [{ send = "x", to = "others" }] }]')
        first, second = self.join(factory), self.join(factory)
        first.wait(1)
        self.assertEqual((first.received(), second.received()), (b"x\r\n", b"x\r\n"))

    def test_the_journal(self) -> None:
        """The reply has the step; each client that receives it has an entry."""
        journal = Journal()
        factory = self.factory(
            lambda _: (Broadcast(b"b", "all"), Wait(0)), framing=Line(), observers=[journal]
        )
        first, _ = self.join(factory), self.join(factory)
        first.send(b"x\n")
        first.wait(0)
        entries = [as_json(it) for it in journal.entries()]
        sent = [(it["connection"], it["data"], it["by"]) for it in entries if "data" in it]
        self.assertEqual(sorted(sent), [(1, "b\r\n", "broadcast"), (2, "b\r\n", "broadcast")])
        self.assertEqual(entries[-1]["steps"], [{"send": "b", "to": "all"}, {"wait": 0}])


class EagerBroadcastTests(BroadcastTests):
    """The same on the eager transport."""

    transport = EagerServer


class TestServerTests(ServerCase):
    """The same from a test."""

    def test_push_and_broadcast(self) -> None:
        """Payloads are those of a script."""
        server = self.serve(framing="line")
        first, second = self.connect(), self.connect()
        self.assertEqual(server.broadcast("a", {"hex": "62"}), 2)
        server.push("c", connection=2)
        for wire in (first, second):
            wire.turn()
        self.assertEqual((first.received(), second.received()), (b"a\r\nb\r\n", b"a\r\nb\r\nc\r\n"))
