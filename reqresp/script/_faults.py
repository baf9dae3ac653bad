"""
Faults: what goes wrong with every reply of a script, or in a direction.

Reports what is wrong and continues.  Must not know rules.
"""

from collections.abc import Sequence
from typing import Any

import attrs
from attrs import frozen

from reqresp._errors import FieldError
from reqresp._text import quote
from reqresp.faults import STREAM_KINDS, DirectedFault, Direction, PlacedFault, unique_name
from reqresp.faults.directed import UPSTREAM_ONLY
from reqresp.script._parts import TableParts
from reqresp.script.schema import ReplyFaultTable, StreamFaultTable
from reqresp.script.toml_positions import join

_NO_REPLIES = "the key is missing: a relay has no replies; expected upstream or downstream"
_STREAM_KEYS = [it.name.removesuffix("_") for it in attrs.fields(StreamFaultTable)]


@frozen
class ScriptFaults:
    """
    The faults of a whole script.

    :param replies: are injected into every reply, or into connections.
    :param streams: go wrong in a direction of a relay, or with what clients send.
    """

    replies: tuple[PlacedFault, ...] = ()
    streams: tuple[DirectedFault, ...] = ()


def read_faults(
    tables: Sequence[dict[str, Any]],
    parts: TableParts,
    *,
    is_relay: bool,
    taken: Sequence[str] = (),
) -> ScriptFaults:
    """
    Return the faults that *tables* describe, without those that have problems.

    :param is_relay: whether the script forwards all bytes.
    :param taken: names that faults of a direction cannot have.
    """
    replies: list[PlacedFault] = []
    streams: list[DirectedFault] = []
    for at, table in enumerate(tables):
        if table is None:  # it was not a table, which has been reported
            continue
        path = f"fault[{at}]"
        if "stream" in table:
            directed = _directed(table, path, parts, [*taken, *(it.name for it in streams)])
            if directed is not None and not is_relay and directed.stream is Direction.DOWNSTREAM:
                parts.reader.report(f"{path}.stream", UPSTREAM_ONLY)
            streams += [] if directed is None else [directed]
        elif is_relay:
            parts.reader.report(join(path, "stream"), _NO_REPLIES)
        else:
            placed = parts.placed_fault(table, path, ReplyFaultTable)
            replies += [] if placed is None else [placed]
    return ScriptFaults(tuple(replies), tuple(streams))


def _directed(
    table: dict[str, Any], path: str, parts: TableParts, taken: Sequence[str]
) -> DirectedFault | None:
    reader = parts.reader
    keys = {name: it for name, it in table.items() if name in _STREAM_KEYS}
    others = {name: it for name, it in table.items() if name not in _STREAM_KEYS}
    placed = reader.read(StreamFaultTable, keys, path)
    found = parts.fault(others, path, STREAM_KINDS)
    if placed is None or found is None:
        return None
    if placed.name in taken:
        reader.report(
            f"{path}.name", f"expected another name: a fault is named {quote(placed.name)}"
        )
        return None
    values = attrs.asdict(placed) | {"fault": found.fault}
    if placed.name is None:
        values["name"] = unique_name(found.fault.kind, taken)
    try:
        return DirectedFault(**values)
    except FieldError as error:
        reader.report(join(path, error.field.removesuffix("_")), error.problem)
        return None
