"""
Expectations of a server that runs, which are added and removed while clients are connected.

Each is a table with the keys of a script's rule.  While there is none, the server answers as fast
as without this module.  It must not know who adds them, or where the server listens.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, MutableSequence, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from attrs import evolve, frozen
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from reqresp.expectations.changes import Changes
from reqresp.expectations.expectation import BaseExpectation
from reqresp.expectations.expecting import ExpectingResponder
from reqresp.expectations.held import WaitingRequest
from reqresp.expectations.report import Findings
from reqresp.expectations.results import Results
from reqresp.expectations.settling import is_settled, unfinished
from reqresp.expectations.unused import unused_lines
from reqresp.expectations.waiters import matches, requests_among
from reqresp.expectations.written import ExpectationReader
from reqresp.journal import Entry, Journal, UpstreamFailed
from reqresp.recording.replay import Deviation, Replayer
from reqresp.script.calls import Call
from reqresp.script.files import ScriptFiles
from reqresp.script.rules import Rules
from reqresp.server.config import ServerConfig
from reqresp.server.factory import ReqRespFactory
from reqresp.server.front_factory import FrontFactory, front_of
from reqresp.server.observers import Observer
from reqresp.server.responders import Reply
from reqresp.steps import Request

T = TypeVar("T")

#: Turns of the reactor after which what has arrived is read and answered.
SETTLING_TURNS = 5
#: Seconds after something has happened until a wait looks whether that is what it waits for, so
#: that a flood of requests is not looked at one by one.
LOOK_SECONDS = 0.01
#: Seconds that a verdict waits for missing requests, at most, unless it is told otherwise.
VERIFY_TIMEOUT = 1.0


class NoRequestsError(ValueError):
    """The server forwards all bytes, and knows no requests."""


class NotWaitingError(ValueError):
    """A request does not wait for a reply, or not any more."""


class AlreadyAnsweredError(ValueError):
    """An expectation has answered a request, and so cannot be changed."""


@frozen
class _Kept:
    """An expectation, and the *table* that describes it."""

    table: Mapping[str, Any]
    expectation: BaseExpectation


class Expectations:
    """
    The expectations of one server.

    Make it before the server: `around` its config, with `observer` among its observers.

    :param name: the server's name in a verdict.
    :param journal: what has happened.
    :param base: the directory whose files payloads can name; None: none can be named.
    """

    def __init__(self, name: str, journal: Journal, base: Path | None = None) -> None:
        self.name = name
        self._journal = journal
        self._base = base
        self._results = Results()
        self._changes = Changes(journal)
        self._kept: dict[int, _Kept] = {}
        self._waiting: MutableSequence[WaitingRequest] = []
        self._ids = count(1)
        self._since, self._dropped = journal.position, journal.dropped
        self._factory: FrontFactory | None = None

    # The server

    @property
    def observer(self) -> Observer:
        """What has to be notified of the server's events."""
        return self._results

    def around(self, config: ServerConfig) -> ServerConfig:
        """Return *config* with a responder that asks the expectations first."""
        responder = ExpectingResponder(self._results, config)
        return evolve(config, responder=responder)

    def attach(self, factory: FrontFactory) -> None:
        """Belong to *factory*, whose configs `around` has made."""
        self._factory = factory

    # What is expected

    @property
    def names(self) -> Sequence[str]:
        """What entries call those that answer."""
        return [it.expectation.rule.name for it in self._kept.values()]

    @property
    def states(self) -> Iterator[str]:
        """The states of the conversation that an expectation names."""
        for rule in (it.expectation.rule for it in self._kept.values()):
            yield from rule.when or ()
            yield from (state for _, state in rule.states_after)

    def add(self, table: Mapping[str, Any]) -> int:
        """
        Add the expectation that *table* describes, from the next request on; return its number.

        *table* has the keys of a script's rule, and ``kind``: ``on``, ``expect`` or
        ``expect_next``.  ``times`` is how many requests are expected, 1 unless it is given.

        :raises ScriptError: *table* has problems; it has all of them.
        :raises NoRequestsError: the server knows no requests.
        """
        factory = self._request_factory()
        expectations = self._results.expectations
        number = next(self._ids)
        made = self._made(factory, table, number, len(expectations))
        expectations.append(made)
        self._kept[number] = _Kept(dict(table), made)
        if len(expectations) == 1 or made.rule.timer is not None:
            factory.adapt()
        return number

    def replace(self, number: int, table: Mapping[str, Any]) -> None:
        """
        Replace the expectation with this *number*, which keeps its place, by that of *table*.

        :raises KeyError: there is none.
        :raises AlreadyAnsweredError: it has answered a request; nothing has changed.
        :raises ScriptError: as for `add`; nothing has changed.
        """
        old = self._kept[number].expectation
        if old.count:
            raise AlreadyAnsweredError(
                f"expected a change before the first request; {old} has already answered"
                f" {old.count}"
            )
        expectations = self._results.expectations
        at = expectations.index(old)
        factory = self._request_factory()
        made = self._made(factory, table, number, at)
        expectations[at] = made
        if old.rule.timer != made.rule.timer:
            factory.adapt()
        self._kept[number] = _Kept(dict(table), made)
        self._changes.wake()

    def _made(
        self, factory: ReqRespFactory, table: Mapping[str, Any], number: int, at: int
    ) -> BaseExpectation:
        made = self._reader(factory).expectation(table, number, at)
        if table.get("hold"):
            made.function = self._hold
        return made

    def list(self) -> Sequence[Mapping[str, Any]]:
        """Return each as it was added, with its ``id``, and how many requests it has received."""
        return [
            {
                **it.table,
                "id": number,
                "received": it.expectation.count,
                "met": it.expectation.is_met,
            }
            for number, it in self._kept.items()
        ]

    def remove(self, number: int) -> None:
        """
        Remove the expectation with this *number*.

        :raises KeyError: there is none.
        """
        self._results.expectations.remove(self._kept.pop(number).expectation)
        self._changes.wake()
        self._adapt_if_empty()

    def clear(self) -> None:
        """Remove all expectations, and forget what has come so far."""
        self._kept.clear()
        self._results.expectations.clear()
        self._results.clear()
        self._since, self._dropped = self._journal.position, self._journal.dropped
        for replayer in self._replayers():
            replayer.deviations.clear()
        self._changes.wake()
        self._adapt_if_empty()

    def _adapt_if_empty(self) -> None:
        if not self._results.expectations and isinstance(self._factory, ReqRespFactory):
            self._factory.adapt()

    # Requests that wait

    def _hold(self, call: Call) -> Deferred[Reply]:
        """Let the request of *call* wait."""
        waiting = WaitingRequest(call)
        self._waiting.append(waiting)

        def ended(result: T) -> T:
            self._waiting.remove(waiting)
            return result

        waiting.answered.addBoth(ended)
        self._changes.wake()
        return waiting.answered

    def waiting(
        self,
        table: Mapping[str, Any],
        times: int = 0,
        timeout: float = 0.0,
        without: Collection[tuple[int, int]] = (),
    ) -> Deferred[Sequence[Request]]:
        """
        Return the requests that wait for a reply now, in the order in which they came.

        The parameters, the result and the errors are as for `requests`.

        :param without: requests that are not wanted: the connection and the number of each.
        """
        predicates = self._reader(self._request_factory()).predicates(table)
        found: Sequence[Request] = ()

        def look() -> bool:
            nonlocal found
            waiting = [it.request for it in self._waiting]
            wanted = [it for it in waiting if (it.connection, it.number) not in without]
            found = [it for it in wanted if matches(predicates, it)]
            return len(found) >= times

        return self.until(look, timeout).addCallback(lambda _: found)

    def reply(self, connection: int, table: Mapping[str, Any]) -> None:
        """
        Answer the request that waits on *connection* as *table* says.

        *table* has the keys of an answer in a script, and the ``number`` of the request; without
        it, the first that waits there is answered.

        :raises NotWaitingError: none waits there, or another one.
        :raises ScriptError: *table* has problems; it has all of them.
        :raises NoRequestsError: the server knows no requests.
        """
        factory = self._request_factory()
        framing = factory.framings().get(connection, factory.config.framing)
        number, rule = self._reader(factory).reply(table, framing)
        asked = (it for it in self._waiting if it.request.connection == connection)
        waiting = next((it for it in asked if number in (None, it.request.number)), None)
        if waiting is None:
            which = "no request" if number is None else f"request {number} no longer"
            raise NotWaitingError(f"connection {connection}: {which} waits for a reply")
        waiting.complete(rule.steps(1, waiting.request.data, waiting.context))

    # What has come

    def verify(
        self, timeout: float | None = None, *, strict: bool = True, unused_fails: bool = False
    ) -> Deferred[str | None]:
        """
        Return whether every expectation is met, and nothing unexpected was received.

        :param timeout: the number of seconds to wait for missing requests at most, also if no
            client is connected; None: as long as a client is connected, and a second at most.
        :param strict: whether a request that nothing answers, is malformed or is not finished is a
            problem.
        :param unused_fails: whether a part of a recording that no client has asked for is one.
        :returns: fires with the text of the verdict, which has the conversation; None: all is well.
        """
        seconds = VERIFY_TIMEOUT if timeout is None else timeout
        waits_for_clients = timeout is not None
        settled = self.until(
            partial(self._is_settled, waits_for_clients=waits_for_clients, strict=strict), seconds
        )

        def verdict(_: None) -> str | None:
            findings = self._findings(strict=strict)
            if unused_fails:
                findings = evolve(findings, unused=self.unused())
            return findings.problems() or None

        return settled.addCallback(verdict)

    def unused(self) -> Sequence[str]:
        """Return what of a recording no client has asked for so far, a line for each part."""
        return [line for replayer in self._replayers() for line in unused_lines(replayer)]

    def requests(
        self, table: Mapping[str, Any], times: int = 0, timeout: float = 0.0
    ) -> Deferred[Sequence[Request]]:
        """
        Return the requests so far that fulfil the predicates of *table*, those of an expectation.

        Those that are not answered yet come last.

        :param times: wait until there are at least so many.
        :param timeout: the number of seconds to wait at most.
        :returns: fires with all of them, fewer than *times* after *timeout*.
        :raises ScriptError: *table* has problems; it has all of them.
        :raises NoRequestsError: the server knows no requests.
        """
        predicates = self._reader(self._request_factory()).predicates(table)
        found: Sequence[Request] = ()
        answered: MutableSequence[Request] = []
        position = self._since

        def wanted(entries: Sequence[Entry]) -> Sequence[Request]:
            return [it for it in requests_among(entries) if matches(predicates, it)]

        def look() -> bool:
            nonlocal found, position
            first, entries = self._journal.since(position)
            position = first + len(entries)
            answered.extend(wanted(entries))
            found = [*answered, *wanted(self._journal.unanswered())]
            return len(found) >= times

        return self.until(look, timeout).addCallback(lambda _: found)

    @property
    def since(self) -> int:
        """The number of the first entry of the journal that has come since the last `clear`."""
        return self._since

    def conversation(self) -> str:
        """Return the requests and replies so far, a line for each request."""
        return self._findings(strict=True).conversation()

    def _findings(self, *, strict: bool) -> Findings:
        _, entries = self._journal.since(self._since)
        factory = self._attached()
        config = factory.config if isinstance(factory, ReqRespFactory) else None
        return Findings(
            name=self.name,
            encode=bytes if config is None else config.framing.encode,
            entries=[*entries, *self._journal.unanswered(), *unfinished(front_of(factory))],
            dropped=self._journal.dropped - self._dropped,
            results=self._results,
            deviations=self._deviations(),
            unreachable=[
                f"upstream: {it.reason} (connection {it.connection})"
                for it in entries
                if isinstance(it, UpstreamFailed)
            ],
            strict=strict,
        )

    def _deviations(self) -> Sequence[Deviation]:
        return [it for replayer in self._replayers() for it in replayer.deviations]

    def _replayers(self) -> Sequence[Replayer]:
        if not isinstance(self._factory, ReqRespFactory):
            return []
        responder = self._factory.config.responder
        fallback = responder.fallback if isinstance(responder, ExpectingResponder) else responder
        return [fallback] if isinstance(fallback, Replayer) else []

    def _is_settled(self, *, waits_for_clients: bool, strict: bool) -> bool:
        connections = front_of(self._attached())
        return is_settled(
            self._results, connections, waits_for_clients=waits_for_clients, strict=strict
        )

    def until(self, condition: Callable[[], bool], seconds: float) -> Deferred[None]:
        """
        Wait until *condition* returns True, for *seconds* at most.

        It is called once what has arrived is read, and then after something has happened.
        """
        clock = self._attached().clock
        deadline = clock.seconds() + seconds

        async def wait() -> None:
            for _ in range(SETTLING_TURNS):
                await deferLater(clock, 0)
            while not condition() and (left := deadline - clock.seconds()) > 0:
                await self._changes.wait(clock, left)
                await deferLater(clock, LOOK_SECONDS)

        return Deferred.fromCoroutine(wait())

    def _reader(self, factory: ReqRespFactory) -> ExpectationReader:
        files = ScriptFiles(self._base)
        responder = factory.config.responder
        fallback = responder.fallback if isinstance(responder, ExpectingResponder) else responder
        states = fallback if isinstance(fallback, Rules) else self._results.states
        forwards = factory.service is not None
        variables = self._results.variables(states)
        return ExpectationReader(
            factory.config.framing, files, forwards, states.by_state, variables
        )

    def _attached(self) -> FrontFactory:
        if self._factory is None:
            raise RuntimeError("expected a call of attach() first")
        return self._factory

    def _request_factory(self) -> ReqRespFactory:
        factory = self._attached()
        if not isinstance(factory, ReqRespFactory):
            raise NoRequestsError(
                f"{self.name} forwards all bytes, and knows no requests; give it a framing and"
                " rules to have some of them answered"
            )
        return factory
