"""
Stubs: what a test wants a server to answer, written one call at a time.

Rules of a script, made by what makes those; knows nothing of who chooses among them.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, TypedDict

from attrs import evolve
from twisted.internet.defer import Deferred

from reqresp.framing import Framing
from reqresp.script.compiler import compile_rule
from reqresp.script.loader import ScriptError
from reqresp.script.reader import Reader, unknown
from reqresp.script.rules import EVERY_STATE, Rule
from reqresp.server.responders import Answer, ConnectionContext, Function
from reqresp.steps import Request, RuleReply, Steps

#: Bytes as a test writes them: text is UTF-8, a mapping is a payload's table of a script.
Payload = str | bytes | Mapping[str, Any]


#: Or one of several.
Payloads = Payload | Sequence[Payload]


class Predicating(TypedDict, total=False):
    """The predicates of a script, as a test writes them; ``not_`` takes a dictionary of them."""

    starts_with: Payloads
    ends_with: Payloads
    contains: Payloads
    matches: Payloads
    size: int | Mapping[str, int]
    ignore_case: bool
    when: str | Sequence[str]
    not_: Mapping[str, Any]


_PREDICATES = {"equals", *Predicating.__annotations__}


def as_payload(payload: Payload, raw: bool = False) -> Any:
    """Give *payload* as a script has it."""
    if isinstance(payload, bytes):
        payload = {"hex": payload.hex()}
    if not raw:
        return payload
    return {"text": payload, "raw": True} if isinstance(payload, str) else {**payload, "raw": True}


def as_predicates(equals: Any, predicates: Mapping[str, Any]) -> dict[str, Any]:
    """
    Give the predicates of a script that a test's arguments stand for; ``not_`` is ``not``.

    :raises TypeError: there is no such predicate.
    """
    for name in predicates.keys() - _PREDICATES:
        raise TypeError(unknown("predicate", name, sorted(_PREDICATES)))
    given = dict(predicates) if equals is None else {"equals": equals, **predicates}
    return {
        name.removesuffix("_"): as_predicates(None, it)
        if name == "not_"
        else as_payload(it)
        if isinstance(it, str | bytes)
        else [as_payload(each) for each in it]
        if isinstance(it, list | tuple)
        else it
        for name, it in given.items()
    }


class Maker:
    """
    Makes rules of tables, for a server that speaks *framing*.

    :param base: the directory that names of files are relative to.
    """

    def __init__(self, framing: Framing, ignore_case: bool, base: Path) -> None:
        self._framing = framing
        self._ignore_case = ignore_case
        self._base = base

    def rule(self, table: Mapping[str, Any], path: str, where: str) -> Rule:
        """
        Make the rule that *table* describes.

        :raises ScriptError: it has problems; *where* and *path* say whose they are.
        """
        reader = Reader(where, lambda _path: None)
        rule = compile_rule(
            dict(table), path, reader, self._base, self._framing, ignore_case=self._ignore_case
        )
        if reader.problems:
            raise ScriptError(*reader.problems)
        return rule


class Expectation:
    """
    What is to be done with requests of one kind, one step behind the other.

    Each method adds to it, and gives it back; what is wrong with a step is raised there, as
    `ScriptError`.  Until a step is added, the answer is silence.

    :param kind: ``on``, ``expect`` or ``expect_next``.
    :param where: the line of the test that it stands in.
    :param wanted: what it is for, as the test wrote it.
    :param times: how often it is expected; None: as often as it comes.
    :raises ScriptError: something is wrong with *predicates*.
    :raises ValueError: *times* is less than 1.
    """

    def __init__(
        self,
        kind: str,
        path: str,
        where: str,
        wanted: str,
        predicates: Mapping[str, Any],
        times: int | None,
        maker: Maker,
    ) -> None:
        if times is not None and (not isinstance(times, int) or times < 1):
            raise ValueError(
                f"times must be 1 or more: {times!r}; nothing expects what is not said"
            )
        self.kind = kind
        self.where = where
        self.times = times
        #: How many requests it answered so far.
        self.count = 0
        #: What it is for, as a test wrote it.
        self.wanted = wanted
        self._path = path
        self._maker = maker
        self._keys: dict[str, Any] = {"when": EVERY_STATE, **predicates}
        self._do: list[dict[str, Any]] = []
        self._function: Function | None = None
        self.rule = self._made()

    def __str__(self) -> str:
        return f"{self.kind} {self.wanted}"

    @property
    def is_met(self) -> bool:
        """Whether it was asked for as often as it was expected."""
        return self.times is None or self.count >= self.times

    def reply(self, *payloads: Payload, raw: bool = False, **payload: str) -> Self:
        """
        Send *payloads*, each in a frame of its own.

        :param raw: send them as they are, unframed.
        :param payload: or one as a script writes it: ``template="..."``, ``hex="..."`` and so on.
        """
        given = (*payloads, payload) if payload else payloads
        return self._add(*({"send": as_payload(each, raw)} for each in given))

    def wait(self, seconds: float) -> Self:
        """Let time pass."""
        return self._add({"wait": seconds})

    def close(self) -> Self:
        """Close once all is delivered."""
        return self._add({"close": True})

    def half_close(self) -> Self:
        """Send no more, and go on receiving."""
        return self._add({"half_close": True})

    def abort(self) -> Self:
        """Reset the connection."""
        return self._add({"abort": True})

    def hang(self) -> Self:
        """Do nothing more, and stay open."""
        return self._add({"hang": True})

    def stop_reading(self) -> Self:
        """Read no more."""
        return self._add({"stop_reading": True})

    def cycle(self, *replies: Payload | Sequence[Payload]) -> Self:
        """Give *replies* in turn, each a payload or a list of them; goes with `wait`, `close`."""
        if "cycle" in self._keys:
            raise ValueError("a cycle was given already")
        self._keys["cycle"] = [
            [as_payload(it) for it in reply]
            if isinstance(reply, list | tuple)
            else as_payload(reply)  # type: ignore[arg-type]  # no sequence is left
            for reply in replies
        ]
        return self._add()

    def fault(self, kind: str, **parameters: Any) -> Self:
        """Let a fault strike this reply, as in a script's ``faults``."""
        faults = self._keys.get("faults", [])
        self._keys["faults"] = [*faults, {"kind": kind, **parameters}]
        return self._add()

    def goto(self, state: str) -> Self:
        """Change the conversation's state."""
        self._keys["goto"] = state
        return self._add()

    def call(self, function: Callable[[Request], Answer]) -> Self:
        """
        Have *function* answer, last of all; see `ReqRespFactory` for what it may be and give.

        It is called in the server's thread.
        """
        if not callable(function):
            raise TypeError(f"expected a function of a request, not {function!r}")
        self._check_order()
        self._function = Function(function)
        return self

    def _check_order(self) -> None:
        if self._function is not None:
            raise ValueError("what call() was given answers last of all: nothing can follow it")

    def _add(self, *steps: dict[str, Any]) -> Self:
        if steps:
            self._check_order()
        self._do = [*self._do, *steps]
        self.rule = self._made()
        return self

    def _made(self) -> Rule:
        table = {**self._keys}
        if "cycle" in table:
            for step in self._do:
                seconds = step.get("wait", 0) + table.get("delay", 0)
                table |= {"delay": seconds} if "wait" in step else step
        elif self._do:
            table["do"] = self._do
        else:
            table["silent"] = True
        rule = self._maker.rule(table, self._path, self.where)
        return evolve(rule, name=f"{self.kind}, {self.where}")

    def fits(self, data: bytes, connection: ConnectionContext, state: str) -> bool:
        """Tell whether it is for this request."""
        rule = self.rule
        return (rule.when is None or state in rule.when) and rule.predicates.hold(data, connection)

    def answer(self, data: bytes, connection: ConnectionContext) -> Steps | Deferred[Steps]:
        """Give the steps that answer one more request."""
        self.count += 1
        rule = self.rule
        steps = rule.steps(self.count, data, connection)
        if self._function is None:
            return steps

        def add(more: Steps) -> Steps:
            return RuleReply((*steps, *more), rule.name, rule.faults)

        more = self._function.respond(data, connection)
        return add(more) if isinstance(more, tuple) else more.addCallback(add)
