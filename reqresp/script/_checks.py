"""
Checks of single values, the same for rules from TOML and from Python.

A check raises a `ValueError` without a place.  Must not know where a value is written: the caller
adds the place.
"""

from math import isfinite

from reqresp._errors import MAX_FLOAT, FieldError
from reqresp.framing import BaseFraming, FrameError
from reqresp.script.json_values import PartialJson
from reqresp.script.predicates import Needle
from reqresp.script.rule import SendTemplate
from reqresp.script.schema import PayloadTable, SizeTable
from reqresp.script.templates import Template
from reqresp.server.triggers import Timer
from reqresp.steps import Send, Wait

#: The shortest time between two ticks of a rule, in seconds.
SHORTEST_TIMER = 0.001


def check_reply(payload: bytes | Template, framing: BaseFraming | None) -> None:
    """
    Check that *framing* can express *payload*, as far as that is known before templates are filled.

    :param framing: of replies; None: unknown, and nothing is checked.
    :raises FrameError: it cannot.
    """
    if framing is None:
        return
    terminator = framing.terminator
    parts = [payload] if isinstance(payload, bytes) else []
    if isinstance(payload, Template) and terminator:
        # A terminator is refused whatever the template inserts.  All else depends on that.
        parts = [it for it in payload.parts if isinstance(it, bytes) and terminator in it]
    if terminator == b"\n" and any(b"\n" in part for part in parts):
        raise FrameError(
            "a line cannot contain a newline (the framing adds the line ending); for several lines"
            ' use a list, such as ["one", "two"]'
        )
    for part in parts:
        framing.encode(part)


def send(payload: bytes | Template, raw: bool, framing: BaseFraming | None) -> Send | SendTemplate:
    """
    Return the step that sends *payload*, in a frame unless it is *raw*.

    :param framing: of replies; None: unknown, and nothing is checked.
    :raises FrameError: *framing* cannot express *payload*.
    """
    if not raw:
        check_reply(payload, framing)
    return SendTemplate(payload, raw) if isinstance(payload, Template) else Send(payload, raw)


def check_unsent(payload: object) -> None:
    """
    Check that *payload*, which a request is compared with, is not raw.

    :raises ValueError: it is.
    """
    if isinstance(payload, PayloadTable) and payload.raw:
        raise ValueError("expected no raw: it is only for what is sent")


def check_no_feed(payload: Needle | Template) -> None:
    """
    Check that *payload*, which is not sent, takes no lines of a file.

    :raises ValueError: it does.
    """
    if isinstance(payload, Template) and payload.feeds:
        raise ValueError("expected no lines: they are only for what is sent")


def check_needle(needle: Needle, framing: BaseFraming | None) -> None:
    """
    Check that a request of *framing* can contain *needle*, which takes no lines of a file.

    :param framing: of requests; None: unknown, and any request can.
    :raises ValueError: it cannot, or takes lines.
    """
    check_no_feed(needle)
    if framing is None or not framing.terminator:
        return
    if isinstance(needle, bytes) and framing.terminator in needle:
        raise ValueError(
            f"no request can match: a request ends at {framing.terminator!r} and does not"
            " contain it"
        )


def json_parts(given: object) -> tuple[PartialJson, ...]:
    """
    Return the values *given*, one or a list of them, with which requests are compared.

    :raises ValueError: a value is not JSON, or there is none.
    """
    values = given if isinstance(given, list | tuple) else [given]
    if not values:
        raise ValueError("expected at least one element, found an empty list")
    return tuple(map(PartialJson, values))


def wait(seconds: float) -> Wait:
    """
    Return the step that waits for *seconds*.

    :raises ValueError: *seconds* is negative or too large.
    """
    if not (isfinite(seconds) and 0 <= seconds <= MAX_FLOAT):
        raise ValueError(f"expected seconds >= 0, found {seconds}")
    return Wait(seconds)


def timer(name: str, every: float, jitter: float = 0.0) -> Timer:
    """
    Return the timer of a rule.

    :param every: seconds.
    :param jitter: likewise.
    :raises FieldError: one of them is out of range.
    """
    if every < SHORTEST_TIMER:
        raise FieldError("every", f"expected seconds >= {SHORTEST_TIMER}, found {every}")
    if not 0 <= jitter <= every:
        expected = "expected seconds >= 0 and not more than every"
        raise FieldError("jitter", f"{expected}, found {jitter}")
    return Timer(name, every, jitter)


def size_bounds(size: int | SizeTable) -> tuple[int, int | None]:
    """
    Return the bounds of a request's *size*, of which a number is both.

    :raises ValueError: no size is within them.
    """
    table = size if isinstance(size, SizeTable) else SizeTable(min=size, max=size)
    least, most = table.min, table.max
    if least < 0:
        raise ValueError(f"expected a size >= 0, found {least}")
    if most is not None and most < least:
        raise ValueError(f"expected max >= min, found min {least} and max {most}")
    return least, most
