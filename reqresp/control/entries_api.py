"""
The routes of a journal: its entries, found and shown, and the streams of what is new.

Knows journals.  Must not know HTTP, but for the header that resumes a stream.
"""

from collections.abc import Callable, Iterator
from typing import Any

from attrs import frozen

from reqresp._errors import FieldError
from reqresp._text import unknown
from reqresp.control._describe import describe_entry
from reqresp.control._find import Search, make_matches, make_search, search_in
from reqresp.control._schemas import (
    MAX_NUMBER,
    array,
    described,
    nullable,
    number_field,
    number_or_none,
    ref,
    table,
)
from reqresp.control._waits import MAX_TIMEOUT, allow
from reqresp.control.details import describe_details
from reqresp.control.errors import ApiError
from reqresp.control.events import EventStreams, Feed
from reqresp.control.feeds import EntriesFeed, ServicesFeed
from reqresp.control.routes import EVENTS, Call, Route
from reqresp.exchanges import UNMATCHED
from reqresp.journal import Answered, Entry, Journal
from reqresp.journal.entries import bytes_as_json
from reqresp.server.factory import ReqRespFactory
from reqresp.services.registry import Services
from reqresp.services.service import Service

#: Entries that one response has at most, and bytes of each.
MAX_LIMIT = 1000
MAX_BYTES = 2048
#: Entries that a search looks at together.
_CHUNK = 500

_ENTRIES = "/api/services/{service}/entries"


@frozen(kw_only=True)
class EntriesQuery(Search):
    """
    Which entries to show, of those that a search wants.

    :param after: only those with a larger number, the first ones.
    :param before: only those with a smaller number.
    :param limit: how many; without *after* the last ones.
    :param max_bytes: bytes of request and reply that each entry shows; each has half of them, and
        what the other leaves.
    :param times: wait until so many are found, at most *limit*.
    :param timeout: seconds to wait at most.
    """

    after: int | None = number_or_none()
    before: int | None = number_or_none()
    limit: int = number_field(1, MAX_LIMIT, default=100)
    max_bytes: int = number_field(0, MAX_NUMBER, default=MAX_BYTES)
    times: int = number_field(0, MAX_LIMIT, default=0)
    timeout: float = number_field(0, MAX_TIMEOUT, default=0.0)


@frozen(kw_only=True)
class StreamQuery(Search):
    """
    What a stream sends, of the entries that a search wants.

    :param most: the most entries of an event, the newest ones; None: all.
    :param after: begin with the entries after this number; None: with the next one.
    """

    most: int | None = number_field(1, MAX_LIMIT, default=None, is_optional=True)
    after: int | None = number_or_none()


@frozen(kw_only=True)
class AllQuery(StreamQuery):
    """
    What a stream of all services sends.

    :param service: the one whose entries are sent; None: no entries are.
    """

    service: str | None = None


_WIRE = table(
    request=described(
        "with its framing; null: unknown, or the entry has the bytes as they came",
        nullable(ref("Payload")),
    ),
    reply=described("likewise, and with what faults have altered", nullable(ref("Payload"))),
)


class EntriesApi:
    """The routes of the journals of *services*, whose events *streams* send."""

    def __init__(self, services: Services, streams: EventStreams) -> None:
        self._services = services
        self._streams = streams
        self._all_services = ServicesFeed(services)

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route(
                method="GET",
                path=_ENTRIES,
                answer=self._list,
                summary="Find entries of the journal, or wait for them.",
                query=EntriesQuery,
                reply=table(
                    entries=described("those that are found, in their order", array(ref("Entry"))),
                    position=described("the number of the next entry", {"type": "integer"}),
                    dropped=described(
                        "how many were dropped to stay within the limits of the journal",
                        {"type": "integer"},
                    ),
                ),
            ),
            Route(
                method="DELETE",
                path=_ENTRIES,
                answer=self._clear,
                summary="Forget all entries; their numbers are not used again.",
                status=204,
            ),
            Route(
                method="GET",
                path=f"{_ENTRIES}/{{id:int}}",
                answer=self._show,
                summary="Show an entry whole, with its rule or the nearest ones.",
                reply={
                    "allOf": [
                        ref("Entry"),
                        {
                            "type": "object",
                            "properties": {
                                "rule": described(
                                    "the rule that has answered; null: none",
                                    nullable(ref("EntryRule")),
                                ),
                                "state": described(
                                    "of the conversation when the request came; null: unknown",
                                    nullable({"type": "string"}),
                                ),
                                "near": described(
                                    "the nearest rules to a request that no rule matches",
                                    array(ref("NearRule")),
                                ),
                                "why": described(
                                    "those lines of explain that say why no rule matches",
                                    array({"type": "string"}),
                                ),
                                "explain": described(
                                    "what reqresp explain says of the request", {"type": "string"}
                                ),
                                "wire": described(
                                    "the bytes as they were received and sent", _WIRE
                                ),
                            },
                            "required": ["rule", "state", "near", "why", "explain", "wire"],
                        },
                    ],
                    "unevaluatedProperties": False,
                },
            ),
            Route(
                method="GET",
                path="/api/services/{service}/stream",
                answer=self._stream,
                summary="Send entries as they are made, as server-sent events.",
                query=StreamQuery,
                reply={"type": "string"},
                content_type=EVENTS,
                errors=(429,),
            ),
            Route(
                method="GET",
                path="/api/stream",
                answer=self._stream_all,
                summary="Send all services when one has changed, and the entries of one of them.",
                query=AllQuery,
                reply={"type": "string"},
                content_type=EVENTS,
                errors=(404, 429),
            ),
        ]

    def _list(self, call: Call) -> Any:
        service = self._services[call.path["service"]]
        query: EntriesQuery = call.query
        _check_by(query.by, service)
        if query.times > query.limit:
            raise FieldError("times", f"expected at most limit, {query.limit}, found {query.times}")
        search = _Finding(service.journal, query)
        if not query.times:
            return search.as_json()
        waited = service.expectations.until(search.has_enough, query.timeout)
        allow(call, waited, query.timeout)
        return waited.addCallback(lambda _: search.as_json())

    def _clear(self, call: Call) -> None:
        self._services[call.path["service"]].journal.clear()

    def _show(self, call: Call) -> Any:
        service = self._services[call.path["service"]]
        wanted = call.path["id"]
        number, entries = service.journal.since(wanted, 1)
        if number != wanted or not entries:
            raise ApiError(404, f"no entry {wanted}: it was dropped, or is not made yet")
        return describe_details(service, number, entries[0])

    def _stream(self, call: Call) -> Any:
        service = self._services[call.path["service"]]
        return self._streams.open(call.request, self._entries_feed(call, service))

    def _stream_all(self, call: Call) -> Any:
        feeds: dict[Feed, int | None] = {self._all_services: 0}
        if call.query.service is not None:
            service = self._services[call.query.service]
            feeds |= self._entries_feed(call, service)
        return self._streams.open(call.request, feeds)

    def _entries_feed(self, call: Call, service: Service) -> dict[Feed, int | None]:
        after = _last_event_id(call)
        if after is None:
            after = call.query.after
        query: StreamQuery = call.query
        _check_by(query.by, service)
        feed = EntriesFeed(self._services, service.name, query.most, search_in(query))
        return {feed: None if after is None else after + 1}


def _check_by(by: str | None, service: Service) -> None:
    """:raises FieldError: nothing that can answer at *service*, or has answered, has this name."""
    if by is None:
        return
    names = [UNMATCHED, *service.expectations.names]
    if service.script is not None:
        names += [it.name for it in service.script.rules.all()]
    if isinstance(service.factory, ReqRespFactory):
        names.append(service.factory.config.responder.name)
    if by in names:
        return
    # Before the script was another one.
    names += [it.exchange.by for it in service.journal.entries() if isinstance(it, Answered)]
    if by not in names:
        raise FieldError("by", unknown("rule", by, dict.fromkeys(names)))


def _last_event_id(call: Call) -> int | None:
    """Return the number in the header ``Last-Event-ID``, which a client sends that resumes."""
    text = call.request.getHeader("Last-Event-ID") or ""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None


class _Finding:
    """The entries of *journal* that *query* finds, and those that come later."""

    def __init__(self, journal: Journal, query: EntriesQuery) -> None:
        self._journal = journal
        self._query = query
        self._fits = make_search(query)
        self._matches = None if query.regex is None else make_matches(query.regex)
        search = _last if query.after is None else _first
        #: The number of the first entry that was not looked at.
        self._next = journal.position
        self._found = search(journal, query, self._fits)

    def has_enough(self) -> bool:
        """Look at what has come since; return whether as many are found as are waited for."""
        first, entries = self._journal.since(self._next)
        self._next = first + len(entries)
        before = self._next if self._query.before is None else self._query.before
        new = [it for it in enumerate(entries, first) if it[0] < before and self._fits(it[1])]
        found, limit = [*self._found, *new], self._query.limit
        self._found = found[-limit:] if self._query.after is None else found[:limit]
        return len(found) >= self._query.times

    def as_json(self) -> dict[str, Any]:
        """Return them as the response has them."""
        return {
            "entries": [self._describe(*it) for it in self._found],
            "position": self._next,
            "dropped": self._journal.dropped,
        }

    def _describe(self, number: int, entry: Entry) -> dict[str, Any]:
        shown = describe_entry(number, entry, self._query.max_bytes)
        if self._matches is not None:
            shown["matches"] = [bytes_as_json(it) for it in self._matches(entry)]
        return shown


def _first(
    journal: Journal, query: EntriesQuery, fits: Callable[[Entry], bool]
) -> list[tuple[int, Entry]]:
    """Return the first entries after *query.after* that fit."""
    found: list[tuple[int, Entry]] = []
    position = (query.after or 0) + 1
    end = journal.position if query.before is None else min(query.before, journal.position)
    while position < end:
        first, entries = journal.since(position, _CHUNK)
        for number, entry in enumerate(entries, first):
            if number < end and fits(entry):
                found.append((number, entry))
                if len(found) == query.limit:
                    return found
        position = first + len(entries)
    return found


def _last(
    journal: Journal, query: EntriesQuery, fits: Callable[[Entry], bool]
) -> list[tuple[int, Entry]]:
    """Return the last entries before *query.before* that fit, in their order."""
    found: list[tuple[int, Entry]] = []
    for number, entry in _backwards(journal, query.before):
        if fits(entry):
            found.append((number, entry))
            if len(found) == query.limit:
                break
    return found[::-1]


def _backwards(journal: Journal, before: int | None) -> Iterator[tuple[int, Entry]]:
    """Yield the entries before *before*, with their numbers, the last one first."""
    end = journal.position if before is None else min(before, journal.position)
    while end > 1:
        start = max(1, end - _CHUNK)
        first, entries = journal.since(start, end - start)
        numbered = [(it, entry) for it, entry in enumerate(entries, first) if it < end]
        yield from reversed(numbered)
        if first > start or not numbered:
            return
        end = start
