"""
Names: the values of a request and its connection that a template can name.

One table has all of them; messages and the guide are made from it.  Must not know filters, or how
a template is written.
"""

import re
import time
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from datetime import UTC, datetime
from enum import Enum
from functools import partial
from typing import Any
from uuid import UUID

from attrs import define, field, frozen

from reqresp._text import format_address, quote
from reqresp.faults.dice import SeededDice
from reqresp.script import json_values
from reqresp.server.responders import ConnectionContext

#: Bytes that one ``{random_bytes:COUNT}`` can have.
MAX_RANDOM_BYTES = 65536
_MAX_NUMBER = 2**63 - 1
_ISO_8601 = "%Y-%m-%dT%H:%M:%SZ"


class Kind(Enum):
    """What a value is, until it is written into a reply."""

    BYTES = "bytes"
    NUMBER = "a number"
    JSON = "a value of JSON"


@define
class TemplateContext:
    """
    The values that a template can name while a request is answered.

    :param match: the match of the rule's pattern; None if the rule has no pattern.
    :param count: how often the rule has answered, this reply included.
    :param place: where the rule is; random values depend on it.
    :param time: returns the seconds since 1970.
    :param counts: how often rules have answered, and how far their feeds have been read.
    :param local: the values that the template has made for itself, by their names.
    """

    data: bytes
    connection: ConnectionContext
    match: Any = None
    count: int = 0
    place: str = ""
    time: Callable[[], float] = time.time
    counts: MutableMapping[str, int] = field(factory=dict)
    local: Mapping[str, bytes] = {}
    _dice: SeededDice | None = None

    @property
    def dice(self) -> SeededDice:
        """The random numbers of this reply, which the seed determines."""
        if self._dice is None:
            client = self.connection
            seed = 0 if client.config is None else client.config.seed or 0
            reply = f"{client.number}/{client.taken}/{self.place}/{self.count}"
            self._dice = SeededDice(f"{seed}/{reply}")
        return self._dice


#: Returns the value of a name; its type is that of the name's `Kind`.
Source = Callable[[TemplateContext], Any]


@frozen
class Name:
    """
    What a template can name.

    :param source: returns its value.  If it has arguments, it is called with their text first, and
        returns what returns the value; it raises a `ValueError` if it cannot use them.
    :param arguments: how its arguments are written; empty: it has none.
    :param summary: what it stands for, for people.
    """

    source: Callable[..., Any]
    gives: Kind = Kind.BYTES
    arguments: str = ""
    summary: str = ""

    def source_for(self, name: str, arguments: str | None) -> Source:
        """
        Return what returns the value of the *name* with these *arguments*.

        :raises ValueError: it cannot use the arguments.
        """
        if self.arguments:
            source: Source = self.source(arguments)
            return source
        if arguments is not None:
            raise ValueError(f"expected {name} without arguments, found {quote(arguments)}")
        return self.source


@frozen
class Group(Name):
    """A group of a rule's patterns."""


#: What a template can name; None: no template is allowed.
Sources = Mapping[str, Name] | None


def _now(form: str | None) -> Source:
    form = _ISO_8601 if form is None else form
    try:
        _strftime(form, 0.0)
    except ValueError:
        raise ValueError(f"expected a format of strftime, found {quote(form)}") from None
    return lambda context: _strftime(form, context.time())


def _strftime(form: str, seconds: float) -> bytes:
    # %s is not the same on all systems.
    pieces = [piece.replace("%s", str(int(seconds))) for piece in form.split("%%")]
    now = datetime.fromtimestamp(seconds, UTC)
    return now.strftime("%%".join(pieces)).encode()


def _json(pointer: str | None) -> Source:
    path = json_values.read_pointer(pointer or "")
    return lambda context: json_values.find(json_values.parse(context.data), path)


def _uuid(context: TemplateContext) -> bytes:
    return str(UUID(bytes=_random_bytes(16, context), version=4)).encode()


def _random(arguments: str | None) -> Source:
    try:
        least, most = map(int, (arguments or "").split(":"))
    except ValueError:
        raise ValueError(
            f"expected random:FROM:TO with whole numbers, found {quote(arguments or '')}"
        ) from None
    if not -_MAX_NUMBER <= least <= most <= _MAX_NUMBER:
        raise ValueError(f"expected FROM <= TO of at most 63 bits, found {quote(arguments or '')}")
    return partial(_random_number, least, most - least + 1)


def _random_number(least: int, count: int, context: TemplateContext) -> int:
    return least + (context.dice.getrandbits(64) * count >> 64)


def _random_bytes(count: int, context: TemplateContext) -> bytes:
    dice = context.dice
    words = [dice.getrandbits(64).to_bytes(8, "big") for _ in range(0, count, 8)]
    return b"".join(words)[:count]


def _bytes_of(arguments: str | None) -> Source:
    is_count = re.fullmatch("[0-9]{1,9}", arguments or "") is not None
    if arguments is None or not is_count or not 1 <= int(arguments) <= MAX_RANDOM_BYTES:
        raise ValueError(
            f"expected random_bytes:COUNT, from 1 to {MAX_RANDOM_BYTES}, found"
            f" {quote(arguments or '')}"
        )
    return partial(_random_bytes, int(arguments))


#: What every template can name.
REQUEST_SOURCES: Mapping[str, Name] = {
    "0": Name(lambda context: context.data, summary="the whole request"),
    "peer": Name(
        lambda context: format_address(context.connection.peer).encode(errors="surrogateescape"),
        summary="the client's address",
    ),
    "connection": Name(
        lambda context: context.connection.number,
        Kind.NUMBER,
        summary="the connection's number; the first is 1",
    ),
    "request": Name(
        lambda context: context.connection.taken,
        Kind.NUMBER,
        summary="the request's number on the connection; the first is 1",
    ),
    "json": Name(
        _json,
        Kind.JSON,
        arguments="[POINTER]",
        summary="the value to which this JSON pointer leads in the request",
    ),
    "now": Name(
        _now,
        arguments="[FORMAT]",
        summary="the time in UTC, as ``2026-01-31T12:00:00Z`` or in this format of strftime",
    ),
    "uuid": Name(_uuid, summary="a random UUID, another one each time"),
    "random": Name(
        _random,
        Kind.NUMBER,
        arguments="FROM:TO",
        summary="a random whole number, FROM and TO included",
    ),
    "random_bytes": Name(
        _bytes_of, arguments="COUNT", summary=f"random bytes, from 1 to {MAX_RANDOM_BYTES}"
    ),
}
#: Those that the seed determines.
RANDOM = frozenset(("uuid", "random", "random_bytes"))
#: What only the template of a reply can name.
RULE_SOURCES: Mapping[str, Name] = {
    "count": Name(
        lambda context: context.count,
        Kind.NUMBER,
        summary="the number of requests that the rule has answered, including this one",
    )
}
#: What every template of a reply can name.  No group of a pattern can have such a name.
REPLY_SOURCES: Mapping[str, Name] = {**REQUEST_SOURCES, **RULE_SOURCES}


def group_sources(patterns: Sequence[Any]) -> dict[str, Group]:
    """
    Return the names of the groups that all compiled *patterns* have, by number and by name.

    A group that took no part in the match is empty.
    """
    first, *others = [_group_numbers(pattern) for pattern in patterns] or [{}]
    common = [name for name in first if all(name in other for other in others)]
    return {name: Group(_group([it[name] for it in (first, *others)], name)) for name in common}


def _group_numbers(pattern: Any) -> dict[str, int]:
    # RE2 decodes a pattern as Latin-1: a group name that is not ASCII would come out changed.
    named = {name.decode(): number for name, number in pattern.groupindex.items() if name.isascii()}
    return named | {str(number): number for number in range(1, pattern.groups + 1)}


def _group(numbers: list[int], name: str) -> Source:
    # Access by number takes half the time; if the patterns disagree, only the name works.
    key = numbers[0] if len({*numbers}) == 1 else name.encode()
    return lambda context: context.match[key] or b""


def variable_source(name: str) -> Name:
    """Return what stands for the variable *name*; it is empty until a rule sets it."""

    def value(context: TemplateContext) -> bytes:
        notes = context.connection.notes
        found: bytes = b"" if notes is None else notes.variable(name)
        return found

    return Name(value)


def local_source(name: str) -> Name:
    """Return what stands for the *name* that a template has made for itself."""
    return Name(lambda context: context.local[name])
