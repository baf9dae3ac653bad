"""
ServiceFaults: the faults of one service, for programs that steer it.

Writes where a fault applies alike for services that answer and for those that only forward.  It
must not know HTTP.
"""

from collections.abc import Iterable, Iterator, Mapping
from math import inf
from types import MappingProxyType
from typing import Any

import attrs
from attrs import frozen

from reqresp._errors import Bytes, FieldError, Seconds, Share
from reqresp._text import quote, unknown
from reqresp.faults import (
    KINDS,
    REPLY_PARAMETERS,
    STREAM_KINDS,
    DirectedFault,
    Direction,
    Fault,
)
from reqresp.faults.faults import Bounds
from reqresp.relay import RelayFactory
from reqresp.server.factory import ReqRespFactory
from reqresp.server.front_factory import FrontFactory
from reqresp.server.live_faults import LiveFault

#: The stream of faults that are drawn when a client connects.
CONNECTION = "connection"

#: The streams of replies, with the names that scripts have for them.
_REPLY_STREAMS = {Direction.DOWNSTREAM.value: "reply", CONNECTION: "connect"}
#: The streams of a service that answers, and of a relay.
_ANSWERED_STREAMS = [Direction.UPSTREAM.value, *_REPLY_STREAMS]
_RELAY_STREAMS = [it.value for it in Direction]
_UNITS: Mapping[Any, str] = {Seconds: "seconds", Bytes: "bytes", Share: "share"}
#: Units of parameters whose types do not have them.
_OTHER_UNITS = {"rate": "bytes per second", "after": "seconds", "after_bytes": "bytes"}
#: Parameters of a fault besides those of its kind: of replies, and of a direction.
_REPLY_WINDOW = ("after", "after_bytes")
_DIRECTED_WINDOW = (*_REPLY_WINDOW, "for", "shared")


@frozen
class ServiceFault:
    """
    A fault of a service as it is now.

    :param stream: ``upstream`` or ``downstream``: the direction of a relay; of a service that
        answers, ``upstream`` is what clients send, ``downstream`` is its replies, and
        ``connection`` is drawn when a client connects.
    :param parameters: those of its kind, its probability included, and of a direction its window.
    """

    name: str
    kind: str
    stream: str
    parameters: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        """Return it as a dict that `json` accepts."""
        return {"name": self.name, "kind": self.kind, "stream": self.stream, **self.parameters}

    def __str__(self) -> str:
        parameters = (f"{name} {value}" for name, value in self.parameters.items())
        return ", ".join([self.kind, self.stream, *parameters])


class ServiceFaults:
    """The faults of the service that *factory* makes, in the order in which they apply."""

    def __init__(self, factory: FrontFactory) -> None:
        if not isinstance(factory, RelayFactory | ReqRespFactory):
            raise TypeError(f"factory: expected one with faults, found {factory!r}")
        self._factory = factory

    def __iter__(self) -> Iterator[ServiceFault]:
        """Iterate over the faults as they are now."""
        return map(_view, self._factory.faults)

    def __getitem__(self, name: str) -> ServiceFault:
        """
        Return the fault with this *name*.

        :raises KeyError: there is none; the message has a similar name.
        """
        return _view(self._find(name))

    @property
    def seed(self) -> int | None:
        """The source of all randomness in faults; None: none was needed so far."""
        return self._factory.seed

    @property
    def streams(self) -> list[str]:
        """Where faults of this service apply."""
        is_relay = isinstance(self._factory, RelayFactory)
        return [*(_RELAY_STREAMS if is_relay else _ANSWERED_STREAMS)]

    @property
    def kinds(self) -> dict[str, dict[str, dict[str, dict[str, Any]]]]:
        """
        The kinds of faults of each stream, and the parameters of each.

        A parameter has its ``default`` (None: it must be given), its ``unit`` (``seconds``,
        ``bytes``, ``bytes per second``, ``share`` or ``""``), its ``minimum`` and its ``maximum``
        (None: there is none).
        """
        kinds = {}
        for stream in self.streams:
            is_directed = self._is_directed(stream)
            some = STREAM_KINDS if is_directed else KINDS
            kinds[stream] = {
                name: _parameters(kind, is_directed=is_directed) for name, kind in some.items()
            }
        return kinds

    def add(
        self,
        kind: str,
        stream: str = Direction.DOWNSTREAM.value,
        name: str | None = None,
        parameters: Mapping[str, Any] = MappingProxyType({}),
    ) -> ServiceFault:
        """
        Let something go wrong from now on, on open connections, too.

        :param parameters: those of the kind, and when it begins and ends, as scripts name them.
        :raises FieldError: *kind* or a parameter is unknown, missing or not usable.
        :raises ValueError: the name is taken.
        """
        if stream not in self.streams:
            shown = quote(stream) if isinstance(stream, str) else repr(stream)
            raise FieldError("stream", f"expected {' or '.join(self.streams)}, found {shown}")
        kinds = self.kinds[stream]
        if kind not in kinds:
            raise FieldError("kind", unknown("kind of fault", kind, kinds))
        is_directed = self._is_directed(stream)
        window = _DIRECTED_WINDOW if is_directed else _REPLY_WINDOW
        _check_known(parameters, (*kinds[kind], *window))
        for parameter, described in kinds[kind].items():
            if described["default"] is None and parameter not in parameters:
                raise FieldError(parameter, "the key is missing")
        given = {_python_name(it): value for it, value in parameters.items()}
        place = {"stream": stream} if is_directed else {"on": _REPLY_STREAMS[stream]}
        factory: Any = self._factory  # each kind has a method of its own
        return _view(factory.fault(kind, **place, name=name, **given))

    def change(self, name: str, parameters: Mapping[str, Any]) -> ServiceFault:
        """
        Change *parameters* of the fault with this *name*, for open connections, too.

        :raises KeyError: there is none.
        :raises FieldError: a parameter is unknown or not usable; nothing has changed.
        """
        live = self._find(name)
        for parameter in parameters:
            if parameter in _DIRECTED_WINDOW:
                raise FieldError(parameter, "cannot be changed: remove the fault, and add it again")
        is_directed = isinstance(live.placed, DirectedFault)
        _check_known(parameters, _parameters(type(live.fault), is_directed=is_directed))
        live.change(**parameters)
        return _view(live)

    def remove(self, name: str) -> None:
        """
        Remove the fault with this *name*; what it holds is sent on.

        :raises KeyError: there is none.
        """
        self._find(name).remove()

    def reset(self) -> None:
        """Have the faults of the definition, as they are there, and no others."""
        self._factory.reset_faults()

    def _is_directed(self, stream: str) -> bool:
        """Return whether faults of *stream* apply to bytes as they pass, not to replies."""
        return isinstance(self._factory, RelayFactory) or stream == Direction.UPSTREAM.value

    def _find(self, name: str) -> LiveFault[Any]:
        faults = {it.name: it for it in self._factory.faults}
        try:
            return faults[name]
        except KeyError:
            raise KeyError(unknown("fault", name, faults)) from None


def _view(live: LiveFault[Any]) -> ServiceFault:
    parameters = attrs.asdict(live.fault)
    for name in _DIRECTED_WINDOW:
        if value := getattr(live.placed, _python_name(name), None):
            parameters[name] = value
    if isinstance(live.placed, DirectedFault):
        parameters = {it: value for it, value in parameters.items() if it not in REPLY_PARAMETERS}
        stream = live.placed.stream.value
    else:
        stream = CONNECTION if live.placed.on_connect else Direction.DOWNSTREAM.value
    return ServiceFault(live.name, live.fault.kind, stream, parameters)


def _python_name(name: str) -> str:
    return "for_" if name == "for" else name


def _check_known(parameters: Iterable[str], known: Iterable[str]) -> None:
    for name in parameters:
        if name not in known:
            raise FieldError(name, unknown("parameter", name, known))


def _parameters(kind: type[Fault], *, is_directed: bool) -> dict[str, dict[str, Any]]:
    hidden = REPLY_PARAMETERS if is_directed else ()
    shown = [it for it in attrs.fields(kind) if it.name not in hidden]
    fields = sorted(shown, key=lambda it: it.name == "probability")
    return {
        it.name: {
            "default": None if it.default is attrs.NOTHING else it.default,
            "unit": _UNITS.get(it.type, _OTHER_UNITS.get(it.name, "")),
            **_bounds(it.validator),
        }
        for it in fields
    }


def _bounds(validator: Any) -> dict[str, float | None]:
    if not isinstance(validator, Bounds):
        return {"minimum": None, "maximum": None}
    most = None if validator.most == inf else validator.most
    return {"minimum": validator.least, "maximum": most}
