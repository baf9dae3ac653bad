"""
Schema: the keys of a script and the types of their values.

Declarations only.  Must not know what a key means: that is `compiler`.  A key that is a reserved
word in Python has a ``_`` appended.
"""

from typing import Any, ClassVar, Literal

from attrs import Factory, frozen, resolve_types

from reqresp._errors import Bytes, Seconds
from reqresp.framing import Encoding
from reqresp.server.limits import Limits


@frozen(kw_only=True)
class PayloadTable:
    """A payload with its encoding: exactly one key besides *let* and *raw*."""

    text: str | None = None
    hex: str | None = None
    base64: str | None = None
    file: str | None = None
    template: str | None = None
    template_hex: str | None = None
    let: "dict[str, str | PayloadTable] | None" = None
    raw: bool = False


resolve_types(PayloadTable)


@frozen(kw_only=True)
class VariableTable(PayloadTable):
    """The value of a variable, and whose it is."""

    scope: Literal["server", "connection"] = "connection"


#: A payload as a script writes it.
WrittenPayload = str | PayloadTable
#: One payload, or a list of them.
WrittenPayloads = str | PayloadTable | list[WrittenPayload]


@frozen(kw_only=True)
class SizeTable:
    """The smallest and the largest size of a request, in bytes."""

    min: Bytes = 0
    max: Bytes | None = None


@frozen(kw_only=True, slots=False)  # RuleTable could not inherit slots from two classes
class PredicateTable:
    """The predicates that a request must match."""

    equals: WrittenPayloads | None = None
    starts_with: WrittenPayloads | None = None
    ends_with: WrittenPayloads | None = None
    contains: WrittenPayloads | None = None
    matches: WrittenPayloads | None = None
    size: Bytes | SizeTable | None = None
    json: dict[str, Any] | list[Any] | None = None
    any_: "list[PredicateTable] | None" = None
    all_: "list[PredicateTable] | None" = None
    not_: "PredicateTable | None" = None


resolve_types(PredicateTable)


@frozen(kw_only=True)
class StepTable:
    """One step of a reply."""

    send: WrittenPayload | None = None
    to: str | None = None
    wait: Seconds | None = None
    close: bool | None = None
    half_close: bool | None = None
    abort: bool | None = None
    hang: bool | None = None
    stop_reading: bool | None = None
    start_tls: bool | None = None
    forward: bool | None = None


@frozen(kw_only=True, slots=False)  # RuleTable could not inherit slots from two classes
class AnswerTable:
    """The keys of an answer."""

    reply: WrittenPayloads | None = None
    cycle: list[WrittenPayloads] | None = None
    delay: Seconds | None = None
    close: bool = False
    silent: bool = False
    forward: bool = False
    do: list[StepTable] | None = None
    goto: str | None = None
    set_: dict[str, str | VariableTable] = Factory(dict)
    call: str | None = None
    faults: list[dict[str, Any]] = Factory(list)


@frozen(kw_only=True, slots=False)  # likewise
class RequestTable(PredicateTable):
    """What a request must match, and whether case counts."""

    ignore_case: bool | None = None


@frozen(kw_only=True)
class GreetingTable(AnswerTable):
    """The answer when a client connects, and how often it is given."""

    times: int | None = None


@frozen(kw_only=True)
class RuleTable(RequestTable, AnswerTable):
    """A rule: its name, its trigger, its predicates, its states and its answer."""

    name: str | None = None
    on: Literal["request", "connect", "idle", "refused", "malformed"] = "request"
    when: str | list[str] | None = None
    times: int | None = None
    scope: Literal["server", "connection"] | None = None
    every: Seconds | None = None
    jitter: Seconds | None = None


@frozen(kw_only=True)
class LengthTable:
    """A length in a header; see `LengthField`."""

    #: Keys that had other names.
    REPLACED: ClassVar = {"byteorder": "encoding"}

    size: int | None = None
    offset: int = 0
    adjust: int = 0
    encoding: Encoding = "big"
    strip: int | None = None
    trailer: WrittenPayload = ""


@frozen(kw_only=True)
class FramingTable:
    """A framing that needs more than a name."""

    length: LengthTable | None = None
    head: str | None = None
    body: WrittenPayload | None = None
    body_end: WrittenPayload | None = None
    always_body: bool = False
    adjust: int = 0
    chunked: WrittenPayload | None = None
    head_first: WrittenPayload | None = None
    skip: WrittenPayload | None = None


#: What a fault of the whole script is injected into.
FaultTarget = Literal["reply", "connect"]


@frozen(kw_only=True)
class ReplyFaultTable:
    """What a fault of replies is injected into, and when; its other keys depend on its kind."""

    on: FaultTarget = "reply"
    after: Seconds = 0.0
    after_bytes: Bytes = 0


@frozen(kw_only=True)
class StreamFaultTable:
    """Where and when a fault of a relay applies; its other keys depend on its kind."""

    stream: Literal["upstream", "downstream"]
    name: str | None = None
    after: Seconds = 0.0
    after_bytes: Bytes = 0
    for_: Seconds | None = None
    shared: bool = False


@frozen(kw_only=True)
class UpstreamTLSTable:
    """How TLS is added to the connections to a service."""

    name: str | None = None
    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    insecure: bool = False


@frozen(kw_only=True)
class UpstreamTable:
    """The service that clients are forwarded to."""

    address: str
    tls: bool | UpstreamTLSTable = False
    send_proxy: int | None = None
    timeout: Seconds | None = None
    unreachable: Literal["reset", "close"] | None = None


@frozen(kw_only=True)
class StateTable:
    """What is different while a conversation is in a state."""

    framing: str | FramingTable | None = None
    reply_framing: str | FramingTable | None = None
    idle_timeout: Seconds | None = None


@frozen(kw_only=True)
class Document:
    """A whole script."""

    framing: str | FramingTable = "line"
    reply_framing: str | FramingTable | None = None
    ignore_case: bool = False
    start: str = "start"
    state_scope: Literal["server", "connection"] = "connection"
    seed: int | None = None
    greeting: str | list[WrittenPayload] | GreetingTable | PayloadTable | None = None
    limits: Limits | None = None
    upstream: UpstreamTable | None = None
    rule: list[RuleTable] = Factory(list)
    unmatched: str | list[WrittenPayload] | AnswerTable | PayloadTable | None = None
    state: dict[str, StateTable] = Factory(dict)
    fault: list[dict[str, Any]] = Factory(list)
