"""
Document: the keys of a script, and the type that each one's value has.

Declarations alone: what they mean is for `script`.  A name that Python reserves has a ``_`` behind.
"""

from typing import Any, Literal

from attrs import Factory, frozen

from reqresp.framing import Length
from reqresp.server.limits import Limits


@frozen(kw_only=True)
class PayloadTable:
    """Bytes, in one of the ways to write them."""

    text: str | None = None
    hex: str | None = None
    base64: str | None = None
    file: str | None = None
    template: str | None = None
    template_hex: str | None = None
    raw: bool = False


Payload = str | PayloadTable
Payloads = str | PayloadTable | list[Payload]


@frozen(kw_only=True)
class SizeTable:
    """A request's size in bytes."""

    min: int = 0
    max: int | None = None


@frozen(kw_only=True, slots=False)  # a class can have slots from one parent only
class PredicateTable:
    """What a request has to be like."""

    equals: Payloads | None = None
    starts_with: Payloads | None = None
    ends_with: Payloads | None = None
    contains: Payloads | None = None
    matches: Payloads | None = None
    size: int | SizeTable | None = None


@frozen(kw_only=True)
class StepTable:
    """One step of a reply."""

    send: Payload | None = None
    wait: float | None = None
    close: bool | None = None
    half_close: bool | None = None
    abort: bool | None = None
    hang: bool | None = None
    stop_reading: bool | None = None


@frozen(kw_only=True, slots=False)  # a class can have slots from one parent only
class AnswerTable:
    """What is done."""

    reply: Payloads | None = None
    cycle: list[Payloads] | None = None
    delay: float | None = None
    close: bool = False
    silent: bool = False
    do: list[StepTable] | None = None
    goto: str | None = None
    faults: list[dict[str, Any]] = Factory(list)


@frozen(kw_only=True)
class RuleTable(PredicateTable, AnswerTable):
    """When what is done."""

    not_: PredicateTable | None = None
    ignore_case: bool | None = None
    when: str | list[str] | None = None
    times: int | None = None
    scope: Literal["server", "connection"] = "server"


@frozen(kw_only=True)
class FramingTable:
    """Where a request ends, if that takes more than a name."""

    length: Length | None = None
    head: str | None = None
    body: Payload | None = None
    body_end: Payload | None = None


@frozen(kw_only=True)
class Document:
    """A whole script."""

    framing: str | FramingTable = "line"
    reply_framing: str | FramingTable | None = None
    ignore_case: bool = False
    start: str = "start"
    seed: int | None = None
    greeting: str | list[Payload] | AnswerTable | PayloadTable | None = None
    limits: Limits | None = None
    rule: list[RuleTable] = Factory(list)
    unmatched: str | list[Payload] | AnswerTable | PayloadTable | None = None
    fault: list[dict[str, Any]] = Factory(list)
