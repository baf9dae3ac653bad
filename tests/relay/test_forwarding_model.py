"""
A server that forwards, under any order of requests, replies, pushes, cuts and pauses.

Each request and each push has a number of its own: the client must get the answer to each request
once, in order, and each push once, in order.
"""

from collections import deque
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from reqresp import Latency, Slicer
from tests.support.forwarded import ForwardedCase

SCRIPT = """
    framing = "resp"
    unmatched = { forward = true }
    [[rule]]
    matches = "LOCAL ([0-9]+)"
    reply = { template = ":{1}" }
    [[rule]]
    matches = "SLOW ([0-9]+)"
    delay = 0.5
    reply = { template = ":{1}" }
    [[rule]]
    matches = "TOO ([0-9]+)"
    forward = true
    delay = 0.2
"""

Action = tuple[str, int]
ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(
            (
                *("GET", "LOCAL", "GET", "SLOW", "TOO"),
                *("flush", "flush", "service replies", "service replies", "service pushes"),
                *("faults come", "faults go", "server pushes"),
                *("time passes", "client stops", "client reads", "service stops", "service reads"),
            )
        ),
        st.integers(1, 400),
    ),
    max_size=60,
)


class Played:
    """A client, a server and a service that do what a list of actions says."""

    def __init__(self, case: ForwardedCase) -> None:
        self.case = case
        self.client, self.service = case.connect_both()
        self.unsent = b""
        self.asked: list[bytes] = []  # the requests sent, without their line ends
        self.pushed = 0
        self.steered = 0  # pushes of the server
        self.answered = 0  # requests that the service has replied to
        self.outbox = b""  # of the service
        self.got = b""

    def perform(self, action: Action) -> None:
        """Perform one action."""
        what, size = action
        if what.isupper():
            request = b"%b %d" % (what.encode(), len(self.asked))
            self.asked.append(request)
            self.unsent += request + b"\r\n"
        else:
            getattr(self, what.replace(" ", "_"))(size)
        self.case.advance(0)
        self.got += self.client.received()

    def flush(self, size: int) -> None:
        """Send what the client has to send, or the beginning of it."""
        if self.unsent:
            self.client.send(self.unsent[:size])
        self.unsent = self.unsent[size:]

    def service_replies(self, size: int) -> None:
        """Reply to all requests that have arrived; send *size* bytes of that."""
        requests = self.service.got.split(b"\r\n")[:-1]
        for request in requests[self.answered :]:
            number = int(request.split()[1])
            self.outbox += (
                b":%d\r\n" % number
                if number % 2
                else b"$%d\r\n%d\r\n"
                % (
                    len(str(number)),
                    number,
                )
            )
        self.answered = len(requests)
        self.service.transport.write(self.outbox[:size])
        self.outbox = self.outbox[size:]

    def service_pushes(self, _size: int) -> None:
        self.outbox += b">2\r\n+push\r\n:%d\r\n" % self.pushed
        self.pushed += 1

    def server_pushes(self, _size: int) -> None:
        self.case.factory.connections.push(1, b"+steered %d\r\n" % self.steered)
        self.steered += 1

    def faults_come(self, size: int) -> None:
        fault = Latency(delay=size / 4000) if size % 2 else Slicer(size=1 + size)
        self.case.factory.fault(fault)

    def faults_go(self, size: int) -> None:
        faults = self.case.factory.faults
        if faults:
            faults[size % len(faults)].remove()

    def time_passes(self, size: int) -> None:
        self.case.advance(size / 400)

    def client_stops(self, size: int) -> None:
        self.client.stop_reading(size)

    def client_reads(self, size: int) -> None:
        self.client.resume_reading(size)

    def service_stops(self, _size: int) -> None:
        self.service.transport.pauseProducing()

    def service_reads(self, _size: int) -> None:
        self.service.transport.resumeProducing()

    def settle(self) -> None:
        """Have everything arrive."""
        for live in self.case.factory.faults:
            live.remove()
        self.client.resume_reading(10**9)
        self.service.transport.resumeProducing()
        self.flush(10**9)
        for _ in range(2 + len(self.asked)):
            self.case.advance(1)
            self.service_replies(10**9)
            self.case.advance(1)
            self.got += self.client.received()

    def answers(self) -> tuple[list[int], list[int]]:
        """Return the numbers of the requests that were answered, and those of the pushes."""
        answers: list[int] = []
        pushes: list[int] = []
        lines = deque(self.got.split(b"\r\n")[:-1])
        while lines:
            line = lines.popleft()
            if line == b">2" and len(lines) > 1:
                lines.popleft()
                pushes.append(int(lines.popleft()[1:]))
            elif line[:1] == b"$" and lines:
                answers.append(int(lines.popleft()))
            elif line[:1] == b":":
                answers.append(int(line[1:]))
        return answers, pushes


class ModelTests(ForwardedCase):
    """Any actions, in any order."""

    respond: Any = SCRIPT

    @settings(deadline=None, derandomize=True, max_examples=200)
    @given(ACTIONS, st.booleans(), st.booleans())
    def test_answers_keep_the_order_of_requests(
        self, actions: list[Action], ends_early: bool, is_observed: bool
    ) -> None:
        """None is lost, repeated or reordered, and no push is; also after the client's EOF."""
        self.setUp()
        if not is_observed:  # what is only passed on needs no turn then
            self.start(self.respond, observers=[])
        played = Played(self)
        for action in actions:
            played.perform(action)
            answers, pushes = played.answers()
            self.assertEqual(answers, [*range(len(answers))])
            self.assertEqual(pushes, [*range(len(pushes))])
        if ends_early:
            played.flush(10**9)
            played.client.half_close()
        played.settle()
        answers, pushes = played.answers()
        self.assertEqual(answers, [*range(len(played.asked))])
        if not ends_early:
            self.assertEqual(pushes, [*range(played.pushed)])
            steered = [line for line in played.got.split(b"\r\n") if line.startswith(b"+steered")]
            self.assertEqual(steered, [b"+steered %d" % at for at in range(played.steered)])
        forwarded = [it for it in played.asked if it[:3] in (b"GET", b"TOO")]
        self.assertEqual(played.service.got.split(b"\r\n")[:-1], forwarded)
        if not is_observed:
            return
        exchanges = [it.request.data for it in self.heard.exchanges]
        self.assertEqual(exchanges, played.asked)
        self.assertEqual(
            [it.request.number for it in self.heard.exchanges], [*range(1, len(played.asked) + 1)]
        )
