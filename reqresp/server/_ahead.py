"""
Ahead: the requests of one connection that were taken up before earlier ones are answered.

A request that is forwarded waits for the service.  Meanwhile further requests are taken up, so that
those which are forwarded, too, are sent on at once; all answers wait here for their turn.  Replies
of the service are given to the requests in their order.  It must not know states, and performs
nothing.
"""

from collections import deque
from collections.abc import Sequence
from operator import itemgetter
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from reqresp.framing import Framed, FrameError, Framing, RawFrames, complete_framing
from reqresp.server import _report
from reqresp.server.observers import Direction
from reqresp.server.service import Service, ServiceConnection, ServiceUser
from reqresp.steps import Abort, Close, Forward, RuleReply, Steps

#: Requests that are taken up before the first of them is answered.
MAX_REQUESTS = 128
#: Bytes of these requests; the last ones may exceed them.
MAX_BYTES = 64 * 1024
#: Bytes of one reply of the service.
MAX_REPLY_BYTES = 64 * 1024 * 1024

#: What is done with what the service has sent by itself.
_PUSHED: Steps = (Forward(),)

_first_byte = itemgetter(0)

# A module-level name is looked up faster than an attribute of an Enum.
_UP, _DOWN = Direction


class Pending:
    """
    Requests that were taken up, with the same answer, or what the service has sent by itself.

    Several requests are all forwarded, and `is_plain`.

    :param requests: none: the service has sent *replies* by itself.
    :param steps: None: the responder has not answered yet.
    """

    __slots__ = ("failure", "is_plain", "missing", "replies", "requests", "size", "steps")

    def __init__(self, requests: Sequence[bytes], steps: Steps | None) -> None:
        self.requests = requests
        #: Bytes of these.
        self.size = sum(map(len, requests))
        self.steps = steps
        #: How many replies of the service are awaited.
        self.missing = 0
        #: Whether the replies of the service are all that is sent, as they came.
        self.is_plain = False
        #: The frames with which the service has replied.
        self.replies: list[bytes] = []
        #: Why the responder has no answer.
        self.failure: Failure | None = None

    @property
    def is_ready(self) -> bool:
        """Whether nothing more is awaited."""
        is_answered = self.steps is not None or self.failure is not None
        return is_answered and not self.missing

    def answers(self) -> list[Steps]:
        """Return the steps of each request; raise what the responder has raised."""
        if self.failure is not None:
            self.failure.raiseException()
        steps = self.steps or ()
        return [_with_reply(steps, reply) for reply in self.replies] or [steps]

    def split(self, most: int | None = None) -> "Pending | None":
        """
        Remove the requests that have replies, and return them; None: there are none.

        :param most: how many of them; None: all.
        """
        replies = self.replies[:most]
        count = len(replies)
        if not count:
            return None
        first = Pending(self.requests[:count], self.steps)
        first.is_plain = self.is_plain
        first.replies = replies
        self.requests, self.replies = self.requests[count:], self.replies[count:]
        return first


class Ahead:
    """
    What *user* has taken up and not answered, and its connection to *service*.

    :param framing: finds the replies of the service.
    """

    __slots__ = (
        *("deferred", "is_ending", "pending", "requests"),
        *("_answers", "_connection", "_frames", "_held", "_is_paused", "_marks", "_service"),
        *("_size", "_unsent", "_user", "_waiting"),
    )

    def __init__(self, user: ServiceUser, service: Service, framing: Framing) -> None:
        self._user = user
        self._service = service
        self._connection: ServiceConnection | None = None
        replies = complete_framing(framing)
        self._frames = RawFrames(replies.reply_decoder(MAX_REPLY_BYTES))
        self._answers = replies.answers
        self._marks = replies.push_marks
        #: In the order in which the client gets them.
        self.pending: deque[Pending] = deque()
        #: How many requests are among these.
        self.requests = 0
        #: The answer of the responder that is awaited.
        self.deferred: Deferred[Any] | None = None
        #: Whether no request is taken up any more: an answer ends the connection.
        self.is_ending = False
        self._waiting: deque[Pending] = deque()  # forwarded, and not replied to
        self._unsent: list[bytes] = []
        self._size = 0  # bytes of requests that are pending
        self._held = 0  # bytes that the service has sent, and that are pending
        self._is_paused = False  # the service is not read

    # Requests

    @property
    def room(self) -> int:
        """How many requests may be taken up now."""
        if self.is_ending or self.deferred is not None or self._size >= MAX_BYTES:
            return 0
        if self._connection is not None and self._connection.is_blocked:
            return 0
        return MAX_REQUESTS - self.requests

    @property
    def is_first_ready(self) -> bool:
        """Whether a part of what is first can be performed."""
        return bool(self.pending) and (self.pending[0].is_ready or bool(self.pending[0].replies))

    @property
    def asks_service(self) -> bool:
        """Whether the service is waited for, not the responder."""
        return not self.pending or self.pending[0].steps is not None

    @property
    def undelivered(self) -> int:
        """How many bytes the service has not received, as far as is known."""
        return 0 if self._connection is None else self._connection.undelivered

    def put(self, request: Framed, steps: Steps) -> None:
        """Add *request*, which is answered by *steps*."""
        self._forward(self._add([request], steps), request, steps)

    def put_all(self, requests: Sequence[bytes], steps: Steps, raw: bytes) -> None:
        """
        Add *requests*, each of which is answered by *steps*; these only forward.

        :param raw: the bytes of all *requests*, as they came.
        """
        pending = self._add(requests, steps)
        pending.is_plain = True
        pending.missing = len(requests)
        self._waiting.append(pending)
        self._unsent.append(raw)

    def put_deferred(self, request: Framed, deferred: "Deferred[Any]") -> Pending:
        """Add *request*, whose answer is *deferred*, and return it."""
        self.deferred = deferred
        return self._add([request], None)

    def put_failure(self, request: Framed, failure: Failure) -> None:
        """Add *request*, which the responder has failed to answer."""
        self.fail(self._add([request], None), failure)

    def answer(self, pending: Pending, steps: Steps) -> None:
        """Answer *pending*, which has waited for the responder, by *steps*."""
        self.deferred = None
        pending.steps = steps
        self._forward(pending, cast(Framed, pending.requests[0]), steps)  # one that was asked for

    def fail(self, pending: Pending, failure: Failure) -> None:
        """Note that the responder has failed to answer *pending*."""
        self.deferred = None
        self.is_ending = True
        pending.failure = failure

    def _add(self, requests: Sequence[bytes], steps: Steps | None) -> Pending:
        pending = Pending(requests, steps)
        self.pending.append(pending)
        self.requests += len(requests)
        self._size += pending.size
        return pending

    def _forward(self, pending: Pending, request: Framed, steps: Steps) -> None:
        """Look at *steps*, and forward *request* if one of them says so."""
        forwards = 0
        for step in steps:
            if step.ends_requests:
                self.is_ending = True
            if type(step) is Forward:
                forwards += 1
        if not forwards:
            return
        if forwards > 1:
            self.fail(pending, Failure(ValueError("expected one step forward, found several")))
            return
        has_faults = isinstance(steps, RuleReply) and len(steps.faults) > 0
        pending.is_plain = len(steps) == 1 and not has_faults
        pending.missing = 1
        self._waiting.append(pending)
        self._unsent.append(request.raw)

    def send(self) -> None:
        """Send what is to be forwarded, in one write."""
        if not self._unsent or self._connection is None:
            return
        data = b"".join(self._unsent)
        self._unsent.clear()
        self._report(_UP, data)
        self._connection.write(data)

    # Answers

    def take_plain(self) -> list[Pending]:
        """Remove the first requests whose replies of the service are sent as they came."""
        pending = self.pending
        taken: list[Pending] = []
        while pending and pending[0].is_plain and pending[0].replies:
            first = pending[0] if pending[0].missing else pending.popleft()
            taken.append(self._taken(first.split() or first))
        return taken

    def take(self) -> Pending | None:
        """Remove what is first, one request of it, if that is ready."""
        if not self.pending:
            return None
        first = self.pending[0]
        if len(first.requests) > 1:  # which were taken up together, before there were faults
            one = first.split(1)
            return None if one is None else self._taken(one)
        return self._taken(self.pending.popleft()) if first.is_ready else None

    def _taken(self, pending: Pending) -> Pending:
        """Return *pending*, after it was removed, and read from the service again."""
        self.requests -= len(pending.requests)
        self._size -= pending.size
        self._held -= sum(map(len, pending.replies))
        if self._is_paused and self._held <= MAX_BYTES and self._connection is not None:
            self._is_paused = False
            self._connection.resume()
        return pending

    def clear(self) -> None:
        """Drop everything, and end the connection to the service."""
        self.pending.clear()
        self._waiting.clear()
        self._unsent.clear()
        self.requests = self._size = 0
        self.is_ending = True
        self._cancel()
        self.end()

    # The service

    @property
    def service_name(self) -> str:
        """What log lines call the service."""
        return self._service.name

    def connect(self) -> None:
        """Begin to connect to the service."""
        self._connection = self._service.connect(self._user)

    def arrived(self, data: bytes) -> None:
        """
        Give *data*, which has arrived from the service, to the requests that wait for it.

        :raises FrameError: it is not a reply.
        """
        self._report(_DOWN, data)
        error: FrameError | None = None
        try:
            frames = self._frames.feed(data)
        except FrameError as found:
            frames, error = [*found.requests], found
        self._held += sum(map(len, frames))
        while frames:
            frames = self._give(frames)
        if self._held > MAX_BYTES and self._connection is not None:
            self._is_paused = True
            self._connection.pause()
        if error is not None:
            raise error

    def _give(self, frames: list[bytes]) -> list[bytes]:
        """Give the first of *frames* to those that wait first, and return the others."""
        if not self._waiting:
            self._push(frames)
            return []
        first = self._waiting[0]
        count = min(first.missing, len(frames))
        replies = frames[:count]
        if self._marks and not self._marks.isdisjoint(map(_first_byte, replies)):
            count, replies = 1, frames[:1]
            if not self._answers(first.requests[len(first.replies)], frames[0]):
                self._push(replies)
                return frames[1:]
        first.replies += replies
        first.missing -= count
        if not first.missing:
            self._waiting.popleft()
        return frames[count:]

    def _push(self, frames: list[bytes]) -> None:
        """Add *frames*, which the service has sent by itself, before what still waits."""
        user = self._user
        for frame in frames:
            user.host.events.unasked(user.peer, user.number, frame)
        places = enumerate(self.pending)
        at = next((at for at, it in places if not it.is_ready), len(self.pending))
        replied = self.pending[at].split() if at < len(self.pending) else None
        if replied is not None:
            self.pending.insert(at, replied)
            at += 1
        for frame in reversed(frames):
            pushed = Pending((), _PUSHED)
            pushed.replies = [frame]
            self.pending.insert(at, pushed)

    def ended(self, *, is_reset: bool) -> None:
        """End, as the service has ended, after what was sent before."""
        rest = self._frames.unfinished
        self._push([rest] if rest else [])
        if self._waiting:
            first = self._waiting[0]
            while self.pending.pop() is not first:
                pass  # they come after a reply that will not come
            self._cancel()
        self._waiting.clear()
        self.pending.append(Pending((), (Abort() if is_reset else Close(),)))
        self.is_ending = True

    def end(self, *, is_reset: bool = False) -> None:
        """End the connection to the service."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.end(is_reset=is_reset)

    def _cancel(self) -> None:
        deferred, self.deferred = self.deferred, None
        if deferred is not None:
            _report.cancel(deferred)

    def _report(self, direction: Direction, data: bytes) -> None:
        user = self._user
        events = user.host.events
        if events.reports_forwarded:
            events.forwarded(user.peer, user.number, direction, data)


def _with_reply(steps: Steps, reply: bytes) -> Steps:
    """Return *steps* with *reply* in the step that forwards."""
    replied = tuple(Forward(reply) if type(step) is Forward else step for step in steps)
    return steps.with_steps(replied) if isinstance(steps, RuleReply) else replied
