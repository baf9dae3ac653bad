"""
Feeds: what the event streams of the API send.

Knows services and their journals.  Must not know connections of HTTP clients.
"""

import json
from typing import Any

from attrs import define, field

from reqresp.control._describe import describe_entry, describe_service
from reqresp.control._find import Search, Test, make_search
from reqresp.journal import Entry, Journal
from reqresp.services.registry import Services

#: Entries of one event, where all are sent.
MAX_EVENT_ENTRIES = 2000
#: Entries of an event in a lasting flood: more than people can read in the time.
LEAST_AT_ONCE = 16
#: Bytes of request and reply that an entry in an event shows.
MAX_BYTES = 2048

#: The search that wants all entries.
_EVERYTHING = Search()

_encode = json.JSONEncoder(check_circular=False, separators=(",", ":")).encode


@define(unsafe_hash=True)
class EntriesFeed:
    """
    The entries of a service's journal.

    :param name: of the service.
    :param most: the most entries of an event, the newest ones; None: all.  After an event that does
        not have all, the next one comes a second later, and has `LEAST_AT_ONCE`.
    :param search: which entries are sent.  An event is of `MAX_EVENT_ENTRIES` at most, wanted or
        not; if none of them is wanted, there is none.
    :raises FieldError: as for `make_search`.
    """

    services: Services
    name: str
    most: int | None = None
    search: Search = _EVERYTHING
    _fits: Test | None = field(init=False, eq=False)
    _is_flood: bool = field(init=False, default=False, eq=False)
    look_interval = 0.0

    @property
    def interval(self) -> float:
        return 1.0 if self._is_flood else 0.5

    def __attrs_post_init__(self) -> None:
        self._fits = None if self.search == _EVERYTHING else make_search(self.search)

    def position(self) -> int | None:
        journal = self._journal()
        return None if journal is None else journal.position

    def event(self, position: int) -> tuple[int, bytes]:
        journal = self._journal()
        if journal is None:
            return position, b""
        # Positions begin at 1, and again where a service was replaced.
        position = position if 1 <= position <= journal.position else 1
        if self._fits is None:
            start = position
            if self.most is not None:
                room = self._room_for(journal.position - position, self.most)
                start = max(position, journal.position - room)
            first, entries = journal.since(start, self.most or MAX_EVENT_ENTRIES)
            shown, left = [*enumerate(entries, first)], 0
        else:
            first, entries = journal.since(position, MAX_EVENT_ENTRIES)
            shown, left = self._newest(
                [it for it in enumerate(entries, first) if self._fits(it[1])]
            )
        after, skipped = first + len(entries), first - position + left
        if self._fits is not None and not shown and not skipped:
            return after, b""
        value = {
            "entries": [describe_entry(number, it, MAX_BYTES) for number, it in shown],
            "skipped": skipped,
        }
        return after, make_event("entries", value, after - 1)

    def _newest(self, found: list[tuple[int, Entry]]) -> tuple[list[tuple[int, Entry]], int]:
        """Return those of *found* that an event has room for, and how many others there are."""
        if self.most is None:
            return found, 0
        shown = found[-self._room_for(len(found), self.most) :]
        return shown, len(found) - len(shown)

    def _room_for(self, count: int, most: int) -> int:
        """Return how many of *count* entries the event has room for."""
        room = min(most, LEAST_AT_ONCE) if self._is_flood else most
        self._is_flood = count > most
        return room

    def _journal(self) -> Journal | None:
        return self.services[self.name].journal if self.name in self.services else None


class ServicesFeed:
    """All services, when one of them has changed."""

    interval = look_interval = 1.0

    def __init__(self, services: Services) -> None:
        self._services = services
        self._shown: list[dict[str, Any]] = []
        self._number = 0

    def position(self) -> int:
        shown = [describe_service(it) for it in self._services]
        if shown != self._shown:
            self._shown = shown
            self._number += 1
        return self._number

    def event(self, position: int) -> tuple[int, bytes]:
        del position  # only what is now is sent
        return self._number, make_event("services", {"services": self._shown})


def make_event(name: str, value: Any, number: int | None = None) -> bytes:
    """
    Return a server-sent event with *value* as JSON.

    :param number: with which a client resumes; None: it need not.
    """
    resumes = "" if number is None else f"id: {number}\n"
    return f"event: {name}\n{resumes}data: {_encode(value)}\n\n".encode()
