"""
Lengths: how the number of bytes that follow is written, in bytes, digits or groups of bits.

Knows bytes only, and not what a length counts.
"""

from collections.abc import Callable, Container, Mapping
from functools import partial
from typing import Literal

from attrs import frozen

from reqresp.framing._base import FrameError

#: How a length is written.
Encoding = Literal["big", "little", "ascii", "bcd", "varint", "ber"]

#: The most bytes of a length that says itself how many it has.
MOST_BYTES = 9


@frozen
class FixedLength:
    """
    A length that always has the same size, in bytes.

    :param sizes: which sizes it can have, and *expected*, how a message says that.
    :param read: returns the length that bytes are; raises `FrameError`.
    :param write: returns a length as so many bytes.
    :param most: returns the largest length of so many bytes.
    """

    sizes: Container[int]
    expected: str
    read: Callable[[bytes | bytearray], int]
    write: Callable[[int, int], bytes]
    most: Callable[[int], int]


@frozen
class OwnLength:
    """
    A length that says itself how many bytes it has.

    :param find: returns the length at an index of a buffer, which has at most so many bytes, and
        where it ends; None if it is incomplete.  Raises `FrameError`.
    :param write: returns a length in as few bytes as possible.
    :param most: returns the largest length of so many bytes.
    """

    find: Callable[[bytes | bytearray, int, int], tuple[int, int] | None]
    write: Callable[[int, int], bytes]
    most: Callable[[int], int]

    sizes = range(1, MOST_BYTES + 1)
    expected = f"1 to {MOST_BYTES}, the most bytes of a length, or none"


def _binary(order: Literal["big", "little"]) -> FixedLength:
    return FixedLength(
        (1, 2, 3, 4, 8),
        "1, 2, 3, 4 or 8",
        partial(int.from_bytes, byteorder=order),
        lambda length, size: length.to_bytes(size, order),
        lambda size: 256**size - 1,
    )


def _from_digits(digits: bytes | bytearray) -> int:
    if not digits.isdigit():
        raise FrameError(f"expected a length in digits, found {bytes(digits)!r}")
    return int(digits)


def _from_bcd(data: bytes | bytearray) -> int:
    digits = data.hex()
    if not digits.isdecimal():
        raise FrameError(f"expected a length with two digits a byte, found {bytes(data)!r}")
    return int(digits)


def _find_varint(buffer: bytes | bytearray, at: int, most: int) -> tuple[int, int] | None:
    length = 0
    group = bytes(buffer[at : at + most])
    for index, byte in enumerate(group):
        length |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return length, at + index + 1
    if len(group) == most:
        raise FrameError(f"expected a length of at most {most} bytes, found {group!r} and more")
    return None


def _varint(length: int, _most: int) -> bytes:
    written = bytearray()
    while length > 0x7F:
        written.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes((*written, length))


def _find_ber(buffer: bytes | bytearray, at: int, most: int) -> tuple[int, int] | None:
    if at >= len(buffer):
        return None
    first = buffer[at]
    if first < 0x80:
        return first, at + 1
    size = first & 0x7F
    if not 0 < size < most:
        raise FrameError(
            f"expected a definite BER length of at most {most} bytes, found {bytes((first,))!r}"
        )
    end = at + 1 + size
    if len(buffer) < end:
        return None
    return int.from_bytes(buffer[at + 1 : end], "big"), end


def _ber(length: int, _most: int) -> bytes:
    if length < 0x80:
        return bytes((length,))
    digits = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((0x80 | len(digits),)) + digits


#: All encodings.
#: source of ``varint``: MQTT 5.0, 1.5.5, and LEB128 as in protocol buffers
#: source of ``ber``: ITU-T X.690, 8.1.3; it is written as in 10.1
ENCODINGS: Mapping[Encoding, FixedLength | OwnLength] = {
    "big": _binary("big"),
    "little": _binary("little"),
    "ascii": FixedLength(
        range(1, 19),
        "1 to 18",
        _from_digits,
        lambda length, size: b"%0*d" % (size, length),
        lambda size: 10**size - 1,
    ),
    "bcd": FixedLength(
        range(1, 10),
        "1 to 9",
        _from_bcd,
        lambda length, size: bytes.fromhex(f"{length:0{2 * size}d}"),
        lambda size: 100**size - 1,
    ),
    "varint": OwnLength(_find_varint, _varint, lambda most: 128**most - 1),
    "ber": OwnLength(_find_ber, _ber, lambda most: max(0x7F, 256 ** (most - 1) - 1)),
}
