"""
Written expectations: a table with the keys of a script's rule, and how often it is expected.

Knows the schema of scripts.  Must not know which expectation answers a request.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar

from attrs import Factory, evolve, fields, frozen

from reqresp._errors import MAX_PROBLEMS, Problem
from reqresp._text import quote
from reqresp.expectations.expectation import BaseExpectation
from reqresp.expectations.report import describe
from reqresp.faults import PlacedFault
from reqresp.framing import Framing, complete_framing
from reqresp.script import ScriptError
from reqresp.script.files import ScriptFiles
from reqresp.script.names import Name
from reqresp.script.predicates import Predicates
from reqresp.script.reader import Reader, TooManyProblemsError, show_value
from reqresp.script.rule_compiler import compile_predicates, compile_rule
from reqresp.script.schema import RequestTable, RuleTable
from reqresp.server.state_properties import StateProperties

#: The path of an expectation in problems.
EXPECTATION = "expectation"
#: The path of predicates that stand alone.
REQUEST = "request"

_NO_UPSTREAM = "expected no forward: the service has no upstream"
# What says which requests an expectation is for.
_WANTED = (*(it.name.removesuffix("_") for it in fields(RequestTable)), "when")

T = TypeVar("T")


@frozen(kw_only=True)
class ExpectationTable(RuleTable):
    """
    A rule that counts its requests.

    :param kind: whether requests may come, must come, or must come in this order.
    """

    kind: Literal["on", "expect", "expect_next"]


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
        framing = complete_framing(self.framing)
        rule = compile_rule(
            read, EXPECTATION, reader, self.files, framing, self.properties, self.variables
        )
        if rule.forwards and not self.forwards:
            reader.report(EXPECTATION, _NO_UPSTREAM)
        where = read.name or f"expectation {number}"
        name = f"{read.kind}, {where}"
        key = f"{read.kind}[{at}]"  # as a test server has it: the same seed makes the same run
        faults = _placed(rule.faults, key)
        turns = [evolve(it, faults=_placed(it.faults, key)) for it in rule.turns]
        rule = evolve(rule, name=name, path=name, line=None, times=None, faults=faults, turns=turns)
        times = read.times or (None if read.kind == "on" else 1)
        return BaseExpectation(read.kind, wanted(table), where, rule, times)

    def _predicates(self, table: Mapping[str, Any], reader: Reader) -> Predicates | None:
        read: RequestTable | None = reader.read(RequestTable, dict(table), REQUEST)
        if read is None:
            return None
        framing = complete_framing(self.framing)
        return compile_predicates(read, REQUEST, reader, self.files, framing)

    def _check(self, table: ExpectationTable, reader: Reader) -> None:
        if table.kind == "on" and table.times is not None:
            reader.report(f"{EXPECTATION}.times", 'expected no times with kind = "on"')
        for key, value in (("on", table.on), ("every", table.every)):
            if value not in ("request", None):
                expected = "expected none: an expectation answers requests"
                reader.report(f"{EXPECTATION}.{key}", f"{expected}, found {show_value(value)}")
        if table.scope not in (None, "server"):
            expected = "expected server: an expectation counts the requests of all connections"
            reader.report(f"{EXPECTATION}.scope", f"{expected}, found {quote(table.scope)}")


def wanted(table: Mapping[str, Any]) -> str:
    """Return the predicates of *table* as messages show them."""
    others = {name: it for name, it in table.items() if name in _WANTED and name != "equals"}
    return describe(table.get("equals"), others)


def _reader() -> Reader:
    return Reader("", lambda _path: None, is_toml=False)


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
