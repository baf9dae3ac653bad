"""
States: what is different in each state of a script, and which framings its rules have then.

Reports what is wrong and continues.  Must not know rules.
"""

from collections.abc import Iterable, Mapping

from attrs import frozen

from reqresp._errors import FieldError
from reqresp.framing import BaseFraming, Mixed, complete_framing
from reqresp.script._parts import TableParts
from reqresp.script.schema import StateTable
from reqresp.script.toml_positions import join
from reqresp.server.limits import Limits
from reqresp.server.state_properties import StateProperties

_NOT_FORWARDED = "expected no framing of a state in a script that forwards requests"


@frozen
class StateFramings:
    """
    The framing of each state.

    :param default: in states without a framing of their own; None: it has problems.
    :param properties: of the states that differ.
    :param is_framed: whether the file says how its replies are framed; if not, as lines.
    """

    default: BaseFraming | None
    properties: Mapping[str, StateProperties]
    is_framed: bool = True

    def of(self, states: Iterable[str] | None) -> tuple[BaseFraming | None, ...]:
        """Return the framings of *states*, each once; None: of every state."""
        own = {name: it.framing for name, it in self.properties.items() if it.framing is not None}
        if not own:
            return (self.default,)
        found = [own.get(state) for state in own if states is None or state in states]
        if states is None or {*states} - {*own}:
            found.append(None)
        framings = [self.default if it is None else complete_framing(it) for it in found]
        return tuple(dict.fromkeys(framings))


def mixed(framing: BaseFraming | None, replies: BaseFraming | None) -> BaseFraming | None:
    """Return the framing of both requests and *replies*; None: one of them has problems."""
    if framing is None or replies is None:
        return None
    return framing if framing == replies else Mixed(framing, replies)


def read_states(
    tables: Mapping[str, StateTable], parts: TableParts, default: BaseFraming | None, limits: Limits
) -> dict[str, StateProperties]:
    """Return what is different in each of the states that *tables* describe."""
    found = {
        name: _read(table, join("state", name), parts, default) for name, table in tables.items()
    }
    for name, properties in found.items():
        _check_limits(properties, f"{join('state', name)}.framing", parts, limits)
    return found


def _read(
    table: StateTable, path: str, parts: TableParts, default: BaseFraming | None
) -> StateProperties:
    requests, replies = (None, None) if default is None else (default.requests, default.replies)
    if table.framing is not None:
        requests = parts.framing(table.framing, f"{path}.framing")
    if table.reply_framing is not None:
        replies = parts.framing(table.reply_framing, f"{path}.reply_framing")
    has_own = table.framing is not None or table.reply_framing is not None
    framing = mixed(requests, replies) if has_own else None
    try:
        return StateProperties(framing, table.idle_timeout)
    except FieldError as error:
        parts.reader.report(f"{path}.{error.field}", error.problem)
        return StateProperties(framing)


def _check_limits(
    properties: StateProperties, path: str, parts: TableParts, limits: Limits
) -> None:
    try:
        if properties.framing is not None:
            properties.framing.decoder(limits.max_request)
    except ValueError as error:
        parts.reader.report(path, str(error))


def check_not_forwarded(properties: Mapping[str, StateProperties], parts: TableParts) -> None:
    """Report each state with a framing, where requests are forwarded."""
    for name, it in properties.items():
        if it.framing is not None:
            parts.reader.report(f"{join('state', name)}.framing", _NOT_FORWARDED)
