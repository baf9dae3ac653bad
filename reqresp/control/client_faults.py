"""
RemoteFault: a fault of a server in another process, as a test sees it.

Knows the routes of faults.  Must not know HTTP.
"""

from collections.abc import Mapping
from typing import Any

import attrs

from reqresp.control._http import ControlError
from reqresp.control._service_api import ServiceApi, raise_for_test
from reqresp.faults import KINDS, STREAM_KINDS, Direction, Fault
from reqresp.faults.removable import Removable

#: The streams of faults of replies, by where they are drawn.
_STREAMS = {"reply": Direction.DOWNSTREAM.value, "connect": "connection"}
#: All kinds, by their names.
_KINDS: Mapping[str, type[Fault]] = {**KINDS, **STREAM_KINDS}

# pytest shows the line of the test that called, and no frame of this module.
__tracebackhide__ = True


class RemoteFault(Removable):
    """
    A fault of a service; made by `ControlClient.fault`.

    As a context manager, it removes itself at the end of the block.
    """

    def __init__(self, api: ServiceApi, added: Mapping[str, Any]) -> None:
        self._api = api
        #: Its name, which no other fault of the service has.
        self.name: str = added["name"]
        #: Where it applies: ``upstream``, ``downstream`` or ``connection``.
        self.stream: str = added["stream"]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    @property
    def fault(self) -> Fault:
        """
        What goes wrong, with the parameters that it has now.

        :raises ControlError: it was removed.
        """
        shown = next((it for it in shown_faults(self._api) if it["name"] == self.name), None)
        if shown is None:
            raise ControlError(f"fault {self.name!r} was removed")
        kind = _KINDS[shown["kind"]]
        own = [it.name for it in attrs.fields(kind) if it.name in shown]
        return kind(**{name: shown[name] for name in own})

    def change(self, **parameters: Any) -> None:
        """
        Change *parameters* of the fault, its probability included, for open connections, too.

        :raises ScriptError: a value is not usable; nothing has changed.
        """
        body = _by_scripts(parameters)
        self._api.ask("PATCH", "faults", self.name, body=body, method_of_test="change")

    def remove(self) -> None:
        """Remove it; what it holds is sent on.  Do nothing if it was removed."""
        try:
            self._api.ask("DELETE", "faults", self.name)
        except ControlError as error:
            if error.status != 404:
                raise


def shown_faults(api: ServiceApi) -> list[dict[str, Any]]:
    """Return the faults of a service in the order in which they apply, as JSON has them."""
    shown: list[dict[str, Any]] = api.ask("GET", "faults")["faults"]
    return shown


def fault_stream(stream: str | Direction | None, on: str | None) -> str:
    """
    Return where a fault applies, by its name over HTTP.

    :raises ScriptError: *on* is not ``reply`` or ``connect``, or *stream* is given as well.
    """
    if on is not None and (on not in _STREAMS or stream is not None):
        found = repr(on) if stream is None else f"{on!r} and a stream"
        raise_for_test("fault", ("on", f"expected {' or '.join(_STREAMS)}, found {found}"))
    if stream is None:
        return _STREAMS["reply" if on is None else on]
    return stream.value if isinstance(stream, Direction) else stream


def fault_parameters(kind: str | Fault, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the *kind* of a fault, and its parameters, by their names in scripts."""
    if isinstance(kind, str):
        return {"kind": kind, **_by_scripts(given)}
    own = attrs.asdict(kind, filter=lambda field, value: value != field.default)
    return {"kind": kind.kind, **own, **_by_scripts(given)}


def _by_scripts(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name.removesuffix("_"): value for name, value in given.items()}
