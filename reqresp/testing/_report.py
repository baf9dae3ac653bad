"""
Verdict: what a failed test is told of the conversation that its server had.

Knows entries of the journal and expectations; writes text.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import itemgetter
from typing import TypeVar

from reqresp.journal import Answered, Entry, Failed, Unanswered
from reqresp.script.near_misses import compare, nearest
from reqresp.steps import Request, Send, Steps
from reqresp.testing._expectation import Expectation
from reqresp.testing._responder import UNEXPECTED, ExpectationResponder
from reqresp.testing._waiters import fits

T = TypeVar("T")

#: Lines of a conversation that are told, at most: the last.
LINES = 50
#: How many of each kind of problem are told in full: the first.
MOST = 10
#: Columns that requests take, unless they are longer.
WIDTH = 40
#: Bytes of a request or a reply that are shown.
SHOWN = 80

Encode = Callable[[bytes], bytes]


def conversation(entries: Sequence[Entry], encode: Encode) -> list[str]:
    """
    Write the requests among *entries*, and what answered them, as lines.

    :param encode: frames replies: they are shown as they went over the wire.
    """
    told = [(_asked(entry), _done(entry, encode)) for entry in entries if _is_told(entry)]
    width = max((len(asked) for asked, _ in told if len(asked) <= WIDTH), default=0)
    return [f"{asked:{width}}  {done}" for asked, done in told]


def _is_told(entry: Entry) -> bool:
    return isinstance(entry, Answered | Unanswered | Failed)


def _asked(entry: Entry) -> str:
    match entry:
        case Answered(exchange=exchange):
            return _line(exchange.request)
        case Unanswered(request=request):
            return _line(request)
        case Failed(connection=connection):
            return f"#{connection} !"
    raise TypeError(entry)


def _line(request: Request) -> str:
    return f"#{request.connection} < {_shown(request.data)}"


def _done(entry: Entry, encode: Encode) -> str:
    match entry:
        case Answered(exchange=exchange) if exchange.by == UNEXPECTED:
            return "unexpected; closed"
        case Answered(exchange=exchange):
            names = ", ".join(exchange.injected)
            injected = f", injected: {names}" if names else ""
            return f"{_reply(exchange.steps, encode)}  ({exchange.by}{injected})"
        case Failed(reason=reason):
            return reason
    return "not answered"


def _reply(steps: Steps, encode: Encode) -> str:
    sends = [step for step in steps if isinstance(step, Send)]
    wire = b"".join(step.data if step.raw else encode(step.data) for step in sends)
    endings = [step.label for step in steps if step.ends_sending]
    said = [f"> {_shown(wire)}"] if wire else []
    return "; ".join([*said, *endings]) or "silence"


def _shown(data: bytes) -> str:
    return repr(data) if len(data) <= SHOWN else f"{data[:SHOWN]!r}..."


def last_lines(entries: Sequence[Entry], encode: Encode, dropped: int = 0) -> list[str]:
    """
    Write the end of a conversation, `LINES` lines of it at most.

    :param dropped: how much of it was forgotten.
    """
    told = [entry for entry in entries if _is_told(entry)]
    lines = conversation(told[-LINES:], encode)
    if before := dropped + len(told) - len(lines):
        lines.insert(0, f"... {before} before")
    return lines


def verdict(
    name: str,
    expectations: ExpectationResponder,
    entries: Sequence[Entry],
    encode: Encode,
    *,
    strict: bool,
    dropped: int = 0,
) -> str:
    """
    Say what was not as it should have been; nothing if all was.

    :param name: what the server is called.
    :param strict: unexpected requests are failures, too.
    :param dropped: how many entries were forgotten.
    """
    unmet = [it for it in expectations.expectations if not it.is_met]
    unexpected, errors = expectations.unexpected, expectations.errors
    counts = (
        (len(unexpected) * strict, "unexpected request", "unexpected requests"),
        (expectations.malformed * strict, "malformed request", "malformed requests"),
        (len(errors), "error", "errors"),
        (len(unmet), "expectation unmet", "expectations unmet"),
    )
    wrong = [_several(*each) for each in counts if each[0]]
    if not wrong:
        return ""
    lines = last_lines(entries, encode, dropped)
    lines = [f"reqresp {name}: {', '.join(wrong)}", *(f"  {line}" for line in lines)]
    recent = unexpected[-LINES:]
    lines += _each("errors", errors, _error)
    lines += _each("unmet", unmet, lambda it: _unmet(it, recent))
    if not unmet and strict:
        lines += _each("unexpected", unexpected, lambda it: _stray(it, expectations.expectations))
    return "\n".join(lines)


def _several(count: int, one: str, more: str) -> str:
    return f"{count} {one if count == 1 else more}"


def _each(what: str, items: Sequence[T], write: Callable[[T], Iterable[str]]) -> Iterator[str]:
    for item in items[:MOST]:
        yield from write(item)
    if len(items) > MOST:
        yield f"{what}: {len(items) - MOST} more"


def _error(error: tuple[Request | None, BaseException]) -> Iterator[str]:
    request, raised = error
    asked = "" if request is None else f", for {_shown(request.data)}"
    first, *more = str(raised).splitlines() or [""]
    yield f"error: {type(raised).__name__}: {first}{asked}"
    yield from (f"  {line}" for line in more)


def _unmet(expectation: Expectation, unexpected: Sequence[Request]) -> Iterator[str]:
    told = f"unmet: {expectation} {expectation.count} of {expectation.times} ({expectation.where})"
    if any(fits(expectation.rule.predicates, request) for request in unexpected):
        yield f"{told}; it came, but not in its turn"
        return
    near = [
        (it.at, it.wanted, request.data)
        for request in unexpected
        for it in nearest([expectation.rule], request.data)
        if it.at
    ]
    if not near:
        yield told
        return
    at, wanted, data = max(near, key=itemgetter(0))
    yield f"{told}; nearest differs at byte {at}:"
    yield from (f"  {line}" for line in compare(wanted, data, at))


def _stray(request: Request, expectations: Sequence[Expectation]) -> Iterator[str]:
    """Say of what nobody expected what it is near to, if it is."""
    told = f"unexpected: {_shown(request.data)}"
    by_rule = {id(it.rule): it for it in expectations}
    for expectation in expectations:
        if fits(expectation.rule.predicates, request):
            yield f"{told}; {expectation} was not to come then, or so often ({expectation.where})"
            return
    for near in nearest([it.rule for it in expectations], request.data, 1):
        if near.at:
            expectation = by_rule[id(near.rule)]
            yield f"{told}; {expectation} ({expectation.where}) differs at byte {near.at}:"
            yield from (f"  {line}" for line in compare(near.wanted, request.data, near.at))
