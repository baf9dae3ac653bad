"""
Fakes: a server that a test tells what to expect, and asks what came.

Knows expectations and the journal; how such a server runs is for those that build on it.
"""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypedDict

from attrs import define, evolve, frozen
from twisted.internet.interfaces import IAddress, IReactorTime

from reqresp.behaviour import Behaviour, Plan
from reqresp.entries import Answered, Entry, Unanswered
from reqresp.expectations import Expectations
from reqresp.factory import ReqRespFactory
from reqresp.faults import Fault
from reqresp.framing import Framing, Line, parse_framing
from reqresp.journal import Journal
from reqresp.limits import Limits
from reqresp.messages import Exchange, Request
from reqresp.observer import Observer
from reqresp.predicates import Predicates
from reqresp.responders import Answer, Function, Responder
from reqresp.script import Script
from reqresp.stubs import Expectation, Maker, Payload, as_payload, as_predicates
from reqresp.verdict import conversation, verdict

_PACKAGE = str(Path(__file__).parent)


@frozen
class _Prepared(Plan):
    """A behaviour, ready made."""

    made: Behaviour

    def behaviour(self) -> Behaviour:
        return self.made


@define
class _Asker:
    """A connection as predicates see it."""

    peer: IAddress
    number: int
    taken: int = 1
    notes: Any = None


@define
class _Waiter:
    """Somebody who waits for requests that fit, *missing* so many more."""

    predicates: Predicates
    missing: int
    future: "Future[None]"


class Behaving(TypedDict, total=False):
    """The parameters of `Fake`."""

    respond: Responder | Callable[[Request], Answer] | None
    script: str | Path | Script | None
    framing: str | Framing | None
    greeting: Payload | Sequence[Payload] | None
    ignore_case: bool
    limits: Limits | None
    faults: Sequence[Fault]
    seed: int
    strict: bool


class _Watch(Observer):
    """Tells those who wait."""

    def __init__(self) -> None:
        self.waiters: list[_Waiter] = []

    def received(self, peer: IAddress, connection: int, requests: Sequence[bytes]) -> None:
        asker = _Asker(peer, connection)
        for waiter in [*self.waiters]:
            fits = sum(waiter.predicates.hold(request, asker) for request in requests)
            waiter.missing -= fits
            if waiter.missing <= 0:
                self.waiters.remove(waiter)
                waiter.future.set_result(None)


class Fake:
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
        if isinstance(framing, str):
            framing = parse_framing(framing)
        if respond is not None and not isinstance(respond, Responder):
            respond = Function(respond)
        behaviour = Behaviour(respond or Expectations(None, None), framing or Line())
        if script is not None:
            script = script if isinstance(script, Script) else Script.load(script)
            behaviour = script.behaviour()
            respond = behaviour.responder
        given = {"framing": framing, "limits": limits, "faults": faults or None, "seed": seed}
        behaviour = evolve(
            behaviour,
            **{name: it for name, it in given.items() if it is not None},  # type: ignore[arg-type]  # each has its own type
        )
        self.strict = strict
        self._encode = behaviour.framing.encode
        self._maker = Maker(behaviour.framing, ignore_case, Path())
        rule = None
        if greeting is not None:
            given_ = [greeting] if isinstance(greeting, str | bytes | Mapping) else greeting
            table = {"do": [{"send": as_payload(it)} for it in given_]}
            rule = evolve(self._maker.rule(table, "greeting", _where()), name="greeting")
        self._expectations = Expectations(respond, rule)
        self._journal = Journal(most=1_000_000, most_bytes=2**28)
        self._watch = _Watch()
        self.factory = ReqRespFactory(
            _Prepared(evolve(behaviour, responder=self._expectations)),
            observers=[self._journal, self._watch],
            clock=clock,
        )

    def _call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call *function* where the server runs."""
        return function(*arguments)

    # What is to be

    def on(self, equals: Any = None, **predicates: Any) -> Expectation:
        """
        Answer requests like this as often as they come, or not at all.

        :param equals: what they are; text, bytes, a payload's table, or a list: any of these.
        :param predicates: or another predicate of a script, such as ``starts_with=``; ``not_=``
            takes a dictionary of them; ``when=`` is a state, of which all is the default.
        """
        return self._expect("on", equals, predicates, None)

    def expect(self, equals: Any = None, *, times: int = 1, **predicates: Any) -> Expectation:
        """Expect a request like this so many *times*, whatever comes before and behind it."""
        return self._expect("expect", equals, predicates, times)

    def expect_next(self, equals: Any = None, *, times: int = 1, **predicates: Any) -> Expectation:
        """Expect a request like this behind those that were to come next before it."""
        return self._expect("expect_next", equals, predicates, times)

    def _expect(
        self, kind: str, equals: Any, predicates: dict[str, Any], times: int | None
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
        self._call(found.append, expectation)
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

    def requests(self, equals: Any = None, **predicates: Any) -> list[Request]:
        """Give the requests like this (see `on`) that came so far; left out: all."""
        wanted = self._predicates(equals, predicates)
        return [request for request in _requests(self.entries) if _fits(wanted, request)]

    def conversation(self) -> str:
        """Tell what was asked and answered, one line for each request."""
        return "\n".join(conversation(self.entries, self._encode))

    def when(
        self, equals: Any = None, *, times: int = 1, **predicates: Any
    ) -> "Future[list[Request]]":
        """
        Wait for requests like this, those that came already included.

        :returns: fires with them once there were *times*; ``asyncio.wrap_future`` makes it one
            that can be awaited there.
        """
        wanted = self._predicates(equals, predicates)
        came: Future[None] = Future()
        found: Future[list[Request]] = Future()

        def give(_: object) -> None:
            found.set_result([it for it in _requests(self._journal.entries()) if _fits(wanted, it)])

        def start() -> None:
            missing = times - sum(_fits(wanted, it) for it in _requests(self._journal.entries()))
            came.add_done_callback(give)
            if missing > 0:
                self._watch.waiters.append(_Waiter(wanted, missing, came))
            else:
                came.set_result(None)

        self._call(start)
        return found

    def problems(self) -> str:
        """Tell what was not as expected so far; nothing if all was."""
        arguments = self.name, self._expectations, self.entries, self._encode
        text: str = self._call(lambda: verdict(*arguments, strict=self.strict))
        return text

    def _verify(self) -> None:
        text = self.problems()
        errors = self._expectations.errors
        if text:
            raise AssertionError(text) from (errors[0][1].value if errors else None)

    def _missed(self, equals: Any, predicates: dict[str, Any], times: int, came: int) -> str:
        """Say that requests like this came not as often as was asserted."""
        told = "\n".join(f"  {line}" for line in self.conversation().splitlines())
        wanted = _wanted(equals, predicates)
        return f"reqresp {self.name}: {wanted} came {came} of {times} times\n{told}".rstrip()

    def _predicates(self, equals: Any, predicates: dict[str, Any]) -> Predicates:
        table = {**as_predicates(equals, predicates), "silent": True}
        return self._maker.rule(table, "request", _where()).predicates


def _requests(entries: Sequence[Entry]) -> list[Request]:
    return [
        entry.exchange.request if isinstance(entry, Answered) else entry.request
        for entry in entries
        if isinstance(entry, Answered | Unanswered)
    ]


def _fits(predicates: Predicates, request: Request) -> bool:
    return predicates.hold(request.data, _Asker(request.peer, request.connection, request.number))


def _wanted(equals: Any, predicates: Mapping[str, Any]) -> str:
    first = [json.dumps(equals) if isinstance(equals, str) else repr(equals)] * (equals is not None)
    return ", ".join([*first, *(f"{name}={it!r}" for name, it in predicates.items())]) or "anything"


def _where() -> str:
    """Name the line of whoever called us from outside of this package."""
    frame = sys._getframe()
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
