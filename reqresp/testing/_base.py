"""
Fakes: a server that a test tells what to expect, and asks what came.

Knows expectations and the journal; how such a server runs is for those that build on it.
"""

import contextlib
import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypedDict, Unpack

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from reqresp.exchanges import Exchange
from reqresp.faults.faults import Fault
from reqresp.framing import Framing, Line, parse_framing
from reqresp.journal import Answered, Entry, Journal
from reqresp.script.loader import Script
from reqresp.script.predicates import Predicates
from reqresp.script.rules import Rule
from reqresp.server.config import Source, resolve
from reqresp.server.factory import ReqRespFactory
from reqresp.server.limits import Limits
from reqresp.server.responders import Answer, Responder, Table
from reqresp.steps import Request
from reqresp.testing._expectation import (
    Expectation,
    Maker,
    Payload,
    Payloads,
    Predicating,
    as_payload,
    as_predicates,
)
from reqresp.testing._report import conversation, last_lines, verdict
from reqresp.testing._responder import ExpectationResponder
from reqresp.testing._waiters import Waiters, fits, requests

#: Where no test stands: this package, and what runs its context managers.
_NO_TEST = (str(Path(__file__).parent) + os.sep, contextlib.__file__)


class Behaving(TypedDict, total=False):
    """The parameters of `BaseServer`."""

    respond: Responder | Callable[[Request], Answer] | None
    script: str | Path | Script | None
    framing: str | Framing | None
    greeting: Payload | Sequence[Payload] | None
    ignore_case: bool
    limits: Limits | None
    faults: Sequence[Fault]
    seed: int
    strict: bool


class BaseServer:
    """
    What all servers of tests have in common.

    :param respond: answers what nothing else is said about, as for `ReqRespFactory`.
    :param script: the same, as a script says: a path, or a `Script`.
    :param framing: as ``--framing`` has it, or a `Framing`; left out: the script's, or lines.
    :param greeting: what is sent when a client connects.
    :param faults: strike every reply.
    :param seed: all chance comes from it.
    :param strict: what nobody expected makes the test fail.
    """

    #: What it is called in messages.
    name = "server"

    def __init__(
        self,
        clock: IReactorTime,
        *,
        respond: Responder | Callable[[Request], Answer] | None = None,
        script: str | Path | Script | None = None,
        framing: str | Framing | None = None,
        greeting: Payload | Sequence[Payload] | None = None,
        ignore_case: bool = False,
        limits: Limits | None = None,
        faults: Sequence[Fault] = (),
        seed: int = 0,
        strict: bool = True,
    ) -> None:
        if respond is not None and script is not None:
            raise TypeError("respond and script exclude each other")
        if framing is None and script is None:
            framing = Line()
        config = resolve(
            _source(respond, script),
            framing=parse_framing(framing) if isinstance(framing, str) else framing,
            limits=limits,
            faults=faults or None,
            seed=seed,
        )
        self.strict = strict
        self._encode = config.framing.encode
        self._maker = Maker(config.framing, ignore_case, Path())
        otherwise = None if respond is None and script is None else config.responder
        self._expectations = ExpectationResponder(otherwise, self._greeting(greeting), self._encode)
        self._journal = Journal(most=1_000_000, most_bytes=2**28)
        self._watch = Waiters(self._journal)
        self.factory = ReqRespFactory(
            evolve(config, responder=self._expectations),
            observers=[self._journal, self._watch, self._expectations],
            clock=clock,
        )

    def _greeting(self, greeting: Payload | Sequence[Payload] | None) -> Rule | None:
        if greeting is None:
            return None
        given = [greeting] if isinstance(greeting, str | bytes | Mapping) else greeting
        table = {"do": [{"send": as_payload(it)} for it in given]}
        return evolve(self._maker.rule(table, "greeting", _where()), name="greeting")

    def _call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call *function* where the server runs."""
        return function(*arguments)

    # What is to be

    def on(self, equals: Payloads | None = None, **predicates: Unpack[Predicating]) -> Expectation:
        """
        Answer requests like this as often as they come, or not at all.

        :param equals: what they are; text, bytes, a payload's table, or a list: any of these.
        :param predicates: or another predicate of a script, such as ``starts_with=``; ``not_=``
            takes a dictionary of them; ``when=`` is a state, of which all is the default.
        """
        return self._expect("on", equals, predicates, None)

    def expect(
        self, equals: Payloads | None = None, *, times: int = 1, **predicates: Unpack[Predicating]
    ) -> Expectation:
        """Expect a request like this so many *times*, whatever comes before and behind it."""
        return self._expect("expect", equals, predicates, times)

    def expect_next(
        self, equals: Payloads | None = None, *, times: int = 1, **predicates: Unpack[Predicating]
    ) -> Expectation:
        """Expect a request like this behind those that were to come next before it."""
        return self._expect("expect_next", equals, predicates, times)

    def _expect(
        self, kind: str, equals: Payloads | None, predicates: Mapping[str, Any], times: int | None
    ) -> Expectation:
        found = self._expectations.expectations
        expectation = Expectation(
            kind,
            f"{kind}[{len(found)}]",
            _where(),
            _wanted(equals, predicates),
            as_predicates(equals, predicates),
            times,
            self._maker,
        )
        found.append(expectation)  # at once, whatever the server does: handlers may do so, too
        return expectation

    # What was

    @property
    def entries(self) -> list[Entry]:
        """All that happened so far."""
        found: list[Entry] = self._call(self._journal.entries)
        return found

    @property
    def exchanges(self) -> list[Exchange]:
        """The requests that were answered so far, with their replies."""
        return [entry.exchange for entry in self.entries if isinstance(entry, Answered)]

    def requests(
        self, equals: Payloads | None = None, **predicates: Unpack[Predicating]
    ) -> list[Request]:
        """Give the requests like this (see `on`) that came so far; left out: all."""
        wanted = self._predicates(equals, predicates)
        return [request for request in requests(self.entries) if fits(wanted, request)]

    def conversation(self) -> str:
        """Tell what was asked and answered, one line for each request."""
        return "\n".join(conversation(self.entries, self._encode))

    def when(
        self, equals: Payloads | None = None, *, times: int = 1, **predicates: Unpack[Predicating]
    ) -> "Future[list[Request]]":
        """
        Wait for requests like this, those that came already included.

        :returns: fires with them once there were *times*; ``asyncio.wrap_future`` makes it one
            that can be awaited there.
        """
        wanted = self._predicates(equals, predicates)
        found: Future[list[Request]] = self._call(self._watch.when, wanted, times)
        return found

    def problems(self) -> str:
        """Tell what was not as expected so far; nothing if all was."""
        text: str = self._call(self._problems)
        return text

    def report(self) -> str:
        """Tell the same and what handlers raised, or else the conversation so far."""
        raised = [
            "".join(traceback.format_exception(error)).rstrip()
            for _, error in self._expectations.errors
        ]
        return "\n".join([self.problems() or "\n".join(self._last_lines()), *raised])

    def _last_lines(self) -> list[str]:
        return last_lines(self.entries, self._encode, self._journal.dropped)

    def _problems(self) -> str:
        journal = self._journal
        return verdict(
            self.name,
            self._expectations,
            journal.entries(),
            self._encode,
            strict=self.strict,
            dropped=journal.dropped,
        )

    @property
    def _is_settled(self) -> bool:
        """Whether all that was expected came and all that came was asked, or nobody is there."""
        met = all(it.is_met for it in self._expectations.expectations)
        connections = self.factory.connections
        return not connections or (met and not any(it.is_busy for it in connections))

    def _disconnect(self) -> Deferred[None]:
        """Reset all connections; fires when they are gone."""
        for connection in [*self.factory.connections]:
            connection.transport.abortConnection()
        return self.factory.drain(0)

    def _verify(self) -> None:
        __tracebackhide__ = True  # the test's line is what matters
        text = self.problems()
        errors = self._expectations.errors
        if text:
            raise AssertionError(text) from (errors[0][1] if errors else None)

    def _missed(
        self, equals: Payloads | None, predicates: Mapping[str, Any], times: int, came: int
    ) -> str:
        """Say that requests like this came not as often as was asserted."""
        told = "\n".join(f"  {line}" for line in self._last_lines())
        wanted = _wanted(equals, predicates)
        return f"reqresp {self.name}: {wanted} came {came} of {times} times\n{told}".rstrip()

    def _predicates(self, equals: Payloads | None, predicates: Mapping[str, Any]) -> Predicates:
        if "when" in predicates:
            raise TypeError("when= says in which state something is answered, not what was asked")
        table = {**as_predicates(equals, predicates), "silent": True}
        return self._maker.rule(table, "request", _where()).predicates


def _source(
    respond: Responder | Callable[[Request], Answer] | None, script: str | Path | Script | None
) -> Source:
    if script is None:
        return Table({}) if respond is None else respond
    return script if isinstance(script, Script) else Script.load(script)


def _wanted(equals: Payloads | None, predicates: Mapping[str, Any]) -> str:
    first = [json.dumps(equals) if isinstance(equals, str) else repr(equals)] * (equals is not None)
    return ", ".join([*first, *(f"{name}={it!r}" for name, it in predicates.items())]) or "anything"


def _where() -> str:
    """Name the line of whoever called us from outside of this package."""
    frame = sys._getframe()
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_NO_TEST):
        frame = frame.f_back
    return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
