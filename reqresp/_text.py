"""
How names, bytes and addresses are written for people.

Knows no request and no connection.  Importing it loads no module of Twisted.
"""

import json
import os
import re
from collections.abc import Iterable
from difflib import SequenceMatcher, get_close_matches
from functools import cache
from itertools import islice, takewhile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress

#: Characters of a name that a message shows.
MAX_SHOWN_CHARACTERS = 60
#: Names that a message lists when no similar name exists.
MAX_LISTED_NAMES = 30
#: Names that are compared with an unknown one, and characters that each may have: comparing takes
#: up to the product of both names' lengths.
MAX_COMPARED_NAMES = 200
MAX_COMPARED_CHARACTERS = 40

#: Similar names of which the most similar one is found.
MAX_NEAR_NAMES = 5
#: Characters at the start of two names whose agreement counts.
MAX_COMMON_START = 4

#: Characters whose escapes are remembered.
MAX_REMEMBERED_ESCAPES = 4096

_NAMED = {b"0": b"\0", b"\\": b"\\", b"n": b"\n", b"r": b"\r", b"t": b"\t"}
#: What stands in a list of names without quotes: where it ends is clear.
_PLAIN_NAME = re.compile(r"""[^\s,;?'"]+""")
_ESCAPE = re.compile(rb"\\(x[0-9A-Fa-f]{2}|[\x80-\xff]+|.?)", re.DOTALL)


def unescape(text: str) -> bytes:
    r"""
    Return *text* in UTF-8, with the escapes ``\r``, ``\n``, ``\t``, ``\0``, ``\\`` and ``\xNN``.

    :raises ValueError: a backslash starts another escape.
    """

    def replace(match: re.Match[bytes]) -> bytes:
        escape = match[1]
        if escape[:1] == b"x" and len(escape) == 3:
            return bytes.fromhex(escape[1:].decode())
        if escape not in _NAMED:
            found = os.fsdecode(match[0])
            raise ValueError(
                rf"unknown escape {found!s}; expected one of: \r, \n, \t, \0, \\, \xNN"
            )
        return _NAMED[escape]

    # fsencode restores bytes that a shell passed and that are not UTF-8.
    return _ESCAPE.sub(replace, os.fsencode(text))


class _Escapes(dict[int, str]):
    """
    How each character is written, for `str.translate`; those that occur are looked up once.

    :param line_feed: how LF is written.
    """

    def __init__(self, line_feed: str = r"\n") -> None:
        self._named = {0: r"\0", 9: r"\t", 10: line_feed, 13: r"\r", 92: r"\\"}
        super().__init__(self._named)

    def __missing__(self, code: int) -> str:
        if len(self) > MAX_REMEMBERED_ESCAPES:
            self.clear()
            self.update(self._named)
        character = chr(code)
        if not character.isprintable():
            character = "".join(f"\\x{byte:02x}" for byte in os.fsencode(character))
        self[code] = character
        return character


_ESCAPES = _Escapes()
_LINES = _Escapes("\\n\n")


def escape(data: bytes) -> str:
    r"""
    Return *data* as one line of text, which `unescape` reads.

    A printable character stands for itself, except a backslash.  Anything else is written as
    ``\r``, ``\n``, ``\t``, ``\0`` or ``\xNN``.
    """
    return os.fsdecode(data).translate(_ESCAPES)


def escape_lines(data: bytes) -> str:
    r"""Return *data* as `escape` does, with a line break after each ``\n``."""
    return os.fsdecode(data).translate(_LINES)


def printable(text: str) -> str:
    """
    Return *text* from outside, such as a file or a client, so that it is one line.

    Control characters, invisible characters and those that change the direction of text are
    escaped as in Python: they could forge a line of a log, or act on a terminal.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def printable_lines(text: str) -> str:
    """Return *text* of several lines, each as `printable` returns it."""
    return text if text.isprintable() else "\n".join(map(printable, text.split("\n")))


def basic_string(text: str) -> str:
    """Return *text* as a string of TOML in double quotes, with escapes for special characters."""
    return "".join(map(_toml_escape, json.dumps(text, ensure_ascii=False)))


def toml_string(text: str) -> str:
    """Return *text* as a string of TOML, in single quotes if that saves escapes."""
    is_literal = text.isprintable() and "'" not in text and ('"' in text or "\\" in text)
    return f"'{text}'" if is_literal else basic_string(text)


def _toml_escape(character: str) -> str:
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


#: Paths of UNIX sockets that cannot be taken for anything else.
_PLAIN_PATH = re.compile(r"/[\w/.@+-]*")


def format_host_port(host: str, port: int) -> str:
    """Return *host* and *port* as people write them: ``127.0.0.1:9999`` or ``[::1]:9999``."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def format_address(peer: "IAddress") -> str:
    """
    Return *peer* as people write it: ``127.0.0.1:9999``, ``[::1]:9999``, or a path.

    A client chooses its own path.  So one that could be taken for something else is in quotes.
    """
    address: Any = peer
    of_internet, of_unix = _address_types()
    if isinstance(peer, of_internet):
        return format_host_port(address.host, address.port)
    if not isinstance(peer, of_unix):
        return printable(str(peer))
    if not address.name:
        return "a UNIX socket"
    path = os.fsdecode(address.name)
    return path if _PLAIN_PATH.fullmatch(path) else repr(path)


@cache
def _address_types() -> tuple[tuple[type, ...], type]:
    """Return Twisted's classes of addresses: with a host and a port, and with a path."""
    # Late, since commands that serve nothing do without Twisted; once, since lines have addresses.
    from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress

    return (IPv4Address, IPv6Address), UNIXAddress


def quote(text: str) -> str:
    """Return *text* in quotes, on one line, shortened, and with escapes for special characters."""
    quoted = repr(text[: MAX_SHOWN_CHARACTERS + 1])
    return quoted if len(quoted) <= MAX_SHOWN_CHARACTERS else f"{quoted[:MAX_SHOWN_CHARACTERS]}..."


def unknown(what: str, name: str, names: Iterable[str]) -> str:
    """
    Return a message that no *what* has this *name*, with the similar one of *names* or all.

    It takes a bounded time and has a bounded length, whatever the names are.
    """
    names = list(islice(names, MAX_COMPARED_NAMES + 1))
    if not names:
        return f"unknown {what} {quote(name)}"
    near = similar(name, names)
    if near is not None:
        return f"unknown {what} {quote(name)}; did you mean {_name(near)}?"
    listed = ", ".join(map(_name, names[:MAX_LISTED_NAMES]))
    more = ", ..." if len(names) > MAX_LISTED_NAMES else ""
    return f"unknown {what} {quote(name)}; expected one of: {listed}{more}"


def _name(name: str) -> str:
    is_plain = _PLAIN_NAME.fullmatch(name) and name.isprintable()
    return name if is_plain and len(name) <= MAX_SHOWN_CHARACTERS else quote(name)


def similar(name: str, names: Iterable[str]) -> str | None:
    """
    Return the one of *names* that is most similar to *name*; None: none is similar.

    Of those that differ as much, it is one that begins alike: people know how a name begins.
    """
    if len(name) > MAX_COMPARED_CHARACTERS:
        return None
    known = [it for it in islice(names, MAX_COMPARED_NAMES) if len(it) <= MAX_COMPARED_CHARACTERS]
    near = get_close_matches(name, known, MAX_NEAR_NAMES)
    return max(near, key=lambda it: _likeness(name, it), default=None)


def _likeness(name: str, other: str) -> float:
    """Return the similarity of Winkler: what does not agree counts less after a common start."""
    ratio = SequenceMatcher(None, other, name).ratio()
    common = sum(1 for _ in takewhile(lambda it: it[0] == it[1], zip(name, other, strict=False)))
    return ratio + (1 - ratio) * min(common, MAX_COMMON_START) / 10
