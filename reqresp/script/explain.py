"""
Explain: a conversation with a script, without a server.

Tells which rule answers each request, in which state, with what; and where none does, which come
nearest.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from attrs import Factory, define
from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IAddress

from reqresp.faults.faults import Fault, name_of
from reqresp.framing import FrameError
from reqresp.script.loader import Script
from reqresp.script.near_misses import compare, nearest
from reqresp.script.predicates import Predicates
from reqresp.script.rules import Rule, Rules
from reqresp.steps import RuleReply, Send, Step, Steps, Wait


@define
class _Visitor:
    """The connection of somebody who is not there."""

    peer: IAddress = Factory(lambda: IPv4Address("TCP", "127.0.0.1", 50000))
    number: int = 1
    taken: int = 0
    notes: Any = None


def explain(script: Script, requests: Sequence[bytes]) -> str:
    """Tell what *script* answers if one client sends *requests*, one line for each thing."""
    return "\n".join(_Explanation(script).lines(requests))


class _Explanation:
    def __init__(self, script: Script) -> None:
        self._script = script
        self._rules: Rules = script.rules.anew()
        self._visitor = _Visitor()
        self._over = ""  # why nobody is asked any more

    def lines(self, requests: Sequence[bytes]) -> Iterator[str]:
        greeting = self._rules.greet(self._visitor)
        on_connect = [placed.fault for placed in self._script.faults if placed.on_connect]
        if greeting or on_connect:
            yield "a client connects"
            yield from self._answer(greeting)
        if on_connect and not greeting:
            yield f"    struck by {_named(on_connect)}"
        for request in requests:
            state = self._rules.state(self._visitor)
            yield f"{_shown(state)}: {request!r}"
            if self._over:
                yield f"    nobody is asked any more: {self._over}"
                continue
            self._visitor.taken += 1
            fitting = [*self._rules.states[state].matching(request, self._visitor)]
            steps = self._rules.respond(request, self._visitor)
            yield from self._answer(steps)
            if isinstance(steps, RuleReply) and steps.by == "unmatched":
                yield from self._misses(state, request, fitting)
            after = self._rules.state(self._visitor)
            if after != state:
                yield f"    from now on: {_shown(after)}"

    def _answer(self, steps: Steps) -> Iterator[str]:
        if not isinstance(steps, RuleReply):
            return
        yield f"    {self._place(steps.by)}"
        for step in steps:
            yield f"    {_show(step)}"
            if isinstance(step, Send) and not step.raw:
                try:
                    self._script.reply_framing.encode(step.data)
                except FrameError as error:
                    yield f"        which cannot be framed, and resets: {error}"
                    self._over = "reset"
                    break
            if step.ends_requests:
                self._over = self._over or step.label
        if not steps:
            yield "    silence"
        faults = [placed.fault for placed in (*steps.faults, *self._script.faults)]
        if faults:
            yield f"    struck by {_named(faults)}"

    def _misses(self, state: str, request: bytes, fitting: Sequence[Rule]) -> Iterator[str]:
        for rule in fitting:
            yield f"    {self._place(rule.name)} fits, but is used up"
        for other, rules in self._rules.states.items():
            for rule in rules.matching(request, self._visitor):
                anything = Predicates(ignore_case=rule.predicates.ignore_case)
                if rule.predicates != anything and rule not in self._rules.states[state].rules:
                    yield f"    {self._place(rule.name)} fits, but in the state {_shown(other)}"
        for near in nearest(self._rules.states[state].rules, request):
            place = self._place(near.rule.name)
            yield f"    nearest: {place} {near.kind}, differs at byte {near.at}"
            yield from (f"        {line}" for line in compare(near.wanted, request, near.at))

    def _place(self, name: str) -> str:
        line = self._script.lines.get(name)
        if line is not None:
            return f"{name} (line {line})"
        return name if name != "unmatched" else "no rule: unmatched, which the script leaves out"


def _shown(state: str) -> str:
    # Any terminal can show it, and no line of ours is broken.
    return "".join(c if c.isprintable() and c.isascii() else ascii(c)[1:-1] for c in state)


def _show(step: Step) -> str:
    if isinstance(step, Send):
        return f"> {step.data!r}{', unframed' if step.raw else ''}"
    if isinstance(step, Wait):
        return f"wait {step.seconds:g} s"
    return step.label


def _named(faults: Sequence[Fault]) -> str:
    return ", ".join(
        name_of(fault) + (f" (probability {fault.probability:g})" if fault.probability < 1 else "")
        for fault in faults
    )
