"""Replies that overtake each other."""

from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from reqresp import (
    Abort,
    Close,
    Counters,
    EagerServer,
    HalfClose,
    Hang,
    Journal,
    Latency,
    Limits,
    Script,
    Send,
    Slicer,
    StopReading,
    Table,
    Wait,
)
from reqresp.journal import Unanswered
from reqresp.server._ahead import MAX_BYTES, MAX_REQUESTS
from reqresp.server._state import State
from tests.support.conversation import Conversation
from tests.support.scripted import Scripted


def after(request: Any) -> Any:
    """Answer a number with itself after so many seconds, and anything else at once."""
    return (Wait(int(request.data)), request.data) if request.data.isdigit() else request.data


class Unordered(Conversation):
    """A case with servers whose replies overtake each other."""

    def lines(self, respond: Any, **options: Any) -> Any:
        return super().lines(respond, **{"ordered": False, **options})


class UnorderedTests(Unordered):
    """Which reply comes when."""

    def test_a_late_reply_is_overtaken(self) -> None:
        """Each reply comes when it is due, whatever was asked before."""
        wire = self.lines(after)
        wire.send(b"3\n1\na\n", b"2\n")
        self.assertEqual(wire.received(), b"a\r\n")
        for expected in (b"1\r\n", b"2\r\n", b"3\r\n"):
            wire.wait(1)
            self.assertEqual(wire.received(), expected)
        self.assertIs(wire.protocol.state, State.IDLE)

    def test_time_of_a_request(self) -> None:
        """It begins once no reply is under way; requests that are complete are answered before."""
        wire = self.lines(after, limits=Limits(request_timeout=4))
        wire.send(b"9\nbegun")
        wire.pass_seconds(6)
        wire.send(b" and done\nbegun")
        self.assertEqual(wire.received(), b"begun and done\r\n")
        wire.pass_seconds(3)
        self.assertEqual(wire.received(), b"9\r\n")
        wire.pass_seconds(3)
        self.assertFalse(wire.got_eof)
        wire.pass_seconds(3)
        self.assertTrue(wire.got_eof)

    def test_deferreds(self) -> None:
        """They fire in any order, at once or later."""
        late: dict[bytes, Deferred[bytes]] = {}

        def respond(request: Any) -> Deferred[bytes]:
            late[request.data] = Deferred()
            if request.data == b"now":
                late[request.data].callback(b"NOW")
            return late[request.data]

        wire = self.lines(respond)
        wire.send(b"a\nb\nnow\n", b"c\n")
        self.assertEqual(wire.received(), b"NOW\r\n")
        for name in (b"c", b"a", b"b"):
            late[name].callback(name.upper())
            wire.turn()
            self.assertEqual(wire.received(), name.upper() + b"\r\n")

    def test_constants(self) -> None:
        """Those of a table overtake what waits, and are answered together if nothing does."""
        wire = self.lines(Table({b"late": (Wait(1), Send(b"L"))}, otherwise=b"x"))
        wire.send(b"late\na\nb\n", b"c\n")
        self.assertEqual(wire.received(), b"x\r\n" * 3)
        wire.wait(1)
        wire.send(b"d\n")
        self.assertEqual(wire.received(), b"L\r\nx\r\n")

    def test_frames_are_whole(self) -> None:
        """A reply in slices is overtaken before its first byte, or after its last."""
        wire = self.lines(
            lambda request: b"12" if request.data == b"s" else request.data,
            faults=[Slicer(size=2, delay=1)],
        )
        wire.send(b"s\nx\n")
        wire.wait(1)
        wire.wait(1)
        wire.wait(1)
        self.assertEqual(wire.received(), b"12\r\nx\r\n")

    def test_between_two_frames(self) -> None:
        """A reply of several frames can be overtaken between them."""
        wire = self.lines(lambda request: (b"1", Wait(1), b"2") if request.data == b"l" else b"x")
        wire.send(b"l\ns\n")
        self.assertEqual(wire.received(), b"1\r\nx\r\n")
        wire.wait(1)
        self.assertEqual(wire.received(), b"2\r\n")

    def test_latency_is_that_of_each_reply(self) -> None:
        """Delays do not add up."""
        wire = self.lines(lambda request: request.data, faults=[Latency(delay=1)])
        wire.send(b"1\n2\n3\n")
        self.assertEqual(wire.received(), b"")
        wire.wait(1)
        self.assertEqual(wire.received(), b"1\r\n2\r\n3\r\n")

    def test_pushes(self) -> None:
        """They are sent while replies wait."""
        wire = self.lines(after)
        wire.send(b"1\n")
        wire.protocol.push(b"pushed\r\n")
        wire.turn()
        self.assertEqual(wire.received(), b"pushed\r\n")
        wire.wait(1)
        self.assertEqual(wire.received(), b"1\r\n")

    def test_pushes_after_a_reply_in_slices(self) -> None:
        """They leave before the next reply begins, as where replies keep their order."""
        for ordered in (True, False):
            self.setUp()
            wire = self.lines(
                lambda request: request.data, faults=[Slicer(size=1, delay=1)], ordered=ordered
            )
            wire.send(b"ab\n" * 3)
            wire.wait(1)
            wire.protocol.push(b"pushed\r\n")
            wire.factory.broadcast(b"all")
            for _ in range(14):
                wire.wait(1)
            first = wire.received().split(b"\r\n")[:3]
            self.assertEqual((first[0], {*first}), (b"ab", {b"ab", b"all", b"pushed"}))

    def test_a_client_that_does_not_read(self) -> None:
        """What is due waits until it reads on; each reply is whole."""
        big = b"x" * 300_000
        wire = self.lines(lambda request: (Wait(1), big) if request.data == b"l" else big)
        wire.stop_reading()
        wire.send(b"l\ns\nl\ns\n")
        wire.wait(1)
        wire.wait(5)
        wire.read_on()
        wire.wait(1)
        self.assertEqual(wire.received(), (big + b"\r\n") * 4)
        self.assertIs(wire.protocol.state, State.IDLE)


class EndTests(Unordered):
    """What ends a connection, or a part of it."""

    def test_the_client_ends(self) -> None:
        """Everything that was received is answered, then the connection closes."""
        wire = self.lines(after)
        wire.send(b"2\n1\n")
        wire.send_eof()
        wire.wait(1)
        self.assertEqual((wire.received(), wire.got_eof), (b"1\r\n", False))
        wire.wait(1)
        self.assertEqual((wire.received(), wire.got_eof), (b"2\r\n", True))

    def test_a_drain(self) -> None:
        """Likewise."""
        wire = self.lines(after)
        wire.send(b"2\n")
        drained = wire.factory.drain(10)
        wire.wait(2)
        self.assertEqual((wire.received(), wire.got_eof), (b"2\r\n", True))
        wire.send_eof()
        self.successResultOf(drained)

    def test_a_close_waits_for_other_replies(self) -> None:
        """No request after it is taken up; those before it are answered."""
        wire = self.lines(
            lambda request: (b"bye", Close()) if request.data == b"q" else after(request)
        )
        wire.send(b"2\nq\n0\n", b"0\n")
        self.assertEqual(wire.received(), b"bye\r\n")
        wire.wait(2)
        self.assertEqual((wire.received(), wire.got_eof), (b"2\r\n", True))
        self.assertEqual(self.heard.requests, [[b"2", b"q"]])
        self.assertEqual([it.request.number for it in self.heard.exchanges], [1, 2])

    def test_two_closes(self) -> None:
        """Both of them wait for all others, and not for each other."""
        late: dict[bytes, Deferred[Any]] = {}
        wire = self.lines(lambda request: late.setdefault(request.data, Deferred()))
        wire.send(b"a\nb\nc\n")
        for name in (b"a", b"b"):
            late[name].callback((name, Close()))
        wire.turn()
        self.assertEqual((wire.received(), wire.got_eof), (b"a\r\nb\r\n", False))
        late[b"c"].callback(b"c")
        wire.turn()
        self.assertEqual((wire.received(), wire.got_eof), (b"c\r\n", True))

    def test_a_half_close(self) -> None:
        """Nothing that was asked before it is lost; then requests are taken up again."""
        wire = self.lines(
            lambda request: (HalfClose(), Wait(1)) if request.data == b"h" else after(request)
        )
        wire.send(b"2\nh\n0\n")
        self.assertEqual(self.heard.requests, [[b"2", b"h"]])
        wire.wait(2)
        self.assertEqual((wire.received(), wire.got_eof), (b"2\r\n", True))
        wire.wait(1)
        wire.turn()
        self.assertEqual(self.heard.requests, [[b"2", b"h"], [b"0"]])
        self.assertTrue(wire.is_open)

    def test_hanging(self) -> None:
        """Replies before it are sent, and none after it."""
        wire = self.lines(lambda request: Hang() if request.data == b"h" else after(request))
        wire.send(b"2\nh\n0\n")
        wire.wait(2)
        wire.send(b"0\n")
        self.assertEqual(wire.received(), b"2\r\n")
        self.assertIs(wire.protocol.state, State.HANGING)

    def test_reading_stops_at_once(self) -> None:
        """Replies under way are sent."""
        wire = self.lines(
            lambda request: (StopReading(), b"s") if request.data == b"s" else after(request)
        )
        wire.send(b"2\ns\n0\n")
        self.assertEqual(wire.received(), b"s\r\n")
        self.assertFalse(wire.reading)
        wire.wait(2)
        self.assertEqual(wire.received(), b"2\r\n")
        self.assertIs(wire.protocol.state, State.HANGING)

    def test_a_reset_does_not_wait(self) -> None:
        """Replies under way are lost, as in any reset."""
        wire = self.lines(lambda request: Abort() if request.data == b"r" else after(request))
        wire.send(b"2\nr\n")
        wire.wait(1)
        self.assertEqual((wire.received(), wire.got_reset), (b"", True))
        self.assertEqual(self.heard.events[-1], "disconnected")
        self.assertEqual([it.request.data for it in self.heard.exchanges], [b"r"])

    def test_a_failure(self) -> None:
        """What a responder raises, at once or later, resets the connection."""
        for is_late in (False, True):
            self.setUp()
            late: Deferred[Any] = Deferred()

            def respond(request: Any, late: Any = late, is_late: bool = is_late) -> Any:
                if request.data == b"f" and not is_late:
                    raise ZeroDivisionError
                return late if request.data == b"f" else after(request)

            wire = self.lines(respond)
            wire.send(b"2\na\nf\n")
            if is_late:
                late.errback(ZeroDivisionError())
            wire.turn()
            self.assertEqual((wire.received(), wire.got_reset), (b"a\r\n", True))
            self.assertEqual(self.heard.events[-2:], ["failed", "disconnected"])
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_a_wrong_answer(self) -> None:
        """A Deferred of something that is no reply resets the connection."""
        late: Deferred[Any] = Deferred()
        wire = self.lines(lambda _request: late)
        wire.send(b"a\nb\n")
        late.callback(7)
        wire.turn()
        self.assertTrue(wire.got_reset)
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)

    def test_the_client_resets(self) -> None:
        """What waits is cancelled."""
        cancelled: list[Any] = []
        wire = self.lines(
            lambda request: Deferred(cancelled.append) if request.data == b"d" else after(request)
        )
        wire.send(b"d\n2\nd\n")
        wire.reset()
        self.assertEqual(len(cancelled), 2)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertEqual(self.heard.events, ["connected", "received", "disconnected"])

    def test_bytes_that_are_no_request(self) -> None:
        """Replies under way are sent before the connection closes."""
        wire = self.lines(after, limits=Limits(max_request=10))
        wire.send(b"2\n" + b"x" * 20 + b"\n")
        wire.wait(2)
        self.assertEqual((wire.received(), wire.got_eof), (b"2\r\n", True))
        self.assertEqual(self.heard.events[-1], "failed")

    def test_the_idle_timeout(self) -> None:
        """A client that waits for a reply is not idle."""
        wire = self.lines(lambda request: (Wait(20), request.data), limits=Limits(idle_timeout=4))
        wire.send(b"a\n")
        wire.pass_seconds(20)
        self.assertEqual(wire.received(), b"a\r\n")
        wire.pass_seconds(6)
        self.assertTrue(wire.got_eof)


class ScriptTests(Scripted):
    """With `ordered = false` in a script."""

    def test_states(self) -> None:
        """They follow the order of requests; another framing waits for the replies before it."""
        wire = self.script("""
            ordered = false

            [[rule]]
            equals = "in"
            goto = "in"
            reply = "in"

            [[rule]]
            when = ["start", "in"]
            equals = "late"
            delay = 1
            reply = "late"

            [[rule]]
            when = ["start", "in", "length"]
            equals = "length"
            goto = "length"
            reply = "length"

            [[rule]]
            when = "in"
            reply = "inside"

            [[rule]]
            when = "length"
            reply = "framed"

            [state.length]
            framing = "netstring"
            reply_framing = "netstring"
        """)
        wire.send(b"late\nin\nlate\na\nlength\n1:x,", b"6:length,")
        self.assertEqual(wire.received(), b"in\r\ninside\r\nlength\r\n")
        wire.wait(1)
        self.assertEqual(wire.received(), b"late\r\nlate\r\n6:framed,6:length,")

    def test_timers_and_broadcasts(self) -> None:
        """They come between frames, while a reply waits."""
        wire = self.script("""
            ordered = false
            [[rule]]
            every = 1
            reply = "tick"

            [[rule]]
            equals = "late"
            delay = 2.5
            reply = "late"

            [[rule]]
            equals = "all"
            do = [{ send = "heard", to = "all" }, { send = "said" }]
        """)
        wire.send(b"late\nall\n")
        self.assertEqual(sorted(wire.received().split()), [b"heard", b"said"])
        for expected in (b"tick\r\n", b"tick\r\n", b"late\r\ntick\r\n"):
            wire.wait(0.5)
            wire.wait(0.5)
            self.assertEqual(wire.received(), expected)

    def test_a_greeting_comes_first(self) -> None:
        """Also one that takes time."""
        wire = self.script("""
            ordered = false
            greeting = { reply = ["one", "two"], delay = 1 }
            unmatched = "x"
        """)
        wire.send(b"a\n")
        self.assertEqual(wire.received(), b"")
        wire.wait(1)
        self.assertEqual(wire.received(), b"one\r\ntwo\r\nx\r\n")

    def test_problems(self) -> None:
        """The key is named."""
        for text, problem in (
            ('ordered = "no"', 'script:1: ordered: expected true or false, found "no"'),
            (
                'upstream = { address = "127.0.0.1:1" }\nordered = false\n'
                "framing = 'line'\nunmatched = { forward = true }\n",
                "script:2: ordered: expected true where requests are forwarded, found false",
            ),
        ):
            with self.assertRaises(ValueError) as caught:
                Script.parse(text)
            self.assertEqual(str(caught.exception).replace("'", '"'), problem)

    def test_a_reload(self) -> None:
        """It applies to clients that connect from then on."""
        rules = 'rule = [{ equals = "a", delay = 1, reply = "a" }, { reply = "b" }]'
        factory = self.server(rules)
        old = self.join(factory)
        factory.reconfigure(Script.parse(f"ordered = false\n{rules}"))
        new = self.join(factory)
        for wire, first in ((old, b""), (new, b"b\r\n")):
            wire.send(b"a\nb\n")
            self.assertEqual(wire.received(), first)
        factory.fault("latency", delay=1)
        new.send(b"b\nb\n")
        new.wait(1)
        self.assertEqual(new.received(), b"a\r\nb\r\nb\r\n")
        self.assertEqual(old.received(), b"a\r\n")


class BoundTests(Unordered):
    """How much is under way."""

    def test_requests(self) -> None:
        """No more are taken up; reading pauses once too much waits; then all are answered."""
        wire = self.lines(lambda request: (Wait(1), request.data), limits=Limits(max_waiting=100))
        numbers = [b"%d" % it for it in range(3 * MAX_REQUESTS)]
        wire.send(b"\n".join(numbers) + b"\n")
        self.assertEqual(wire.protocol.taken, MAX_REQUESTS)
        for _ in range(3):
            wire.wait(1)
            wire.turn()
        self.assertEqual(wire.received().split(), numbers)

    def test_their_bytes(self) -> None:
        """Large requests are fewer."""
        large = b"x" * (MAX_BYTES // 4)
        wire = self.lines(
            lambda _request: (Wait(1), b"x"), limits=Limits(max_waiting=100, max_request=MAX_BYTES)
        )
        for _ in range(9):
            wire.send(large + b"\n")
        self.assertEqual(wire.protocol.taken, 4)
        self.assertFalse(wire.reading)
        for _ in range(9):
            wire.wait(1)
            wire.turn()
        self.assertEqual(wire.received(), b"x\r\n" * 9)

    def test_others_have_their_turn(self) -> None:
        """A connection with much to do gives way."""
        wire = self.lines(lambda request: request.data)
        wire.put(b"a\n" * 30_000)
        wire.read_once()
        self.assertIs(wire.protocol.state, State.YIELDED)
        wire.turn()
        self.assertEqual(wire.received(), b"a\r\n" * 30_000)


class ObserverTests(Unordered):
    """Which reply belongs to which request."""

    def test_numbers(self) -> None:
        """Each exchange has the number of its request; those that follow it are together."""
        wire = self.lines(after)
        wire.send(b"3\n1\na\na\n1\n")
        wire.wait(1)
        wire.wait(2)
        found = [(it.request.number, it.request.data, it.steps) for it in self.heard.exchanges]
        self.assertEqual(
            found,
            [
                (number, data, ((Wait(int(data)),) if data != b"a" else ()) + (Send(data),))
                for number, data in ((3, b"a"), (4, b"a"), (2, b"1"), (5, b"1"), (1, b"3"))
            ],
        )
        self.assertEqual(self.heard.batches, [2, 1, 1, 1])

    def test_the_journal(self) -> None:
        """It has the times and the numbers of requests, also of those without a reply."""
        journal = Journal(now=self.reactor.seconds)
        wire = self.lines(after, observers=[journal])
        wire.send(b"5\n", b"1\n", b"7\na\n")
        wire.wait(1)
        wire.send(b"8\n")
        wire.wait(4)
        wire.send(b"a\n")
        self.assertEqual(
            [
                (it.exchange.request.number, it.exchange.request.data, it.at, it.sent)
                for it in journal.exchanges()
            ],
            [(4, b"a", 0, 0), (2, b"1", 0, 1), (1, b"5", 0, 5), (6, b"a", 5, 5)],
        )
        unanswered = [it for it in journal.entries() if isinstance(it, Unanswered)]
        self.assertEqual(
            [(it.request.number, it.request.data, it.at) for it in unanswered],
            [(3, b"7", 0), (5, b"8", 1)],
        )
        wire.reset()
        gone = [it for it in journal.entries() if isinstance(it, Unanswered)]
        self.assertEqual([it.request.number for it in gone], [3, 5])

    def test_counters(self) -> None:
        """Each reply is timed since its request was taken up."""
        counters = Counters(now=self.reactor.seconds)
        wire = self.lines(after, counters=counters)
        wire.send(b"5\n", b"1\na\n")
        self.assertEqual((counters.requests, counters.unanswered, counters.replies), (3, 2, 1))
        wire.wait(1)
        self.assertEqual((counters.unanswered, counters.seconds), (1, 1))
        wire.wait(4)
        self.assertEqual((counters.unanswered, counters.seconds), (0, 6))
        self.assertEqual((counters.requests, counters.replies), (3, 3))


def named(request: Any) -> Any:
    """Return what `RandomTests` expects for *request*, ``NAME:SECONDS,SECONDS``, in two frames."""
    name, _, waits = request.data.partition(b":")
    steps: list[Any] = []
    for seconds in filter(None, waits.split(b",")):
        steps += [Wait(int(seconds) / 8), name]
    return (*steps, name + b".", *((Close(),) if name.startswith(b"q") else ()))


class RandomTests(Unordered):
    """Any requests, at any time, with any faults, however they arrive."""

    @given(
        requests=st.lists(st.lists(st.integers(0, 9), max_size=3), min_size=1, max_size=30),
        cuts=st.lists(st.integers(0, 200), max_size=5),
        late=st.sets(st.integers(0, 29)),
        slices=st.booleans(),
        ends=st.sampled_from(["", "half_close", "close", "drain"]),
        stops=st.booleans(),
        most=st.sampled_from([20, 65_536]),
    )
    @settings(derandomize=True, deadline=None, max_examples=150)
    def test_replies_are_a_permutation(
        self,
        requests: list[list[int]],
        cuts: list[int],
        late: set[int],
        slices: bool,
        ends: str,
        stops: bool,
        most: int,
    ) -> None:
        """Each reply comes once and whole, and the observers hear whose it is."""
        self.setUp()
        deferreds: dict[bytes, tuple[Deferred[Any], Any]] = {}

        def respond(request: Any) -> Any:
            if int(request.data.partition(b":")[0].lstrip(b"q")) not in late:
                return named(request)
            deferreds[request.data] = Deferred(), named(request)
            return deferreds[request.data][0]

        journal = Journal(now=self.reactor.seconds)
        wire = self.lines(
            respond,
            observers=[self.heard, journal],
            faults=[Slicer(size=2)] if slices else [],
            limits=Limits(max_waiting=most),
            seed=1,
        )
        if stops:
            wire.stop_reading(10)
        lines = [
            b"%s%d:%s"
            % (
                b"q" * (ends == "close" and at == len(requests) - 1),
                at,
                b",".join(b"%d" % it for it in waits),
            )
            for at, waits in enumerate(requests)
        ]
        sent = b"".join(it + b"\n" for it in lines)
        places = [0, *sorted(min(it, len(sent)) for it in cuts), len(sent)]
        for start, end in pairwise(places):
            wire.send(sent[start:end])
            wire.wait(0.125)
        if ends == "half_close":
            wire.send_eof()
        if stops:
            wire.read_on()
        received = b""
        is_drained = False
        for _ in range(len(lines) + 2):  # requests may be taken up once others are answered
            for deferred, answer in [*deferreds.values()]:
                deferred.callback(answer)
            deferreds.clear()
            for _ in range(40):
                wire.wait(0.125)
            received += wire.received()
            if ends == "drain" and not is_drained and wire.protocol.taken == len(lines):
                wire.factory.drain(100)
                is_drained = True
        expected = [
            frame
            for line, waits in zip(lines, requests, strict=True)
            for name in [line.partition(b":")[0]]
            for frame in (*[name] * len(waits), name + b".")
        ]
        self.assertEqual(sorted(received.split(b"\r\n")[:-1]), sorted(expected))
        found = [(it.request.number, it.request.data) for it in self.heard.exchanges]
        self.assertEqual(sorted(found), [*enumerate(lines, 1)])
        self.assertEqual(
            [it.exchange.request.number for it in journal.exchanges()],
            [number for number, _ in found],
        )
        self.assertFalse(any(isinstance(it, Unanswered) for it in journal.entries()))
        self.assertEqual(wire.got_eof, ends != "")
        for line, waits in zip(lines, requests, strict=True):
            frames = [
                it for it in received.split(b"\r\n") if it.rstrip(b".") == line.partition(b":")[0]
            ]
            self.assertEqual(len(frames), len(waits) + 1)
            self.assertTrue(frames[-1].endswith(b"."))


class EagerUnorderedTests(UnorderedTests):
    """The same on the eager transport."""

    transport = EagerServer


class EagerEndTests(EndTests):
    """The same on the eager transport."""

    transport = EagerServer
