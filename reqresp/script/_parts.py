"""
Parts: the payloads, framings and faults of a script, made from its tables.

Reports what is wrong and continues.  Must not know rules.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
from attrs import asdict, evolve, field, frozen

from reqresp._errors import FieldError
from reqresp._text import unknown
from reqresp.faults import KINDS, Fault, PlacedFault
from reqresp.framing import BaseFraming, Delimited, HeaderBody, LengthField, parse_framing
from reqresp.script._checks import check_no_feed
from reqresp.script.calls import CalledFunction, Functions, framing_of
from reqresp.script.files import Files
from reqresp.script.names import REPLY_SOURCES, Group, Sources
from reqresp.script.payloads import NAME, read_payload, read_value
from reqresp.script.reader import Reader
from reqresp.script.schema import (
    FaultWindowTable,
    FramingTable,
    LengthTable,
    VariableTable,
    WrittenPayload,
)
from reqresp.script.templates import Template
from reqresp.script.variables import Variable

_LENGTH_OR_HEAD = "expected either length, or head and body, or call"


def _is_hidden(variable: Variable, sources: Sources) -> bool:
    """Return whether *sources* have a group of that name with another value."""
    is_group = sources is not None and isinstance(sources.get(variable.name), Group)
    return is_group and not variable.is_template("{" + variable.name + "}")


@frozen
class TableParts:
    """
    Makes the values that rules consist of.

    :param reader: receives the problems.
    :param files: the files that payloads can name.
    :param functions: those that can be called; None: none can.
    """

    reader: Reader
    files: Files
    functions: Functions | None = None
    #: Those that were found, by their references.
    found: dict[str, CalledFunction] = field(factory=dict, init=False, eq=False)

    def payload(
        self, payload: WrittenPayload, path: str, sources: Sources
    ) -> bytes | Template | None:
        """Return the bytes or the template that *payload* describes; None after a problem."""
        try:
            return read_payload(payload, self.files, sources)
        except ValueError as error:
            if self.reader.is_clean(path):
                self.reader.report(path, str(error))
            return None

    def variables(self, values: Mapping[str, Any], path: str, sources: Sources) -> list[Variable]:
        """Return the variables that *values* describe, without those that have problems."""
        found = [self._variable(name, it, f"{path}.{name}", sources) for name, it in values.items()]
        for it in found:
            # Its name stands for the group in this rule: both must have the same value here.
            if it is not None and _is_hidden(it, sources):
                self.reader.report(
                    f"{path}.{it.name}",
                    f"expected another name: the group {it.name} of matches hides the variable",
                )
        return [it for it in found if it is not None]

    def _variable(self, name: str, value: Any, path: str, sources: Sources) -> Variable | None:
        """Return the variable *name* that *value* describes; None after a problem."""
        is_shared = isinstance(value, VariableTable) and value.scope == "server"
        if name in REPLY_SOURCES or not NAME.fullmatch(name):
            self.reader.report(
                path, "expected another name: letters, digits and _ that stand for nothing else"
            )
            return None
        try:
            found = read_value(value, self.files, sources)
            check_no_feed(found)
            return Variable(name, found, is_shared)
        except ValueError as error:
            if self.reader.is_clean(path):
                self.reader.report(path, str(error))
            return None

    def function(self, reference: str, path: str) -> CalledFunction | None:
        """Return the function that *reference* names; None after a problem."""
        if self.functions is None:
            self.reader.report(
                path, "expected no call here: only a script, a file beside its functions, runs code"
            )
            return None
        try:
            found = self.found[reference] = self.functions.find(reference)
        except ValueError as error:
            self.reader.report(path, str(error))
            return None
        return found

    def each(self, given: Any, path: str) -> list[tuple[Any, str]]:
        """Return the items of *given*, one item or a list, each with its path."""
        if not isinstance(given, list):
            return [(given, path)]
        if not given:
            self.reader.report(path, "expected at least one element, found an empty list")
        return [(it, f"{path}[{at}]") for at, it in enumerate(given) if it is not None]

    def framing(self, given: str | FramingTable, path: str) -> BaseFraming | None:
        """Return the framing that *given* describes; None after a problem."""
        try:
            if isinstance(given, str):
                return parse_framing(given)
            return self._framing_of_table(given, path)
        except ValueError as error:
            if self.reader.is_clean(path):
                self.reader.report(path, str(error))
            return None

    def _framing_of_table(self, table: FramingTable, path: str) -> BaseFraming | None:
        if table.call is not None:
            return self._called_framing(table, f"{path}.call")
        has_head = evolve(table, length=None) != FramingTable()
        if has_head == (table.length is not None) or (has_head and table.head is None):
            raise ValueError(_LENGTH_OR_HEAD)
        if table.length is not None:
            return self._length(table.length, f"{path}.length")
        if table.body is None:
            raise ValueError(
                "the key body is missing: a pattern that finds the body's size in the head"
            )
        given = {
            name: self.payload(value, f"{path}.{name}", None)
            for name in ("body", "body_end", "chunked", "head_first", "skip")
            if (value := getattr(table, name)) is not None
        }
        head = self.framing(table.head or "", f"{path}.head")
        if not isinstance(head, Delimited | None):
            self.reader.report(
                f"{path}.head", f"expected a line or a delimiter, found {table.head!r}"
            )
            return None
        if head is None or not all(isinstance(it, bytes) for it in given.values()):
            return None
        how: Any = {**given, "always_body": table.always_body, "adjust": table.adjust}
        try:
            return HeaderBody(head, **how)
        except FieldError as error:
            self.reader.report(f"{path}.{error.field}", error.problem)
            return None

    def _called_framing(self, table: FramingTable, path: str) -> BaseFraming | None:
        if evolve(table, call=None) != FramingTable():
            self.reader.report(path, "expected no other key of a framing beside it")
            return None
        called = self.function(table.call or "", path)
        try:
            return None if called is None else framing_of(called)
        except ValueError as error:
            self.reader.report(path, str(error))
            return None

    def _length(self, table: LengthTable, path: str) -> BaseFraming | None:
        given = asdict(table, recurse=False)
        given["trailer"] = self.payload(table.trailer, f"{path}.trailer", None)
        if table.strip is None:
            del given["strip"]
        if not isinstance(given["trailer"], bytes):
            return None
        try:
            return LengthField(**given)
        except FieldError as error:
            self.reader.report(f"{path}.{error.field}", error.problem)
            return None

    def faults(self, tables: Sequence[dict[str, Any]], path: str) -> list[PlacedFault]:
        """Return the faults that *tables* describe, without those that have problems."""
        found = [
            self.placed_fault(table, f"{path}[{at}]")
            for at, table in enumerate(tables)
            if table is not None  # it was not a table, which has been reported
        ]
        return [fault for fault in found if fault is not None]

    def placed_fault(
        self, table: dict[str, Any], path: str, places: type = FaultWindowTable
    ) -> PlacedFault | None:
        """
        Return the fault that *table* describes, and when it begins; None after a problem.

        :param places: declares the keys that say so, an attrs class.
        """
        names = [it.name for it in attrs.fields(places)]
        given = {name: it for name, it in table.items() if name in names}
        others = {name: it for name, it in table.items() if name not in names}
        placed = self.reader.read(places, given, path)
        found = self.fault(others, path)
        if placed is None or found is None:
            return None
        changes = asdict(placed)
        if "on" in changes:
            changes["on_connect"] = changes.pop("on") == "connect"
        try:
            return evolve(found, **changes)
        except FieldError as error:
            self.reader.report(f"{path}.{error.field}", error.problem)
            return None

    def fault(
        self, table: dict[str, Any], path: str, kinds: Mapping[str, type[Fault]] = KINDS
    ) -> PlacedFault | None:
        """Return the fault that *table* describes, one of *kinds*; None after a problem."""
        if "kind" not in table:
            self.reader.report(
                f"{path}.kind", f"the key is missing; expected one of: {', '.join(kinds)}"
            )
            return None
        kind = self.reader.read(str, table["kind"], f"{path}.kind")
        if kind is None:
            return None
        if kind not in kinds:
            self.reader.report(f"{path}.kind", unknown("kind", kind, kinds))
            return None
        parameters = {name: it for name, it in table.items() if name != "kind"}
        fault = self.reader.read(kinds[kind], parameters, path)
        return None if fault is None else PlacedFault(path, fault)
