"""
Arguments of test servers: their names and types, and which exclude each other.

Must not know what a server does with them.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypedDict

from reqresp._errors import Expected, check_types
from reqresp._text import unknown
from reqresp.expectations.unused import UnusedAction
from reqresp.faults import DirectedFault, Fault
from reqresp.framing import Framing, is_framing
from reqresp.recording.replay import Replay
from reqresp.script import Script
from reqresp.script.rule_parts import PayloadLike
from reqresp.script.rules import StateScope
from reqresp.server.config import TYPES, Source, is_function
from reqresp.server.functions import Answer
from reqresp.server.limits import Limits
from reqresp.server.responders import Responder, Table
from reqresp.steps import Request
from reqresp.testing._forwarded import UpstreamLike
from reqresp.testing._recording import RecordMode
from reqresp.testing._replayed import as_replay

#: What was recorded has its own framing, greeting and order; what cannot be given beside it.
_EXCLUDED = {
    "replay": ("framing", "greeting", "ordered", "upstream"),
    "recording": ("framing", "greeting", "ordered", "respond", "script", "replay"),
}


def _are_patterns(given: object) -> bool:
    return isinstance(given, list | tuple) and all(isinstance(it, str) for it in given)


def _is_path(given: object) -> bool:
    return isinstance(given, str | Path)


def _is_port(given: object) -> bool:
    return isinstance(given, int) and not isinstance(given, bool) and 0 <= given < 2**16


#: What arguments can be that nothing else checks.
_TYPES: Mapping[str, Expected] = {
    **TYPES,
    "framing": (
        "the name of a framing, or a Framing",
        lambda it: isinstance(it, str) or is_framing(it),
    ),
    "host": ("an address such as '127.0.0.1'", lambda it: isinstance(it, str)),
    "ignore": ("a list of patterns", _are_patterns),
    "ignore_case": TYPES["ordered"],
    "port": ("a port from 0 to 65535", _is_port),
    "recording": ("a path", _is_path),
    "redact": ("a list of patterns", _are_patterns),
    "replay": ("a path, or a Replay", lambda it: _is_path(it) or isinstance(it, Replay)),
    "respond": (
        "a function or a Responder",
        lambda it: isinstance(it, Responder) or is_function(it),
    ),
    "script": ("a path, or a Script", lambda it: _is_path(it) or isinstance(it, Script)),
    "strict": TYPES["ordered"],
}

# As in _base.
__tracebackhide__ = True


class ServerArguments(TypedDict, total=False):
    """The keyword arguments of `BaseServer`."""

    respond: Responder | Callable[[Request], Answer] | None
    script: str | Path | Script | None
    replay: str | Path | Replay | None
    unused: UnusedAction
    upstream: UpstreamLike | None
    recording: str | Path | None
    record: RecordMode
    ignore: Sequence[str]
    redact: Sequence[str]
    framing: str | Framing | None
    greeting: PayloadLike | Sequence[PayloadLike] | None
    ignore_case: bool
    limits: Limits | None
    faults: Sequence[Fault | DirectedFault]
    seed: int | None
    ordered: bool | None
    state_scope: StateScope | None
    strict: bool


def check_names(arguments: Mapping[str, object], *own: str) -> None:
    """
    Check the names of the *arguments* of a server that takes those of `BaseServer` and its *own*.

    :raises TypeError: an argument is unknown; the message has a similar one.
    """
    known = (*ServerArguments.__annotations__, *own)
    for name in arguments:
        if name not in known:
            raise TypeError(unknown("argument", name, known))


def check_one(**given: object) -> None:
    """
    Check that at most one of *given* is given.

    :raises TypeError: more than one of *given* is not None.
    """
    names = [name for name, value in given.items() if value is not None]
    if len(names) > 1:
        raise TypeError(f"expected one of {', '.join(given)}; found {' and '.join(names)}")


def check_arguments(**given: object) -> None:
    """
    Check the types of the arguments *given*.

    :raises TypeError: one is neither None nor what it can be; the message names it.
    """
    check_types(_TYPES, given)


def check_sources(**given: object) -> None:
    """
    Check that at most one of the arguments *given* says what answers, and how.

    :raises TypeError: two of them exclude each other.
    """
    check_one(**{name: given[name] for name in ("respond", "script", "replay")})
    for name, others in _EXCLUDED.items():
        if given[name] is not None:
            check_one(**{it: given[it] for it in (name, *others)})


def source_of(
    respond: Responder | Callable[[Request], Answer] | None,
    script: str | Path | Script | None,
    replay: str | Path | Replay | None,
) -> Source:
    """Return what answers requests that no expectation matches."""
    if replay is not None:
        return as_replay(replay)
    if script is None:
        return Table({}) if respond is None else respond
    return script if isinstance(script, Script) else Script.load(script)
