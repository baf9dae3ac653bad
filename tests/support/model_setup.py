"""
What a server of the randomized model answers: framings, replies, and how they are set up.

Framings are encoded by hand, and replies are computed a second time.  It knows no connection.
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
    """What a responder raises on purpose."""


# Framings


@frozen
class Wires:
    """
    A framing, and by hand what it means.

    :param framed: wraps a request.
    :param reply: wraps a reply.
    :param garbage: bytes that no request can begin with.
    :param prefix: what a reply's payload has to begin with.
    """

    framing: Framing
    framed: Callable[[bytes], bytes]
    reply: Callable[[bytes], bytes]
    garbage: bytes = b""
    prefix: bytes = b""

    @property
    def ends_with_lf(self) -> bool:
        """Whether a reply cannot hold an LF."""
        return b"\n" in self.reply(b"")[-1:]


def _line(data: bytes) -> bytes:
    return data + b"\r\n"


def _netstring(data: bytes) -> bytes:
    return b"%d:%b," % (len(data), data)


def _as_it_is(data: bytes) -> bytes:
    return data


TOO_LONG = b"x" * 3 * MAX_REQUEST

WIRES = {
    "line": Wires(Line(), lambda data: data + b"\n", _line, TOO_LONG),
    "line_lf": Wires(Line(b"\n"), _line, lambda data: data + b"\n", TOO_LONG),
    "delimiter": Wires(
        Delimiter(b"|-"), lambda data: data + b"|-", lambda data: data + b"|-", TOO_LONG
    ),
    "netstring": Wires(Netstring(), _netstring, _netstring, b"x:"),
    "int32": Wires(
        LengthPrefix(4),
        lambda data: len(data).to_bytes(4, "big") + data,
        lambda data: len(data).to_bytes(4, "big") + data,
        b"\xff" * 4,
    ),
    "length": Wires(
        LengthField(3, 0, 1, "little"),
        lambda data: (len(data) - 1).to_bytes(3, "little") + data,
        lambda data: (len(data) - 1).to_bytes(3, "little") + data,
        b"\xff" * 3,
    ),
    "fixed": Wires(Mixed(Fixed(6), Line()), _as_it_is, _line),
    "mixed": Wires(Mixed(Netstring(), Delimiter(b";")), _netstring, lambda data: data + b";", b"x"),
    "header_body": Wires(
        HeaderBody(Delimiter(b"\r\n\r\n"), rb"(?m)^Content-LengthField: (\d+)"),
        lambda data: data + b"\r\n\r\n",
        _as_it_is,
        TOO_LONG,
    ),
    "resp": Wires(
        Resp(),
        lambda data: b"*1\r\n$%d\r\n%b\r\n" % (len(data), data),
        _line,
        b"*x\r\n",
        b"+",
    ),
    "resp_inline": Wires(Resp(), _line, _line, b"*x\r\n", b"+"),
    "chunk": Wires(Chunk(), _as_it_is, _as_it_is),
}


# Replies


class Special(Enum):
    """What a reply can be beside steps."""

    LATE = auto()  # it comes when a test lets it
    FAILS = auto()  # the responder, or the framing of what it returned


#: A reply of the model: steps, then perhaps something special.
ModelSteps = tuple[Step | Special, ...]

#: What a request can ask for.  Its first four bytes name it, its last two are a number.
KINDS: dict[str, Callable[[bytes], ModelSteps]] = {
    "echo": lambda it: (Send(it),),
    "many": lambda it: (Send(it + b"1"), Send(b"raw" + it, raw=True), Send(it + b"2")),
    "none": lambda it: (),
    "wait": lambda it: (Send(it), Wait(1)),
    "wmid": lambda it: (Send(it + b"1"), Wait(0.5), Send(it + b"2")),
    "zero": lambda it: (Wait(0), Send(it)),
    "big_": lambda it: (Send(it + b"b" * 30_000),),
    "huge": lambda it: (Send(it + b"h" * 70_000), Send(it + b"h" * 70_000)),
    # Of functions alone.
    "late": lambda it: (Special.LATE,),
    "asyn": lambda it: (Special.LATE,),
    "soon": lambda it: (Send(it),),
    # These end a connection, or much of it.
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
#: What can be asked for very often.
SMALL = ("echo", "many", "none", "zero", "what")
_GOING_ON = ("echo", "many", "none", "wait", "wmid", "zero", "big_", "huge", "late", "asyn", "soon")

#: All that can be asked for, where some replies go on and others do not, the first more often.
NAMES = (*KINDS, *_GOING_ON, *_GOING_ON, "move", "move", "what")

#: What a connection can begin with.
GREETINGS: dict[str, Steps] = {
    "": (),
    "hello": (Send(b"hello"),),
    "slow": (Wait(1), Send(b"hello")),
    "large": (Send(b"g" * 200_000),),
    "last": (Send(b"bye"), Close()),
    "deaf": (Send(b"deaf"), StopReading()),
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
do      = [{{ send = "{prefix}deaf" }}, {{ stop_reading = true }}]

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
    """Greets, then answers as *inner* does."""

    def __init__(self, greeting: Steps, inner: Table) -> None:
        self._greeting, self._inner = greeting, inner

    def greet(self, connection: ConnectionContext) -> Steps:
        return self._greeting

    def respond(self, data: bytes, connection: ConnectionContext) -> Steps | Deferred[Steps]:
        return self._inner.respond(data, connection)

    def constants(self) -> Table | None:
        return self._inner


#: Called with each request that reaches a function, and with the Deferred that it waits for.
Asked = Callable[[Request, "Deferred[Any] | None"], None]


@frozen
class Setup:
    """
    How a server answers.

    :param wires: the key of one of `WIRES`.
    :param answers: "table", "pure" (a table that does no more than send), "fixed", "function" or
        "script".
    :param greeting: the key of one of `GREETINGS`, where a table is to greet.
    :param ends: whether replies may end connections.
    :param faults: some that change no bytes.
    """

    wires: str = "line"
    answers: str = "function"
    greeting: str = ""
    ends: bool = True
    max_waiting: int = 65_536
    idle_timeout: float | None = None
    faults: tuple[Fault, ...] = ()
    kinds: Sequence[str] = field(init=False, eq=False, repr=False)

    @kinds.default
    def _suitable(self) -> Sequence[str]:
        if self.wires == "chunk":
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
    def look(self) -> Wires:
        """The framing, and what it means."""
        return WIRES[self.wires]

    @property
    def limits(self) -> Limits:
        """What clients may use."""
        is_limited = self.wires != "chunk"
        return Limits(
            max_waiting=self.max_waiting,
            idle_timeout=self.idle_timeout,
            **({"max_request": MAX_REQUEST} if is_limited else {}),
        )

    @property
    def _bad_reply(self) -> bytes | None:
        """A reply that cannot be framed, if there is one."""
        if self.wires in ("line", "line_lf", "fixed", "delimiter", "resp", "resp_inline"):
            return b"a\n|-b"
        return None

    def responder(self, asked: Asked) -> Any:
        """Make what answers; a function calls *asked* with each request."""
        prefix = self.look.prefix
        if self.answers == "function" or self.wires == "chunk":
            return self._function(asked)
        if self.answers == "script":
            return _script(prefix)
        if self.answers == "fixed":
            return fixed(prefix + b"response", close_on=b"clos00")
        table = _table(self.answers, prefix, tuple(self.kinds))
        return (
            Greeter(_dressed(GREETINGS[self.greeting], prefix), table) if self.greeting else table
        )

    def _function(self, asked: Asked) -> Callable[[Request], Any]:
        prefix, bad = self.look.prefix, self._bad_reply

        async def wait_for(late: Deferred[Any]) -> Any:
            return await late

        def respond(request: Request) -> Any:
            kind = request.data[:4].decode()
            if self.wires == "chunk":
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
            steps = _dressed(KINDS[kind](request.data), prefix)
            return succeed(steps) if kind == "soon" else steps

        return respond

    # The model

    def greet(self) -> ModelSteps:
        """Return what a connection begins with."""
        if self.answers == "script" and self.wires != "chunk":
            return Wait(0.5), Send(self.look.prefix + b"hello")
        if self.answers in ("table", "pure") and self.wires != "chunk":
            return _dressed(GREETINGS[self.greeting], self.look.prefix)
        return ()

    def reply(self, request: bytes, state: str) -> tuple[ModelSteps, str]:
        """Return what answers *request* in *state*, and the state that follows."""
        if self.answers == "script":
            steps, state = _scripted(request, state)
        elif self.answers == "fixed":
            steps = (Send(b"response"), Close()) if request == b"clos00" else (Send(b"response"),)
        elif self.answers == "pure" and request[:4] not in (b"echo", b"many", b"none"):
            steps = (Send(b"other"),)
        else:
            steps = KINDS[request[:4].decode()](request)
        return _dressed(steps, self.look.prefix), state

    def late(self, request: bytes) -> ModelSteps:
        """Return what answers a *request* that had to wait."""
        return _dressed((Send(b"late " + request),), self.look.prefix)


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
        b"stop": (Send(b"deaf"), StopReading()),
    }.get(kind, (Send(b"what?"),)), state


def _dressed(steps: Any, prefix: bytes) -> tuple[Any, ...]:
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
            replies[request] = _dressed(KINDS[kind](request), prefix)
    return Table(replies, otherwise=prefix + b"other")
