"""
Events: what is new, sent to clients as server-sent events.

Knows connections of clients and what a feed is.  Must not know services.  Nothing is kept for a
client that does not read: its position waits, and it continues from there.
"""

from collections.abc import Mapping
from math import inf
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure
from twisted.web.server import NOT_DONE_YET, Request

from reqresp.control.errors import ApiError
from reqresp.control.routes import EVENTS, Content

#: The most streams at a time.
MAX_STREAMS = 32
#: How often is looked for what is new, in seconds; less often while no feed may send.
LOOK_INTERVAL = 0.05
#: After so many seconds without an event a comment is sent, so that nothing between takes the
#: connection for an idle one.
KEEP_ALIVE = 15.0
#: Milliseconds after which a client connects again.
RETRY = 1000

_BEGIN = f"retry: {RETRY}\n\n".encode()
_COMMENT = b":\n\n"


class Feed(Protocol):
    """What some streams send.  Equal feeds send the same."""

    #: The shortest time from the last event to the next one, in seconds.
    @property
    def interval(self) -> float: ...

    #: The shortest time between two calls of `position`, in seconds.
    look_interval: float

    def position(self) -> int | None:
        """Return the number of what comes next; None: nothing comes any more."""

    def event(self, position: int) -> tuple[int, bytes]:
        """
        Return the position after what is new from *position* on, and the event of it.

        An empty event is not sent: nothing of what is new is wanted.
        """

    def __hash__(self) -> int: ...


class _Listener:
    """One client that listens to a feed, from a *position* on."""

    def __init__(self, request: Request, position: int, now: float) -> None:
        self.request = request
        self.channel: Any = request.channel
        self.position = position
        self.sent_at = now

    def write(self, data: bytes, now: float) -> None:
        self.request.write(data)
        self.sent_at = now


class EventStreams:
    """
    The streams of one site.

    An event is made once for all who have come equally far.  The streams of one feed send at the
    same time, so that this is the case.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._listeners: dict[Feed, list[_Listener]] = {}
        #: When each feed sent its last event.
        self._sent_at: dict[Feed, float] = {}
        #: When each feed was asked for its position.
        self._looked_at: dict[Feed, float] = {}
        self._timer: IDelayedCall | None = None

    def __len__(self) -> int:
        """Return how many clients listen."""
        return len({it.request for listeners in self._listeners.values() for it in listeners})

    def open(self, request: Request, feeds: Mapping[Feed, int | None]) -> Any:
        """
        Send *feeds* to the client of *request*, until one of them ends.

        :param feeds: what to begin each with; None: what comes next.
        :returns: what a route answers.
        :raises ApiError: there are too many streams, or a feed has ended.
        """
        positions = {feed: _begin(feed, position) for feed, position in feeds.items()}
        if len(self) >= MAX_STREAMS:
            raise ApiError(429, f"expected at most {MAX_STREAMS} event streams at a time")
        request.setHeader("Content-Type", EVENTS)
        request.setHeader("X-Accel-Buffering", "no")  # some proxies gather what they pass on
        if request.method == b"HEAD":
            return Content(200, b"", EVENTS)
        for feed, position in positions.items():
            listener = _Listener(request, position, self._clock.seconds())
            self._listeners.setdefault(feed, []).append(listener)
            self._looked_at.pop(feed, None)
            finished: Deferred[None] = request.notifyFinish()
            finished.addBoth(self._forget, feed, listener)
        channel: Any = request.channel
        channel.begin_stream()
        request.write(_BEGIN)
        if self._timer is None:
            self._look()
        elif self._timer.getTime() - self._clock.seconds() > LOOK_INTERVAL:
            self._timer.reset(LOOK_INTERVAL)
        return NOT_DONE_YET

    def _forget(self, _result: Failure | None, feed: Feed, listener: _Listener) -> None:
        listeners = self._listeners.get(feed, [])
        if listener in listeners:
            listeners.remove(listener)
        if not listeners:
            self._listeners.pop(feed, None)
            self._sent_at.pop(feed, None)
            self._looked_at.pop(feed, None)
        if not self._listeners and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        """Send what is new, and do so again when a feed may send."""
        self._timer = self._clock.callLater(LOOK_INTERVAL, self._look)
        now = self._clock.seconds()
        for feed, listeners in [*self._listeners.items()]:
            if self._next_look(feed) > now:
                continue
            self._looked_at[feed] = now
            position = feed.position()
            if position is None:
                for listener in [*listeners]:
                    listener.request.finish()
            else:
                self._send(feed, listeners, position, now)
        if self._listeners:
            waits = [self._next_look(feed) - now for feed in self._listeners]
            self._timer.reset(min(it if it > 0 else LOOK_INTERVAL for it in waits))

    def _next_look(self, feed: Feed) -> float:
        """Return when *feed* may be asked for its position, and may send, again."""
        looked_at, sent_at = self._looked_at.get(feed, -inf), self._sent_at.get(feed, -inf)
        return max(looked_at + feed.look_interval, sent_at + feed.interval)

    def _send(self, feed: Feed, listeners: list[_Listener], position: int, now: float) -> None:
        made: dict[int, tuple[int, bytes]] = {}
        for listener in [*listeners]:
            stream = listener.channel.stream
            if stream.is_blocked or stream.drops_writes:
                continue
            if listener.position != position:
                if listener.position not in made:
                    made[listener.position] = feed.event(listener.position)
                listener.position, event = made[listener.position]
                if event:
                    listener.write(event, now)
                    continue
            if now - listener.sent_at >= KEEP_ALIVE:
                listener.write(_COMMENT, now)
        if made:
            self._sent_at[feed] = now


def _begin(feed: Feed, position: int | None) -> int:
    """Return where a stream of *feed* begins whose client asks for *position*."""
    now = feed.position()
    if now is None:
        raise ApiError(404, "the service has just been deleted")
    if position is None:
        return now
    # Numbers begin again when the process does.
    return position if position <= now else 0
