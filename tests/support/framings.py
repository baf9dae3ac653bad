"""Framings, each with the text that specifies it."""

from reqresp.framing import (
    AnyLine,
    Chunk,
    Delimiter,
    Enclosed,
    Fixed,
    Framing,
    LengthField,
    LengthPrefix,
    Line,
    Netstring,
    Pause,
    Scpi,
    UntilEnd,
)

#: Every form of a specification, with the framing that it means.
SPECIFIED: dict[str, Framing] = {
    "chunk": Chunk(),
    "chunk:65536": Chunk(65536),
    "line": Line(),
    r"line:\r\n": Line(b"\r\n"),
    r"line:\n": Line(b"\n"),
    "line:\n": Line(b"\n"),
    "anyline": AnyLine(),
    r"anyline:\r\0": AnyLine(b"\r\0"),
    r"between:\x0b:\x1c\r": Enclosed(b"\x0b", b"\x1c\r"),
    "scpi": Scpi(),
    "delimiter:END": Delimiter(b"END"),
    r"delimiter:\x00": Delimiter(b"\0"),
    "delimiter::": Delimiter(b":"),
    "delimiter:a:b": Delimiter(b"a:b"),
    "delimiter:ü": Delimiter("ü".encode()),
    "netstring": Netstring(),
    "int8": LengthPrefix(1),
    "int16": LengthPrefix(2),
    "int32": LengthPrefix(4),
    "int16:big": LengthPrefix(2, "big"),
    "int16:little": LengthPrefix(2, "little"),
    "int8:inclusive": LengthPrefix(1, inclusive=True),
    "int16:inclusive": LengthPrefix(2, "big", inclusive=True),
    "int32:big:inclusive": LengthPrefix(4, "big", inclusive=True),
    "int32:little:inclusive": LengthPrefix(4, "little", inclusive=True),
    "length:little:3": LengthField(3, encoding="little"),
    "length:ascii:4": LengthField(4, encoding="ascii"),
    "length:bcd:2": LengthField(2, encoding="bcd"),
    "length:varint": LengthField(encoding="varint"),
    "length:varint:4": LengthField(4, encoding="varint"),
    "length:ber": LengthField(encoding="ber"),
    "fixed:1": Fixed(1),
    "fixed:512": Fixed(512),
}

#: The same for framings whose requests do not end in their bytes.
SILENT: dict[str, Framing] = {
    "pause:0.2": Pause(0.2),
    "pause:3": Pause(3),
    "eof": UntilEnd(),
}


class CountedLines:
    """Frames lines, and counts how many."""

    def __init__(self) -> None:
        self.encoded = 0
        self.decoder = Line().decoder

    def encode(self, payload: bytes) -> bytes:
        """Return the frame of *payload*."""
        self.encoded += 1
        return Line().encode(payload)
