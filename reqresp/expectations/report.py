"""
Report: all text that a test server shows about its conversation.

Knows the entries of a journal and the expectations of a test.  Must not know how the server runs.
"""

import json
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from attrs import frozen

from reqresp._text import printable_lines
from reqresp.exchanges import Exchange
from reqresp.expectations.expectation import BaseExpectation
from reqresp.expectations.results import Results
from reqresp.expectations.waiters import matches
from reqresp.faults import Direction
from reqresp.journal import (
    Answered,
    Changed,
    Connected,
    Entry,
    Failed,
    Incomplete,
    Passed,
    Sent,
    Unanswered,
)
from reqresp.recording.replay import Deviation
from reqresp.script.near_misses import NearMiss, compare, nearest
from reqresp.script.rule import Rule, closes_unmatched
from reqresp.server.triggers import Trigger
from reqresp.steps import Forward, Request, RuleReply, Send, Step, Steps

T = TypeVar("T")

#: The value of `RuleReply.by` for a request that no expectation matches.
UNEXPECTED = "unexpected"

#: The number of lines of a conversation in an error message: the last ones.
MAX_LINES = 50
#: The number of problems of each kind that are described: the first ones.
MAX_PROBLEMS = 10
#: The width of the column of requests; longer ones stand out.
REQUEST_WIDTH = 40
#: The number of bytes of a request or a reply that are shown.
MAX_SHOWN_BYTES = 80

Encode = Callable[[bytes], bytes]


@frozen(kw_only=True)
class Findings:
    """
    What a server has seen, for its report.

    :param name: the name of the server.
    :param encode: puts a reply into its frame, unless it says itself what does: replies are shown
        as they were sent.
    :param dropped: the number of entries that the journal no longer has.
    :param results: has the expectations, and what has come otherwise.
    :param deviations: clients that did what was not recorded.
    :param unused: what was recorded and not asked for, if that is a problem; a line for each.
    :param unreachable: the clients that could not reach the service; a line for each.
    :param strict: whether unexpected, malformed and unfinished requests, and deviations, are
        problems.
    """

    name: str
    encode: Encode
    entries: Sequence[Entry]
    dropped: int
    results: Results
    deviations: Sequence[Deviation] = ()
    unused: Sequence[str] = ()
    unreachable: Sequence[str] = ()
    strict: bool

    def conversation(self) -> str:
        """Return the whole conversation, a line for each request."""
        return "\n".join(_aligned(self._lines()))

    def problems(self) -> str:
        """Return what was not as expected, with the conversation; empty if all was."""
        results = self.results
        asked = [it for it in results.expectations if it.rule.trigger is Trigger.REQUEST]
        unmet = [it for it in results.expectations if not it.is_met]
        counts = {
            "error": len(results.errors) + results.more_errors,
            "unmet expectation": len(unmet),
            "unused part": len(self.unused),
            "failed connection upstream": len(self.unreachable),
        }
        if self.strict:
            requests = {
                "unexpected request": len(results.unexpected) + results.more_unexpected,
                "malformed request": results.malformed,
                "unfinished request": len(self._incomplete),
                "deviation": len(self.deviations),
            }
            counts = requests | counts
        wrong = [_count(number, thing) for thing, number in counts.items() if number]
        if not wrong:
            return ""
        lines = [
            f"reqresp {self.name}: {', '.join(wrong)}",
            *(f"  {line}" for line in self._last_lines()),
            *_first("errors", results.errors, _error, results.more_errors),
            *_first("unmet", unmet, self._unmet),
        ]
        if self.strict:
            lines += _first("deviations", self.deviations, _deviation)
        lines += [*self.unused, *_first("upstream", self.unreachable, lambda line: [line])]
        if self.strict and not unmet:
            lines += _first(
                "unexpected",
                results.unexpected,
                lambda it: _stray(it, asked),
                results.more_unexpected,
            )
        return "\n".join(lines)

    @property
    def _incomplete(self) -> list[Incomplete]:
        return [entry for entry in self.entries if isinstance(entry, Incomplete)]

    def _unmet(self, expectation: BaseExpectation) -> Iterator[str]:
        return _unmet(
            expectation, self.results.unexpected[-MAX_LINES:], self._incomplete[-MAX_LINES:]
        )

    def report(self) -> str:
        """Return the problems, or else the conversation; then the tracebacks of handlers."""
        raised = [
            printable_lines("".join(traceback.format_exception(error)).rstrip())
            for _request, error in self.results.errors
        ]
        return "\n".join([self.problems() or "\n".join(self._last_lines()), *raised])

    def wrong_number(self, wanted: str, found: int, expected: str) -> str:
        """
        Return that *found* requests were received that are *wanted*, with the conversation.

        :param expected: how many were expected, such as ``at least 1``.
        """
        head = (
            f"reqresp {self.name}: received {wanted} {_count(found, 'time')}, expected {expected}"
        )
        return "\n".join([head, *(f"  {line}" for line in self._last_lines())])

    def _lines(self) -> list[tuple[str, str]]:
        return [line for entry in self.entries if (line := _line(entry, self.encode)) is not None]

    @property
    def _has_had_clients(self) -> bool:
        return any(isinstance(entry, Connected) for entry in self.entries)

    def _last_lines(self) -> list[str]:
        """Return the end of the conversation, one line or more."""
        lines = self._lines()
        if not lines and not self.dropped:
            return ["no request received" if self._has_had_clients else "no client connected"]
        last = _aligned(lines[-MAX_LINES:])
        omitted = self.dropped + len(lines) - len(last)
        return [f"... {_count(omitted, 'earlier line')} omitted", *last] if omitted else last


def describe(equals: object | None, predicates: Mapping[str, Any]) -> str:
    """Return predicates as the test wrote them."""
    named = [f"{name}={value!r}" for name, value in predicates.items()]
    if equals is not None:
        named.insert(0, json.dumps(equals) if isinstance(equals, str) else repr(equals))
    return ", ".join(named) or "any request"


def raised_by(by: str, error: BaseException) -> str:
    """Return the value of `RuleReply.by` where *error* was raised instead of an answer."""
    return f"{by}, raised {type(error).__name__}"


def report_or_error(report: Callable[[], str]) -> str:
    """Return what *report* returns, or its error as text: the error of the test counts more."""
    try:
        return report()
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def _shown(data: bytes) -> str:
    return repr(data) if len(data) <= MAX_SHOWN_BYTES else f"{data[:MAX_SHOWN_BYTES]!r}..."


# The conversation


def _line(entry: Entry, encode: Encode) -> tuple[str, str] | None:
    """Return what was received and what was done about it; None if *entry* is not shown."""
    match entry:
        case Answered(exchange=exchange):
            return _received(exchange.request), _done(exchange, encode)
        case Unanswered(request=request):
            return _received(request), "not answered"
        case Incomplete(connection=connection, data=data, missing=missing):
            return f"#{connection} < {_shown(data)}", f"unfinished: {missing}"
        case Passed(connection=connection, direction=direction, data=data) if data:
            sign = "<" if direction is Direction.UPSTREAM else ">"
            return f"#{connection} {sign} {_shown(data)}", "passed"
        case Sent(connection=connection, data=data, by=by):
            return f"#{connection}", f"> {_shown(data)}  ({by.value})"
        case Changed(what=what):
            return "changed", what
        case Failed(connection=connection, reason=reason):
            return f"#{connection} !", reason
    return None


def _aligned(lines: Sequence[tuple[str, str]]) -> list[str]:
    width = max((len(left) for left, _ in lines if len(left) <= REQUEST_WIDTH), default=0)
    return [f"{left:{width}}  {right}" for left, right in lines]


def _received(request: Request) -> str:
    return f"#{request.connection} < {_shown(request.data)}"


def _done(exchange: Exchange, encode: Encode) -> str:
    if exchange.by == UNEXPECTED or closes_unmatched(exchange.steps):
        return "unexpected; connection closed"
    faults = f", injected: {', '.join(exchange.injected)}" if exchange.injected else ""
    return f"{_reply(exchange.steps, encode)}  ({exchange.by}{faults})"


def _reply(steps: Steps, encode: Encode) -> str:
    if isinstance(steps, RuleReply) and steps.encode is not None:
        encode = steps.encode
    sent = b"".join(_sent(step, encode) for step in steps)
    parts = [step.label for step in steps if step.ends_sending or step.ends_requests]
    if sent:
        parts.insert(0, f"> {_shown(sent)}")
    return "; ".join(parts) or "no reply"


def _sent(step: Step, encode: Encode) -> bytes:
    match step:
        case Send(data=data):
            return data if step.raw else encode(data)
        case Forward(reply=bytes(reply)):
            return reply
        case _:
            return b""


# The problems


def _first(
    kind: str, problems: Sequence[T], describe: Callable[[T], Iterable[str]], more: int = 0
) -> Iterator[str]:
    described = problems[:MAX_PROBLEMS]
    for problem in described:
        yield from describe(problem)
    if more := len(problems) - len(described) + more:
        yield f"{kind}: {more} more"


def _error(error: tuple[Request | None, BaseException]) -> Iterator[str]:
    request, raised = error
    about = "" if request is None else f" (request: {_shown(request.data)})"
    first, *more = printable_lines(str(raised)).splitlines() or [""]
    yield f"error: {type(raised).__name__}: {first}{about}"
    yield from (f"  {line}" for line in more)


def _unmet(
    expectation: BaseExpectation, unexpected: Sequence[Request], incomplete: Sequence[Incomplete]
) -> Iterator[str]:
    """Describe an unmet expectation, and the request that is nearest to it."""
    text = (
        f"unmet: {expectation} ({expectation.where}):"
        f" received {expectation.count} of {expectation.times}"
    )
    if any(matches(expectation.rule.predicates, request) for request in unexpected):
        yield f"{text}; a matching request was received out of order"
        return
    for begun in incomplete:
        request = Request(begun.data, begun.peer, begun.connection, 1)
        if matches(expectation.rule.predicates, request):
            yield f"{text}; a matching request was not finished: {begun.missing}"
            return
    near = [
        (it, data)
        for data in [*(it.data for it in unexpected), *(it.data for it in incomplete)]
        for it in nearest([expectation.rule], data)
        if it.at
    ]
    if not near:
        yield text
        return
    nearest_one, data = max(near, key=lambda it: it[0].at)
    yield f"{text}; the nearest request differs at {_place(nearest_one)}"
    yield from (f"  {line}" for line in nearest_one.compared(data))


def _stray(request: Request, expectations: Sequence[BaseExpectation]) -> Iterator[str]:
    """Describe an unexpected request, if it matches an expectation or is near to one."""
    text = f"unexpected: {_shown(request.data)}"
    for expectation in expectations:
        if matches(expectation.rule.predicates, request):
            yield (
                f"{text} matches {expectation} ({expectation.where}),"
                " but was received too often, out of order or in another state"
            )
            return
    by_rule = {id(it.rule): it for it in expectations}
    for near in nearest([it.rule for it in expectations], request.data, 1):
        if near.at:
            expectation = by_rule[id(near.rule)]
            yield (
                f"{text}; the nearest is {expectation} ({expectation.where}),"
                f" which differs at {_place(near)}"
            )
            yield from (f"  {line}" for line in near.compared(request.data))


def _place(near: NearMiss[Rule]) -> str:
    return near.where if near.json is not None else f"{near.where}:"


def _deviation(deviation: Deviation) -> Iterator[str]:
    """Yield the lines that show where *deviation* is, with both sides of the difference."""
    it = deviation.difference
    place = f"{deviation.file}:{it.line}" if it.line else deviation.file
    if not it.expected:
        place = f"the end of {deviation.file}"
    head = (
        f"deviation: connection {deviation.connection} differs from conversation"
        f" {deviation.conversation} ({place}) at byte {it.position} of the client"
    )
    if it.problem:
        yield f"{head}: {it.problem}"
        return
    yield f"{head}:"
    yield from (f"  {line}" for line in compare(it.expected, it.found, it.at))
