"""
Payloads: the bytes that a script compares or sends, and the templates among them.

Knows which values of a request and its connection a template can name.  Must not know rules,
framings or how a payload is used.
"""

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import fields, frozen

from reqresp._text import format_address, quote, unknown
from reqresp.script.files import FileReader
from reqresp.script.schema import PayloadTable
from reqresp.server.responders import ConnectionContext


@frozen
class TemplateContext:
    """
    The values that a template can name while a request is answered.

    :param match: the match of the rule's pattern; None if the rule has no pattern.
    :param count: how often the rule has answered, this reply included.
    """

    data: bytes
    connection: ConnectionContext
    match: Any = None
    count: int = 0


#: Returns the bytes that replace a name in a template.
Source = Callable[[TemplateContext], bytes]
#: What a template can name; None: no template is allowed.
Sources = Mapping[str, Source] | None

#: What every template can name.
REQUEST_SOURCES: Mapping[str, Source] = {
    "0": lambda context: context.data,
    "peer": lambda context: format_address(context.connection.peer).encode(
        errors="surrogateescape"
    ),
    "connection": lambda context: b"%d" % context.connection.number,
    "request": lambda context: b"%d" % context.connection.taken,
}
#: What only the template of a reply can name.
RULE_SOURCES: Mapping[str, Source] = {"count": lambda context: b"%d" % context.count}
#: What every template of a reply can name.  No group of a pattern can have such a name.
REPLY_SOURCES: Mapping[str, Source] = {**REQUEST_SOURCES, **RULE_SOURCES}


@frozen
class Template:
    """Bytes, and sources whose values are inserted between them."""

    parts: tuple[bytes | Source, ...]

    def fill(self, data: bytes, connection: ConnectionContext) -> bytes:
        """Return the bytes for the request *data* of *connection*, without a match or a count."""
        return self.fill_from(TemplateContext(data, connection))

    def fill_from(self, context: TemplateContext) -> bytes:
        """Return the bytes with the values that *context* has."""
        return b"".join(part if isinstance(part, bytes) else part(context) for part in self.parts)


def group_sources(patterns: Sequence[Any]) -> dict[str, Source]:
    """
    Return the sources for the groups that all compiled *patterns* have, by number and by name.

    A group that took no part in the match is empty.
    """
    first, *others = [_group_numbers(pattern) for pattern in patterns] or [{}]
    common = [name for name in first if all(name in other for other in others)]
    return {name: _group([it[name] for it in (first, *others)], name) for name in common}


def _group_numbers(pattern: Any) -> dict[str, int]:
    # RE2 decodes a pattern as Latin-1: a group name that is not ASCII would come out changed.
    named = {name.decode(): number for name, number in pattern.groupindex.items() if name.isascii()}
    return named | {str(number): number for number in range(1, pattern.groups + 1)}


def _group(numbers: list[int], name: str) -> Source:
    # Access by number takes half the time; if the patterns disagree, only the name works.
    key = numbers[0] if len({*numbers}) == 1 else name.encode()
    return lambda context: context.match[key] or b""


def read_payload(
    payload: str | PayloadTable, read_file: FileReader, sources: Sources
) -> bytes | Template:
    """
    Return the bytes or the template that *payload* describes.

    :param read_file: reads the file that *payload* names.
    :raises ValueError: *payload* is not usable; the message says why.
    """
    if isinstance(payload, str):
        return payload.encode()
    encodings = {name: getattr(payload, name) for name in _ENCODINGS}
    given = {name: text for name, text in encodings.items() if text is not None}
    if len(given) != 1:
        raise ValueError(f"expected exactly one of {', '.join(encodings)}; found {len(given)}")
    ((encoding, text),) = given.items()
    read = read_file if encoding == "file" else _READERS[encoding]
    if encoding not in ("template", "template_hex"):
        return read(text)
    if sources is None:
        raise ValueError("expected no template: this key takes only fixed bytes")
    return _template(text, read, sources)


def _hex(digits: str) -> bytes:
    try:
        return bytes.fromhex(digits)
    except ValueError:
        raise ValueError(f"expected pairs of hex digits, found {quote(digits)}") from None


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"expected base64, found {quote(text)} ({error})") from None


#: How the text of each encoding becomes bytes, files aside.
_READERS: dict[str, Callable[[str], bytes]] = {
    "text": str.encode,
    "hex": _hex,
    "base64": _base64,
    "template": str.encode,
    "template_hex": _hex,
}
_ENCODINGS = tuple(it.name for it in fields(PayloadTable) if it.name != "raw")

_BRACES = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


def _template(
    text: str, read: Callable[[str], bytes], sources: Mapping[str, Source]
) -> bytes | Template:
    parts: list[Any] = []
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
        try:
            source = sources[braces[1]]
        except KeyError:
            raise ValueError(unknown("name", braces[1], sources)) from None
        parts += [read(literal), source]
        literal = ""
    parts.append(read(literal + text[at:]))
    return Template(tuple(part for part in parts if part != b"")) if parts[1:] else parts[0]
