"""Escapes: bytes the way people type them in a shell, ``\\r\\n`` and ``\\x00`` included."""

import os
import re

_NAMED = {b"0": b"\0", b"\\": b"\\", b"n": b"\n", b"r": b"\r", b"t": b"\t"}
_ESCAPE = re.compile(rb"\\(x[0-9A-Fa-f]{2}|[\x80-\xff]+|.?)", re.DOTALL)


def unescape(text: str) -> bytes:
    r"""
    Turn *text* into UTF-8, taking the escapes ``\r``, ``\n``, ``\t``, ``\0``, ``\\`` and ``\xNN``.

    :raises ValueError: any other backslash.
    """

    def replace(match: re.Match[bytes]) -> bytes:
        escape = match[1]
        if escape[:1] == b"x" and len(escape) == 3:
            return bytes.fromhex(escape[1:].decode())
        if escape not in _NAMED:
            found = os.fsdecode(match[0])
            raise ValueError(rf"unknown escape {found!s}: write \r, \n, \t, \0, \\ or \xNN")
        return _NAMED[escape]

    # fsencode: what a shell passed as bytes that are no UTF-8 comes back as it was.
    return _ESCAPE.sub(replace, os.fsencode(text))
