"""
Parts: the payloads, framings and faults that a script's tables describe.

Makes of each what it can, and blames what it cannot; knows of no rule.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen

from reqresp.faults.faults import KINDS, Fault, PlacedFault
from reqresp.framing import Delimiter, Framing, HeaderBody, Line, parse_framing
from reqresp.script.payloads import Source, Template, read_payload
from reqresp.script.reader import Reader, unknown
from reqresp.script.schema import FramingTable, Payload

#: What templates can name; None: there can be no template.
Names = Mapping[str, Source] | None

_EITHER = "expected either length, or head and body"


@frozen
class Parts:
    """
    Makes values of tables.

    :param reader: is told of what is wrong with them.
    :param base: the directory that names of files are relative to.
    """

    reader: Reader
    base: Path

    def payload(self, payload: Payload, path: str, names: Names) -> bytes | Template | None:
        """Give the bytes, or the template, that *payload* is; None if it is none."""
        try:
            return read_payload(payload, self.base, names)
        except ValueError as error:
            if self.reader.is_clean(path):
                self.reader.blame(path, str(error))
            return None

    def each(self, given: Any, path: str) -> list[tuple[Any, str]]:
        """Give all that is *given*, one thing or a list of them, with the path of each."""
        if not isinstance(given, list):
            return [(given, path)]
        if not given:
            self.reader.blame(path, "expected one at least, found an empty list")
        return [(it, f"{path}[{at}]") for at, it in enumerate(given) if it is not None]

    def framing(self, given: str | FramingTable, path: str) -> Framing | None:
        """Give the framing that *given* describes; None if it describes none."""
        try:
            if isinstance(given, str):
                return parse_framing(given)
            headed = (given.head, given.body, given.body_end) != (None, None, None)
            return self._headed(given, path) if headed else self._sized(given)
        except ValueError as error:
            if self.reader.is_clean(path):
                self.reader.blame(path, str(error))
            return None

    def _sized(self, table: FramingTable) -> Framing:
        if table.length is None:
            raise ValueError(_EITHER)
        return table.length

    def _headed(self, table: FramingTable, path: str) -> Framing | None:
        if table.head is None or table.length is not None:
            raise ValueError(_EITHER)
        if table.body is None:
            raise ValueError(
                "the key body is missing: a pattern that finds a body's size in a head"
            )
        body = self.payload(table.body, f"{path}.body", None)
        end = self.payload(table.body_end or "", f"{path}.body_end", None)
        kind = self.framing(table.head, f"{path}.head")
        if not isinstance(kind, Line | Delimiter | None):
            self.reader.blame(
                f"{path}.head", f"expected a line or a delimiter, found {table.head!r}"
            )
            return None
        if kind is None or not isinstance(body, bytes) or not isinstance(end, bytes):
            return None
        try:
            return HeaderBody(kind, body, end)
        except ValueError as error:
            self.reader.blame(f"{path}.body", str(error))
            return None

    def faults(self, tables: Sequence[dict[str, Any]], path: str) -> list[PlacedFault]:
        """Give the faults that *tables* describe."""
        found = [
            self.fault(table, f"{path}[{at}]")
            for at, table in enumerate(tables)
            if table is not None  # which was blamed
        ]
        return [fault for fault in found if fault is not None]

    def fault(self, table: dict[str, Any], path: str) -> PlacedFault | None:
        """Give the fault that *table* describes; None if it describes none."""
        if "kind" not in table:
            self.reader.blame(path, f"the key kind is missing, one of {', '.join(KINDS)}")
            return None
        kind = self.reader.read(str, table["kind"], f"{path}.kind")
        if kind not in KINDS:
            if kind is not None:
                self.reader.blame(f"{path}.kind", unknown("kind", kind, KINDS))
            return None
        parameters = {name: it for name, it in table.items() if name != "kind"}
        fault: Fault | None = self.reader.read(KINDS[kind], parameters, path)
        return None if fault is None else PlacedFault(path, fault)
