"""
Ahead: the requests of one connection that were taken up before earlier ones are answered.

A request that is forwarded waits for the service.  Meanwhile further requests are taken up, so that
those which are forwarded, too, are sent on at once; all answers wait here for their turn.  Replies
of the service are given to the requests in their order.  It must not know states, and performs
nothing.
"""

from collections import deque
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from reqresp.framing import Framed, FrameError, Framing, RawFrames, complete_framing
from reqresp.server.observers import Direction
from reqresp.server.service import Service, ServiceConnection, ServiceUser
from reqresp.steps import Abort, Close, Forward, RuleReply, Send, Steps

#: Requests that are taken up before the first of them is answered.
MAX_REQUESTS = 128
#: Bytes of these requests; the last one may exceed them.
MAX_BYTES = 64 * 1024
#: Bytes of one reply of the service.
MAX_REPLY_BYTES = 64 * 1024 * 1024
#: What is done with what the service has sent by itself.
_PUSHED: Steps = (Forward(),)


class Pending:
    """
    A request that was taken up, or something that the service has sent by itself.

    :param request: None: the service has sent it by itself.
    :param steps: None: the responder has not answered yet.
    """

    __slots__ = ("failure", "is_plain", "is_ready", "reply", "request", "steps")

    def __init__(self, request: Framed | None, steps: Steps | None, is_ready: bool) -> None:
        self.request = request
        self.steps = steps
        #: Whether nothing more is awaited for it.
        self.is_ready = is_ready
        #: Whether the reply of the service is all that is sent, as it came.
        self.is_plain = False
        #: The frame with which the service has replied.
        self.reply: bytes | None = None
        #: Why the responder has no answer.
        self.failure: Failure | None = None

    def answer(self) -> Steps:
        """Return the steps to perform; raise what the responder has raised."""
        if self.failure is not None:
            self.failure.raiseException()
        steps = self.steps or ()
        return steps if self.reply is None else _with_reply(steps, self.reply)


class Ahead:
    """
    What *user* has taken up and not answered, and its connection to *service*.

    :param framing: finds the replies of the service.
    """

    __slots__ = (
        *("deferred", "is_ending", "pending", "requests"),
        *("_answers", "_connection", "_frames", "_held", "_is_paused", "_plain", "_service"),
        *("_size", "_unsent", "_user", "_waiting"),
    )

    def __init__(self, user: ServiceUser, service: Service, framing: Framing) -> None:
        self._user = user
        self._service = service
        self._connection: ServiceConnection | None = None
        replies = complete_framing(framing)
        self._frames = RawFrames(replies.reply_decoder(MAX_REPLY_BYTES))
        self._answers = replies.answers
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
        self._plain: Steps | None = None  # the latest steps that only forward

    # Requests

    @property
    def has_room(self) -> bool:
        """Whether another request may be taken up now."""
        is_full = self.requests >= MAX_REQUESTS or self._size >= MAX_BYTES
        if is_full or self.is_ending or self.deferred is not None:
            return False
        return self._connection is None or not self._connection.is_blocked

    @property
    def asks_service(self) -> bool:
        """Whether the service is waited for, not the responder."""
        return not self.pending or self.pending[0].steps is not None

    def put(self, request: Framed, steps: Steps) -> None:
        """Add *request*, which is answered by *steps*."""
        pending = Pending(request, steps, True)
        self.pending.append(pending)
        self.requests += 1
        self._size += len(request)
        if steps is self._plain:  # as most are that are forwarded
            pending.is_ready = False
            pending.is_plain = True
            self._waiting.append(pending)
            self._unsent.append(request.raw)
        else:
            self._forward(pending, request, steps)

    def put_deferred(self, request: Framed, deferred: "Deferred[Any]") -> Pending:
        """Add *request*, whose answer is *deferred*, and return it."""
        pending = Pending(request, None, False)
        self.pending.append(pending)
        self.requests += 1
        self._size += len(request)
        self.deferred = deferred
        return pending

    def put_failure(self, request: Framed, failure: Failure) -> None:
        """Add *request*, which the responder has failed to answer."""
        pending = Pending(request, None, False)
        self.pending.append(pending)
        self.requests += 1
        self.fail(pending, failure)

    def answer(self, pending: Pending, request: Framed, steps: Steps) -> None:
        """Answer *pending*, the *request* of which has waited for the responder, by *steps*."""
        self.deferred = None
        pending.steps = steps
        pending.is_ready = True
        self._forward(pending, request, steps)

    def fail(self, pending: Pending, failure: Failure) -> None:
        """Note that the responder has failed to answer *pending*."""
        self.deferred = None
        self.is_ending = True
        pending.failure = failure
        pending.is_ready = True

    def _forward(self, pending: Pending, request: Framed, steps: Steps) -> None:
        """Look at *steps*, and forward the request if one of them says so."""
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
        if len(steps) == 1 and not (isinstance(steps, RuleReply) and steps.faults):
            pending.is_plain = True
            self._plain = steps
        pending.is_ready = False
        self._waiting.append(pending)
        self._unsent.append(request.raw)

    def send(self) -> None:
        """Send what is to be forwarded, in one write."""
        if not self._unsent or self._connection is None:
            return
        data = b"".join(self._unsent)
        self._unsent.clear()
        self._report(Direction.UPSTREAM, data)
        self._connection.write(data)

    # Answers

    def take_plain(self) -> list[Pending]:
        """Remove the first requests whose replies of the service are sent as they came."""
        pending, taken, size = self.pending, [], 0
        while pending and (first := pending[0]).is_plain and first.reply is not None:
            taken.append(pending.popleft())
            self._size -= len(first.request or b"")
            size += len(first.reply)
        if taken:
            self.requests -= len(taken)
            self._release(size)
        return taken

    def take(self) -> Pending | None:
        """Remove what is first, if it is ready."""
        if not self.pending or not self.pending[0].is_ready:
            return None
        first = self.pending.popleft()
        if first.request is not None:
            self.requests -= 1
            self._size -= len(first.request)
        self._release(len(first.reply or b""))
        return first

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

        :raises FrameError: it is no reply.
        """
        self._report(Direction.DOWNSTREAM, data)
        error: FrameError | None = None
        try:
            frames = self._frames.feed(data)
        except FrameError as found:
            frames, error = [*found.requests], found
        waiting, answers = self._waiting, self._answers
        for frame in frames:
            self._held += len(frame)
            if waiting and answers(waiting[0].request or b"", frame):
                pending = waiting.popleft()
                pending.reply = frame
                pending.is_ready = True
            else:
                pushed = Pending(None, _PUSHED, True)
                pushed.reply = frame
                self._insert(pushed)
        if self._held > MAX_BYTES and self._connection is not None:
            self._is_paused = True
            self._connection.pause()
        if error is not None:
            raise error

    def _insert(self, pending: Pending) -> None:
        """Add *pending*, which the service has sent, before what still waits."""
        places = enumerate(self.pending)
        at = next((at for at, it in places if not it.is_ready), len(self.pending))
        self.pending.insert(at, pending)

    def _release(self, size: int) -> None:
        """Read from the service again, now that *size* bytes of it are taken."""
        self._held -= size
        if self._is_paused and self._held <= MAX_BYTES and self._connection is not None:
            self._is_paused = False
            self._connection.resume()

    def ended(self, *, is_reset: bool) -> None:
        """End, as the service has ended, after what was sent before."""
        if not is_reset:
            self._report(Direction.DOWNSTREAM, b"")
        if self._waiting:
            first = self._waiting[0]
            while self.pending.pop() is not first:
                pass  # they come after a reply that will not come
            self._cancel()
        self._waiting.clear()
        rest = self._frames.unfinished
        sent: Steps = (Send(rest, raw=True),) if rest else ()
        self.pending.append(Pending(None, (*sent, Abort() if is_reset else Close()), True))
        self.is_ending = True

    def end(self, *, is_reset: bool = False) -> None:
        """End the connection to the service."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.end(is_reset=is_reset)

    def _cancel(self) -> None:
        deferred, self.deferred = self.deferred, None
        if deferred is not None:
            deferred.cancel()

    def _report(self, direction: Direction, data: bytes) -> None:
        user = self._user
        events = user.host.events
        if events.reports_passed:
            events.passed(user.peer, user.number, direction, data)


def _with_reply(steps: Steps, reply: bytes) -> Steps:
    """Return *steps* with *reply* in the step that forwards."""
    replied = tuple(Forward(reply) if type(step) is Forward else step for step in steps)
    return steps.with_steps(replied) if isinstance(steps, RuleReply) else replied
