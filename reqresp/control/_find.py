"""
Find: which entries of a journal a search wants.

Knows entries and their bytes.  Must not know journals.
"""

import re
from collections.abc import Callable, Iterator
from itertools import islice

from attrs import field, fields, frozen

from reqresp._errors import FieldError
from reqresp._re2 import compile_pattern
from reqresp._text import printable, unknown
from reqresp.control._schemas import QueryTime, number_or_none
from reqresp.journal import (
    Answered,
    Entry,
    Failed,
    Faulted,
    Incomplete,
    Passed,
    Refused,
    Sent,
    Unanswered,
    UpstreamFailed,
)
from reqresp.journal.entries import EVENTS, bytes_of, event_of

#: The entries about something that has gone wrong.
_ERRORS = (Failed, Incomplete, Refused, Unanswered, UpstreamFailed)

#: Pairs of hexadecimal digits, with spaces after each.
HEX = "^([0-9A-Fa-f]{2} *)+$"

#: How many texts that a pattern finds in an entry are looked at, and bytes of each.
MAX_MATCHES = 50
MAX_MATCH_BYTES = 2048

#: Returns whether an entry is wanted.
Test = Callable[[Entry], bool]


def _check_event(_instance: object, _attribute: object, value: str | None) -> None:
    if value is not None and value not in EVENTS:
        raise FieldError("event", unknown("kind of entry", value, EVENTS))


@frozen(kw_only=True)
class Search:
    """
    What is wanted; all conditions have to hold.

    :param connection: the number of the connection that it is about.
    :param event: what kind of entry it is.
    :param miss: true: only requests that no rule matches.
    :param fault: true: only what a fault has changed.
    :param error: true: only what has gone wrong.
    :param by: the name of the rule that answered.
    :param text: is among the bytes of the request, as rules see it, or of the reply, whatever the
        case of letters.
    :param hex: the same, as pairs of hexadecimal digits, with spaces after each.
    :param regex: a pattern of RE2 that is found in them.
    :param since: the first time, in seconds since the epoch.
    :param until: the last time.
    """

    connection: int | None = number_or_none()
    event: str | None = field(
        default=None, validator=_check_event, metadata={"schema": {"enum": [*EVENTS]}}
    )
    by: str | None = None
    miss: bool = False
    fault: bool = False
    error: bool = False
    text: str | None = None
    hex: str | None = field(default=None, metadata={"schema": {"pattern": HEX}})
    regex: str | None = None
    since: QueryTime | None = None
    until: QueryTime | None = None


def search_in(query: Search) -> Search:
    """Return the search alone in *query*, which can have other keys as well."""
    return Search(**{it.name: getattr(query, it.name) for it in fields(Search)})


def make_search(search: Search) -> Test:
    """
    Return a function that returns whether an entry is wanted.

    :raises FieldError: ``hex`` or ``regex`` is not what it is called.
    """
    tests = [*_tests(search)]
    return lambda entry: all(test(entry) for test in tests)


def make_matches(regex: str) -> Callable[[Entry], list[bytes]]:
    """
    Return a function that returns the texts that a pattern finds in an entry, each of them once.

    It looks at the first `MAX_MATCHES`, and returns `MAX_MATCH_BYTES` of each.

    :raises FieldError: RE2 refuses the pattern.
    """
    pattern = _pattern(regex)

    def matches(entry: Entry) -> list[bytes]:
        found = (it[0] for data in _texts(entry) for it in pattern.finditer(data))
        cut = (it[:MAX_MATCH_BYTES] for it in islice(found, MAX_MATCHES))
        return [*dict.fromkeys(filter(None, cut))]

    return matches


def _tests(search: Search) -> Iterator[Test]:
    # Those first that take the least time.
    if search.since is not None:
        since = search.since
        yield lambda it: it.at >= since
    if search.until is not None:
        until = search.until
        yield lambda it: it.at <= until
    if search.connection is not None:
        yield lambda it: connection_of(it) == search.connection
    if search.event is not None:
        yield lambda it: event_of(it) == search.event
    if search.by is not None:
        yield lambda it: isinstance(it, Answered) and it.exchange.by == search.by
    if search.miss:
        yield lambda it: isinstance(it, Answered) and it.is_miss
    if search.fault:
        yield _is_faulty
    if search.error:
        yield lambda it: isinstance(it, _ERRORS)
    if search.text is not None:
        text = search.text.encode().lower()
        yield lambda it: any(text in data.lower() for data in _texts(it))
    if search.hex is not None:
        wanted = _from_hex(search.hex)
        yield lambda it: any(wanted in data for data in _texts(it))
    if search.regex is not None:
        pattern = _pattern(search.regex)
        yield lambda it: any(pattern.search(data) for data in _texts(it))


def connection_of(entry: Entry) -> int | None:
    """Return the number of the connection that *entry* is about; None: of none."""
    if isinstance(entry, Answered):
        return entry.exchange.request.connection
    if isinstance(entry, Unanswered):
        return entry.request.connection
    return getattr(entry, "connection", None)


def _is_faulty(entry: Entry) -> bool:
    return isinstance(entry, Faulted) or (
        isinstance(entry, Answered) and bool(entry.exchange.injected)
    )


def _texts(entry: Entry) -> Iterator[bytes]:
    """Yield the request, as rules see it, and the frames of its reply; or what has passed."""
    match entry:
        case Answered(exchange=exchange):
            yield exchange.request.data
            yield b"".join(map(bytes_of, exchange.steps))
        case Unanswered(request=request):
            yield request.data
        case Incomplete(data=data) | Passed(data=data) | Sent(data=data):
            yield data


def _from_hex(text: str) -> bytes:
    if not re.fullmatch(HEX, text):
        expected = "pairs of hexadecimal digits, such as 0d 0a"
        raise FieldError("hex", f"expected {expected}, found {text[:60]!r}")
    return bytes.fromhex(text)


def _pattern(text: str) -> re.Pattern[bytes]:
    try:
        pattern: re.Pattern[bytes] = compile_pattern(text.encode())
    except ValueError as error:
        raise FieldError("regex", printable(str(error))) from None
    return pattern
