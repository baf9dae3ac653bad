"""
RemoteAnswer: what a server in another process answers, built one call at a time.

Makes the table that the API expects.  Must not know HTTP.
"""

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Self

from reqresp._text import unknown
from reqresp.expectations.written import wanted
from reqresp.script.rule_parts import PayloadLike, PayloadsLike, PredicateArguments

# pytest shows the line of the test that called, and no frame of this module.
__tracebackhide__ = True


#: The longest name of an expectation, and what a name cannot have.
_MAX_NAME = 60
_UNNAMED = re.compile(r"[^\w .:/+-]")
#: The methods that answer what is no request, by the key of what it is.
_TRIGGERS = {"on": "on_event", "every": "every"}
#: The predicates that a test can name.
_PREDICATES = ("equals", *PredicateArguments.__annotations__)


class RemoteAnswer:
    """
    What a server answers to one kind of request, and how often it expects one.

    Each method adds to the answer and returns it, as those of `reqresp.testing.Expectation` do.
    Without any step, nothing is sent.

    :param table: its kind, its predicates and its name.
    :param where: the line of the test.
    """

    def __init__(self, table: Mapping[str, Any], where: str) -> None:
        self._table = table
        #: The line of the test.
        self.where = where
        #: ``on``, ``expect`` or ``expect_next``.
        self.kind: str = table["kind"]
        #: The predicates as they were written.
        self.wanted = wanted(table)
        #: The number of requests that are expected; None: any number.
        self.times: int | None = None if self.kind == "on" else table.get("times")
        self._steps: tuple[Mapping[str, Any], ...] = ()
        self._cycle: tuple[Any, ...] = ()
        self._others: Mapping[str, Any] = {}

    @property
    def _method(self) -> str:
        """The method that has made it."""
        made = [it for key, it in _TRIGGERS.items() if key in self._table]
        return made[0] if made else self.kind

    @property
    def holds(self) -> bool:
        """Whether its requests wait for the test."""
        return "hold" in self._others

    def _changed(self, method: str) -> None:
        """
        Handle that the *method* of a test has changed it.

        :raises ControlError, ScriptError: it cannot be so; the change is undone.
        """

    def __str__(self) -> str:
        return f"{self.kind} {self.wanted}"

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.table()}>"

    def table(self) -> Mapping[str, Any]:
        """Return the expectation as the API expects it."""
        table = {**self._table, **self._others}
        waits = [it["wait"] for it in self._steps if "wait" in it]
        if not self._cycle:
            return table | ({"do": [*self._steps]} if self._steps else {"silent": True})
        table["cycle"] = [*self._cycle]
        if any(it.keys() - {"wait", "close"} for it in self._steps):
            table["do"] = [*self._steps]  # which the server refuses, with cycle
        if waits:
            table["delay"] = sum(waits)
        return table | ({"close": True} if {"close": True} in self._steps else {})

    def reply(
        self, *payloads: PayloadLike, raw: bool = False, to: str | None = None, **payload: Any
    ) -> Self:
        """
        Send *payloads*, each in a frame of its own.

        :param raw: send them without frames.
        :param to: send them to other clients: ``others``, ``all`` or ``state:NAME``.
        :param payload: one more payload, as a script writes it: ``template="..."``, ``hex="..."``.
        """
        given = [*payloads, payload] if payload else [*payloads]
        whom = {} if to is None else {"to": to}
        return self._add("reply", *({"send": as_payload(it, raw=raw), **whom} for it in given))

    def wait(self, seconds: float) -> Self:
        """Wait for *seconds* before the next step."""
        return self._add("wait", {"wait": seconds})

    def close(self) -> Self:
        """Close the connection after everything has been delivered."""
        return self._add("close", {"close": True})

    def half_close(self) -> Self:
        """Stop sending, and keep receiving."""
        return self._add("half_close", {"half_close": True})

    def abort(self) -> Self:
        """Reset the connection."""
        return self._add("abort", {"abort": True})

    def hang(self) -> Self:
        """Do nothing more, and leave the connection open."""
        return self._add("hang", {"hang": True})

    def stop_reading(self) -> Self:
        """Stop reading from the connection."""
        return self._add("stop_reading", {"stop_reading": True})

    def start_tls(self) -> Self:
        """Encrypt the connection from here on, with the certificate of the service."""
        return self._add("start_tls", {"start_tls": True})

    def forward(self) -> Self:
        """Forward the request to the service's upstream, and send its reply as it came."""
        return self._add("forward", {"forward": True})

    def cycle(self, *replies: PayloadLike | Sequence[PayloadLike] | Mapping[str, Any]) -> Self:
        """Send each of *replies* in turn, then start again; with `wait` and `close` alone."""
        return self._change("cycle", cycle=tuple(as_payloads(it) for it in replies))

    def fault(self, kind: str, **parameters: Any) -> Self:
        """Inject a fault into these replies: a *kind* of a script, with its *parameters*."""
        faults = [*self._others.get("faults", ()), {"kind": kind, **parameters}]
        return self._change("fault", others={**self._others, "faults": faults})

    def goto(self, state: str) -> Self:
        """Set the state of the conversation."""
        return self._other("goto", state)

    def set(self, /, **variables: PayloadLike) -> Self:
        """
        Set variables of the connection before the reply is made, as ``set`` of a script does.

        This answer and those that are added later can name them in templates.

        :param variables: their values by their names: a template, bytes, or a mapping with the keys
            of a script, such as ``{"template": "{name}", "scope": "server"}``.
        """
        given = {name: _variable(value) for name, value in variables.items()}
        return self._other("set", {**self._others.get("set", {}), **given})

    def hold(self) -> Self:
        """Let the request wait, after the other steps, until the test answers it."""
        return self._other("hold", True)

    def _other(self, name: str, value: Any) -> Self:
        return self._change(name, others={**self._others, name: value})

    def _add(self, method: str, *steps: Mapping[str, Any]) -> Self:
        return self._change(method, steps=(*self._steps, *steps))

    def _change(self, method: str, **parts: Any) -> Self:
        """Change *parts*, unless the server refuses that."""
        before = {name: getattr(self, f"_{name}") for name in parts}
        self._set(parts)
        try:
            self._changed(method)
        except BaseException:
            self._set(before)
            raise
        return self

    def _set(self, parts: Mapping[str, Any]) -> None:
        for name, value in parts.items():
            setattr(self, f"_{name}", value)


def expectation_table(
    kind: str,
    equals: PayloadsLike | None,
    predicates: Mapping[str, Any],
    times: int | None,
    where: str,
    trigger: Mapping[str, Any] = MappingProxyType({}),
) -> dict[str, Any]:
    """
    Return an expectation without an answer.

    :param where: the line of the test, which is its name.
    :param trigger: the keys of what it answers, if that is no request.
    """
    name = _UNNAMED.sub("", where)[-_MAX_NAME:].lstrip("_.:/+- ")
    table = {"kind": kind, "name": name, **as_predicates(equals, predicates), **trigger}
    return table if times is None else table | {"times": times}


def timer(seconds: float, jitter: float) -> dict[str, float]:
    """Return the keys of what is sent every so many *seconds*."""
    return {"every": seconds, "jitter": jitter} if jitter else {"every": seconds}


def as_payload(payload: PayloadLike, *, raw: bool = False) -> str | dict[str, Any]:
    """Return *payload* as JSON has it: bytes are text if they are UTF-8, else digits."""
    written = _written(payload) if isinstance(payload, bytes) else payload
    if not isinstance(written, str | Mapping):
        return written  # the server says what is expected
    if not raw:
        return written if isinstance(written, str) else dict(written)
    return {**({"text": written} if isinstance(written, str) else written), "raw": True}


def _written(data: bytes) -> str | dict[str, Any]:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"hex": data.hex()}


def _variable(value: PayloadLike) -> Any:
    """Return the value of a variable as JSON has it; bytes are no template."""
    written = as_payload(value)
    is_text = isinstance(value, bytes) and isinstance(written, str)
    return {"text": written} if is_text else written


def as_payloads(given: Any) -> Any:
    """Return a payload, or each of several, as JSON has it."""
    return (
        [as_payload(it) for it in given] if isinstance(given, list | tuple) else as_payload(given)
    )


def as_predicates(equals: PayloadsLike | None, predicates: Mapping[str, Any]) -> dict[str, Any]:
    """Return the predicates of a test, such as ``on("STAT", size=4)``, as JSON has them."""
    given = dict(predicates) if equals is None else {"equals": equals, **predicates}
    for name in given:
        if name not in _PREDICATES:
            raise TypeError(unknown("predicate", name, _PREDICATES))
    return {name.removesuffix("_"): _predicate(name, value) for name, value in given.items()}


def _predicate(name: str, value: Any) -> Any:
    if name == "not_":
        return as_predicates(None, value)
    if name in ("size", "ignore_case", "when"):
        return [*value] if isinstance(value, tuple) else value
    return as_payloads(value)
