"""Factories: how new connections are answered, and what changes while a server runs."""

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from reqresp import (
    ConnectionContext,
    FrameError,
    Limits,
    Line,
    Netstring,
    ReqRespFactory,
    Responder,
    Script,
    Send,
    ServerConfig,
    Slicer,
    Steps,
    Table,
)
from tests.support.scripted import Scripted


class FactoryTests(SynchronousTestCase):
    """What a factory checks and decides when it is made."""

    def test_what_cannot_be_served_is_said_at_once(self) -> None:
        """A reply that the framing refuses, or a framing beyond the limits, is an error early."""
        with self.assertRaises(ValueError):
            ReqRespFactory(Table({}, otherwise=b"a\nb"), framing=Line())
        with self.assertRaises(ValueError):
            ReqRespFactory(framing=Netstring(), limits=Limits(max_request=0))

    def test_the_clock_is_the_reactor_unless_given(self) -> None:
        """And is asked for as late as can be: to import a reactor is to install it."""
        from twisted.internet import reactor

        self.assertIs(ReqRespFactory().clock, reactor)


class ReconfigureTests(Scripted):
    """Changing the config for new connections."""

    def test_open_connections_keep_their_config(self) -> None:
        """Open connections keep their framing, rules, state and counts."""
        factory = self.server("""
            rule = [
                { equals = "in", reply = "in", goto = "inside" },
                { when = "inside", cycle = ["old 1", "old 2"] },
            ]
        """)
        old = self.join(factory)
        self.assertEqual(self.ask(old, "in", "x"), ["in|", "old 1|"])
        factory.reconfigure(Script.parse('framing = "netstring"\nrule = [{ reply = "new" }]'))
        new = self.join(factory)
        new.send(b"1:x,")
        self.assertEqual(new.received(), b"3:new,")
        self.assertEqual(self.ask(old, "x"), ["old 2|"])

    def test_wrong_config_changes_nothing(self) -> None:
        """A wrong config raises an error, and new clients are answered as before."""
        factory = self.factory(Table({}, otherwise=b"a\nb"))
        before = factory.config
        with self.assertRaises(FrameError):
            factory.reconfigure(Table({}, otherwise=b"a\nb"), framing=Line())
        self.assertIs(factory.config, before)
        wire = self.join(factory)
        wire.send(b"x")
        self.assertEqual(wire.received(), b"a\nb")

    def test_connections_that_are_open_count_for_new_limits(self) -> None:
        """Open connections count for new limits, even if there was no limit before."""
        factory = self.factory()
        first = self.join(factory)
        factory.reconfigure(limits=Limits(max_per_peer=2))
        second = self.join(factory)
        self.assertTrue(self.join(factory).got_reset)
        first.send_eof()
        third = self.join(factory)
        self.assertTrue(second.is_open and third.is_open)
        self.assertTrue(self.join(factory).got_reset)

    def test_idle_timeout(self) -> None:
        """All connections, also open ones, have the idle timeout of the last config."""
        factory = self.factory()
        first = self.join(factory)
        factory.reconfigure(limits=Limits(idle_timeout=4))
        for _ in range(5):
            first.wait(1)
        self.assertTrue(first.got_eof)
        second = self.join(factory)
        factory.reconfigure()
        for _ in range(10):
            second.wait(1)
        self.assertFalse(second.got_eof)

    def test_arguments_override_a_script(self) -> None:
        """Arguments override the script; a reply that conflicts with them is named."""
        script = Script.parse("""
            framing = "line"
            limits.max_request = 10
            rule = [{ equals = "a", reply = "b" }]
            [[fault]]
            kind = "latency"
            delay = 1
        """)
        factory = self.factory(script, framing=Netstring(), faults=[Slicer(size=3)], seed=9)
        wire = self.join(factory)
        wire.send(b"1:a,")
        self.assertEqual(wire.received(), b"1:b")
        self.assertEqual(factory.config.limits.max_request, 10)
        self.assertEqual(factory.config.seed, 9)
        with self.assertRaisesRegex(FrameError, r"^rule\[0\]: "):
            self.factory(
                Script.parse('rule = [{ reply = { text = "b" } }]'), framing=Line(b"\n")
            ).reconfigure(
                Script.parse('framing = "chunk"\nrule = [{ reply = "a\\nb" }]'), framing=Line()
            )


class Changing(Responder):
    """Answers with constants, or not, as *is_constant* says at the time."""

    is_constant = True

    def respond(self, data: bytes, connection: ConnectionContext) -> Steps:
        return (Send(b"asked"),)

    def constants(self) -> Table | None:
        return Table({b"a": b"constant"}, otherwise=b"other") if self.is_constant else None


class AdaptTests(Scripted):
    """Changing the config for the next request of every client."""

    def test_a_responder_that_has_changed(self) -> None:
        """Clients that were answered with constants are answered otherwise, and back again."""
        responder = Changing()
        factory = self.factory(responder, framing=Line())
        open_before = self.join(factory)
        self.assertEqual(self.ask(open_before, "a", "b", "a"), ["constant|", "other|", "constant|"])
        open_before.send(b"a")  # half a request
        responder.is_constant = False
        factory.adapt()
        open_before.send(b"\n")
        self.assertEqual(open_before.received(), b"asked\r\n")
        for client in (open_before, self.join(factory)):
            self.assertEqual(self.ask(client, "a", "b"), ["asked|", "asked|"])
        responder.is_constant = True
        factory.adapt()
        for client in (open_before, self.join(factory)):
            self.assertEqual(self.ask(client, "a", "b"), ["constant|", "other|"])

    def test_reads_that_are_known_whole(self) -> None:
        """A framing whose reads are requests is no exception."""
        responder = Changing()
        factory = self.factory(responder)
        client = self.join(factory)
        client.send(b"a")
        responder.is_constant = False
        factory.adapt()
        client.send(b"a")
        self.assertEqual(client.received(), b"constantasked")

    def test_each_config_is_changed(self) -> None:
        """Connections of an earlier config keep what is not changed."""
        factory = self.factory(Table({}, otherwise=b"old"), framing=Line())
        old = self.join(factory)
        factory.reconfigure(Table({}, otherwise=b"new"), framing=Line())
        new = self.join(factory)

        def change(config: ServerConfig) -> ServerConfig:
            assert isinstance(config.responder, Table)
            more = (*config.responder.otherwise, Send(b"more"))
            return evolve(config, responder=Table({}, otherwise=more))

        factory.adapt(change)
        self.assertEqual(self.ask(old, "x") + self.ask(new, "x"), ["old|more|", "new|more|"])

    def test_a_change_that_fails(self) -> None:
        """Nothing has changed, for any client."""
        factory = self.factory(Table({}, otherwise=b"old"), framing=Line())
        client = self.join(factory)
        before = factory.config

        def change(config: ServerConfig) -> ServerConfig:
            return evolve(config, responder=Table({}, otherwise=b"a\nb"))

        with self.assertRaises(FrameError):
            factory.adapt(change)
        self.assertIs(factory.config, before)
        self.assertEqual(self.ask(client, "x"), ["old|"])
