"""
Expectation: what a test server answers to one kind of request, built one call at a time.

Holds a `Rule`, made from Python values; each call replaces it.  Must not know which expectation
answers a request, or how the server runs.
"""

from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from attrs import evolve

from reqresp._errors import FieldError, check_seconds
from reqresp.expectations.caller import calling_line, without_own_frames
from reqresp.expectations.expectation import BaseExpectation
from reqresp.framing import Chunk
from reqresp.script import Problem, ScriptError
from reqresp.script.calls import Call
from reqresp.script.predicates import Predicates
from reqresp.script.rule import EVERY_STATE, ReplyTemplate, Rule, SendTemplate, Turn
from reqresp.script.rule_parts import PayloadLike, PayloadsLike, RuleParts, is_turn
from reqresp.server.functions import Answer
from reqresp.server.triggers import Trigger
from reqresp.steps import (
    Abort,
    Close,
    Forward,
    HalfClose,
    Hang,
    Send,
    StartTLS,
    Step,
    StopReading,
    Wait,
)

# As in _base.
__tracebackhide__ = True


class ErrorsWithLine:
    """
    A block in which the error of a wrong argument becomes one that names the line of the test.

    The traceback has no frame of this package.  The block is not made by contextlib, whose frames
    pytest would show.

    :param method: named before the argument, if given.
    :raises ScriptError: `FieldError` was raised.
    """

    def __init__(self, method: str = "") -> None:
        self._method = method

    def __enter__(self) -> None:
        """Begin the block."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, FieldError):
            # An argument that has the name of the method stands for it.
            name = ".".join(dict.fromkeys(filter(None, (self._method, error.field))))
            raise ScriptError(Problem(calling_line(), None, name, error.problem)) from None
        if isinstance(error, ValueError | TypeError | OSError):
            raise without_own_frames(error)


def check_timeout(method: str, seconds: object, name: str = "timeout") -> None:
    """
    Check an argument of the *method* that a test has called.

    :param name: of the argument; empty: it has none.
    :raises ScriptError: *seconds* is no number, or is too large; it names the line of the test.
    """
    with ErrorsWithLine(method):
        check_seconds(seconds, name)


def as_predicates(
    parts: RuleParts, equals: PayloadsLike | None, arguments: Mapping[str, Any]
) -> Predicates:
    """
    Return the predicates of the arguments of a test, such as ``on("STAT", size=4)``.

    :raises TypeError: a predicate is unknown.
    :raises ScriptError: a value is not usable.
    """
    given = dict(arguments) if equals is None else {"equals": equals, **arguments}
    with ErrorsWithLine():
        return parts.predicates(given)


def as_list(given: PayloadLike | Sequence[PayloadLike]) -> Sequence[PayloadLike]:
    """Return the payloads *given*, one or several."""
    return given if isinstance(given, list | tuple) else [given]  # type: ignore[list-item]


def sends(
    parts: RuleParts,
    payloads: Sequence[PayloadLike],
    name: str,
    predicates: Predicates | None = None,
    *,
    raw: bool = False,
    to: str | None = None,
) -> ReplyTemplate:
    """
    Return the steps that send *payloads*.

    :param name: their name in errors; of several, ``name[0]`` is the first.
    :param predicates: have the groups that templates can name.
    :raises FieldError: a payload is not usable.
    """
    names = [name] if len(payloads) == 1 else [f"{name}[{at}]" for at in range(len(payloads))]
    return tuple(
        parts.send(payload, predicates, raw=raw, to=to, field=field)
        for payload, field in zip(payloads, names, strict=True)
    )


def greeting_rule(
    parts: RuleParts, greeting: PayloadLike | Sequence[PayloadLike] | None
) -> Rule | None:
    """
    Return the rule that sends *greeting* to each client; None: there is none.

    :raises ScriptError: a payload is not usable.
    """
    if greeting is None:
        return None
    with ErrorsWithLine():
        return Rule(name="greeting", replies=[sends(parts, as_list(greeting), "greeting")])


def unasked_sends(
    parts: RuleParts, payloads: Sequence[PayloadLike], *, raw: bool
) -> Sequence[Send]:
    """
    Return the steps that send *payloads*, which are no templates, in whatever framing is in force.

    :raises ScriptError: one is not usable.
    """
    with ErrorsWithLine():
        steps = sends(evolve(parts, framing=Chunk()), payloads, "send", raw=raw)
        sent = [it for it in steps if isinstance(it, Send)]
        if len(sent) < len(steps):
            raise FieldError("send", "expected no template: there is no request")
    return sent


class Expectation(BaseExpectation):
    """
    What the server answers to one kind of request, or sends without a request.

    Each method adds to the answer and returns the expectation, so that calls can be chained.  An
    argument that is not usable raises `ScriptError` there.  Without any step, nothing is sent.

    :param kind: the method that has made it.
    :param number: how many expectations the server has had before.
    :param wanted: what it is for as the test wrote it, for messages.
    :param parts: makes the parts of the rule.
    :param hold: lets a request wait for the test.
    :param times: the number of requests that are expected; None: any number.
    :param keys: what its rule has at first.
    """

    def __init__(
        self,
        kind: str,
        number: int,
        wanted: str,
        parts: RuleParts,
        hold: Callable[[Call], Answer],
        times: int | None,
        keys: Mapping[str, Any],
    ) -> None:
        where = calling_line()
        rule = Rule(name=f"{kind}, {where}", replies=[()], **keys)
        super().__init__(kind, wanted, where, rule, times)
        self._number = number
        self._parts = parts
        self._hold = hold
        self._steps: ReplyTemplate = ()
        self._cycle: tuple[Turn, ...] = ()
        #: Whether its requests wait for the test.
        self.holds = False

    def reply(
        self, *payloads: PayloadLike, raw: bool = False, to: str | None = None, **payload: Any
    ) -> Self:
        """
        Send *payloads*, each in a frame of its own.

        :param raw: send them without frames.
        :param to: send them to other clients: ``others``, ``all`` or ``state:NAME``.
        :param payload: one more payload, as a script writes it: ``template="..."``, ``hex="..."``,
            ``lines="feed.txt", repeat=True``.
        """
        given = [*payloads, payload] if payload else [*payloads]
        with ErrorsWithLine():
            steps = sends(self._parts, given, "reply", self.rule.predicates, raw=raw, to=to)
        return self._add("reply", *steps)

    def wait(self, seconds: float) -> Self:
        """Wait for *seconds* before the next step."""
        with ErrorsWithLine():
            step = self._parts.wait(seconds)
        return self._add("wait", step)

    def close(self) -> Self:
        """Close the connection after everything has been delivered."""
        return self._add("close", Close())

    def half_close(self) -> Self:
        """Stop sending, and keep receiving."""
        return self._add("half_close", HalfClose())

    def abort(self) -> Self:
        """Reset the connection."""
        return self._add("abort", Abort())

    def hang(self) -> Self:
        """Do nothing more, and leave the connection open."""
        return self._add("hang", Hang())

    def stop_reading(self) -> Self:
        """Stop reading from the connection."""
        return self._add("stop_reading", StopReading())

    def start_tls(self) -> Self:
        """
        Encrypt the connection from here on, with the certificate of ``start_tls=`` of the server.

        What the client has sent after the request is dropped.
        """
        return self._add("start_tls", StartTLS())

    def forward(self) -> Self:
        """
        Forward the request to the server's upstream, and send its reply as it came.

        :raises ScriptError: the server has no upstream.
        """
        with ErrorsWithLine():
            self._check_asked("forward")
            self._parts.check_forwards("forward")
        return self._add("forward", Forward())

    def cycle(self, *replies: PayloadLike | Sequence[PayloadLike] | Mapping[str, Any]) -> Self:
        """
        Send each of *replies* in turn, then start again; each is a payload or a list of payloads.

        A reply can also be a whole answer, by the keys that it has in a script:
        ``{"reply": "busy", "delay": 1, "close": True}``.  Other than `wait` before and `close`
        after the reply, there can be no other step.
        """
        parts = self._parts.naming(it for reply in replies for it in _set_in(reply))
        with ErrorsWithLine():
            self._check_unused("cycle")
            if self._cycle:
                raise FieldError("cycle", "expected one cycle, found a second one")
            if not replies or any(isinstance(it, list | tuple) and not it for it in replies):
                raise FieldError("cycle", "expected at least one payload in each reply")
            found = [self._turn(parts, it, f"cycle[{at}]") for at, it in enumerate(replies)]
            self._set("cycle", self._steps, tuple(found))
        self._parts = parts
        return self

    def fault(self, kind: str, **parameters: Any) -> Self:
        """Inject a fault into these replies: a *kind* of a script, with its *parameters*."""
        faults = self.rule.faults
        key = f"{self.kind}[{self._number}].faults[{len(faults)}]"
        with ErrorsWithLine():
            self._check_unused("fault")
        with ErrorsWithLine("fault"):
            fault = self._parts.fault(key, kind, parameters)
        self.rule = evolve(self.rule, faults=[*faults, fault])
        return self

    def goto(self, state: str) -> Self:
        """Set the state of the conversation."""
        with ErrorsWithLine():
            self._check_unused("goto")
            if not isinstance(state, str):
                raise FieldError("goto", f"expected a string, found {state!r}")
            if state == EVERY_STATE:
                expected = f'expected one state, found "{state}", which means every state'
                raise FieldError("goto", expected)
        self.rule = evolve(self.rule, goto=state)
        return self

    def set(self, /, **variables: PayloadLike) -> Self:
        """
        Set variables of the connection before the reply is made, as ``set`` of a script does.

        This answer and those that are added later can name them in templates.

        :param variables: their values by their names: a template, bytes, or a mapping with the keys
            of a script, such as ``{"template": "{name}", "scope": "server"}``.
        """
        with ErrorsWithLine():
            self._check_unused("set")
            made = self._parts.variables(variables, self.rule.predicates, "set")
        self.rule = evolve(self.rule, variables=[*self.rule.variables, *made])
        self._parts = self._parts.naming(variables)
        return self

    def call(self, function: Callable[[Call], Answer]) -> Self:
        """
        Answer with what *function* returns, after the other steps.

        The function is called in the server's thread, as ``call`` of a script calls one: with the
        request, which also has the ``groups`` of the pattern, the ``variables`` of the connection
        and those of the ``server``.  See `ReqRespFactory` for what it can return.

        :raises TypeError: *function* is not callable.
        """
        if not callable(function):
            raise TypeError(f"call: expected a function of a request, found {function!r}")
        self._answer_with(function, "call")
        return self

    def hold(self) -> Self:
        """
        Let the request wait, after the other steps, until the test answers it.

        See `Server.when_held`.
        """
        self._answer_with(self._hold, "hold")
        self.holds = True
        return self

    def _answer_with(self, function: Callable[[Call], Answer], name: str) -> None:
        with ErrorsWithLine():
            self._check_open(name)
            self._check_asked(name)
        self.function = function

    def _turn(self, parts: RuleParts, reply: Any, field: str) -> Turn:
        """Return a reply of a cycle."""
        if is_turn(reply):
            turn = parts.turn(reply, self.rule.predicates, field)
            place = f"{self.kind}[{self._number}]"
            faults = [evolve(it, key=f"{place}.{it.key}") for it in turn.faults]
            return evolve(turn, faults=faults)
        return Turn(sends(parts, as_list(reply), field, self.rule.predicates))

    def _add(self, name: str, *steps: Step | SendTemplate) -> Self:
        """Add the *steps* of the method *name*."""
        with ErrorsWithLine():
            self._check_open(name)
            return self._set(name, (*self._steps, *steps), self._cycle)

    def _set(self, name: str, steps: ReplyTemplate, cycle: tuple[Turn, ...]) -> Self:
        """
        Replace what the replies are made of, in the method *name*.

        :raises FieldError: the steps cannot be combined; nothing is changed.
        """
        replies = _around(cycle, name, steps) if cycle else [Turn(steps)]
        rule = evolve(self.rule, replies=replies)
        if rule.forwards:
            self._check_asked("forward")
        for step in steps[:-1]:
            if not cycle and not isinstance(step, SendTemplate) and step.ends_reply:
                raise FieldError(name, f"expected no step after {step.key}")
        self.rule, self._steps, self._cycle = rule, steps, cycle
        return self

    def _check_open(self, name: str) -> None:
        """:raises FieldError: the method *name* cannot add a step any more."""
        self._check_unused(name)
        if self.function is not None:
            raise FieldError(name, "expected no step after call")

    def _check_asked(self, name: str) -> None:
        """:raises FieldError: the method *name* needs a request, and something else triggers it."""
        trigger = self.rule.trigger
        if trigger is not Trigger.REQUEST:
            raise FieldError(name, f"expected no {name}: there is no request on {trigger.value}")

    def _check_unused(self, name: str) -> None:
        """:raises FieldError: a request was answered without what the method *name* adds."""
        if self.count:
            raise FieldError(
                name, f"expected before the first request; {self} has already answered {self.count}"
            )


def _set_in(reply: Any) -> Sequence[str]:
    """Return the names of the variables that *reply*, one of a cycle, may set."""
    given = reply.get("set") if is_turn(reply) else None
    return [*given] if isinstance(given, Mapping) else []


def _around(cycle: Sequence[Turn], name: str, steps: ReplyTemplate) -> Sequence[Turn]:
    """Return the replies of *cycle* with the waits of *steps* before, and their close after."""
    if not all(isinstance(step, Wait | Close) for step in steps):
        raise FieldError(name, "expected no step besides wait and close together with cycle")
    seconds = sum(step.seconds for step in steps if isinstance(step, Wait))
    before = (Wait(seconds),) if seconds else ()
    after = (Close(),) if any(isinstance(step, Close) for step in steps) else ()
    return [evolve(it, steps=(*before, *it.steps, *(() if _ends(it) else after))) for it in cycle]


def _ends(reply: Turn) -> bool:
    return bool(reply.steps) and reply.steps[-1].ends_reply
