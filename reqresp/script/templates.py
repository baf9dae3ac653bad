"""
Templates: text in which names in braces stand for values, and filters that change them.

A template is compiled when it is read: filling it calls one function for each name and each filter.
Must not know where the text comes from, or which names there are.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any, Self

from attrs import evolve, field, frozen

from reqresp._text import unknown
from reqresp.script.feeds import Feed
from reqresp.script.filters import Change, changes
from reqresp.script.names import Name, Source, TemplateContext
from reqresp.server.responders import ConnectionContext


@frozen
class Template:
    """
    Bytes, and sources whose values are inserted between them.

    Templates are equal if they are written in the same way.

    :param names: what it names, without filters.
    :param written: how it is written.
    :param local: values that are made before it is filled, in their order; each can name those
        before it.
    """

    parts: tuple[bytes | Source, ...] = field(eq=False)
    names: frozenset[str] = frozenset()
    written: str = ""
    local: "tuple[tuple[str, bytes | Template], ...]" = ()

    @classmethod
    def of_feed(cls, feed: Feed) -> Self:
        """Return the template whose bytes are the next line of *feed* each time."""
        return cls((feed,), written=str(feed))

    @property
    def feeds(self) -> Sequence[Feed]:
        """The files from which it takes lines."""
        inner = [it.feeds for _, it in self.local if isinstance(it, Template)]
        return [*chain(*inner), *(it for it in self.parts if isinstance(it, Feed))]

    def fill(self, data: bytes, connection: ConnectionContext) -> bytes:
        """Return the bytes for the request *data* of *connection*, without a match or a count."""
        return self.fill_from(TemplateContext(data, connection))

    def fill_from(self, context: TemplateContext) -> bytes:
        """
        Return the bytes with the values that *context* has.

        :raises ValueError: a filter cannot change a value.
        :raises FeedError: a line cannot be read.
        """
        if self.local:
            return self._fill_with_local(context)
        return self._joined(context)

    def _joined(self, context: TemplateContext) -> bytes:
        return b"".join([part if isinstance(part, bytes) else part(context) for part in self.parts])

    def _fill_with_local(self, context: TemplateContext) -> bytes:
        before = context.local
        values = context.local = {**before}
        try:
            for name, value in self.local:
                values[name] = value if isinstance(value, bytes) else value.fill_from(context)
            return self._joined(context)
        finally:
            context.local = before

    def with_local(self, local: "Mapping[str, bytes | Template]") -> "Template":
        """Return a copy for which the values *local* are made first."""
        named = (it.names for it in local.values() if isinstance(it, Template))
        return evolve(self, local=tuple(local.items()), names=self.names.union(*named))


_BRACES = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


def read_template(
    text: str, read: Callable[[str], bytes], names: Mapping[str, Name]
) -> bytes | Template:
    """
    Return the template that *text* describes; bytes if it names nothing.

    :param read: returns the bytes of the text between names.
    :raises ValueError: *text* is not usable; the message says why.
    """
    parts: list[Any] = []
    used: set[str] = set()
    literal = ""
    at = 0
    for braces in _BRACES.finditer(text):
        literal += text[at : braces.start()]
        at = braces.end()
        if braces[0] in ("{{", "}}"):
            literal += braces[0][0]
            continue
        if braces[1] is None:
            one = braces[0]
            raise ValueError(f"unpaired {one!r}: write {one * 2!r} for the character itself")
        name, source = _expression(braces[1], names)
        used.add(name)
        parts += [read(literal), source]
        literal = ""
    parts.append(read(literal + text[at:]))
    if not used:
        return bytes(parts[0])
    return Template(tuple(part for part in parts if part != b""), frozenset(used), text)


def _expression(text: str, names: Mapping[str, Name]) -> tuple[str, Source]:
    """Return the name in *text*, such as ``0|slice:1:4|hex``, and the source of its bytes."""
    first, *filters = text.split("|")
    name, colon, arguments = first.partition(":")
    try:
        found = names[name]
    except KeyError:
        raise ValueError(unknown("name", name, names)) from None
    source = found.source_for(name, arguments if colon else None)
    for change in changes(filters, found.gives):
        source = _changed(source, change)
    return name, source


def _changed(source: Source, change: Change) -> Source:
    return lambda context: change(source(context))
