"""
Filters: what a template does to a value before it inserts it.

One table has all of them; messages and the guide are made from it.  A filter declares what it takes
and what it gives, so that a template whose filters do not fit together is refused when it is read.
Must not know where a value comes from.
"""

import base64
import binascii
import hashlib
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial, reduce
from operator import xor
from typing import Any

from attrs import frozen

from reqresp._text import quote, unknown
from reqresp.script import json_values
from reqresp.script.names import Kind

#: Changes a value.  Raises a `ValueError` if it cannot.
Change = Callable[[Any], Any]

#: Bytes of the numbers that ``be`` and ``le`` write, and digits that ``dec`` writes.
MAX_WIDTH = 64


@frozen
class Filter:
    """
    A filter by its name.

    :param change: changes a value.  If it has arguments, it is called with them first, and returns
        what changes a value; it raises a `ValueError` if it cannot use them.
    :param arguments: how its arguments are written; empty: it has none.
    :param summary: what it gives, for people.
    """

    takes: Kind
    gives: Kind
    change: Callable[..., Any]
    summary: str
    arguments: str = ""

    def made(self, name: str, arguments: Sequence[str]) -> Change:
        """
        Return what changes a value, for the filter *name* with these *arguments*.

        :raises ValueError: it cannot use them.
        """
        if self.arguments:
            return self._with(name, arguments)
        if arguments:
            raise ValueError(
                f"expected {name} without arguments, found {quote(':'.join(arguments))}"
            )
        return self.change

    def _with(self, name: str, arguments: Sequence[str]) -> Change:
        try:
            change: Change = self.change(*arguments)
        except (TypeError, ValueError, KeyError):  # too few, too many, or not usable
            found = quote(":".join([name, *arguments]))
            raise ValueError(f"expected {name}:{self.arguments}, found {found}") from None
        return change


def _slice(start: str, end: str = "") -> Change:
    part = slice(*[int(it) if it else None for it in (start, end)])
    return lambda data: data[part]


def _unhex(data: bytes) -> bytes:
    try:
        return bytes.fromhex(data.decode("latin-1"))
    except ValueError:
        raise ValueError(f"unhex: expected pairs of hex digits, found {data[:40]!r}") from None


def _unbase64(data: bytes) -> bytes:
    try:
        return base64.b64decode(data, validate=True)
    except binascii.Error:
        raise ValueError(f"unbase64: expected base64, found {data[:40]!r}") from None


def _width(text: str) -> int:
    width = int(text)
    if not 1 <= width <= MAX_WIDTH:
        raise ValueError(text)
    return width


def _binary(order: Any, size: str) -> Change:
    width = _width(size)

    def change(number: int) -> bytes:
        try:
            return number.to_bytes(width, order)
        except OverflowError:
            raise ValueError(f"expected a number of {width} bytes, found {number}") from None

    return change


def _decimal(digits: str) -> Change:
    return (b"%%0%dd" % _width(digits)).__mod__


def _sum(modulus: str) -> Change:
    most = int(modulus)
    if most < 1:
        raise ValueError(modulus)
    return lambda data: sum(data) % most


def _modbus_table() -> Sequence[int]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0xA001 if byte & 1 else 0)
        table.append(byte)
    return table


_MODBUS = _modbus_table()


def _crc16_modbus(data: bytes) -> int:
    crc = 0xFFFF
    for byte in data:
        crc = crc >> 8 ^ _MODBUS[(crc ^ byte) & 0xFF]
    return crc


_CRC16: Mapping[str, Change] = {
    "modbus": _crc16_modbus,
    "ccitt": lambda data: binascii.crc_hqx(data, 0xFFFF),
    "xmodem": lambda data: binascii.crc_hqx(data, 0),
}


def number_of(digits: bytes) -> int:
    """
    Return the number that *digits* write.

    :raises ValueError: they are not decimal digits, with or without a minus.
    """
    try:
        if len(digits) <= MAX_WIDTH and digits.removeprefix(b"-").isdigit():
            return int(digits)
    except ValueError:
        pass
    raise ValueError(f"expected a number, found {digits[:40]!r}")


_BYTES, _NUMBER, _JSON = Kind

#: All filters by their names.
FILTERS: Mapping[str, Filter] = {
    "len": Filter(_BYTES, _NUMBER, len, "the number of bytes"),
    "upper": Filter(_BYTES, _BYTES, bytes.upper, "ASCII letters in upper case"),
    "lower": Filter(_BYTES, _BYTES, bytes.lower, "ASCII letters in lower case"),
    "strip": Filter(_BYTES, _BYTES, bytes.strip, "without blanks and line ends around it"),
    "slice": Filter(
        _BYTES,
        _BYTES,
        _slice,
        "the bytes from START up to END, counted from 0; negative: from the end",
        "START[:END]",
    ),
    "hex": Filter(_BYTES, _BYTES, binascii.hexlify, "each byte as two hex digits"),
    "unhex": Filter(_BYTES, _BYTES, _unhex, "the bytes that hex digits write"),
    "base64": Filter(_BYTES, _BYTES, base64.b64encode, "in base64"),
    "unbase64": Filter(_BYTES, _BYTES, _unbase64, "the bytes that base64 writes"),
    "json": Filter(_JSON, _BYTES, json_values.dump, "as JSON: text in quotes, a number as it is"),
    "md5": Filter(
        _BYTES,
        _BYTES,
        lambda it: hashlib.md5(it, usedforsecurity=False).digest(),
        "the MD5 hash: 16 bytes",
    ),
    "sha1": Filter(
        _BYTES,
        _BYTES,
        lambda it: hashlib.sha1(it, usedforsecurity=False).digest(),
        "the SHA-1 hash: 20 bytes",
    ),
    "sha256": Filter(
        _BYTES, _BYTES, lambda it: hashlib.sha256(it).digest(), "the SHA-256 hash: 32 bytes"
    ),
    "crc16": Filter(
        _BYTES,
        _NUMBER,
        _CRC16.__getitem__,
        "the CRC-16 of Modbus, CCITT (0x1021, from 0xFFFF) or XMODEM (from 0)",
        "modbus, ccitt or xmodem",
    ),
    "crc32": Filter(_BYTES, _NUMBER, zlib.crc32, "the CRC-32 of zlib, Ethernet and PNG"),
    "xor": Filter(_BYTES, _NUMBER, lambda it: reduce(xor, it, 0), "all bytes, combined by XOR"),
    "lrc": Filter(
        _BYTES, _NUMBER, lambda it: -sum(it) & 0xFF, "the LRC: minus the sum, modulo 256"
    ),
    "sum": Filter(_BYTES, _NUMBER, _sum, "the sum of all bytes, modulo MODULUS", "MODULUS"),
    "be": Filter(
        _NUMBER, _BYTES, partial(_binary, "big"), "a number in SIZE bytes, big-endian", "SIZE"
    ),
    "le": Filter(
        _NUMBER,
        _BYTES,
        partial(_binary, "little"),
        "a number in SIZE bytes, little-endian",
        "SIZE",
    ),
    "dec": Filter(
        _NUMBER, _BYTES, _decimal, "a number in decimal, of DIGITS digits at least", "DIGITS"
    ),
}

# How a value becomes one of another kind.
_AS: Mapping[tuple[Kind, Kind], Change] = {
    (_BYTES, _NUMBER): number_of,
    (_BYTES, _JSON): lambda data: data.decode(errors="replace"),
    (_NUMBER, _JSON): lambda number: number,
    (_JSON, _BYTES): json_values.text,
    (_JSON, _NUMBER): lambda value: number_of(json_values.text(value)),
}
# How a value is inserted; None: as it is.
_WRITTEN: Mapping[Kind, Change | None] = {
    _BYTES: None,
    _NUMBER: b"%d".__mod__,
    _JSON: json_values.text,
}


def changes(filters: Sequence[str], kind: Kind) -> Sequence[Change]:
    """
    Return what turns a value of *kind* into bytes, through these *filters*.

    :param filters: each with its arguments, such as ``slice:1:4``.
    :raises ValueError: a filter is unknown, cannot use its arguments, or does not take what the
        one before it gives.
    """
    made: list[Change] = []
    for text in filters:
        name, *arguments = text.split(":")
        found = FILTERS.get(name)
        if found is None:
            raise ValueError(unknown("filter", name, FILTERS))
        if found.takes is not kind:
            made.append(_converted(kind, found.takes, name))
        made.append(found.made(name, arguments))
        kind = found.gives
    written = _WRITTEN[kind]
    return made if written is None else [*made, written]


def _converted(kind: Kind, wanted: Kind, name: str) -> Change:
    try:
        return _AS[kind, wanted]
    except KeyError:
        raise ValueError(
            f"{name}: expected {wanted.value}, found {kind.value}; write it by be, le or dec first"
        ) from None
