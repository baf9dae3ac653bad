"""
Replies: the replies that the answer keys of a table describe.

Knows which keys exclude each other, and what the framing can express.  Must not know predicates.
"""

from typing import Any

from attrs import evolve, fields, frozen

from reqresp._text import quote
from reqresp.framing import NO_END, BaseFraming, FrameError
from reqresp.script._checks import send, wait
from reqresp.script._parts import TableParts
from reqresp.script.names import Sources
from reqresp.script.reader import Reader
from reqresp.script.rule import ReplyTemplate, SendTemplate
from reqresp.script.schema import (
    AnswerTable,
    PayloadTable,
    StepTable,
    TurnTable,
    WrittenPayload,
)
from reqresp.steps import STEPS, Broadcast, Close, Forward, Send, Step, Wait, is_addressee

#: Whom a step can send to besides the client, as messages say it.
ADDRESSEES = '"others", "all" or "state:NAME"'
_FLAGS = "silent = true or forward = true"
_STEP_KEYS = tuple(it.name for it in fields(StepTable) if it.name != "to")


@frozen
class Replies:
    """
    Makes the replies of rules.

    :param framings: of replies, each of which they may have; None: it has problems, so replies are
        not checked.
    :param is_framed: whether the file says how its replies are framed, as a forward needs.
    """

    reader: Reader
    parts: TableParts
    framings: tuple[BaseFraming | None, ...]
    is_framed: bool = True

    def replies(self, table: TurnTable, path: str, sources: Sources) -> list[ReplyTemplate]:
        """Return the replies that *table* describes; templates can name *sources*."""
        self._check_keys(table, path)
        # Every key is read, so that each problem is found.
        steps = None if table.do is None else self._steps(table.do, f"{path}.do", sources)
        before = self._wait(table.delay, f"{path}.delay")
        after = (Close(),) if table.close else ()
        if table.forward:
            return [(*before, self._forward(f"{path}.forward"), *after)]
        given = [(table.reply, f"{path}.reply")] if table.reply is not None else []
        if isinstance(table, AnswerTable) and table.cycle is not None:
            given += self.parts.each(table.cycle, f"{path}.cycle")
        replies: list[ReplyTemplate] = []
        for it, place in given:
            reply = self._turn(it, place, sources)
            has_ended = bool(reply) and reply[-1].ends_reply
            replies.append((*before, *reply, *(() if has_ended else after)))
        return [steps] if steps is not None else replies or [(*before, *after)]

    def _turn(self, given: Any, path: str, sources: Sources) -> ReplyTemplate:
        if isinstance(given, TurnTable):
            [steps] = self.replies(given, path, sources)
            return steps
        return self.payloads(given, path, sources)

    def payloads(self, given: Any, path: str, sources: Sources) -> ReplyTemplate:
        """Return the reply that sends the payloads *given*."""
        return tuple(
            self._send(payload, place, sources) for payload, place in self.parts.each(given, path)
        )

    def _check_keys(self, table: TurnTable, path: str) -> None:
        given = [
            name
            for name in ("reply", "cycle", "do", "silent", "forward", "call")
            if getattr(table, name, None) not in (None, False)
        ]
        also = [name for name in ("delay", "close") if getattr(table, name)]
        if len(given) > 1:
            self.reader.report(path, f"{' and '.join(given)} exclude each other")
        elif given in (["do"], ["silent"], ["call"]) and also:
            self.reader.report(path, f"{also[0]} cannot be combined with {given[0]}")
        elif not given and "close" not in also and self.reader.is_clean(path):
            names = [it for it in ("reply", "cycle", "do", "call", "close") if hasattr(table, it)]
            self.reader.report(path, f"expected one of {', '.join(names)}, {_FLAGS}")

    def _steps(self, tables: list[StepTable], path: str, sources: Sources) -> ReplyTemplate:
        steps: list[Step | SendTemplate] = []
        ending = ""
        for table, place in self.parts.each(tables, path):
            if ending:
                self.reader.report(place, f"expected no step after {ending}, which ends the reply")
            step = self._step(table, place, sources)
            steps.append(step)
            ending = step.key if step.ends_reply else ""
        if sum(isinstance(step, Forward) for step in steps) > 1:
            self.reader.report(path, "expected one step forward, found several")
        return tuple(steps)

    def _step(self, table: StepTable, path: str, sources: Sources) -> Step | SendTemplate:
        given = [name for name in _STEP_KEYS if getattr(table, name) is not None]
        if len(given) != 1:
            if self.reader.is_clean(path):
                self.reader.report(path, f"expected exactly one of {', '.join(_STEP_KEYS)}")
            return Wait(0)
        (name,) = given
        if table.to is not None and (name != "send" or not is_addressee(table.to)):
            expected = f"expected {ADDRESSEES}, beside send"
            self.reader.report(f"{path}.to", f"{expected}, found {quote(table.to)}")
            return Wait(0)
        value = getattr(table, name)
        if name == "send":
            sent = self._send(value, f"{path}.send", sources)
            return sent if table.to is None else addressed(sent, table.to)
        if name == "wait":
            (step,) = self._wait(value, f"{path}.wait") or (Wait(0),)
            return step
        if name == "forward" and value:
            return self._forward(f"{path}.forward")
        if value is False:
            self.reader.report(f"{path}.{name}", "expected true, found false")
        return STEPS[name]()

    def _forward(self, path: str) -> Forward:
        shows_no_end = any(it is not None and not it.ends_replies for it in self.framings)
        if shows_no_end or not self.is_framed:
            self.reader.report(path, f"{NO_END}, as framing or reply_framing")
        return Forward()

    def _wait(self, seconds: float | None, path: str) -> tuple[Wait, ...]:
        try:
            return (wait(seconds),) if seconds else ()
        except ValueError as error:
            self.reader.report(path, str(error))
            return ()

    def _send(self, payload: WrittenPayload, path: str, sources: Sources) -> Send | SendTemplate:
        found = self.parts.payload(payload, path, sources)
        raw = isinstance(payload, PayloadTable) and payload.raw
        if found is None:
            return Send(b"", raw=True)
        try:
            steps = [send(found, raw, framing) for framing in self.framings]
            return steps[0]
        except FrameError as error:
            self.reader.report(path, str(error))
            return Send(b"", raw=True)


def addressed(step: Send | SendTemplate, to: str) -> Broadcast | SendTemplate:
    """Return *step* with another addressee than the client: see `is_addressee`."""
    if isinstance(step, SendTemplate):
        return evolve(step, to=to)
    return Broadcast(step.data, to, step.raw)
