"""
Writing: conversations in the `notation` of recordings.

It must not know where the text goes.
"""

import binascii
import os
from collections.abc import Iterator

from reqresp._text import escape, escape_lines
from reqresp.recording.conversations import Data, End, Event, Header, Mark, Recording, Sender
from reqresp.recording.notation import BASE64, BEGINNING, VERSION

#: The beginning of the line that turns to a conversation.
TURN = b"-- "
#: The shortest time that is written, in seconds.
RESOLUTION = 1e-6
#: Fewer bytes at once are never written in base64.
MIN_BASE64_BYTES = 256
#: Bytes on a line of base64.
BASE64_LINE_BYTES = 3072

_SIGNS = {sender: sender.value.encode() for sender in Sender}
_STARTS = {sender: sign + b" " for sender, sign in _SIGNS.items()}
_BREAKS = {sender: b"\\n\n" + start for sender, start in _STARTS.items()}
#: Bytes that need no table to be escaped.
_PLAIN = bytes(byte for byte in range(256) if 32 <= byte < 127 or byte in b"\t\n\r")
#: Those, and bytes that can be part of UTF-8.
_TEXT = _PLAIN + bytes(range(0x80, 0x100))


def write(recording: Recording) -> bytes:
    """
    Return the text of *recording*, one conversation after another.

    `reqresp.recording.parse` reads it.
    """
    lines = [write_header(recording.header)]
    for conversation in recording.conversations:
        lines.append(write_turn(conversation.number, conversation.peer))
        lines += map(write_event, conversation.events)
    return b"".join(lines)


def write_header(header: Header) -> bytes:
    """Return the line of *header*."""
    values = {"at": header.made, "of": header.service, "redacted": ",".join(header.redacted)}
    words = [f"{key}={_word(value)}" for key, value in values.items() if value]
    return os.fsencode(" ".join([BEGINNING, str(VERSION), *words]) + "\n")


def _word(value: str) -> str:
    return escape(os.fsencode(value)).replace(" ", r"\x20")


def write_turn(number: int, peer: str = "") -> bytes:
    """Return the line that turns to conversation *number*; *peer* is given once."""
    return TURN + os.fsencode(f"{number} {peer}".rstrip() + "\n")


def write_event(event: Event) -> bytes:
    """Return the lines of *event*."""
    what = event.data
    after = write_time(event.after)
    return after + (
        write_end(event.sender, what) if isinstance(what, End) else write_data(event.sender, what)
    )


def write_time(seconds: float) -> bytes:
    """Return the line that says that *seconds* pass; nothing: they are too few."""
    if seconds < RESOLUTION:
        return b""
    return f"({seconds:.6f}".rstrip("0").rstrip(".").encode() + b" s)\n"


def write_end(sender: Sender, end: End) -> bytes:
    """Return the line that says how *sender* ends."""
    return f"{sender.value}{end.value}\n".encode()


def write_data(sender: Sender, data: Data) -> bytes:
    """Return the lines of *data*."""
    if len(data) == 1 and isinstance(data[0], bytes):
        return write_bytes(sender, data[0])
    lines = []
    text = b""
    for part in data:
        if isinstance(part, bytes) and _is_binary(part):
            lines += [_finish(sender, text), *_base64_lines(sender, part)]
            text = b""
        else:
            text += _written(sender, part)
    return b"".join([*lines, _finish(sender, text)])


def _written(sender: Sender, part: bytes | Mark) -> bytes:
    if isinstance(part, bytes):
        return _escaped(sender, part)
    return part.text.encode()


def write_bytes(sender: Sender, data: bytes) -> bytes:
    """Return the lines of *data* without marks: text that is broken after each LF, or base64."""
    if _is_binary(data):
        return b"".join(_base64_lines(sender, data))
    return _finish(sender, _escaped(sender, data))


def _escaped(sender: Sender, data: bytes) -> bytes:
    if data.translate(None, _PLAIN):
        return os.fsencode(escape_lines(data)).replace(b"\n", b"\n" + _STARTS[sender])
    data = data.replace(b"\\", rb"\\").replace(b"\r", rb"\r").replace(b"\t", rb"\t")
    return data.replace(b"\n", _BREAKS[sender])


def _finish(sender: Sender, text: bytes) -> bytes:
    """Return the lines of *text*, which is escaped."""
    start = _STARTS[sender]
    if not text:
        return b""
    if text.endswith(b"\n" + start):  # it ends with LF
        return start + text[: -len(start)]
    if text.endswith(b" "):  # editors remove it
        return start + text[:-1] + b"\\x20\n"
    return start + text + b"\n"


def _is_binary(data: bytes) -> bool:
    r"""Return whether *data* is long, and a quarter of it would be written as ``\xNN``."""
    if len(data) < MIN_BASE64_BYTES or 4 * len(data.translate(None, _PLAIN)) <= len(data):
        return False
    controls = len(data.translate(None, _TEXT))
    return 4 * (controls + data.decode(errors="replace").count("\ufffd")) > len(data)


def _base64_lines(sender: Sender, data: bytes) -> Iterator[bytes]:
    start = _SIGNS[sender] + BASE64.encode()
    for at in range(0, len(data), BASE64_LINE_BYTES):
        yield start + binascii.b2a_base64(data[at : at + BASE64_LINE_BYTES])
