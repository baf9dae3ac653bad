"""Framings, each with the text that specifies it."""

from reqresp.framing import Chunk, Delimiter, Fixed, Framing, LengthPrefix, Line, Netstring

#: Every form of a specification, with the framing that it means.
SPECIFIED: dict[str, Framing] = {
    "chunk": Chunk(),
    "chunk:65536": Chunk(65536),
    "line": Line(),
    r"line:\r\n": Line(b"\r\n"),
    r"line:\n": Line(b"\n"),
    "line:\n": Line(b"\n"),
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
    "fixed:1": Fixed(1),
    "fixed:512": Fixed(512),
}
