"""
Written expectations: a table with the keys of a script's rule, and how often it is expected.

Knows the schema of scripts.  Must not know which expectation answers a request.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar

from attrs import Factory, evolve, fields, frozen

from reqresp._errors import MAX_PROBLEMS, Problem, Seconds
from reqresp._text import quote
from reqresp.expectations.expectation import BaseExpectation
from reqresp.expectations.report import describe
from reqresp.faults import PlacedFault
from reqresp.framing import Framing, complete_framing
from reqresp.script import ScriptError
from reqresp.script.files import ScriptFiles
from reqresp.script.names import Name
from reqresp.script.predicates import Predicates
from reqresp.script.reader import JSON, Reader, TooManyProblemsError
from reqresp.script.rule import EVERY_STATE, Rule
from reqresp.script.rule_compiler import compile_predicates, compile_rule
from reqresp.script.schema import RequestTable, RuleTable, StepTable, WrittenPayloads
from reqresp.server.state_properties import StateProperties
from reqresp.server.triggers import Trigger

#: The path of an expectation in problems.
EXPECTATION = "expectation"
#: The path of predicates that stand alone.
REQUEST = "request"
#: The path of a reply that stands alone.
REPLY = "reply"

_NO_UPSTREAM = "expected no forward: the service has no upstream"
# What says how requests are answered.
_ANSWERS = ("reply", "cycle", "do", "silent", "forward", "call", "close")
# What says which requests an expectation is for.
_WANTED = (*(it.name.removesuffix("_") for it in fields(RequestTable)), "on", "every", "when")

T = TypeVar("T")


@frozen(kw_only=True)
class ExpectationTable(RuleTable):
    """
    A rule that counts its requests.

    :param kind: whether requests may come, must come, or must come in this order.
    :param hold: whether a request waits, after the steps of the answer, until a reply is sent.
    """

    kind: Literal["on", "expect", "expect_next"]
    hold: bool = False


@frozen(kw_only=True)
class ReplyTable:
    """
    The reply to a request that waits for one, with the keys of a rule's answer.

    :param number: of the request on its connection; None: whichever waits.
    :param reply: what is sent, in a frame each.
    :param delay: seconds before the reply.
    :param close: end the connection after the reply.
    :param silent: send nothing.
    :param forward: send the reply of the upstream service.
    :param do: the steps of the reply.
    """

    number: int | None = None
    reply: WrittenPayloads | None = None
    delay: Seconds | None = None
    close: bool = False
    silent: bool = False
    forward: bool = False
    do: list[StepTable] | None = None


@frozen
class ExpectationReader:
    """
    Reads the expectations of a server.

    :param framing: of its requests and replies.
    :param files: the files that payloads can name.
    :param forwards: whether it can forward requests.
    :param properties: of its states that differ.
    :param variables: what templates can name besides what an expectation has.
    """

    framing: Framing
    files: ScriptFiles
    forwards: bool
    properties: Mapping[str, StateProperties] = Factory(dict)
    variables: Mapping[str, Name] = Factory(dict)

    def expectation(self, table: Mapping[str, Any], number: int, at: int) -> BaseExpectation:
        """
        Return the expectation that *table* describes.

        :param number: tells it from others in messages, unless it has a name.
        :param at: how many expectations come before it: the randomness of its faults depends on it.
        :raises ScriptError: *table* has problems; it has all of them.
        """
        reader = _reader()
        return _read(reader, lambda: self._expectation(table, reader, number, at))

    def reply(self, table: Mapping[str, Any], framing: Framing) -> tuple[int | None, Rule]:
        """
        Return the number of the request that *table* answers, and a rule with its reply.

        :param framing: in force on the connection; it has to express the reply.
        :raises ScriptError: *table* has problems; it has all of them.
        """
        reader = _reader()
        return _read(reader, lambda: self._reply(table, reader, framing))

    def predicates(self, table: Mapping[str, Any]) -> Predicates:
        """
        Return the predicates that *table* has; they are those of an expectation.

        :raises ScriptError: *table* has problems; it has all of them.
        """
        reader = _reader()
        return _read(reader, lambda: self._predicates(table, reader))

    def _expectation(
        self, table: Mapping[str, Any], reader: Reader, number: int, at: int
    ) -> BaseExpectation | None:
        read: ExpectationTable | None = reader.read(ExpectationTable, dict(table), EXPECTATION)
        if read is None:
            return None
        self._check(read, reader)
        if read.hold and not any(getattr(read, it) for it in _ANSWERS):
            read = evolve(read, silent=True)
        rule = self._rule(read, EXPECTATION, reader)
        where = read.name or f"expectation {number}"
        name = f"{read.kind}, {where}"
        key = f"{read.kind}[{at}]"  # as a test server has it: the same seed makes the same run
        faults = _placed(rule.faults, key)
        replies = [evolve(it, faults=_placed(it.faults, key)) for it in rule.replies]
        rule = evolve(rule, name=name, path=name, line=None, faults=faults, replies=replies)
        if rule.trigger is not Trigger.REQUEST and read.hold:
            expected = f"expected no hold: there is no request on {rule.trigger.value}"
            reader.report(f"{EXPECTATION}.hold", expected)
        if rule.trigger is not Trigger.REQUEST:  # it is not expected, and its times are a bound
            place = f"{read.kind}[{number}]"  # names can be alike
            timer = rule.timer and evolve(rule.timer, name=place)
            rule = evolve(rule, path=place, timer=timer)
            return BaseExpectation(read.kind, wanted(table), where, rule, None)
        times = read.times or (None if read.kind == "on" else 1)
        return BaseExpectation(read.kind, wanted(table), where, evolve(rule, times=None), times)

    def _reply(
        self, table: Mapping[str, Any], reader: Reader, framing: Framing
    ) -> tuple[int | None, Rule] | None:
        read: ReplyTable | None = reader.read(ReplyTable, dict(table), REPLY)
        if read is None:
            return None
        keys = {it.name: getattr(read, it.name) for it in fields(ReplyTable)}
        number = keys.pop("number")
        there = evolve(self, framing=framing, properties={})
        return number, there._rule(RuleTable(when=EVERY_STATE, **keys), REPLY, reader)

    def _rule(self, table: RuleTable, path: str, reader: Reader) -> Rule:
        framing = complete_framing(self.framing)
        rule = compile_rule(
            table, path, reader, self.files, framing, self.properties, self.variables
        )
        if rule.forwards and not self.forwards:
            reader.report(path, _NO_UPSTREAM)
        return rule

    def _predicates(self, table: Mapping[str, Any], reader: Reader) -> Predicates | None:
        read: RequestTable | None = reader.read(RequestTable, dict(table), REQUEST)
        if read is None:
            return None
        framing = complete_framing(self.framing)
        return compile_predicates(read, REQUEST, reader, self.files, framing)

    def _check(self, table: ExpectationTable, reader: Reader) -> None:
        if table.on != "request" or table.every is not None:
            if table.kind != "on":
                expected = 'expected "on" for what no request triggers'
                reader.report(f"{EXPECTATION}.kind", f"{expected}, found {quote(table.kind)}")
            if table.hold:
                reader.report(f"{EXPECTATION}.hold", "expected no hold: there is no request")
            return
        if table.kind == "on" and table.times is not None:
            reader.report(f"{EXPECTATION}.times", 'expected no times with kind = "on"')
        if table.scope not in (None, "server"):
            expected = "expected server: an expectation counts the requests of all connections"
            reader.report(f"{EXPECTATION}.scope", f"{expected}, found {quote(table.scope)}")


def wanted(table: Mapping[str, Any]) -> str:
    """Return the predicates of *table* as messages show them."""
    others = {name: it for name, it in table.items() if name in _WANTED and name != "equals"}
    return describe(table.get("equals"), others)


def _reader() -> Reader:
    return Reader("", lambda _path: None, JSON)


def _read(reader: Reader, read: Callable[[], T | None]) -> T:
    """
    Return what *read* makes with *reader*.

    :raises ScriptError: there were problems.
    """
    found, more = None, []
    try:
        found = read()
    except TooManyProblemsError:
        more = [Problem("", None, "", f"more than {MAX_PROBLEMS} problems; some are not shown")]
    if found is None or reader.problems:
        raise ScriptError(*reader.problems, *more)
    return found


def _placed(faults: Sequence[PlacedFault], key: str) -> list[PlacedFault]:
    """Return *faults* with *key* instead of `EXPECTATION` in theirs, which seed their dice."""
    return [evolve(it, key=it.key.replace(EXPECTATION, key, 1)) for it in faults]
