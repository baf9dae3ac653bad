"""
Scripting: a script that answers as a recording, for people to edit.

It needs a framing, and keeps what a replay does not know: which reply belongs to which request.
It must not know what reads a script.
"""

from base64 import b64encode
from collections.abc import Iterator, Sequence
from textwrap import wrap

from attrs import define, field, frozen

from reqresp._errors import Problem
from reqresp._text import printable, toml_string
from reqresp.framing import BaseFraming, Decoder, FrameError, Line
from reqresp.recording._states import Answers, find_states
from reqresp.recording.conversations import (
    Conversation,
    End,
    Event,
    Mark,
    Recording,
    Sender,
)
from reqresp.recording.notation import RecordingError

#: Bytes of a request or a reply.
MAX_FRAME_BYTES = 16 * 1024 * 1024
#: The default of ``max_request`` in scripts.
DEFAULT_MAX_REQUEST = 64 * 1024
#: Bytes that are written as hex; more are base64.
MAX_HEX_BYTES = 48
#: Characters of a request in the name of a state.
MAX_STATE_CHARACTERS = 30

#: No reply, among others in turn.
_NOTHING = '{ text = "", raw = true }'


@frozen
class _Answer:
    """What answers a request: payloads, and how the server then ends."""

    payloads: tuple[bytes, ...] = ()
    end: End | None = None


@define
class _Talk:
    """What was said in one conversation."""

    greeting: _Answer = _Answer()
    requests: list[tuple[bytes, _Answer]] = field(factory=list)
    unfinished: int = 0
    #: Bytes that the server has sent.
    sent: int = 0

    @property
    def replies(self) -> Iterator[bytes]:
        """Yield all payloads of the server."""
        for answer in (self.greeting, *(answer for _, answer in self.requests)):
            yield from answer.payloads


def make_script(recording: Recording, specification: str, framing: BaseFraming) -> str:
    """
    Return the script, in TOML.

    :param specification: how *framing* is written in a script.
    :raises RecordingError: bytes are no requests or replies of *framing*, or a line has a mark.
    """
    talks = [_Reader(recording.name, framing, it).read() for it in recording.conversations]
    writer = _Writer(specification, framing, recording, [it for it in talks if it is not None])
    return writer.text()


# Reading


class _Reader:
    """Reads one conversation."""

    def __init__(self, name: str, framing: BaseFraming, conversation: Conversation) -> None:
        self._name = name
        self._conversation = conversation
        self._requests = framing.decoder(MAX_FRAME_BYTES)
        self._replies = framing.reply_decoder(MAX_FRAME_BYTES)
        self._framing = framing.name
        self._sent = 0

    def read(self) -> _Talk | None:
        """Return what was said; None: nothing was."""
        events = self._conversation.events
        talk = _Talk()
        turns = [*self._turns(events)]
        replies = sum(len(answer) for requests, answer, _ in turns if requests)
        is_one_each = replies >= sum(len(requests) for requests, _, _ in turns)
        waiting: list[bytes] = []
        for requests, answer, end in turns:
            waiting += requests
            if not waiting:
                talk.greeting = _Answer((*talk.greeting.payloads, *answer), end)
                continue
            shares = _share(len(waiting), answer, is_one_each=is_one_each)
            if not is_one_each or end is not None:
                shares += [()] * (len(waiting) - len(shares))
            done = [*zip(waiting, map(_Answer, shares), strict=False)]
            waiting = waiting[len(done) :]
            if end is not None and done:
                request, last = done[-1]
                done[-1] = request, _Answer(last.payloads, end)
            talk.requests += done
        talk.requests += [(request, _Answer()) for request in waiting]
        talk.unfinished = len(self._requests) + len(self._replies)
        talk.sent = self._sent - len(self._replies)
        is_silent = not talk.requests and talk.greeting == _Answer()
        return None if is_silent else talk

    def _turns(
        self, events: Sequence[Event]
    ) -> Iterator[tuple[list[bytes], list[bytes], End | None]]:
        """Yield the requests, the replies and how the server ended, in each turn."""
        requests: list[bytes] = []
        replies: list[bytes] = []
        end: End | None = None
        has_ended = False
        for event in events:
            if isinstance(event.data, End):
                if event.sender is Sender.CLIENT:
                    has_ended = True
                elif not has_ended or event.data is End.RESET:
                    end = event.data
                continue
            if event.sender is Sender.CLIENT:
                if replies or end is not None:
                    yield requests, replies, end
                    requests, replies, end = [], [], None
                requests += self._decode(self._requests, event, "requests")
            else:
                replies += self._decode(self._replies, event, "replies")
                self._sent += sum(len(it) for it in event.data if isinstance(it, bytes))
        yield requests, replies, end

    def _decode(self, decoder: Decoder, event: Event, kind: str) -> list[bytes]:
        assert not isinstance(event.data, End)  # noqa: S101, for the type checker
        for part, [(_, line), *_] in event.located():
            if isinstance(part, Mark):
                problem = "a mark cannot become a script: replay the recording, or remove the mark"
                raise self._error(line, problem)
        data = b"".join(it for it in event.data if isinstance(it, bytes))
        try:
            return [bytes(it) for it in decoder.feed(data)]
        except FrameError as error:
            problem = f"expected {kind} of the framing {self._framing}: {error}"
            raise self._error(event.line, problem) from None

    def _error(self, line: int, problem: str) -> RecordingError:
        return RecordingError(Problem(self._name, line, "", problem))


def _share(count: int, replies: Sequence[bytes], *, is_one_each: bool) -> list[tuple[bytes, ...]]:
    """
    Return the replies of each of *count* requests; there can be fewer, then others wait.

    :param is_one_each: whether each request has a reply; else the last ones have those that came.
    """
    if len(replies) >= count:
        return [*((it,) for it in replies[: count - 1]), tuple(replies[count - 1 :])]
    if is_one_each:
        return [(it,) for it in replies]
    return [*[()] * (count - len(replies)), *((it,) for it in replies)]


# Writing


class _Writer:
    """Writes what *talks* have in common."""

    def __init__(
        self,
        specification: str,
        framing: BaseFraming,
        recording: Recording,
        talks: Sequence[_Talk],
    ) -> None:
        self._specification = specification
        self._framing = framing
        self._recording = recording
        self._talks = talks
        states, self._table = find_states([it.requests for it in talks])
        self._names: dict[bytes | None, str] = {None: "start"}
        for request in states:
            self._names[request] = self._state_name(request)

    def _state_name(self, request: bytes) -> str:
        text = request.decode("ascii", "replace").strip()
        is_plain = text.isascii() and text.isprintable() and 0 < len(text) <= MAX_STATE_CHARACTERS
        name = f"after {text}" if is_plain else f"state {len(self._names)}"
        return name if name not in self._names.values() else f"{name} ({len(self._names)})"

    def text(self) -> str:
        """Return the script."""
        return "\n".join([*self._head(), *self._rules()]) + "\n"

    def _head(self) -> Iterator[str]:
        service = self._recording.header.service
        of = f", of {printable(service)}" if service else ""
        yield f"# Made by reqresp script from {printable(self._recording.name)}{of}."
        unfinished = sum(it.unfinished for it in self._talks)
        if unfinished:
            yield f"# {unfinished} bytes at the end of conversations are left out: incomplete."
        yield f"framing  = {toml_string(self._specification)}"
        yield from self._reply_framing()
        greetings = [*dict.fromkeys(it.greeting for it in self._talks)]
        greeting = max(greetings, key=lambda it: len(it.payloads), default=_Answer())
        if greeting.payloads:
            if len(greetings) > 1:
                yield f"# {len(greetings)} conversations began in different ways; this is one."
            yield f"greeting = {_payloads(greeting.payloads)}"
        longest = max((len(it) for it in self._table), default=0)
        if longest > DEFAULT_MAX_REQUEST // 2:
            yield from ("", "[limits]", f"max_request = {2 * longest}")

    def _reply_framing(self) -> Iterator[str]:
        """Yield what says how replies are framed, if that is not as requests are."""
        if self._is_exact(self._framing):
            return
        if isinstance(self._framing, Line) and self._is_exact(Line(b"\n")):
            yield r"reply_framing = 'line:\n'"
        else:
            yield "# The replies were framed in another way: see reply_framing."

    def _is_exact(self, framing: BaseFraming) -> bool:
        try:
            return all(
                talk.sent == sum(len(framing.encode(it)) for it in talk.replies)
                for talk in self._talks
            )
        except FrameError:
            return False

    def _rules(self) -> Iterator[str]:
        for request, by_state in self._table.items():
            groups: dict[object, tuple[Answers[_Answer], list[bytes | None]]] = {}
            for state, answers in by_state.items():
                # Replies in turn are counted in each state: a rule of its own does that.
                key: object = answers if answers.is_constant else state
                groups.setdefault(key, (answers, []))[1].append(state)
            for answers, states in groups.values():
                yield from self._rule(request, answers, states, is_only=len(groups) == 1)

    def _rule(
        self,
        request: bytes,
        answers: Answers[_Answer],
        states: Sequence[bytes | None],
        *,
        is_only: bool,
    ) -> Iterator[str]:
        yield ""
        if not answers.is_exact:
            yield "# Nothing in the recording explains when each of these replies is sent."
        yield "[[rule]]"
        if len(self._names) > 1:
            when = [toml_string(self._names[it]) for it in states]
            written = when[0] if len(when) == 1 else f"[{', '.join(when)}]"
            yield f"when   = {toml_string('*') if is_only else written}"
        yield f"equals = {_payload(request)}"
        if not answers.is_constant and answers.is_exact:
            yield 'scope  = "connection"'
        yield from _answer(answers)
        if request in self._names:
            yield f"goto   = {toml_string(self._names[request])}"


def _answer(answers: Answers[_Answer]) -> Iterator[str]:
    """Yield the keys of an answer."""
    [first, *others] = answers.cycle
    ends = {it.end for it in answers.cycle}
    end = first.end if len(ends) == 1 else None
    if len(ends) > 1:
        yield "# Some of these replies ended the connection."
    if not others and end is End.RESET:
        steps = [f"{{ send = {_payload(it)} }}" for it in first.payloads]
        yield f"do     = [{', '.join([*steps, '{ abort = true }'])}]"
        return
    if others:
        yield "cycle  = ["
        yield from (f"    {_payloads(it.payloads) or _NOTHING}," for it in answers.cycle)
        yield "]"
    elif first.payloads:
        yield f"reply  = {_payloads(first.payloads)}"
    elif end is None:
        yield "silent = true"
    if end is End.EOF:
        yield "close  = true"


def _payloads(payloads: Sequence[bytes]) -> str:
    if len(payloads) == 1:
        return _payload(payloads[0])
    if not payloads:
        return ""
    return f"[{', '.join(map(_payload, payloads))}]"


def _payload(data: bytes) -> str:
    """Return *data* as TOML: text if it is readable, else hex or base64."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = None
    if text is not None and all(it.isprintable() or it in "\r\n\t" for it in text):
        return toml_string(text)
    if len(data) <= MAX_HEX_BYTES:
        return f'{{ hex = "{data.hex(" ")}" }}'
    encoded = b64encode(data).decode()
    if len(encoded) <= 100:
        return f'{{ base64 = "{encoded}" }}'
    lines = "\n".join(wrap(encoded, 100))
    return f'{{ base64 = """\n{lines}""" }}'
