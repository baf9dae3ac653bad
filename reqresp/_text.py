"""
How bytes and addresses are written for people.

Knows no request and no connection.  Importing it loads no module of Twisted.
"""

import os
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress

_NAMED = {b"0": b"\0", b"\\": b"\\", b"n": b"\n", b"r": b"\r", b"t": b"\t"}
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


def format_address(peer: "IAddress") -> str:
    """Return *peer* as people write it: ``127.0.0.1:9999``, ``[::1]:9999``, or a path."""
    from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress

    match peer:
        case IPv4Address(host=host, port=port):
            return f"{host}:{port}"
        case IPv6Address(host=host, port=port):
            return f"[{host}]:{port}"
        case UNIXAddress(name=bytes(name)) if name:
            # A client chooses its path: it must not look like a line of a log.
            path = os.fsdecode(name)
            return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in path)
        case UNIXAddress():
            return "a UNIX socket"
        case _:
            return str(peer)
