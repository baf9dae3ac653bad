"""Specifications: how a framing is written on a command line or in a script, such as ``line``."""

import re
from collections.abc import Callable, Mapping
from typing import cast

from reqresp._text import quote, similar, unescape
from reqresp.framing._base import BaseFraming
from reqresp.framing._delimited import Chunk, Delimiter, Fixed, Line, Netstring
from reqresp.framing._enclosed import Enclosed
from reqresp.framing._length_field import ByteOrder, LengthField, LengthPrefix
from reqresp.framing._lengths import ENCODINGS, Encoding
from reqresp.framing._lines import ANY_ENDINGS, AnyLine, Scpi
from reqresp.framing._resp import Resp
from reqresp.framing._silence import Pause, UntilEnd

_LENGTHS: Mapping[str, tuple[ByteOrder, bool]] = {
    "big": ("big", False),
    "little": ("little", False),
    "inclusive": ("big", True),
    "big:inclusive": ("big", True),
    "little:inclusive": ("little", True),
}


#: The line endings of replies.
_ENDINGS = (b"\r\n", b"\n")
#: Digits of a size: more than any limit has.
_MAX_DIGITS = 18


def _size(text: str) -> int:
    if not re.fullmatch(rf"[0-9]{{1,{_MAX_DIGITS}}}", text) or not int(text):
        raise ValueError(f"expected a size in bytes, 1 or more, found {quote(text)}")
    return int(text)


def _line(_name: str, ending: str = r"\r\n") -> Line:
    found = unescape(ending)
    if found not in _ENDINGS:
        raise ValueError(rf"expected the line ending \r\n or \n, found {quote(ending)}")
    return Line(found)


def _any_line(_name: str, ending: str = r"\r\n") -> AnyLine:
    found = unescape(ending)
    if found not in ANY_ENDINGS:
        raise ValueError(rf"expected the line ending \r\n, \n, \r or \r\0, found {quote(ending)}")
    return AnyLine(found)


def _enclosed(_name: str, ends: str) -> Enclosed:
    start, _, end = ends.partition(":")
    if not start or not end or ":" in end:
        raise ValueError(rf"expected START:END, where a colon is \x3a, found {quote(ends)}")
    return Enclosed(unescape(start), unescape(end))


def _length_prefix(name: str, how: str = "big") -> LengthPrefix:
    if how not in _LENGTHS:
        raise ValueError(f"expected one of: {', '.join(_LENGTHS)}; found {quote(how)}")
    return LengthPrefix(int(name.removeprefix("int")) // 8, *_LENGTHS[how])


def _pause(_name: str, seconds: str) -> Pause:
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", seconds):
        raise ValueError(f"expected seconds such as 0.2, found {quote(seconds)}")
    return Pause(float(seconds))


def _length(_name: str, how: str) -> LengthField:
    encoding, colon, size = how.partition(":")
    if encoding not in ENCODINGS:
        raise ValueError(f"expected one of: {', '.join(ENCODINGS)}; found {quote(encoding)}")
    return LengthField(_size(size) if colon else None, encoding=cast(Encoding, encoding))


#: What makes each framing, by its form.  Called with the name, and the text after the first colon.
_FORMS: Mapping[str, Callable[..., BaseFraming]] = {
    "chunk[:SIZE]": lambda _name, *size: Chunk(*map(_size, size)),
    "line[:ENDING]": _line,
    "anyline[:ENDING]": _any_line,
    "delimiter:TEXT": lambda _name, text: Delimiter(unescape(text)),
    "between:START:END": _enclosed,
    "netstring": lambda _name: Netstring(),
    "int8|int16|int32[:big|little][:inclusive]": _length_prefix,
    "length:ENCODING[:SIZE]": _length,
    "fixed:SIZE": lambda _name, size: Fixed(_size(size)),
    "pause:SECONDS": _pause,
    "eof": lambda _name: UntilEnd(),
    "scpi": lambda _name: Scpi(),
    "resp": lambda _name: Resp(),
}
_FORM_OF: Mapping[str, str] = {
    name: form for form in _FORMS for name in re.split(r"[:\[]", form)[0].split("|")
}

#: How a framing is written, for help and for errors.
SPECIFICATIONS = ", ".join(_FORMS)


def parse_framing(specification: str) -> BaseFraming:
    """
    Return the framing that *specification* describes, such as ``line`` or ``int16:little``.

    :raises ValueError: it describes none; the message says which part is wrong and what can be
        written.
    """
    name, colon, argument = specification.partition(":")
    form = _FORM_OF.get(name)
    if form is None:
        near = similar(name, _FORM_OF)
        hint = f"did you mean {near}?" if near else f"expected one of: {', '.join(_FORM_OF)}"
        raise ValueError(f"unknown framing {quote(specification)}; {hint}")
    if colon:
        fits, arguments = ":" in form and argument != "", [argument]
    else:
        fits, arguments = ":" not in form.replace("[:", "["), []
    if not fits:
        raise ValueError(f"framing {quote(specification)}: expected {form}")
    try:
        return _FORMS[form](name, *arguments)
    except ValueError as error:
        raise ValueError(f"framing {quote(specification)}: {error}") from None
