"""
Verdict: what a failed test is told of the conversation that its server had.

Knows entries of the journal and expectations; writes text.
"""

from collections.abc import Callable, Iterator, Sequence

from reqresp.entries import Answered, Entry, Failed, Unanswered
from reqresp.expectations import UNEXPECTED, Expectations
from reqresp.messages import Abort, Close, HalfClose, Hang, Request, Send, Step, Steps
from reqresp.nearest import Near, compare, nearest
from reqresp.stubs import Expectation

#: Lines of a conversation that are told, at most: the last.
LINES = 50
#: Bytes of a request or a reply that are shown.
SHOWN = 80

Encode = Callable[[bytes], bytes]

_ENDINGS: dict[type[Step], str] = {
    Close: "closed",
    Abort: "reset",
    HalfClose: "half-closed",
    Hang: "hung",
}


def conversation(entries: Sequence[Entry], encode: Encode) -> list[str]:
    """
    Write the requests among *entries*, and what answered them, as lines.

    :param encode: frames replies: they are shown as they went over the wire.
    """
    told = [(_asked(entry), _done(entry, encode)) for entry in entries if _is_told(entry)]
    width = max((len(asked) for asked, _ in told), default=0)
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
            struck = f", struck by {', '.join(exchange.struck)}" if exchange.struck else ""
            return f"{_reply(exchange.steps, encode)}  ({exchange.by}{struck})"
        case Failed(reason=reason):
            return reason
    return "not answered"


def _reply(steps: Steps, encode: Encode) -> str:
    sends = [step for step in steps if isinstance(step, Send)]
    wire = b"".join(step.data if step.raw else encode(step.data) for step in sends)
    endings = [_ENDINGS[type(step)] for step in steps if type(step) in _ENDINGS]
    said = [f"> {_shown(wire)}"] if wire else []
    return "; ".join([*said, *endings]) or "silence"


def _shown(data: bytes) -> str:
    return repr(data) if len(data) <= SHOWN else f"{data[:SHOWN]!r}..."


def verdict(
    name: str, expectations: Expectations, entries: Sequence[Entry], encode: Encode, *, strict: bool
) -> str:
    """
    Say what was not as it should have been; nothing if all was.

    :param name: what the server is called.
    :param strict: unexpected requests are failures, too.
    """
    unmet = [it for it in expectations.expectations if not it.is_met]
    unexpected = expectations.unexpected
    counts = (
        (len(unexpected) * strict, "unexpected request", "unexpected requests"),
        (len(expectations.errors), "error", "errors"),
        (len(unmet), "expectation unmet", "expectations unmet"),
    )
    wrong = [_several(*each) for each in counts if each[0]]
    if not wrong:
        return ""
    lines = conversation(entries, encode)
    told = [f"  {line}" for line in lines[-LINES:]]
    if len(lines) > LINES:
        told.insert(0, f"  ... {len(lines) - LINES} before")
    told += [
        f"error: {type(failure.value).__name__}: {failure.getErrorMessage()},"
        f" for {_shown(request.data)}"
        for request, failure in expectations.errors
    ]
    for expectation in unmet:
        told += _unmet(expectation, unexpected)
    return "\n".join([f"reqresp {name}: {', '.join(wrong)}", *told])


def _several(count: int, one: str, more: str) -> str:
    return f"{count} {one if count == 1 else more}"


def _unmet(expectation: Expectation, unexpected: Sequence[Request]) -> Iterator[str]:
    counted = f"{expectation.count} of {expectation.times}"
    told = f"unmet: {expectation.kind} {expectation.wanted} {counted} ({expectation.where})"
    near = [
        (it, request)
        for request in unexpected
        for it in nearest([expectation.rule], request.data)
        if it.at
    ]
    if not near:
        yield told
        return
    closest: Near
    closest, request = max(near, key=lambda pair: pair[0].at)
    yield f"{told}; nearest differs at byte {closest.at}:"
    yield from (f"  {line}" for line in compare(closest.wanted, request.data, closest.at))
