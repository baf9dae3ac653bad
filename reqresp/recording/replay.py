"""
Replay: recorded conversations, answered again.

What the server said is sent when the client has sent what it had sent then, whatever the protocol
is: no framing is needed.  Conversations are told apart by how they begin.  It must not know how a
recording is written.
"""

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from math import inf
from pathlib import Path
from typing import Self

from attrs import evolve, field, frozen

from reqresp._errors import FieldError, Problem, expect
from reqresp.exchanges import UNMATCHED
from reqresp.framing import Chunk
from reqresp.recording._follower import Alternative, Difference, Follower, rest_after
from reqresp.recording._tracks import (
    MAX_OPENING_BYTES,
    Literal,
    Track,
    make_track,
)
from reqresp.recording.conversations import Recording
from reqresp.recording.notation import RecordingError, load, parse, read_text
from reqresp.server.config import ConfigSource, ServerConfig
from reqresp.server.responders import ConnectionContext, Responder
from reqresp.steps import Abort, RuleReply, Step, Steps

#: Bytes of a client by which its conversation is told from others.
MAX_BEGINNING = 1024 * 1024
#: Bytes of a client that are compared at once, at most.
_CHUNK_BYTES = 64 * 1024
#: Deviations that are kept: the last ones.
MAX_DEVIATIONS = 1000
#: Conversations that begin otherwise and are compared with a client that deviates.
MAX_UNLIKE = 100
#: Conversations of which a connection keeps how far they were compared with it.
MAX_ALTERNATIVES = 100
#: Bytes that tell what was not asked for.
MAX_SHOWN_BYTES = 40
#: What a framing has to leave as it is.
_PROBE = b"\r\n,"


@frozen
class Deviation:
    """
    A client that has sent other bytes than were recorded.

    :param connection: its number.
    :param conversation: the number of the recorded conversation that it has followed longest.
    :param file: the name of the recording.
    """

    connection: int
    conversation: int
    file: str
    difference: Difference

    def __str__(self) -> str:
        it = self.difference
        head = f"differs from conversation {self.conversation} at byte {it.position}"
        found = it.found[it.at :]
        if not it.expected:
            return f"{head} ({self.file}): expected nothing more, found {found!r}"
        place = f"{head} ({self.file}:{it.line})" if it.line else f"{head} ({self.file})"
        if it.problem:
            return f"{place}: {it.problem}"
        return f"{place}: expected {it.expected[it.at :]!r}, found {found!r}"


@frozen
class Unused:
    """
    What was recorded and no client has asked for.

    :param conversation: its number.
    :param line: of the recording where this begins.
    :param is_whole: whether no client has followed the conversation at all.
    :param data: the first bytes of the client that did not come; empty: a mark, or none.
    """

    conversation: int
    line: int
    is_whole: bool
    data: bytes


@frozen(eq=False)
class Replay(ConfigSource):
    """
    Recorded conversations, for ``ReqRespFactory(Replay.load(path))``.

    Each factory replays all of them: factories share no state.

    :param pace: the recorded times are multiplied by this: 1 is as recorded, 2 twice as slow, and
        with 0 everything is sent at once.
    :raises RecordingError: nothing was recorded.
    :raises FieldError: *pace* is negative or not finite.
    """

    recording: Recording
    pace: float = field(
        default=0.0, validator=expect("a finite number >= 0", lambda it: 0 <= it < inf)
    )

    #: Made once: a factory has copies, which share what does not change.
    _tracks: Sequence[Track] = field(init=False, default=(), repr=False)

    def __attrs_post_init__(self) -> None:
        # Now, so that a mistake is found before the first connection.
        object.__setattr__(self, "_tracks", self._make_tracks())

    @property
    def warnings(self) -> Sequence[Problem]:  # type: ignore[override]  # it is not set
        return self.recording.warnings

    def _make_tracks(self) -> Sequence[Track]:
        made = (make_track(it, self.pace) for it in self.recording.conversations)
        tracks = [track for track in made if track is not None]
        if not tracks:
            problem = "expected a conversation, found none"
            raise RecordingError(Problem(self.recording.name, None, "", problem))
        return tracks

    @classmethod
    def load(cls, path: str | Path, pace: float = 0.0, ignore: Sequence[str] = ()) -> Self:
        """
        Return the recording in the file at *path*.

        :param ignore: patterns of RE2; what they match in the bytes of clients may differ.
        :raises RecordingError: the file cannot be read or replayed; it has all problems.
        :raises ValueError: RE2 refuses a pattern.
        """
        if not ignore:
            return cls(load(path), pace)
        from reqresp.recording.marks import make_ignored, mark  # late: it needs RE2

        name = str(path)
        marked = mark(read_text(path), [make_ignored(it) for it in ignore], name)
        recording = parse(marked.text, name, marked.numbers)
        useless = [
            Problem(name, None, "", f"the pattern {text!r} matches nothing that clients send")
            for text, count in zip(ignore, marked.counts, strict=True)
            if not count
        ]
        return cls(evolve(recording, warnings=(*recording.warnings, *useless)), pace)

    def config(self) -> ServerConfig:
        tracks = [it.anew() for it in self._tracks]
        return ServerConfig(Replayer(tracks, self.recording.name), Chunk(_CHUNK_BYTES))


def _order(track: Track) -> tuple[int, int, int]:
    return track.used, track.number, track.line


class _Cursor:
    """
    Which conversation a connection follows.

    :param heard: what the client has sent; None: no other conversation can be meant.
    """

    __slots__ = ("alternatives", "follower", "has_begun", "heard", "said", "tried")

    def __init__(self, follower: Follower, heard: bytearray | None) -> None:
        self.follower = follower
        self.heard = heard
        #: What the server has said.
        self.said: list[Step] = []
        #: The conversations that cannot be meant.
        self.tried: set[Track] = set()
        #: Conversations that may have a reply where this one has none.
        self.alternatives: dict[Track, Alternative] = {}
        #: Whether the conversation counts as used.
        self.has_begun = False


class Replayer(Responder):
    """
    Answers each connection as one of *tracks*, the least used of those that begin as it does.

    A client that deviates is reset.
    """

    name = "replay"

    def __init__(self, tracks: Sequence[Track], file: str) -> None:
        self._tracks = sorted(tracks, key=_order)
        #: The name of the recording.
        self.file = file
        #: The last clients that have deviated.
        self.deviations: deque[Deviation] = deque(maxlen=MAX_DEVIATIONS)

    def check(self, encode: Callable[[bytes], bytes]) -> None:
        try:
            is_plain = encode(_PROBE) == _PROBE
        except ValueError:
            is_plain = False
        if not is_plain:
            raise FieldError(
                "framing",
                "expected none with a replay, which compares all bytes;"
                " to answer by requests, make a script: reqresp script FILE --framing ...",
            )

    def unused(self) -> list[Unused]:
        """Return what no client has asked for so far, in the order of the recording."""
        found = []
        for track in sorted(self._tracks, key=lambda it: it.line):
            expected = track.next_expected()
            if track.used and expected is None:
                continue
            line = track.line if not track.used or expected is None else expected.line(0)
            data = expected.data[:MAX_SHOWN_BYTES] if isinstance(expected, Literal) else b""
            found.append(Unused(track.number, line, not track.used, data))
        return found

    # Answering

    def greet(self, connection: ConnectionContext) -> Steps:
        cursor = connection.notes = self._new_cursor()
        steps = cursor.follower.begin()
        return self._say(cursor, steps) if steps else ()

    def respond(self, data: bytes, connection: ConnectionContext) -> Steps:
        cursor: _Cursor = connection.notes
        if not cursor.has_begun and cursor.follower.track is not self._tracks[0]:
            cursor = connection.notes = self._new_cursor()  # others have used it meanwhile
        if cursor.heard is not None:
            cursor.heard += data
        steps, difference = cursor.follower.feed(data)
        if difference is not None:
            return self._switch(cursor, steps, difference, connection)
        if not steps and cursor.heard is not None:
            return self._say(cursor, self._find_reply(cursor))
        return self._say(cursor, steps)

    def _new_cursor(self) -> _Cursor:
        return _Cursor(Follower(self._tracks[0]), bytearray() if len(self._tracks) > 1 else None)

    def _say(self, cursor: _Cursor, steps: Sequence[Step]) -> Steps:
        track = cursor.follower.track
        if not cursor.has_begun:
            cursor.has_begun = True
            self._use(track, 1)
        track.reached = max(track.reached, cursor.follower.place)
        if cursor.heard is not None:
            cursor.said += steps
            if len(cursor.heard) > MAX_BEGINNING:
                cursor.heard = None
                cursor.said = []
                cursor.alternatives = {}
        return RuleReply(steps, f"conversation {track.number}")

    def _use(self, track: Track, by: int) -> None:
        """Count that *track* is used, and keep the order of all."""
        del self._tracks[bisect_left(self._tracks, _order(track), key=_order)]
        track.used += by
        insort(self._tracks, track, key=_order)

    # Other conversations

    def _switch(
        self,
        cursor: _Cursor,
        steps: Sequence[Step],
        difference: Difference,
        connection: ConnectionContext,
    ) -> Steps:
        """
        Follow another conversation that is as this one was so far.

        If there is none, perform *steps*, those before the *difference*, and reset the connection.
        """
        furthest, track = difference, cursor.follower.track
        said = [*cursor.said, *steps]
        for follower, would_say, other in self._others(cursor):
            rest = rest_after(cursor.said, would_say)
            if other is None and rest is not None:
                cursor.tried.add(track)
                self._move(cursor, follower)
                return self._say(cursor, rest)
            cursor.tried.add(follower.track)
            if other is None or other.position <= furthest.position:
                continue
            if rest_after(would_say, said) is not None or rest_after(said, would_say) is not None:
                furthest, track = other, follower.track
        self._say(cursor, ())
        deviation = Deviation(connection.number, track.number, self.file, furthest)
        self.deviations.append(deviation)
        return RuleReply((*steps, Abort()), UNMATCHED, warning=f"{deviation}; resetting")

    def _find_reply(self, cursor: _Cursor) -> Sequence[Step]:
        """
        Follow another conversation if that has a reply to what this one has none to yet.

        A client that waits for the reply would wait for ever.
        """
        heard = cursor.heard
        if heard is None:
            return ()
        for track in self._candidates(cursor, only_replies=True):
            if not track.may_end_turn_at(len(heard)):
                continue
            other = cursor.alternatives.get(track) or Alternative(track)
            reply = other.reply(heard, cursor.said)
            if reply:
                cursor.alternatives.pop(track, None)
                self._move(cursor, other.follower)
                return reply
            if len(cursor.alternatives) < MAX_ALTERNATIVES:
                cursor.alternatives[track] = other
        return ()

    def _move(self, cursor: _Cursor, follower: Follower) -> None:
        if cursor.has_begun:
            self._use(cursor.follower.track, -1)
            self._use(follower.track, 1)
        cursor.follower = follower

    def _others(
        self, cursor: _Cursor
    ) -> Iterator[tuple[Follower, Sequence[Step], Difference | None]]:
        """
        Yield followers of other conversations that may be meant, the least used first.

        Each with all that it would have said, and where the client differs.
        """
        whole = b""  # copied only if a conversation is followed
        for track in self._candidates(cursor):
            follower = Follower(track)
            steps = follower.begin()
            whole = whole or bytes(cursor.heard or b"")
            more, difference = follower.feed(whole)
            yield follower, [*steps, *more], difference

    def _candidates(self, cursor: _Cursor, *, only_replies: bool = False) -> Iterator[Track]:
        """
        Yield the conversations that may be meant instead, the least used first.

        :param only_replies: leave out all that begin otherwise.
        """
        heard = cursor.heard
        if heard is None:
            return
        beginning = bytes(heard[:MAX_OPENING_BYTES])
        unlike = 0
        for track in [*self._tracks]:
            if not (heard.startswith(track.opening) or track.opening.startswith(beginning)):
                unlike += 1  # shown if no other is nearer
                if only_replies or unlike > MAX_UNLIKE:
                    continue
            if track not in cursor.tried and track is not cursor.follower.track:
                yield track
