"""
Payloads: the bytes that a script compares or sends, and the templates among them.

Must not know rules, framings or how a payload is used.
"""

import base64
import binascii
import re
from collections.abc import Callable, Mapping

from attrs import evolve, fields

from reqresp._text import quote
from reqresp.script.files import Files
from reqresp.script.names import Sources, local_source
from reqresp.script.schema import PayloadTable, WrittenPayload
from reqresp.script.templates import Template, read_template

#: What the name of a variable, or of a value that a template makes for itself, can be.
NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)


def read_payload(payload: WrittenPayload, files: Files, sources: Sources) -> bytes | Template:
    """
    Return the bytes or the template that *payload* describes.

    :param files: those that *payload* can name.
    :raises ValueError: *payload* is not usable; the message says why.
    """
    if isinstance(payload, str):
        return payload.encode()
    if payload.let is not None:
        return _read_with_local(payload, payload.let, files, sources)
    encodings = {name: getattr(payload, name) for name in _ENCODINGS}
    given = {name: text for name, text in encodings.items() if text is not None}
    if len(given) != 1:
        raise ValueError(f"expected exactly one of {', '.join(encodings)}; found {len(given)}")
    ((encoding, text),) = given.items()
    if payload.repeat and encoding != "lines":
        raise ValueError("expected no repeat: it is for lines")
    if encoding == "file":
        return files.read(text)
    if encoding not in ("template", "template_hex", "lines"):
        return _READERS[encoding](text)
    if sources is None:
        what = "lines" if encoding == "lines" else "template"
        raise ValueError(f"expected no {what}: this key takes only fixed bytes")
    if encoding == "lines":
        return Template.of_feed(files.feed(text, repeat=payload.repeat))
    return read_template(text, _READERS[encoding], sources)


def _read_with_local(
    payload: PayloadTable,
    given: Mapping[str, WrittenPayload],
    files: Files,
    sources: Sources,
) -> bytes | Template:
    if sources is None or (payload.template is None and payload.template_hex is None):
        raise ValueError("expected no let: it is for a template or template_hex")
    local: dict[str, bytes | Template] = {}
    for name, value in given.items():
        if not NAME.fullmatch(name) or name in sources:
            raise ValueError(
                f"let: expected another name than {quote(name)}: letters, digits and _ that stand"
                " for nothing else in a template"
            )
        try:
            local[name] = read_value(value, files, sources)
        except ValueError as error:
            raise ValueError(f"let.{name}: {error}") from None
        sources = {**sources, name: local_source(name)}
    found = read_payload(evolve(payload, let=None), files, sources)
    return found if isinstance(found, bytes) else found.with_local(local)


def read_value(value: WrittenPayload, files: Files, sources: Sources) -> bytes | Template:
    """
    Return the bytes or the template of a *value* that has a name: a string is a template.

    :raises ValueError: as `read_payload`.
    """
    if isinstance(value, str):
        value = PayloadTable(template=value)
    if value.raw:
        raise ValueError("expected no raw: it is only for what is sent")
    return read_payload(value, files, sources)


def _hex(digits: str) -> bytes:
    try:
        return bytes.fromhex(digits)
    except ValueError:
        raise ValueError(f"expected pairs of hex digits, found {quote(digits)}") from None


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"expected base64, found {quote(text)} ({error})") from None


#: How the text of each encoding that names no file becomes bytes.
_READERS: dict[str, Callable[[str], bytes]] = {
    "text": str.encode,
    "hex": _hex,
    "base64": _base64,
    "template": str.encode,
    "template_hex": _hex,
}
#: The keys of a payload that say no bytes.
_BESIDE = ("let", "raw", "repeat")
_ENCODINGS = tuple(it.name for it in fields(PayloadTable) if it.name not in _BESIDE)
