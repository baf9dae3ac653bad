"""
Answers: the replies that a script's tables describe.

Knows which keys go together, and what a framing can express; nothing of requests.
"""

from collections.abc import Callable, Mapping
from typing import Any

from attrs import fields, frozen

from reqresp.framing import Delimiter, FrameError, Framing, Line
from reqresp.script.parts import Names, Parts
from reqresp.script.payloads import COUNT, SOURCES, Template
from reqresp.script.rules import Fill, Reply, Rule
from reqresp.script.schema import AnswerTable, Payload, PayloadTable, StepTable
from reqresp.steps import Abort, Close, HalfClose, Hang, Send, Step, StopReading, Wait

_ENDINGS: Mapping[str, Callable[[], Step]] = {
    "close": Close,
    "half_close": HalfClose,
    "abort": Abort,
    "hang": Hang,
    "stop_reading": StopReading,
}
#: What ends a reply.
_LAST: Mapping[type, str] = {Close: "close", Abort: "abort", Hang: "hang"}
_STEPS = tuple(it.name for it in fields(StepTable))


@frozen
class Answers(Parts):
    """
    Makes rules of what answers.

    :param framing: of replies; None: it is not known, so nothing is said about it.
    """

    framing_of_replies: Framing | None

    def answer(self, given: Any, path: str) -> Rule:
        """Give the rule that answers without having been asked, or whatever is asked."""
        names = {**SOURCES, **COUNT}
        if isinstance(given, AnswerTable):
            return self.make(given, path, names)
        return Rule(name=path, replies=[tuple(self._sends(given, path, names))])

    def make(self, table: AnswerTable, path: str, names: Names, **more: Any) -> Rule:
        """
        Give the rule that answers as *table* says.

        :param more: what else the rule is made of.
        """
        return Rule(
            name=path,
            replies=self._replies(table, path, names),
            goto=table.goto,
            faults=self.faults(table.faults, f"{path}.faults"),
            **more,
        )

    def _replies(self, table: AnswerTable, path: str, names: Names) -> list[Reply]:
        self._check_keys(table, path)
        # All that is given is read, to find what is wrong with it.
        steps = None if table.do is None else self._steps(table.do, f"{path}.do", names)
        before = self._wait(table.delay, f"{path}.delay")
        after = (Close(),) * table.close
        given = [(table.reply, f"{path}.reply")] if table.reply is not None else []
        if table.cycle is not None:
            given += self.each(table.cycle, f"{path}.cycle")
        replies: list[Reply] = [
            (*before, *self._sends(it, place, names), *after) for it, place in given
        ]
        return [steps] if steps is not None else replies or [(*before, *after)]

    def _check_keys(self, table: AnswerTable, path: str) -> None:
        given = [
            name
            for name in ("reply", "cycle", "do", "silent")
            if getattr(table, name) not in (None, False)
        ]
        also = [name for name in ("delay", "close") if getattr(table, name)]
        if len(given) > 1:
            self.reader.blame(path, f"{' and '.join(given)} exclude each other")
        elif given in (["do"], ["silent"]) and also:
            self.reader.blame(path, f"{also[0]} does not go with {given[0]}")
        elif not given and "close" not in also and self.reader.is_clean(path):
            self.reader.blame(path, "expected one of reply, cycle, do, close, or silent = true")

    def _steps(self, tables: list[StepTable], path: str, names: Names) -> Reply:
        steps = []
        last = ""
        for table, place in self.each(tables, path):
            if last:
                self.reader.blame(place, f"nothing is done behind {last}")
            steps.append(self._step(table, place, names))
            last = _LAST.get(type(steps[-1]), "")
        return tuple(steps)

    def _step(self, table: StepTable, path: str, names: Names) -> Step | Fill:
        given = [name for name in _STEPS if getattr(table, name) is not None]
        if len(given) != 1:
            if self.reader.is_clean(path):
                self.reader.blame(path, f"expected exactly one of {', '.join(_STEPS)}")
            return Wait(0)
        (name,) = given
        value = getattr(table, name)
        if name == "send":
            return self._send(value, f"{path}.send", names)
        if name == "wait":
            return Wait(sum(step.seconds for step in self._wait(value, f"{path}.wait")))
        if value is False:
            self.reader.blame(f"{path}.{name}", "expected true, found false")
        return _ENDINGS[name]()

    def _wait(self, seconds: float | None, path: str) -> tuple[Wait, ...]:
        if seconds is not None and seconds < 0:
            self.reader.blame(path, f"expected seconds, 0 or more, found {seconds}")
            return ()
        return (Wait(seconds),) if seconds else ()

    def _sends(self, given: Any, path: str, names: Names) -> list[Send | Fill]:
        return [self._send(payload, place, names) for payload, place in self.each(given, path)]

    def _send(self, payload: Payload, path: str, names: Names) -> Send | Fill:
        found = self.payload(payload, path, names)
        raw = isinstance(payload, PayloadTable) and payload.raw
        if found is None:
            return Send(b"", raw=True)
        if not raw:
            self._check_frame(found, path)
        return Fill(found, raw) if isinstance(found, Template) else Send(found, raw)

    def _check_frame(self, payload: bytes | Template, path: str) -> None:
        framing = self.framing_of_replies
        if framing is None:
            return
        parts = [payload] if isinstance(payload, bytes) else []
        if isinstance(payload, Template) and isinstance(framing, Line | Delimiter):
            end = b"\n" if isinstance(framing, Line) else framing.delimiter
            # Whatever is filled in, this is too much; all else depends on what is.
            parts = [part for part in payload.parts if isinstance(part, bytes) and end in part]
        try:
            for part in parts:
                framing.encode(part)
        except FrameError as error:
            message = str(error)
            if isinstance(framing, Line) and any(b"\n" in part for part in parts):
                message = (
                    "a line holds no newline, and its end is added to it; for several lines give"
                    ' a list, such as ["one", "two"]'
                )
            self.reader.blame(path, message)
