"""Frames of WebSocket (RFC 6455, 5.2), for websocket.toml."""

from __future__ import annotations

from typing import NamedTuple

from reqresp import Call, Close, Send

#: Bytes that the payload of a frame may have.
MAX_PAYLOAD = 1024 * 1024
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
#: Reasons for a close.
PROTOCOL_ERROR, TOO_BIG = 1002, 1009
#: Sizes of longer lengths, by the number that announces them.
_LONGER = {126: 2, 127: 8}


class Frame(NamedTuple):
    """
    A frame of a client.

    :param first: its first byte: whether the message ends with it, and its kind.
    :param size: its bytes in the stream.
    """

    first: int
    payload: bytes
    size: int

    @property
    def kind(self) -> int:
        """Return its kind: text, ping, ..."""
        return self.first & 0x0F


class RefusedError(Exception):
    """A frame is not accepted; the argument is the reason as a number."""


def answer(call: Call) -> tuple[Send | Close, ...]:
    """Return the answers to all frames that are complete, and keep the rest for the next bytes."""
    data = call.variables.get("rest", b"") + call.request.data
    steps: list[Send | Close] = []
    try:
        while (frame := read_frame(data)) is not None:
            data = data[frame.size :]
            steps += reply_to(frame)
            if frame.kind == CLOSE:
                return tuple(steps)
    except RefusedError as error:
        reason: int = error.args[0]
        return (*steps, Send(write_frame(0x80 | CLOSE, reason.to_bytes(2, "big"))), Close())
    call.variables["rest"] = data
    return tuple(steps)


def reply_to(frame: Frame) -> tuple[Send | Close, ...]:
    """
    Return the answer to *frame*.

    :raises RefusedError: there is no such kind.
    """
    if frame.kind in (CONTINUATION, TEXT, BINARY):
        return (Send(write_frame(frame.first, frame.payload)),)
    if frame.kind == PING:
        return (Send(write_frame(0x80 | PONG, frame.payload)),)
    if frame.kind == CLOSE:
        return Send(write_frame(0x80 | CLOSE, frame.payload)), Close()
    if frame.kind != PONG:
        raise RefusedError(PROTOCOL_ERROR)
    return ()


def read_frame(data: bytes) -> Frame | None:
    """
    Return the first frame in *data*, without its mask; None: it is not complete.

    :raises RefusedError: it has no mask, or is too long.
    """
    if len(data) < 2:
        return None
    if not data[1] & 0x80:
        raise RefusedError(PROTOCOL_ERROR)
    length = data[1] & 0x7F
    at = 2
    if length in _LONGER:
        at += _LONGER[length]
        if len(data) < at:
            return None
        length = int.from_bytes(data[2:at], "big")
    if length > MAX_PAYLOAD:
        raise RefusedError(TOO_BIG)
    end = at + 4 + length
    if len(data) < end:
        return None
    mask = (data[at : at + 4] * (length // 4 + 1))[:length]
    masked = data[at + 4 : end]
    number = int.from_bytes(masked, "big") ^ int.from_bytes(mask, "big")
    return Frame(data[0], number.to_bytes(length, "big"), end)


def write_frame(first: int, payload: bytes) -> bytes:
    """Return the frame that a server sends, which has no mask."""
    length = len(payload)
    for number, size in _LONGER.items():
        if number == 126 and length < 126:
            return bytes((first, length)) + payload
        if length < 1 << 8 * size:
            return bytes((first, number)) + length.to_bytes(size, "big") + payload
    raise ValueError("the payload is too long")
