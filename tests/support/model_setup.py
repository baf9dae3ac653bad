"""
Framings and replies of the randomized model.

Framings are encoded by hand here, independently of the product.  It knows no connection.
"""

from collections.abc import Callable, Sequence
from enum import Enum, auto
from functools import cache
from typing import Any

from attrs import field, frozen
from twisted.internet.defer import Deferred, succeed

from reqresp import (
    Abort,
    Chunk,
    Close,
    ConnectionContext,
    Delimiter,
    Fault,
    Fixed,
    Framing,
    HalfClose,
    Hang,
    HeaderBody,
    LengthField,
    LengthPrefix,
    Limits,
    Line,
    Mixed,
    Netstring,
    Request,
    Resp,
    Responder,
    Script,
    Send,
    Step,
    Steps,
    StopReading,
    Table,
    Wait,
    fixed,
)

#: Requests on one connection are numbered up to this, then from 0 again.
NUMBERS = 10
#: Bytes of a request, at most, where a framing has a limit.
MAX_REQUEST = 100


class ModelError(Exception):
    """The error that a responder raises on purpose."""


# Framings


@frozen
class FramingCase:
    """
    A framing, and its encoding written by hand.

    :param encode_request: return the bytes of a request on the wire.
    :param encode_reply: return the bytes of a reply on the wire.
    :param garbage: bytes that no request can begin with; empty if none exist.
    :param prefix: bytes that each reply's payload must begin with.
    """

    framing: Framing
    encode_request: Callable[[bytes], bytes]
    encode_reply: Callable[[bytes], bytes]
    garbage: bytes = b""
    prefix: bytes = b""

    @property
    def ends_with_lf(self) -> bool:
        """Whether a reply cannot hold an LF."""
        return b"\n" in self.encode_reply(b"")[-1:]


def _line(data: bytes) -> bytes:
    return data + b"\r\n"


def _netstring(data: bytes) -> bytes:
    return b"%d:%b," % (len(data), data)


def _as_it_is(data: bytes) -> bytes:
    return data


TOO_LONG = b"x" * 3 * MAX_REQUEST

FRAMING_CASES = {
    "line": FramingCase(Line(), lambda data: data + b"\n", _line, TOO_LONG),
    "line_lf": FramingCase(Line(b"\n"), _line, lambda data: data + b"\n", TOO_LONG),
    "delimiter": FramingCase(
        Delimiter(b"|-"), lambda data: data + b"|-", lambda data: data + b"|-", TOO_LONG
    ),
    "netstring": FramingCase(Netstring(), _netstring, _netstring, b"x:"),
    "int32": FramingCase(
        LengthPrefix(4),
        lambda data: len(data).to_bytes(4, "big") + data,
        lambda data: len(data).to_bytes(4, "big") + data,
        b"\xff" * 4,
    ),
    "length": FramingCase(
        LengthField(3, 0, 1, "little"),
        lambda data: (len(data) - 1).to_bytes(3, "little") + data,
        lambda data: (len(data) - 1).to_bytes(3, "little") + data,
        b"\xff" * 3,
    ),
    "fixed": FramingCase(Mixed(Fixed(6), Line()), _as_it_is, _line),
    "mixed": FramingCase(
        Mixed(Netstring(), Delimiter(b";")), _netstring, lambda data: data + b";", b"x"
    ),
    "header_body": FramingCase(
        HeaderBody(Delimiter(b"\r\n\r\n"), rb"(?m)^Content-LengthField: (\d+)"),
        lambda data: data + b"\r\n\r\n",
        _as_it_is,
        TOO_LONG,
    ),
    "resp": FramingCase(
        Resp(),
        lambda data: b"*1\r\n$%d\r\n%b\r\n" % (len(data), data),
        _line,
        b"*x\r\n",
        b"+",
    ),
    "resp_inline": FramingCase(Resp(), _line, _line, b"*x\r\n", b"+"),
    "chunk": FramingCase(Chunk(), _as_it_is, _as_it_is),
}


# Replies


class Special(Enum):
    """What a reply can contain besides steps."""

    LATE = auto()  # it comes when a test fires it
    FAILS = auto()  # the responder raises, or its reply cannot be framed


#: A reply of the model: steps, and perhaps something special at its end.
ModelSteps = tuple[Step | Special, ...]

#: Replies by kind.  A request names the kind in its first four bytes, and ends with two digits.
KINDS: dict[str, Callable[[bytes], ModelSteps]] = {
    "echo": lambda it: (Send(it),),
    "many": lambda it: (Send(it + b"1"), Send(b"raw" + it, raw=True), Send(it + b"2")),
    "none": lambda it: (),
    "wait": lambda it: (Send(it), Wait(1)),
    "wmid": lambda it: (Send(it + b"1"), Wait(0.5), Send(it + b"2")),
    "zero": lambda it: (Wait(0), Send(it)),
    "big_": lambda it: (Send(it + b"b" * 30_000),),
    "huge": lambda it: (Send(it + b"h" * 70_000), Send(it + b"h" * 70_000)),
    # Only functions have these.
    "late": lambda it: (Special.LATE,),
    "asyn": lambda it: (Special.LATE,),
    "soon": lambda it: (Send(it),),
    # These end a connection, or a part of it.
    "clos": lambda it: (Send(it), Close()),
    "clow": lambda it: (Send(it), Wait(1), Close(), Send(b"never")),
    "bcls": lambda it: (Send(it + b"c" * 100_000), Close()),
    "half": lambda it: (Send(it), HalfClose(), Send(b"never")),
    "halw": lambda it: (Send(it), HalfClose(), Wait(1), Close()),
    "bhlf": lambda it: (Send(it + b"c" * 100_000), HalfClose()),
    "hang": lambda it: (Send(it), Hang(), Send(b"never")),
    "stop": lambda it: (StopReading(), Send(it)),
    "abrt": lambda it: (Send(it), Abort(), Send(b"never")),
    "babr": lambda it: (Send(it + b"a" * 100_000), Abort()),
    "fail": lambda it: (Special.FAILS,),
    "type": lambda it: (Special.FAILS,),
    "bad_": lambda it: (Send(it), Special.FAILS),
}
_BY_FUNCTIONS = ("late", "asyn", "soon", "fail", "type", "bad_")
#: Kinds whose replies are small and quick.
SMALL = ("echo", "many", "none", "zero", "what")
_GOING_ON = ("echo", "many", "none", "wait", "wmid", "zero", "big_", "huge", "late", "asyn", "soon")

#: Kinds to choose from; those after which a connection goes on stand here more often.
NAMES = (*KINDS, *_GOING_ON, *_GOING_ON, "move", "move", "what")

#: Greetings by name.
GREETINGS: dict[str, Steps] = {
    "": (),
    "hello": (Send(b"hello"),),
    "slow": (Wait(1), Send(b"hello")),
    "large": (Send(b"g" * 200_000),),
    "last": (Send(b"bye"), Close()),
    "ignore": (Send(b"ignore"), StopReading()),
}

_SCRIPT = """
[greeting]
reply = "{prefix}hello"
delay = 0.5

[[rule]]
when    = "*"
matches = '(?P<it>echo..)'
reply   = {{ template = "{prefix}{{it}}" }}

[[rule]]
when    = "*"
matches = '(?P<it>wait..)'
reply   = {{ template = "{prefix}{{it}}" }}
delay   = 1

[[rule]]
matches = '(?P<it>move..)'
reply   = {{ template = "{prefix}{{it}} there" }}
goto    = "moved"

[[rule]]
when    = "moved"
matches = '(?P<it>move..)'
reply   = {{ template = "{prefix}{{it}} back" }}
delay   = 0.5
goto    = "start"

[[rule]]
when    = "*"
matches = '(?P<it>clos..)'
reply   = {{ template = "{prefix}{{it}}" }}
close   = true

[[rule]]
when    = "*"
matches = '(?P<it>half..)'
do      = [{{ send = {{ template = "{prefix}{{it}}" }} }}, {{ half_close = true }}]

[[rule]]
when    = "*"
starts_with = "hang"
do      = [{{ hang = true }}]

[[rule]]
when    = "*"
starts_with = "stop"
do      = [{{ send = "{prefix}ignore" }}, {{ stop_reading = true }}]

[[rule]]
when    = "moved"
starts_with = "none"
silent  = true

[unmatched]
reply   = "{prefix}what?"
"""


@cache
def _script(prefix: bytes) -> Script:
    return Script.parse(_SCRIPT.format(prefix=prefix.decode()))


class Greeter(Responder):
    """Greets each client, then answers as *inner* does."""

    def __init__(self, greeting: Steps, inner: Table) -> None:
        self._greeting, self._inner = greeting, inner

    def greet(self, connection: ConnectionContext) -> Steps:
        return self._greeting

    def respond(self, data: bytes, connection: ConnectionContext) -> Steps | Deferred[Steps]:
        return self._inner.respond(data, connection)

    def constants(self) -> Table | None:
        return self._inner


#: Called with each request that a function receives, and the Deferred that its reply waits for.
Asked = Callable[[Request, "Deferred[Any] | None"], None]


@frozen
class Setup:
    """
    How a server answers, by names that hypothesis can choose and print.

    :param framing: the key of one of `FRAMING_CASES`.
    :param answers: "table", "pure" (a table that does no more than send), "fixed", "function" or
        "script".
    :param greeting: the key of one of `GREETINGS`, where a table is to greet.
    :param ends: whether a reply may end its connection.
    :param faults: only those that change no bytes.
    """

    framing: str = "line"
    answers: str = "function"
    greeting: str = ""
    ends: bool = True
    max_waiting: int = 65_536
    idle_timeout: float | None = None
    faults: tuple[Fault, ...] = ()
    kinds: Sequence[str] = field(init=False, eq=False, repr=False)

    @kinds.default
    def _suitable(self) -> Sequence[str]:
        if self.framing == "chunk":
            return ("echo",)
        if self.answers == "script":
            ends = ("clos", "half", "hang", "stop") if self.ends else ()
            return ("echo", "wait", "move", "none", "what", *ends)
        if self.answers == "pure":
            return ("echo", "many", "none", "wait")
        if self.answers == "fixed":
            return ("echo", "none", "clos") if self.ends else ("echo", "none")
        kinds = [*KINDS] if self.ends else [*_GOING_ON]
        if self.answers == "table":
            return [kind for kind in kinds if kind not in _BY_FUNCTIONS]
        if self._bad_reply is None:
            kinds = [kind for kind in kinds if kind != "bad_"]
        return kinds

    @property
    def case(self) -> FramingCase:
        """The framing and its encoding."""
        return FRAMING_CASES[self.framing]

    @property
    def limits(self) -> Limits:
        """The limits of the server."""
        is_limited = self.framing != "chunk"
        return Limits(
            max_waiting=self.max_waiting,
            idle_timeout=self.idle_timeout,
            **({"max_request": MAX_REQUEST} if is_limited else {}),
        )

    @property
    def _bad_reply(self) -> bytes | None:
        """A reply that cannot be framed, or None if all can."""
        if self.framing in ("line", "line_lf", "fixed", "delimiter", "resp", "resp_inline"):
            return b"a\n|-b"
        return None

    def responder(self, asked: Asked) -> Any:
        """Return the responder or function; a function calls *asked* with each request."""
        prefix = self.case.prefix
        if self.answers == "function" or self.framing == "chunk":
            return self._function(asked)
        if self.answers == "script":
            return _script(prefix)
        if self.answers == "fixed":
            return fixed(prefix + b"response", close_on=b"clos00")
        table = _table(self.answers, prefix, tuple(self.kinds))
        return (
            Greeter(_prefixed(GREETINGS[self.greeting], prefix), table) if self.greeting else table
        )

    def _function(self, asked: Asked) -> Callable[[Request], Any]:
        prefix, bad = self.case.prefix, self._bad_reply

        async def wait_for(late: Deferred[Any]) -> Any:
            return await late

        def respond(request: Request) -> Any:
            kind = request.data[:4].decode()
            if self.framing == "chunk":
                asked(request, None)
                return request.data
            late: Deferred[Any] | None = Deferred() if kind in ("late", "asyn") else None
            asked(request, late)
            if late is not None:
                return late if kind == "late" else wait_for(late)
            if kind == "fail":
                raise ModelError(request)
            if kind == "type":
                return 3
            if kind == "bad_":
                return prefix + request.data, bad
            steps = _prefixed(KINDS[kind](request.data), prefix)
            return succeed(steps) if kind == "soon" else steps

        return respond

    # The model

    def greet(self) -> ModelSteps:
        """Return the steps of the greeting."""
        if self.answers == "script" and self.framing != "chunk":
            return Wait(0.5), Send(self.case.prefix + b"hello")
        if self.answers in ("table", "pure") and self.framing != "chunk":
            return _prefixed(GREETINGS[self.greeting], self.case.prefix)
        return ()

    def reply(self, request: bytes, state: str) -> tuple[ModelSteps, str]:
        """Return the reply to *request* in *state*, and the state that follows."""
        if self.answers == "script":
            steps, state = _scripted(request, state)
        elif self.answers == "fixed":
            steps = (Send(b"response"), Close()) if request == b"clos00" else (Send(b"response"),)
        elif self.answers == "pure" and request[:4] not in (b"echo", b"many", b"none"):
            steps = (Send(b"other"),)
        else:
            steps = KINDS[request[:4].decode()](request)
        return _prefixed(steps, self.case.prefix), state

    def late(self, request: bytes) -> ModelSteps:
        """Return the reply to a *request* whose Deferred has fired."""
        return _prefixed((Send(b"late " + request),), self.case.prefix)


def _scripted(request: bytes, state: str) -> tuple[ModelSteps, str]:
    kind = request[:4]
    if kind == b"move":
        if state == "start":
            return (Send(request + b" there"),), "moved"
        return (Wait(0.5), Send(request + b" back")), "start"
    if kind == b"none":
        return ((Send(b"what?"),) if state == "start" else ()), state
    return {
        b"echo": (Send(request),),
        b"wait": (Wait(1), Send(request)),
        b"clos": (Send(request), Close()),
        b"half": (Send(request), HalfClose()),
        b"hang": (Hang(),),
        b"stop": (Send(b"ignore"), StopReading()),
    }.get(kind, (Send(b"what?"),)), state


def _prefixed(steps: Any, prefix: bytes) -> tuple[Any, ...]:
    return tuple(
        Send(prefix + step.data) if isinstance(step, Send) and not step.raw else step
        for step in steps
    )


@cache
def _table(answers: str, prefix: bytes, kinds: tuple[str, ...]) -> Table:
    if answers == "pure":
        kinds = ("echo", "many", "none")
    replies: dict[bytes, Any] = {}
    for kind in kinds:
        for number in range(NUMBERS):
            request = b"%b%02d" % (kind.encode(), number)
            replies[request] = _prefixed(KINDS[kind](request), prefix)
    return Table(replies, otherwise=prefix + b"other")
