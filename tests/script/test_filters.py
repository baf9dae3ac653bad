"""Filters: what a template does to a value before it inserts it."""

import base64
import hashlib
import json
import zlib
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from reqresp.script.filters import FILTERS, changes
from reqresp.script.names import Kind

PROPERTY = settings(derandomize=True, max_examples=100)


def changed(value: Any, filters: str, kind: Kind = Kind.BYTES) -> bytes:
    """Return what *filters*, such as ``len|be:2``, make of *value*."""
    for change in changes(filters.split("|"), kind):
        value = change(value)
    assert isinstance(value, bytes)
    return value


def naive_crc16(data: bytes, polynomial: int, start: int, *, reflected: bool) -> int:
    """Return a CRC-16, one bit at a time, as its standard defines it."""
    register = start
    for byte in data:
        bits = [byte >> at & 1 for at in (range(8) if reflected else range(7, -1, -1))]
        for bit in bits:
            top = register >> 15 & 1
            register = register << 1 & 0xFFFF
            if top ^ bit:
                register ^= polynomial
    return int(f"{register:016b}"[::-1], 2) if reflected else register


#: What each filter without arguments, or with these, makes of bytes.
MODEL: dict[str, Callable[[bytes], bytes]] = {
    "len": lambda it: str(len(it)).encode(),
    "upper": lambda it: bytes(byte - 32 if 97 <= byte <= 122 else byte for byte in it),
    "lower": lambda it: bytes(byte + 32 if 65 <= byte <= 90 else byte for byte in it),
    "strip": lambda it: it.strip(b" \t\n\r\x0b\f"),
    "slice:1:4": lambda it: it[1:4],
    "slice:2": lambda it: it[2:],
    "slice::-2": lambda it: it[:-2],
    "hex": lambda it: it.hex().encode(),
    "hex|unhex": lambda it: it,
    "base64": base64.b64encode,
    "base64|unbase64": lambda it: it,
    "json": lambda it: json.dumps(it.decode(errors="replace"), ensure_ascii=False).encode(),
    "md5": lambda it: hashlib.md5(it).digest(),  # noqa: S324 (the model of a checksum)
    "sha1": lambda it: hashlib.sha1(it).digest(),  # noqa: S324 (likewise)
    "sha256": lambda it: hashlib.sha256(it).digest(),
    "crc16:modbus|le:2": lambda it: naive_crc16(it, 0x8005, 0xFFFF, reflected=True).to_bytes(
        2, "little"
    ),
    "crc16:ccitt|be:2": lambda it: naive_crc16(it, 0x1021, 0xFFFF, reflected=False).to_bytes(
        2, "big"
    ),
    "crc16:xmodem|be:2": lambda it: naive_crc16(it, 0x1021, 0, reflected=False).to_bytes(2, "big"),
    "crc32|be:4": lambda it: zlib.crc32(it).to_bytes(4, "big"),
    "xor": lambda it: str(_xor(it)).encode(),
    "lrc": lambda it: str((256 - sum(it) % 256) % 256).encode(),
    "sum:256|dec:3": lambda it: f"{sum(it) % 256:03}".encode(),
}


def _xor(data: bytes) -> int:
    value = 0
    for byte in data:
        value ^= byte
    return value


class FilterTests(SynchronousTestCase):
    """What each filter gives."""

    @PROPERTY
    @given(st.binary(max_size=30), st.sampled_from([*MODEL]))
    def test_each_filter(self, data: bytes, filters: str) -> None:
        """Each filter gives what a naive model of it gives, for any bytes."""
        self.assertEqual(changed(data, filters), MODEL[filters](data), filters)

    def test_the_model_knows_all(self) -> None:
        """No filter is left out of the model."""
        known = {it.partition(":")[0] for filters in MODEL for it in filters.split("|")}
        self.assertEqual({*FILTERS}, known)

    def test_published_checksums(self) -> None:
        """The checksums of ``123456789`` are those that catalogues publish."""
        for filters, expected in (
            ("crc16:modbus|be:2|hex", b"4b37"),
            ("crc16:ccitt|be:2|hex", b"29b1"),
            ("crc16:xmodem|be:2|hex", b"31c3"),
            ("crc32|be:4|hex", b"cbf43926"),
        ):
            self.assertEqual(changed(b"123456789", filters), expected, filters)

    @PROPERTY
    @given(st.integers(0, 2**32 - 1))
    def test_numbers(self, number: int) -> None:
        """A number is written in decimal unless a filter says otherwise; digits are a number."""
        self.assertEqual(changed(number, "dec:1", Kind.NUMBER), str(number).encode())
        self.assertEqual(changed(number, "dec:12", Kind.NUMBER), f"{number:012}".encode())
        self.assertEqual(changed(number, "le:4", Kind.NUMBER), number.to_bytes(4, "little"))
        self.assertEqual(changed(str(number).encode(), "be:5"), number.to_bytes(5, "big"))

    def test_what_is_written_wrongly(self) -> None:
        """Filters that are unknown, or do not fit, are refused when the template is read."""
        for filters, problem in (
            ("uper", "unknown filter 'uper'; did you mean upper?"),
            ("upper:1", "expected upper without arguments, found '1'"),
            ("slice", "expected slice:START[:END], found 'slice'"),
            ("slice:a", "expected slice:START[:END], found 'slice:a'"),
            ("slice:1:2:3", "expected slice:START[:END], found 'slice:1:2:3'"),
            ("crc16", "expected crc16:modbus, ccitt or xmodem, found 'crc16'"),
            ("crc16:x25", "expected crc16:modbus, ccitt or xmodem, found 'crc16:x25'"),
            ("sum:0", "expected sum:MODULUS, found 'sum:0'"),
            ("len|be:0", "expected be:SIZE, found 'be:0'"),
            ("len|dec:65", "expected dec:DIGITS, found 'dec:65'"),
            (
                "crc32|hex",
                "hex: expected bytes, found a number; write it by be, le or dec first",
            ),
        ):
            with self.assertRaises(ValueError) as caught:
                changes(filters.split("|"), Kind.BYTES)
            self.assertEqual(str(caught.exception), problem)

    def test_what_cannot_be_changed(self) -> None:
        """A value that a filter cannot change is an error when the template is filled."""
        for value, filters, problem in (
            (b"xyz", "unhex", "unhex: expected pairs of hex digits, found b'xyz'"),
            (b"a\xff", "unhex", r"unhex: expected pairs of hex digits, found b'a\xff'"),
            (b"a", "unbase64", "unbase64: expected base64, found b'a'"),
            (b"x" * 256, "len|be:1", "expected a number of 1 bytes, found 256"),
            (b"one", "be:2", "expected a number, found b'one'"),
            (b"1" * 65, "be:2", f"expected a number, found b'{'1' * 40}'"),
            (b"-", "dec:2", "expected a number, found b'-'"),
            (b"-1", "be:2", "expected a number of 2 bytes, found -1"),
        ):
            with self.assertRaises(ValueError) as caught:
                changed(value, filters)
            self.assertEqual(str(caught.exception), problem)
