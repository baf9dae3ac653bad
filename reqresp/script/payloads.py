"""
Payloads: the bytes that a script compares or sends, and what it leaves to be filled in.

Knows what a request and its connection have to fill in; not what becomes of the bytes.
"""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from attrs import frozen

from reqresp._text import format_address
from reqresp.script.reader import unknown
from reqresp.script.schema import PayloadTable
from reqresp.server.responders import ConnectionContext


@frozen
class Moment:
    """
    What there is to fill in while a request is answered.

    *match* is that of a rule's pattern, and *count* how often the rule has answered.
    """

    data: bytes
    connection: ConnectionContext
    match: Any = None
    count: int = 0


Source = Callable[[Moment], bytes]

#: Bytes of a file that is read whole.
LARGEST = 64 * 1024 * 1024

#: What can be filled in wherever a template can stand.
SOURCES: Mapping[str, Source] = {
    "0": lambda moment: moment.data,
    "peer": lambda moment: format_address(moment.connection.peer).encode(errors="surrogateescape"),
    "connection": lambda moment: b"%d" % moment.connection.number,
    "request": lambda moment: b"%d" % moment.connection.taken,
}
#: What can be filled in only where a rule answers.
COUNT: Mapping[str, Source] = {"count": lambda moment: b"%d" % moment.count}


@frozen
class Template:
    """Bytes with gaps, which a `Moment` fills."""

    parts: tuple[bytes | Source, ...]

    def fill(self, data: bytes, connection: ConnectionContext) -> bytes:
        """Fill in what is known of the request *data* of *connection*."""
        return self.at(Moment(data, connection))

    def at(self, moment: Moment) -> bytes:
        """Fill in what *moment* has."""
        return b"".join(part if isinstance(part, bytes) else part(moment) for part in self.parts)


def groups(patterns: list[Any]) -> dict[str, Source]:
    """
    Give the sources that compiled *patterns*, of which one matches, have in common.

    A group that took no part in the match is empty.
    """
    first, *others = [_numbers(pattern) for pattern in patterns] or [{}]
    common = [name for name in first if all(name in other for other in others)]
    return {name: _group([it[name] for it in (first, *others)], name) for name in common}


def _numbers(pattern: Any) -> dict[str, int]:
    # RE2 reads a pattern in Latin-1: other names are not those that stand in the script.
    named = {name.decode(): number for name, number in pattern.groupindex.items() if name.isascii()}
    return named | {str(number): number for number in range(1, pattern.groups + 1)}


def _group(numbers: list[int], name: str) -> Source:
    # By number takes half the time; where patterns disagree only the name will do.
    key = numbers[0] if len({*numbers}) == 1 else name.encode()
    return lambda moment: moment.match[key] or b""


def read_payload(
    payload: str | PayloadTable, base: Path, sources: Mapping[str, Source] | None
) -> bytes | Template:
    """
    Give the bytes that *payload* is, or the template.

    :param base: the directory that names of files are relative to.
    :param sources: what a template can name; None: there can be no template.
    :raises ValueError: it is none; the message says why.
    """
    if isinstance(payload, str):
        return _utf8(payload)
    ways = {name: getattr(payload, name) for name in _READERS}
    given = {name: text for name, text in ways.items() if text is not None}
    if len(given) != 1:
        raise ValueError(f"expected exactly one of {', '.join(ways)}; found {len(given)}")
    ((way, text),) = given.items()
    if way not in ("template", "template_hex"):
        return _READERS[way](text, base)
    if sources is None:
        raise ValueError("nothing can be filled in here: expected no template")
    return _template(text, _READERS[way], base, sources)


def _utf8(text: str, _base: Path | None = None) -> bytes:
    return text.encode()


def _hex(digits: str, _base: Path) -> bytes:
    try:
        return bytes.fromhex(digits)
    except ValueError:
        raise ValueError(f"expected pairs of hex digits, found {digits[:60]!r}") from None


def _base64(text: str, _base: Path) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"expected base64, found {text[:60]!r} ({error})") from None


def _file(name: str, base: Path) -> bytes:
    path = base / name
    try:
        return read_file(path)
    except ValueError as error:
        raise ValueError(f"{str(path)!r} {error}") from None


def read_file(path: Path) -> bytes:
    """
    Read a file whole.

    :raises ValueError: it cannot be read, is no file (a pipe would be waited for, and a device
        never ends), or has more than `LARGEST` bytes; the message says so.
    """
    try:
        if path.exists() and not path.is_file():
            raise ValueError("is no file")
        if path.exists() and path.stat().st_size > LARGEST:
            raise ValueError(f"has more than {LARGEST} bytes")
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None


_READERS: dict[str, Callable[[str, Path], bytes]] = {
    "text": _utf8,
    "hex": _hex,
    "base64": _base64,
    "file": _file,
    "template": _utf8,
    "template_hex": _hex,
}

_GAP = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


def _template(
    text: str, read: Callable[[str, Path], bytes], base: Path, sources: Mapping[str, Source]
) -> bytes | Template:
    parts: list[Any] = []
    literal = ""
    at = 0
    for gap in _GAP.finditer(text):
        literal += text[at : gap.start()]
        at = gap.end()
        if gap[0] in ("{{", "}}"):
            literal += gap[0][0]
            continue
        if gap[1] is None:
            raise ValueError(f"a single {gap[0]!r}: write {gap[0] * 2!r}, or a name in braces")
        try:
            source = sources[gap[1]]
        except KeyError:
            raise ValueError(unknown("name", gap[1], sources)) from None
        parts += [read(literal, base), source]
        literal = ""
    parts.append(read(literal + text[at:], base))
    return Template(tuple(part for part in parts if part != b"")) if parts[1:] else parts[0]
