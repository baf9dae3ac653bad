"""Specifications: how a framing is written on a command line or in a script, such as ``line``."""

import re
from collections.abc import Callable, Mapping

from reqresp._text import unescape
from reqresp.framing._base import BaseFraming
from reqresp.framing._delimited import Chunk, Delimiter, Fixed, Line, Netstring
from reqresp.framing._length_field import ByteOrder, LengthPrefix
from reqresp.framing._resp import Resp

_LENGTHS: Mapping[str, tuple[ByteOrder, bool]] = {
    "big": ("big", False),
    "little": ("little", False),
    "inclusive": ("big", True),
    "big:inclusive": ("big", True),
    "little:inclusive": ("little", True),
}


def _length_prefix(name: str, how: str = "big") -> LengthPrefix:
    return LengthPrefix(int(name.removeprefix("int")) // 8, *_LENGTHS[how])


def _fixed(_name: str, size: str) -> Fixed:
    return Fixed(int(size) if re.fullmatch("[0-9]+", size) else 0)


#: What makes each framing, by its form.  Called with the name, and the text after the first colon.
_FORMS: Mapping[str, Callable[..., BaseFraming]] = {
    "chunk": lambda _name: Chunk(),
    "line[:ENDING]": lambda _name, *ending: Line(*map(unescape, ending)),
    "delimiter:TEXT": lambda _name, text: Delimiter(unescape(text)),
    "netstring": lambda _name: Netstring(),
    "int8|int16|int32[:big|little][:inclusive]": _length_prefix,
    "fixed:SIZE": _fixed,
    "resp": lambda _name: Resp(),
}
_BY_NAME: Mapping[str, Callable[..., BaseFraming]] = {
    name: make for form, make in _FORMS.items() for name in re.split(r"[:\[]", form)[0].split("|")
}

#: How a framing is written, for help and for errors.
SPECIFICATIONS = ", ".join(_FORMS)


def parse_framing(specification: str) -> BaseFraming:
    """
    Return the framing that *specification* describes, such as ``line`` or ``int16:little``.

    :raises ValueError: it describes none; the message lists what can be written.
    """
    name, *argument = specification.split(":", 1)
    try:
        return _BY_NAME[name](name, *argument)
    except (KeyError, TypeError, ValueError):
        raise ValueError(
            f"unknown framing {specification!r}; expected one of: {SPECIFICATIONS}"
        ) from None
