"""
Schema: the keys of a script and the types of their values.

Declarations only.  Must not know what a key means: that is `compiler`.  A key that is a reserved
word in Python has a ``_`` appended.
"""

from typing import Any, Literal

from attrs import Factory, frozen, resolve_types

from reqresp._errors import Bytes, Seconds
from reqresp.framing import Encoding
from reqresp.server.limits import Limits
from reqresp.transport.accept_modes import AcceptAfter, AcceptName


@frozen(kw_only=True)
class PayloadTable:
    """
    A payload with its encoding: exactly one key besides *let*, *repeat* and *raw*.

    :param text: the payload as text, in UTF-8.
    :param hex: the payload as pairs of hex digits.
    :param base64: the payload in base64.
    :param file: the payload is the content of this file, relative to the script.
    :param lines: the payload is the next line of this file, each time.
    :param repeat: begin with the first line again after the last; with *lines*.
    :param template: text in which ``{NAME}`` is replaced by a value.
    :param template_hex: a template whose text, once filled in, is hex digits.
    :param let: values that the template can name, made first and in order.
    :param raw: send it without the framing.
    """

    text: str | None = None
    hex: str | None = None
    base64: str | None = None
    file: str | None = None
    lines: str | None = None
    repeat: bool = False
    template: str | None = None
    template_hex: str | None = None
    let: "dict[str, str | PayloadTable] | None" = None
    raw: bool = False


resolve_types(PayloadTable)


@frozen(kw_only=True)
class VariableTable(PayloadTable):
    """
    The value of a variable, and whose it is.

    :param scope: whose variable it is.
    """

    scope: Literal["server", "connection"] = "connection"


#: A payload as a script writes it.
WrittenPayload = str | PayloadTable
#: One payload, or a list of them.
WrittenPayloads = str | PayloadTable | list[WrittenPayload]


@frozen(kw_only=True)
class SizeTable:
    """
    The smallest and the largest size of a request, in bytes.

    :param min: the smallest size, in bytes.
    :param max: the largest size, in bytes.
    """

    min: Bytes = 0
    max: Bytes | None = None


@frozen(kw_only=True, slots=False)  # RuleTable could not inherit slots from two classes
class PredicateTable:
    """
    The predicates that a request must match.

    :param equals: the request equals this, or one of a list.
    :param starts_with: it starts with this.
    :param ends_with: it ends with this.
    :param contains: it contains this.
    :param matches: this RE2 pattern matches all of it.
    :param size: its size in bytes.
    :param json: it is JSON that has this value, at least in part.
    :param any_: tables, one of which must hold.
    :param all_: tables, each of which must hold.
    :param not_: predicates, none of which may hold.
    """

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
    """
    One step of a reply.

    :param send: the payload to send.
    :param to: whom it is sent to: ``all``, ``others`` or ``state:NAME``; this client unless given.
    :param wait: seconds until the next step.
    :param close: end the connection.
    :param half_close: send an EOF and go on reading.
    :param abort: reset the connection.
    :param hang: do nothing more until the client ends.
    :param stop_reading: read nothing more from the client.
    :param start_tls: go on with TLS.
    :param forward: send the reply of the upstream service.
    """

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
class TurnTable:
    """
    The keys of one of the replies of a cycle, and of every answer.

    :param reply: what is sent, in a frame each.
    :param delay: seconds before the reply.
    :param close: end the connection after the reply.
    :param silent: send nothing.
    :param forward: send the reply of the upstream service.
    :param do: the steps of the reply.
    :param goto: the state from the next request on.
    :param set_: variables that are set, with their values.
    :param faults: faults of these replies.
    """

    reply: WrittenPayloads | None = None
    delay: Seconds | None = None
    close: bool = False
    silent: bool = False
    forward: bool = False
    do: list[StepTable] | None = None
    goto: str | None = None
    set_: dict[str, str | VariableTable] = Factory(dict)
    faults: list[dict[str, Any]] = Factory(list)


@frozen(kw_only=True, slots=False)  # likewise
class AnswerTable(TurnTable):
    """
    The keys of an answer.

    :param cycle: replies that take turns, one for each request: payloads, or tables.
    :param call: a Python function that answers, as ``module:function``.
    """

    cycle: list[str | PayloadTable | list[WrittenPayload] | TurnTable] | None = None
    call: str | None = None


@frozen(kw_only=True, slots=False)  # likewise
class RequestTable(PredicateTable):
    """
    What a request must match, and whether case counts.

    :param ignore_case: whether the predicates ignore the case of ASCII letters.
    """

    ignore_case: bool | None = None


@frozen(kw_only=True)
class GreetingTable(AnswerTable):
    """
    The answer when a client connects, and how often it is given.

    :param times: how many clients get it.
    """

    times: int | None = None


@frozen(kw_only=True)
class RuleTable(RequestTable, AnswerTable):
    """
    A rule: its name, its trigger, its predicates, its states and its answer.

    :param name: its name in logs and journals.
    :param on: what it answers.
    :param when: the states in which it applies; ``*``: every state.
    :param times: how many requests it answers.
    :param scope: whether its answers are counted for the server or for each connection.
    :param every: seconds between two times at which it sends.
    :param jitter: seconds that each time comes later at most, at random.
    """

    name: str | None = None
    on: Literal["request", "connect", "idle", "refused", "malformed"] = "request"
    when: str | list[str] | None = None
    times: int | None = None
    scope: Literal["server", "connection"] | None = None
    every: Seconds | None = None
    jitter: Seconds | None = None


@frozen(kw_only=True)
class LengthTable:
    """
    A length in a header; see `LengthField`.

    :param size: bytes of the length.
    :param offset: bytes before the length.
    :param adjust: bytes that follow and are not counted; negative: bytes of the header that are.
    :param encoding: how the length is written.
    :param strip: bytes at the start that rules do not see.
    :param trailer: bytes that follow each frame.
    """

    size: int | None = None
    offset: int = 0
    adjust: int = 0
    encoding: Encoding = "big"
    strip: int | None = None
    trailer: WrittenPayload = ""


@frozen(kw_only=True)
class FramingTable:
    """
    A framing that needs more than a name.

    :param length: a header has the length of the frame.
    :param head: where a head ends: ``line`` or ``delimiter:TEXT``.
    :param body: a pattern that finds the size of the body in the head.
    :param body_end: what follows a body.
    :param always_body: whether each head has a body.
    :param adjust: bytes that follow the head and are not counted; negative: bytes of the head that
        are.
    :param chunked: a pattern: if the head has it, the body comes in chunks as in HTTP.
    :param head_first: a pattern: if the head has it, the head is a request of its own.
    :param skip: bytes that are dropped before a head.
    :param call: a Python class, or a function, that makes the framing, as ``module:Class``.
    """

    length: LengthTable | None = None
    head: str | None = None
    body: WrittenPayload | None = None
    body_end: WrittenPayload | None = None
    always_body: bool = False
    adjust: int = 0
    chunked: WrittenPayload | None = None
    head_first: WrittenPayload | None = None
    skip: WrittenPayload | None = None
    call: str | None = None


#: What a fault of the whole script is injected into.
FaultTarget = Literal["reply", "connect"]


@frozen(kw_only=True)
class FaultWindowTable:
    """
    When a fault of replies begins; its other keys depend on its kind.

    :param after: seconds before it begins: of a connection, or since a rule's first reply on it.
    :param after_bytes: bytes of replies on a connection before it begins: of all, or of a rule.
    """

    after: Seconds = 0.0
    after_bytes: Bytes = 0


@frozen(kw_only=True)
class ReplyFaultTable(FaultWindowTable):
    """
    What a fault of all replies is injected into, and when it begins.

    :param on: whether it applies to replies, or to connections from their beginning.
    """

    on: FaultTarget = "reply"


@frozen(kw_only=True)
class StreamFaultTable:
    """
    Where and when a fault of a direction applies; its other keys depend on its kind.

    :param stream: the direction; a script that is not a relay has ``upstream`` alone: what clients
        send.
    :param name: by which it is found while the server runs.
    :param after: seconds of a connection before it begins.
    :param after_bytes: bytes in this direction of a connection before it begins.
    :param for_: seconds until it ends.
    :param shared: whether all connections share it.
    """

    stream: Literal["upstream", "downstream"]
    name: str | None = None
    after: Seconds = 0.0
    after_bytes: Bytes = 0
    for_: Seconds | None = None
    shared: bool = False


@frozen(kw_only=True)
class UpstreamTLSTable:
    """
    How TLS is added to the connections to a service.

    :param name: the name that the certificate must have.
    :param ca: the file of the certificates that are trusted.
    :param cert: the file of the client certificate.
    :param key: the file of its key.
    :param insecure: whether the certificate of the service is not checked.
    """

    name: str | None = None
    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    insecure: bool = False


@frozen(kw_only=True)
class UpstreamTable:
    """
    The service that clients are forwarded to.

    :param address: the service: ``HOST:PORT`` or ``unix:PATH``.
    :param tls: whether to connect with TLS, or how.
    :param send_proxy: the version of the PROXY header that the service gets.
    :param timeout: seconds for connecting.
    :param unreachable: how clients end while the service cannot be reached.
    """

    address: str
    tls: bool | UpstreamTLSTable = False
    send_proxy: int | None = None
    timeout: Seconds | None = None
    unreachable: Literal["reset", "close"] | None = None


@frozen(kw_only=True)
class StateTable:
    """
    What is different while a conversation is in a state.

    :param framing: where a request ends.
    :param reply_framing: how replies are wrapped, if that differs.
    :param idle_timeout: seconds after which an idle client is closed.
    """

    framing: str | FramingTable | None = None
    reply_framing: str | FramingTable | None = None
    idle_timeout: Seconds | None = None


@frozen(kw_only=True)
class Document:
    """
    A whole script.

    :param framing: where a request ends.
    :param reply_framing: how replies are wrapped, if that differs.
    :param ignore_case: whether predicates ignore the case of ASCII letters.
    :param start: the first state of each connection.
    :param state_scope: whether each connection has a state, or all have one.
    :param seed: the source of what is random: a whole number.
    :param ordered: whether replies leave in the order of their requests.
    :param greeting: what is sent when a client connects.
    :param limits: what clients may use.
    :param accept: what happens to clients that connect.
    :param upstream: the service that clients are forwarded to.
    :param rule: what answers requests: the first rule that applies.
    :param unmatched: the answer when no rule applies.
    :param state: what is different in a state.
    :param fault: faults of all replies, of connections, or of a direction of a relay.
    """

    framing: str | FramingTable = "line"
    reply_framing: str | FramingTable | None = None
    ignore_case: bool = False
    start: str = "start"
    state_scope: Literal["server", "connection"] = "connection"
    seed: int | None = None
    ordered: bool = True
    greeting: str | list[WrittenPayload] | GreetingTable | PayloadTable | None = None
    limits: Limits | None = None
    accept: AcceptName | AcceptAfter | None = None
    upstream: UpstreamTable | None = None
    rule: list[RuleTable] = Factory(list)
    unmatched: str | list[WrittenPayload] | AnswerTable | PayloadTable | None = None
    state: dict[str, StateTable] = Factory(dict)
    fault: list[dict[str, Any]] = Factory(list)
