"""
BaseServer: what all test servers have in common: expectations, and what was received.

Knows expectations and the journal.  Must not know how the server runs: subclasses do.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack, cast

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from reqresp.exchanges import Exchange
from reqresp.expectations.futures import AwaitableFuture
from reqresp.expectations.report import Findings, describe, report_or_error
from reqresp.expectations.responder import ExpectationResponder
from reqresp.expectations.results import Results
from reqresp.expectations.settling import is_settled, unfinished
from reqresp.expectations.unused import UnusedAction
from reqresp.expectations.waiters import Waiters, matches, requests_among
from reqresp.faults import DirectedFault, Direction, Fault
from reqresp.framing import Framing, Line, parse_framing
from reqresp.journal import Answered, Entry, Journal
from reqresp.recording.replay import Replay
from reqresp.script import Script
from reqresp.script.predicates import Predicates
from reqresp.script.rule import EVERY_STATE
from reqresp.script.rule_parts import PayloadLike, PayloadsLike, PredicateArguments, RuleParts
from reqresp.script.rules import Rules, StateScope
from reqresp.server.config import ServerConfig, resolve
from reqresp.server.factory import ReqRespFactory
from reqresp.server.front_factory import FrontFactory, front_of
from reqresp.server.functions import Answer
from reqresp.server.limits import Limits
from reqresp.server.observers import Observer
from reqresp.server.responders import Responder, Table
from reqresp.server.state_properties import PropertyArguments
from reqresp.steps import Request
from reqresp.testing._arguments import check_arguments, check_sources, source_of
from reqresp.testing._connections import ServerConnections
from reqresp.testing._expectation import (
    ErrorsWithLine,
    Expectation,
    as_predicates,
    greeting_rule,
)
from reqresp.testing._expectation_maker import ExpectationMaker
from reqresp.testing._faults import ServerFault, ServerFaults, divide_faults
from reqresp.testing._forwarded import Forwarded, UpstreamLike, knows_upstreams
from reqresp.testing._held import HeldRequest, HeldRequests
from reqresp.testing._recording import RecordingFile, RecordMode
from reqresp.testing._replayed import Replayed

#: The number of seconds that a test waits for what it asserts, by default.
ASSERT_TIMEOUT = 1.0
#: The number of entries that a test server remembers, and their bytes.
MAX_REMEMBERED_ENTRIES = 1_000_000
MAX_REMEMBERED_BYTES = 2**28

# pytest shows the line of the test that called, and no frame of this module.
__tracebackhide__ = True


class BaseServer:
    """
    A server that answers as a test says, and records what it receives.

    :param respond: answers requests that no expectation matches: a `Responder`, or a function as
        for `ReqRespFactory`.
    :param script: answers requests that no expectation matches: a `Script`, or its path.
    :param replay: answers as was recorded: a `Replay`, or the path of a recording.
    :param unused: what happens at the end of a test if *replay* has conversations, or parts of
        them, that no client has asked for: ``"warn"``, ``"fail"`` or ``"ignore"``.
    :param upstream: a real service: a host and a port, ``"HOST:PORT"``, ``"unix:PATH"``, or
        `UpstreamSettings`.  Without *respond*, *script* and *framing*, all bytes of clients are
        forwarded to it; with one of them, the requests that an answer forwards.  A client that
        cannot reach it makes the test fail.  It replaces the upstream of *script*.
    :param recording: a file.  If it exists, it is replayed, and no connection is made to
        *upstream*.  If not, it is recorded, and kept if the test passes.
    :param record: when it is recorded: ``"once"``, ``"none"`` (never), ``"all"`` (always, added to
        the file) or ``"rewrite"`` (always, in place of the file).
    :param ignore: patterns of RE2 for what clients may send otherwise than in *recording*.
    :param redact: patterns of RE2 for what is not recorded.
    :param framing: a `Framing`, or its name as for ``--framing``; None: the script's, or lines.
    :param greeting: the payload or payloads that are sent when a client connects.
    :param ignore_case: the default of ``ignore_case`` for all predicates.
    :param limits: replace those of the script.
    :param faults: are injected into every reply; `DirectedFault` values apply to a direction.
    :param seed: the source of all randomness in faults; None: the script's, or 0.
    :param ordered: whether replies leave in the order of their requests; None: as *script* says, or
        true.  If not, a reply that waits, or that the test holds, is overtaken by others.
    :param state_scope: ``server``: all connections are in one state; ``connection``: each has its
        own; None: as *script* says, or each.
    :param strict: whether an unanswered, malformed or unfinished request makes the test fail.
    :raises TypeError: more than one of *respond*, *script* and *replay* is given, or
        something with a *replay*, *upstream* or *recording* that cannot be combined with it.
    :raises MissingRecordingError: *recording* does not exist, and *record* is ``"none"``.
    :raises ScriptError: *script* has problems, or *greeting* is not usable.
    :raises RecordingError: *replay* has problems.
    :raises ValueError: another argument is not usable; the message names it.
    """

    #: The server's name in messages.
    name = "server"

    def __init__(
        self,
        clock: IReactorTime,
        *,
        respond: Responder | Callable[[Request], Answer] | None = None,
        script: str | Path | Script | None = None,
        replay: str | Path | Replay | None = None,
        unused: UnusedAction = "warn",
        upstream: UpstreamLike | None = None,
        recording: str | Path | None = None,
        record: RecordMode = "once",
        ignore: Sequence[str] = (),
        redact: Sequence[str] = (),
        framing: str | Framing | None = None,
        greeting: PayloadLike | Sequence[PayloadLike] | None = None,
        ignore_case: bool = False,
        limits: Limits | None = None,
        faults: Sequence[Fault | DirectedFault] = (),
        seed: int | None = None,
        ordered: bool | None = None,
        state_scope: StateScope | None = None,
        strict: bool = True,
    ) -> None:
        how = {"framing": framing, "ordered": ordered, "recording": recording}
        sources = {"respond": respond, "script": script, "replay": replay}
        check_arguments(**how, **sources, faults=faults, limits=limits, seed=seed)
        check_arguments(ignore=ignore, ignore_case=ignore_case, redact=redact, strict=strict)
        check_sources(**how, **sources, greeting=greeting, upstream=upstream)
        with ErrorsWithLine():
            self._recording = RecordingFile.of(recording, record, ignore, redact)
            if self._recording is not None and self._recording.is_replayed:
                replay, upstream = self._recording.replay(), None
            if script is not None and not isinstance(script, Script):
                script = Script.load(script)
            self._script = script
            forwarded = Forwarded.of(upstream, script, clock, respond, framing, greeting)
            is_relay = forwarded is not None and forwarded.is_relay
            is_recorded = self._recording is not None
            replies, streams = divide_faults(faults, is_relay=is_relay, is_recorded=is_recorded)
            if script is not None and script.is_relay and limits is None:
                limits = script.limits
            config = resolve(
                None if is_relay else source_of(respond, script, replay),
                framing=parse_framing(framing) if isinstance(framing, str) else framing,
                limits=limits,
                faults=[*replies, *(() if is_relay else streams)] or None,
                seed=seed,
                ordered=ordered,
                default=ServerConfig(Table({}), framing=Line(), seed=0),
            )
            self._replayed = Replayed(config.responder, unused)
        self.strict = strict
        self._encode = config.framing.encode
        self._parts = RuleParts(config.framing, ignore_case, forwards=forwarded is not None)
        has_source = any(it is not None for it in (respond, script, replay)) and not is_relay
        fallback = config.responder if has_source else None
        self._results = Results()
        responder = ExpectationResponder(
            self._results, fallback, greeting_rule(self._parts, greeting), self._encode
        )
        self._states = responder.states
        self._journal = Journal(most=MAX_REMEMBERED_ENTRIES, most_bytes=MAX_REMEMBERED_BYTES)
        self._waiters = Waiters(self._journal)
        self._held = HeldRequests(
            self._parts, self._call, lambda: cast(ReqRespFactory, self.factory).framings()
        )
        self._maker = ExpectationMaker(
            self._results, self._states, self._parts, self._held.hold, self._check_requests
        )
        observers: list[Observer] = [self._journal, self._waiters, self._results]
        if recording is not None and upstream is None and replay is None:
            raise TypeError(f"expected upstream, to record {recording} from; found none")
        if forwarded is not None:
            forwarded.faults = [*forwarded.faults, *streams]
            observers.append(forwarded)
            if self._recording is not None:
                observers.append(self._recording.recorder(clock, forwarded.name))
        make = ReqRespFactory if forwarded is None else forwarded.make_factory
        self._forwarded = forwarded
        if state_scope is not None:
            self._check_requests("state_scope")
            with ErrorsWithLine():
                self._states.use_scope(state_scope)
        config = evolve(config, responder=responder)
        self.factory: FrontFactory = make(config, observers=observers, clock=clock)
        self._faults = ServerFaults(self.factory, self._call, is_recorded=is_recorded)
        where = self.factory, self._call, self._journal.entries
        #: The open connections; also those to come, and how many there were.
        self.connections = ServerConnections(*where, self._parts, self._waiters, self._states)
        #: Send to one client, or to several: see `ServerConnections`.
        self.push, self.broadcast = self.connections.push, self.connections.broadcast

    def keep_recording(self) -> None:
        """
        Put what is being recorded into its file once the server ends: the test has passed.

        The fixture and `serve` call this.  It does nothing if nothing is being recorded.
        """
        if self._recording is not None:
            self._recording.keep()

    def _finish_recording(self) -> None:
        """Stop recording; the file gets its place if it is wanted."""
        if self._recording is not None:
            self._recording.finish(self._call)

    def __repr__(self) -> str:
        expectations = self._results.expectations
        unmet = sum(not it.is_met for it in expectations)
        return (
            f"<{type(self).__name__} {self.name}: {self._condition},"
            f" {len(expectations)} expectations, {unmet} of them unmet>"
        )

    @property
    def _condition(self) -> str:
        """Whether it listens, for `__repr__`."""
        return "listening"

    def _call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call *function* where the server runs, and return its result."""
        return function(*arguments)

    # What is expected

    def on(
        self, equals: PayloadsLike | None = None, **predicates: Unpack[PredicateArguments]
    ) -> Expectation:
        """
        Answer matching requests, any number of them; the latest one that matches answers.

        One for some states is tried before those for all, and one without predicates after those
        with some.

        :param equals: the whole request: text, bytes or a script's payload; a list is any of them.
        :param predicates: other predicates of a script, such as ``starts_with=``; ``not_`` is a
            dictionary of predicates, and ``when`` is a state or a list of states (default: all).
        :raises ScriptError: a value is not usable.
        :raises TypeError: a predicate is unknown.
        """
        return self._maker.add("on", equals, predicates, None)

    def expect(
        self,
        equals: PayloadsLike | None = None,
        *,
        times: int = 1,
        **predicates: Unpack[PredicateArguments],
    ) -> Expectation:
        """Expect a matching request this number of *times*, in any order with others; see `on`."""
        return self._maker.add("expect", equals, predicates, times)

    def expect_next(
        self,
        equals: PayloadsLike | None = None,
        *,
        times: int = 1,
        **predicates: Unpack[PredicateArguments],
    ) -> Expectation:
        """Expect a matching request after those of earlier calls of `expect_next`; see `on`."""
        return self._maker.add("expect_next", equals, predicates, times)

    def on_event(
        self, event: str, *, when: str | Sequence[str] = EVERY_STATE, times: int | None = None
    ) -> Expectation:
        """
        Answer an event that is no request; the latest answer for it is used.

        :param event: ``connect``, ``idle``, ``refused`` or ``malformed``, as ``on`` of a script.
        :param when: a state or a list of states; ``"*"``: all.
        :param times: how often it answers at most; None: without limit.
        :raises ScriptError: a value is not usable.
        """
        return self._maker.add_event(event, when, times)

    def every(
        self,
        seconds: float,
        *,
        jitter: float = 0.0,
        when: str | Sequence[str] = EVERY_STATE,
        times: int | None = None,
    ) -> Expectation:
        """
        Send to each client every so many *seconds*, while it is in one of the states.

        :param jitter: seconds that each time comes later at most, at random.
        :param when: a state or a list of states; ``"*"``: all.
        :param times: how often it sends to each client at most; None: without limit.
        :raises ScriptError: a value is not usable.
        """
        expectation = self._maker.add_timer(seconds, jitter, when, times)
        self._call(cast(ReqRespFactory, self.factory).adapt)  # clients that are connected
        return expectation

    def _check_requests(self, name: str) -> None:
        """:raises TypeError: the server forwards all bytes, so there is no method *name*."""
        if self._forwarded is not None:
            self._forwarded.check_requests(name)

    def clear(self, *expectations: Expectation) -> None:
        """
        Remove *expectations*, or all.

        What was received stays, and so does what was unexpected.  Replies under way go on.

        :raises ValueError: an expectation was removed before, or is of another server.
        """
        kept = self._results.expectations
        for expectation in expectations or [*kept]:
            if expectation not in kept:
                raise ValueError(f"expected an expectation of this server, found {expectation!r}")
            kept.remove(expectation)

    def when_held(
        self, equals: PayloadsLike | None = None, **predicates: Unpack[PredicateArguments]
    ) -> AwaitableFuture[HeldRequest]:
        """
        Return a future of the next request that waits for the test to answer it; see `on`.

        Requests wait that an expectation with `Expectation.hold` answers.  If there is none, one
        for all requests is added.  Each request is given once, in the order in which they came.
        """
        if not any(isinstance(it, Expectation) and it.holds for it in self._results.expectations):
            self.on().hold()
        return self._held.when(self._predicates(equals, predicates))

    def state(self, name: str, **properties: Unpack[PropertyArguments]) -> None:
        """
        Say what is different in the state *name*, for clients that connect from now on.

        :raises ScriptError: a value is not usable, or all connections have one state.
        :raises TypeError: a property is unknown, or the server has a script or forwards requests.
        """
        if self._forwarded is not None or isinstance(self._states, Rules):
            raise TypeError("state: expected a server without script and upstream")
        self._maker.describe_state(name, properties)

    # What goes wrong

    def fault(
        self,
        kind: str | Fault,
        *,
        stream: str | Direction | None = None,
        on: str | None = None,
        name: str | None = None,
        **parameters: Any,
    ) -> ServerFault:
        """
        Let something go wrong from now on, on open connections, too; it holds on return.

        The result changes and removes it; as a context manager, it removes it at the end.

        :param stream: for a server that forwards all bytes: the direction, as for
            `RelayFactory.fault`; for one that answers, ``upstream``, what clients send.
        :param on: for a server that answers, of a fault of replies: ``reply``, the default, or
            ``connect``, as for `ReqRespFactory.fault`.
        :raises ScriptError: a value is out of range, or unknown.
        :raises ValueError: *kind* is unknown, or the name is taken.
        :raises TypeError: a parameter is unknown, missing, or for another kind of server.
        """
        return self._faults.add(kind, stream, on, {**parameters, "name": name})

    @property
    def faults(self) -> tuple[ServerFault, ...]:
        """What goes wrong at present, in the order in which it applies."""
        return self._faults.all()

    # What was received

    @property
    def entries(self) -> list[Entry]:
        """
        Everything that has happened so far.

        Requests that clients have begun and not finished come last, as `Incomplete`.
        """
        entries: list[Entry] = self._call(self._all_entries)
        return entries

    def _all_entries(self) -> list[Entry]:
        return [*self._journal.entries(), *unfinished(front_of(self.factory))]

    @property
    def exchanges(self) -> list[Exchange]:
        """The requests that have been answered so far, with their replies."""
        return [entry.exchange for entry in self.entries if isinstance(entry, Answered)]

    def requests(
        self, equals: PayloadsLike | None = None, **predicates: Unpack[PredicateArguments]
    ) -> list[Request]:
        """Return the matching requests so far; without predicates, all.  See `on`."""
        wanted = self._predicates(equals, predicates)
        return [request for request in requests_among(self.entries) if matches(wanted, request)]

    def conversation(self) -> str:
        """Return the requests and replies so far, a line for each request."""
        return self._findings(self.entries).conversation()

    def when(
        self,
        equals: PayloadsLike | None = None,
        *,
        times: int = 1,
        **predicates: Unpack[PredicateArguments],
    ) -> AwaitableFuture[list[Request]]:
        """
        Return a future of the matching requests, done when there are at least *times*.

        Requests that were received before count.  It is a ``concurrent.futures.Future``, which a
        coroutine of asyncio can await.
        """
        wanted = self._predicates(equals, predicates)
        with ErrorsWithLine():
            future: AwaitableFuture[list[Request]] = self._call(self._waiters.when, wanted, times)
        return future

    def problems(self) -> str:
        """Return what was not as expected so far, with the conversation; empty if all was."""
        text: str = self._call(lambda: self._findings(self._all_entries()).problems())
        return text

    def report(self) -> str:
        """
        Return the problems, or else the conversation, and the tracebacks of handlers.

        Does not raise: if the server cannot be asked, the text says why.
        """
        return report_or_error(
            lambda: self._call(lambda: self._findings(self._all_entries()).report())
        )

    def _findings(self, entries: Sequence[Entry]) -> Findings:
        return Findings(
            name=self.name,
            encode=self._encode,
            entries=entries,
            dropped=self._journal.dropped,
            results=self._results,
            deviations=self._replayed.deviations,
            unused=self._replayed.failures(),
            unreachable=[] if self._forwarded is None else [*self._forwarded.failures],
            strict=self.strict,
        )

    def _is_settled(self, *, waits_for_clients: bool) -> bool:
        """
        Return whether nothing more will happen that `verify` should wait for.

        :param waits_for_clients: whether a client that is not connected can still connect.
        """
        connections = front_of(self.factory)
        if self._forwarded is not None and self._forwarded.is_relay:
            has_ended = not len(connections) and not waits_for_clients
            return has_ended or knows_upstreams(connections)
        return is_settled(
            self._results, connections, waits_for_clients=waits_for_clients, strict=self.strict
        )

    def _disconnect(self) -> Deferred[None]:
        """Reset all connections; fires when they are gone."""
        front_of(self.factory).reset()
        return self.factory.drain(0)

    def _verify(self) -> None:
        """:raises AssertionError: something was not as expected."""
        if text := self.problems():
            errors = self._results.errors
            raise AssertionError(text) from (errors[0][1] if errors else None)
        self._call(self._replayed.warn, self.name)

    def _wrong_number(
        self,
        equals: PayloadsLike | None,
        predicates: Mapping[str, Any],
        found: int,
        expected: str,
    ) -> AssertionError:
        """Return the error that *found* matching requests are not as many as *expected*."""
        wanted = describe(equals, predicates)
        return AssertionError(self._findings(self.entries).wrong_number(wanted, found, expected))

    def _not_so(self, problem: str) -> AssertionError:
        """Return the error that *problem* names, with the conversation."""
        return AssertionError(f"{problem}\n{self.report()}")

    def _predicates(self, equals: PayloadsLike | None, arguments: Mapping[str, Any]) -> Predicates:
        self._check_requests("requests")
        if "when" in arguments:
            raise TypeError("unexpected when=: a state is for expectations, not for requests")
        return as_predicates(self._parts, equals, arguments)
