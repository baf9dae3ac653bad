"""
A server of the randomized model, its clients, and all events that can happen to them.

Each method is one event.  `check` compares the results so far with `tests.support.model`.  The
order of events is not decided here: hypothesis chooses it.
"""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import accumulate, count
from typing import Any

from twisted.internet import tcp
from twisted.internet.defer import Deferred
from twisted.logger import LogLevel
from twisted.python.failure import Failure

from reqresp import (
    Counters,
    EagerServer,
    FrameError,
    Observer,
    ReqRespFactory,
    Request,
    Send,
)
from reqresp.server.pushes import PushError
from reqresp.testing import InMemoryReactor
from tests.support.model import GARBAGE, Connected, Ending, Expected, ExpectedEcho
from tests.support.model_client import ModelClient
from tests.support.model_observers import (
    Acting,
    ObserverError,
    Raising,
    RecordedConnection,
    RecordingObserver,
)
from tests.support.model_setup import NUMBERS, ModelError, Setup

#: Errors that may be logged: they are raised on purpose.
LOGGED = (ModelError, ObserverError, TypeError, FrameError)
#: Rounds after which client and server must be at rest.
MAX_ROUNDS = 100_000
#: Seconds after which a connection must have ended, its lingering and time-outs included.
TO_END = 20.0
#: Seconds that pass at once where connections have an idle time-out; it is longer.
IDLE_STEP = 0.5


class World:
    """
    A server and its clients, in memory.

    :param is_observed: whether there are observers and counters; `Chunk` needs them, because
        its requests depend on how the network cuts the bytes.
    :param observer: what another observer does at each event: "raises", "fires" a reply that is
        awaited, or "" for none.
    :param tick: seconds that the work between two looks at the clock takes.
    """

    def __init__(self, setup: Setup, is_observed: bool, observer: str, tick: float) -> None:
        self.setup = setup
        self.reactor = InMemoryReactor()
        self.clients: list[Connected] = []
        #: Replies that are awaited: the connection, the request's number, the Deferred.
        self.late: list[tuple[Connected, int, Deferred[Any]]] = []
        self._problems: list[str] = []
        self._asked: dict[int, int] = {}
        self._refused: list[ModelClient] = []
        self._drained: list[Deferred[None]] = []
        self._deadline: float | None = None
        self._logged: list[Failure] = []
        self._recorder = RecordingObserver(self.reactor.seconds) if is_observed else None
        self._counters = Counters() if is_observed else None
        observers: list[Observer] = []
        if observer:
            observers.append(Raising() if observer == "raises" else Acting(self._fire_first))
        if self._recorder is not None:
            observers.append(self._recorder)
        self._factory = ReqRespFactory(
            setup.responder(self._ask),
            framing=setup.case.framing,
            limits=setup.limits,
            faults=setup.faults,
            seed=1,
            observers=observers,
            clock=self.reactor,
            counters=self._counters,
            # Time that really passes would make schedules that cannot be repeated.
            now=partial(next, count(0.0, tick)),
        )
        self.reconfigure(setup)

    def log(self, event: Any) -> None:
        """Record the log *event* if it is an error."""
        failure = event.get("log_failure")
        if failure is not None:
            self._logged.append(failure)
            if not failure.check(*LOGGED):
                self._problems.append(f"logged: {failure.getTraceback()}")
        elif event["log_level"] >= LogLevel.error:
            self._problems.append(f"logged: {event}")

    @property
    def now(self) -> float:
        """The reactor's time, in seconds."""
        return self.reactor.seconds()

    def later(self, turns: int, act: Callable[[], object]) -> None:
        """Call *act* after *turns* turns of the reactor, perhaps between other events."""
        if turns:
            self.reactor.callLater(0, self.later, turns - 1, act)
        else:
            act()

    # What a server does

    def reconfigure(self, setup: Setup) -> None:
        """Answer new connections as *setup* says, where that can be checked."""
        if setup.idle_timeout != self.setup.idle_timeout:
            return  # it would hold for open connections, too
        if setup.framing == "chunk" and self._recorder is None:
            return
        self.setup = setup
        for it in self.clients:
            it.expected.have_faults(setup.faults)
        self._factory.reconfigure(
            setup.responder(self._ask),
            framing=setup.case.framing,
            limits=setup.limits,
            faults=setup.faults,
            seed=1,
        )

    def _ask(self, request: Request, late: "Deferred[Any] | None") -> None:
        number = self._asked[request.connection] = self._asked.get(request.connection, 0) + 1
        if number != request.number:
            self._problems.append(f"{request} is number {number}")
        (it,) = [it for it in self.clients if it.number == request.connection]
        if isinstance(it.expected, ExpectedEcho):
            return
        if number > it.expected.taken:
            self._problems.append(f"{request} must not be answered")
        elif it.expected.requests[number - 1] != request.data:
            self._problems.append(f"{request} is not what was sent")
        if late is not None:
            self.late.append((it, number, late))

    def fire(self, which: int, succeeds: bool) -> None:
        """Finish or fail a reply that is awaited."""
        if self.late:
            self._fire(*self.late.pop(which % len(self.late)), succeeds)

    def _fire_first(self) -> None:
        self.fire(0, True)

    def _fire(self, it: Connected, number: int, late: "Deferred[Any]", succeeds: bool) -> None:
        if late.called:  # it was cancelled
            return
        expected = it.expected
        expected.outcomes[number] = succeeds
        expected.go_on()
        it.changed = self.now
        if succeeds:
            request = expected.requests[number - 1]
            late.callback(expected.setup.case.prefix + b"late " + request)
        else:
            late.errback(ModelError())

    def change_faults(self, what: str) -> None:
        """Add, change or remove faults that never apply, and so change nothing for clients."""
        added = [it for it in self._factory.faults if not it.fault.probability]
        match what:
            case "add":
                self._factory.fault("corrupt", on="connect" if added else "reply", probability=0)
            case "change":
                for live in added:
                    live.change(bytes=2 + len(added))
            case "remove" if added:
                added[0].remove()

    def push(self, it: Connected) -> None:
        """Push bytes to a connection, which may refuse them."""
        data = b"\xfepush%03d\xff" % len(it.pushed)
        with suppress(KeyError, PushError):
            self._factory.connections.push(it.number, data)
            it.pushed.append(data)
            it.changed = self.now

    def steer(self, it: Connected, how: str) -> None:
        """End a connection from outside: "close" or "reset" it."""
        it.cut_anywhere()
        with suppress(KeyError):
            getattr(self._factory.connections, how)(it.number)

    def drain(self, seconds: float) -> None:
        """Drain the server: reset what is still open after *seconds*."""
        deadline = self.now + seconds
        for it in self.clients:
            it.cut(self._floor(it))
            if it.client.is_tls and not it.client.has_shaken_hands:
                it.cut_anywhere()
            it.deadline = min(it.deadline or deadline, deadline)
        self._deadline = min(self._deadline or deadline, deadline)
        drained = self._factory.drain(seconds)
        self._drained.append(drained)
        drained.addCallback(lambda _none: self._has_drained(drained))

    def _has_drained(self, drained: "Deferred[None]") -> None:
        self._drained.remove(drained)
        if not self._drained:
            self._deadline = None

    def _floor(self, it: Connected) -> int:
        """Return how many of its requests the server has received for certain."""
        if it.client.ending or it.may_reset or it.deadline is not None:
            return it.floor
        if it.client.is_settled:
            return len(it.expected.requests)
        record = self._record_of(it)
        return 0 if record is None else it.expected.count_received(record.received)

    # What clients do

    def connect(self, is_eager: bool, is_tls: bool, is_reading: bool) -> None:
        """Connect a client.  The server may refuse it while it drains."""
        accepted = self._factory.accepted
        transport = EagerServer if is_eager else tcp.Server
        number = len(self.clients) + len(self._refused)
        client = ModelClient(self.reactor, self._factory, number, transport, is_tls)
        client.is_reading = is_reading
        if self._factory.accepted == accepted:
            self._check_refused(client)
            return
        kind = ExpectedEcho if self.setup.framing == "chunk" else Expected
        it = Connected(client, kind(self.setup, self._factory.accepted, is_tls), self.now)
        self.clients.append(it)
        if is_tls and it.expected.ending is Ending.NOT_READING:
            it.cut_anywhere()  # a server that reads nothing cannot shake hands
        if self._drained:
            it.cut(0)
            it.deadline = self._deadline
            if is_tls:
                it.cut_anywhere()  # it may not have shaken hands by then

    def _check_refused(self, client: ModelClient) -> None:
        assert self._drained, "refused, though nothing drains"
        self._refused.append(client)
        self.settle()
        assert client.ending == "reset" or client.is_tls or not client.is_reading

    def send(self, it: Connected, names: list[str], cuts: list[int]) -> None:
        """Send requests of the kinds *names*, or "echo" for those not known, cut at *cuts*."""
        if it.sends_no_more:
            return
        kinds = it.expected.setup.kinds
        requests = []
        for name in names:
            kind = name if name in kinds else "echo"
            requests.append(b"%b%02d" % (kind.encode(), it.count % NUMBERS))
            it.count += 1
        frames = [it.expected.setup.case.encode_request(request) for request in requests]
        start = it.frame_ends[-1] if it.frame_ends else 0
        it.frame_ends += [start + end for end in accumulate(map(len, frames))]
        self._expect(it, requests)
        self._send_bytes(it, b"".join(frames), cuts)

    def end(self, it: Connected, how: str) -> None:
        """
        End what a client sends.

        :param how: "half_close", "close", "reset", "garbage" (bytes that are not a request),
            "start" (of a request), or "" for not at all.
        """
        match how:
            case "half_close":
                self.half_close(it)
            case "close" | "reset":
                self._leave(it, how == "reset")
            case "garbage":
                self._send_garbage(it)
            case "start":
                self._send_start(it)

    def _send_start(self, it: Connected) -> None:
        """Send the start of a request."""
        frame = it.expected.setup.case.encode_request(b"echo00")
        if not it.sends_no_more and it.expected.setup.framing != "chunk":
            it.sends_no_more = True
            self._send_bytes(it, frame[: len(frame) // 2], [])

    def _send_garbage(self, it: Connected) -> None:
        """Send bytes that are not a request, if the framing has such bytes."""
        garbage = it.expected.setup.case.garbage
        if not it.sends_no_more and garbage:
            it.sends_no_more = True
            self._expect(it, [GARBAGE])
            self._send_bytes(it, garbage, [])

    def _expect(self, it: Connected, requests: list[bytes]) -> None:
        if isinstance(it.expected, ExpectedEcho):
            it.expected.add(b"".join(requests))
            return
        it.expected.requests += requests
        it.expected.go_on()

    def _send_bytes(self, it: Connected, data: bytes, cuts: list[int]) -> None:
        starts = sorted({cut for cut in cuts if cut < len(data)} | {0})
        ends = [*starts[1:], len(data)]
        it.changed = self.now
        it.client.send(*(data[start:end] for start, end in zip(starts, ends, strict=True)))

    def half_close(self, it: Connected) -> None:
        """Send no more, and read on."""
        if it.is_gone:
            return
        it.changed = self.now
        it.sends_no_more = True
        if it.client.is_tls:
            it.cut_anywhere()  # TLS has no half-close
        it.client.half_close()

    def _leave(self, it: Connected, is_reset: bool) -> None:
        """Close the client's socket."""
        it.is_gone = it.sends_no_more = True
        it.cut_anywhere()
        if is_reset:
            it.client.reset()
        else:
            it.client.close()

    def read(self, it: Connected, size: int | None) -> None:
        """Read *size* bytes, and then no more; None: read on."""
        if size is not None:
            it.client.is_reading = False
            if size:
                it.client.read(size)
        elif not it.client.is_reading:
            it.client.is_reading = True
            it.changed = self.now

    # Time

    def advance(self, seconds: float) -> None:
        """Let *seconds* pass, then check everything."""
        self.settle()
        for it in self.clients:
            if it.expected.setup.idle_timeout is None or it.is_gone:
                continue
            if it.client.is_reading:
                it.cut(self._floor(it))
            else:
                it.cut_anywhere()
        # A client that reads must not case idle because all the time passes at once.
        has_idle = any(it.expected.setup.idle_timeout for it in self.clients)
        steps = int(seconds / IDLE_STEP) if has_idle else 0
        for _ in range(steps):
            self.reactor.advance(IDLE_STEP)
            self._move()
        self.reactor.advance(seconds - steps * IDLE_STEP)
        self.settle()

    def settle(self) -> None:
        """Run until nothing moves, without letting time pass, then check everything."""
        self._move()
        self.check()

    def _move(self) -> None:
        for _ in range(MAX_ROUNDS):
            self.reactor.advance(0)
            moving = [it for it in self.clients if it.client.turn()]
            for it in moving:
                it.changed = self.now
            if not moving:
                break
        else:
            raise AssertionError("client and server never come to rest")
        for client in self._refused:
            client.turn()

    # Checks

    def check(self) -> None:
        """Compare what clients and observers received with the model."""
        problems = [*self._problems, *(self._recorder.problems if self._recorder else ())]
        assert not problems, problems
        for it in self.clients:
            record = self._record_of(it)
            if it.deadline is not None and it.deadline <= self.now:
                gone_at = record.gone_at if record else None
                if gone_at is None or gone_at >= it.deadline:
                    it.cut_anywhere()
            it.check(self.now)
            if record is not None:
                is_lost = record.gone_at is not None
                assert is_lost or not it.must_be_lost(self.now), f"{it.number} is still open"
                self._check_record(it, record)

    def _check_record(self, it: Connected, record: RecordedConnection) -> None:
        expected, received, is_due = it.expected, record.received, it.is_due(self.now)
        if isinstance(expected, ExpectedEcho):
            echoed = b"".join(received)
            assert expected.out.startswith(echoed)
            assert not is_due or len(echoed) == len(expected.out)
            return
        new = received[record.checked :]
        assert new == expected.requests[record.checked : len(received)], f"{it.number}: {new}"
        record.checked = len(received)
        counts = len(received), len(record.answered), len(record.failures)
        due = expected.taken, expected.answered, int(expected.fails)
        assert not [1 for count, most in zip(counts, due, strict=True) if count > most], (
            f"{it.number}: observers received {counts}, at most {due} were due"
        )
        assert not is_due or counts == due, f"{it.number}: observers received {counts}, not {due}"
        if expected.faults:
            return
        for at in range(record.checked_replies, len(record.answered)):
            right = _sends(record.answered[at]) == _sends(expected.steps[at])
            assert right, f"{it.number}: request {at + 1} was answered with other steps"
        record.checked_replies = len(record.answered)

    def _record_of(self, it: Connected) -> RecordedConnection | None:
        return None if self._recorder is None else self._recorder.connections[it.number]

    def finish(self) -> None:
        """Bring every connection to its end, and check that nothing is left."""
        self.settle()
        for it in self.clients:
            self.read(it, None)
        self.settle()
        while self.late:
            self.fire(0, True)
            self.settle()
            self._pass_time()
        self._pass_time()
        for it in self.clients[::2]:
            self.half_close(it)
        self.settle()
        self._pass_time()
        self.drain(5)
        self.advance(TO_END)
        self._check_end()

    def _pass_time(self) -> None:
        self.advance(TO_END + max((it.expected.most for it in self.clients), default=0))

    def _check_end(self) -> None:
        assert not self._drained, "a drain is not over"
        assert not self.reactor.getReaders(), self.reactor.getReaders()
        assert not self.reactor.getWriters(), self.reactor.getWriters()
        assert not self.reactor.getDelayedCalls(), self.reactor.getDelayedCalls()
        failures = sum(it.expected.ending is Ending.FAILED for it in self.clients)
        logged = [failure for failure in self._logged if not failure.check(ObserverError)]
        assert len(logged) <= failures, logged
        for it in self.clients:
            assert it.client.ending or it.is_gone, f"{it.number} is open"
        if self._recorder is not None and self._counters is not None:
            self._check_counts(self._recorder, self._counters)

    def _check_counts(self, record: RecordingObserver, counters: Counters) -> None:
        connections = record.connections.values()
        assert len(connections) == self._factory.accepted == len(self.clients)
        assert all(it.gone_at is not None for it in connections), "not disconnected"
        assert counters.requests == sum(len(it.received) for it in connections)
        assert counters.replies == sum(len(it.answered) for it in connections)
        failures = sum(len(it.failures) for it in connections)
        assert counters.frame_errors + counters.responder_errors == failures
        assert counters.sent >= sum(len(it.client.received) for it in self.clients)


def _sends(steps: Any) -> list[bytes]:
    return [step.data for step in steps if isinstance(step, Send)]
