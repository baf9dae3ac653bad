"""
Explain: what a script answers to the requests of one connection, without a server.

Writes for each request its state, its rule and its reply; if no rule matches, the near misses.
"""

from collections.abc import Iterator, Sequence
from typing import cast

from attrs import frozen
from twisted.internet.address import IPv4Address

from reqresp._text import printable
from reqresp.exchanges import UNMATCHED
from reqresp.faults import Fault
from reqresp.framing import FrameError, Framing
from reqresp.script.loader import Script
from reqresp.script.near_misses import nearest
from reqresp.script.predicates import Predicates
from reqresp.script.rule import Rule
from reqresp.server.responders import PastConnection
from reqresp.server.triggers import Trigger
from reqresp.steps import Broadcast, ReplyFault, RuleReply, Send, Step, Steps, Wait

_CLIENT = IPv4Address("TCP", "127.0.0.1", 50000)
#: What can happen after the requests, and ends the connection.
_EVENTS = {
    Trigger.MALFORMED: "if bytes that are no request follow",
    Trigger.IDLE: "if the client is then idle until a timeout",
    Trigger.REFUSED: "if another client is refused",
}


def explain(script: Script, requests: Sequence[bytes]) -> str:
    """Return, as lines, what *script* answers if one client sends *requests*."""
    return "\n".join(_Explanation(script).lines(requests))


@frozen
class Explained:
    """
    What a script answers to a request.

    :param state: in which it arrives.
    :param text: as `explain` says it.
    :param why: those lines of it that say why no rule matches.
    """

    state: str
    text: str
    why: Sequence[str]


def explain_last(script: Script, requests: Sequence[bytes]) -> Explained:
    """
    Return what *script* answers to the last of *requests* of one client.

    :param requests: at least one.
    """
    explanation = _Explanation(script)
    *before, last = requests
    for _line in explanation.lines(before):
        pass
    state = explanation.state
    text = "\n".join(explanation.request_lines(last))
    return Explained(state, text, [line.removeprefix("    ") for line in explanation.why])


class _Explanation:
    """One conversation, and whether it has ended."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._rules = script.rules.anew(calls=False)
        self._calls = {it.name: it.call for it in self._rules.all() if it.call is not None}
        self._client = PastConnection(_CLIENT, 1, 0, config=script.config())
        self.why: Sequence[str] = ()  #: The lines that say why no rule matches the last request.
        self._ended_by = ""  # the label of the step after which no request is answered

    def lines(self, requests: Sequence[bytes]) -> Iterator[str]:
        """Yield the lines of the explanation."""
        yield from self._connect()
        for request in requests:
            yield from self.request_lines(request)
        yield from self._what_else()

    @property
    def state(self) -> str:
        """The state of the conversation."""
        return self._rules.state(self._client)

    def request_lines(self, request: bytes) -> Iterator[str]:
        """Yield the lines about the next request."""
        state, self.why = self.state, ()
        yield f"{printable(state)}: {request!r}"
        if self._ended_by:
            yield f"    not answered after {self._ended_by}"
            return
        yield from self._request(request, state)

    def _connect(self) -> Iterator[str]:
        framing = self._framing
        greeting = self._rules.react(Trigger.CONNECT, self._client)
        on_connect = [placed for placed in self._script.faults if placed.on_connect]
        if greeting or on_connect:
            yield "a client connects"
            yield from self._reply(greeting, framing)
        if on_connect and not greeting:
            yield _faults(on_connect)

    def _what_else(self) -> Iterator[str]:
        """Yield what other triggers than requests would call for now."""
        ended_by = self._ended_by
        for timer in () if ended_by else self._rules.timers(self._client):
            steps = self._rules.foresee(timer, self._client)
            if steps is not None:
                yield f"every {timer.seconds:g} s"
                yield from self._reply(steps, self._framing)
        for trigger, event in _EVENTS.items():
            client = PastConnection(_CLIENT, 1, 0) if trigger is Trigger.REFUSED else self._client
            steps = self._rules.foresee(trigger, client)
            if steps is None or (ended_by and client is self._client):
                continue
            yield event
            yield from self._reply(steps, self._framing)
            if not any(step.ends_reply for step in steps):
                yield "    close"
        self._ended_by = ended_by

    def _request(self, request: bytes, state: str) -> Iterator[str]:
        self._client.taken += 1
        matching = [*self._rules.states[state].matching(request, self._client)]
        framing = self._framing
        steps = cast(Steps, self._rules.respond(request, self._client))  # nothing is called
        yield from self._reply(steps, framing)
        if isinstance(steps, RuleReply) and steps.by == UNMATCHED:
            self.why = [*self._misses(state, request, matching)]
            yield from self.why
        after = self._rules.state(self._client)
        if after != state:
            yield f"    new state: {printable(after)}"

    def _reply(self, steps: Steps, framing: Framing) -> Iterator[str]:
        if not isinstance(steps, RuleReply):
            return
        yield f"    {self._place(steps.by)}"
        if steps.warning:
            yield f"    {steps.warning}"
        for step in steps:
            yield f"    {_show(step)}"
            if error := self._frame_error(step, framing):
                yield f"        cannot be framed, connection reset: {error}"
                self._ended_by = "reset"
                break
            if step.ends_requests:
                self._ended_by = self._ended_by or step.label
        call = self._calls.get(steps.by)
        if call is not None:
            yield f"    call {call.reference}"
        elif not steps:
            yield "    silence"
        faults = [*steps.faults, *self._script.faults]
        if faults:
            yield _faults(faults)

    @property
    def _framing(self) -> Framing:
        """The framing of replies in the state of the conversation."""
        return self._rules.properties(self._client).framing or self._script.reply_framing

    def _frame_error(self, step: Step, framing: Framing) -> FrameError | None:
        if isinstance(step, Send) and not step.raw:
            try:
                framing.encode(step.data)
            except FrameError as error:
                return error
        return None

    def _misses(self, state: str, request: bytes, matching: Sequence[Rule]) -> Iterator[str]:
        for rule in matching:
            yield f"    {self._place(rule.name)} matches, but is used up"
        for other, rules in self._rules.states.items():
            for rule in rules.matching(request, self._client):
                anything = Predicates(ignore_case=rule.predicates.ignore_case)
                if rule.predicates != anything and rule not in self._rules.states[state].rules:
                    yield f"    {self._place(rule.name)} matches, but in state {printable(other)}"
        for near in nearest(self._rules.states[state].rules, request):
            place = self._place(near.rule.name)
            yield f"    nearest: {place} {near.kind}, differs at {near.where}"
            yield from (f"        {line}" for line in near.compared(request))

    def _place(self, name: str) -> str:
        if name == UNMATCHED and UNMATCHED not in self._script.lines:
            return "no rule matches (the script has no unmatched)"
        return self._script.place(name)


def _show(step: Step) -> str:
    if isinstance(step, Send):
        return f"> {step.data!r}{', raw' if step.raw else ''}"
    if isinstance(step, Broadcast):
        return f"> {step.data!r}{', raw' if step.raw else ''}, to {step.to}"
    if isinstance(step, Wait):
        return f"wait {step.seconds:g} s"
    return step.label


def _faults(faults: Sequence[ReplyFault]) -> str:
    return f"    faults: {', '.join(_show_fault(placed.fault) for placed in faults)}"


def _show_fault(fault: Fault) -> str:
    chance = f" (probability {fault.probability:g})" if fault.probability < 1 else ""
    return f"{fault.kind}{chance}"
