"""
ServerConfig: everything that decides how a server answers, as one frozen value.

Combines a responder, a framing, limits and faults, and checks that they fit together.  Resolves
what was given against what a script says and the defaults.  It must not know connections.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attrs import Factory, evolve, field, fields, frozen

from reqresp._errors import Expected, FieldError, Problem, check_types
from reqresp._text import unknown
from reqresp.exchanges import Exchanges
from reqresp.faults.directed import DirectedFault, check_upstream
from reqresp.faults.faults import Fault, PlacedFault
from reqresp.framing import Chunk, Decoder, Framing, complete_framing, is_framing
from reqresp.server._fast_path import Batch
from reqresp.server.limits import Limits
from reqresp.server.responders import Responder, fixed
from reqresp.steps import Request, Steps

if TYPE_CHECKING:  # a script is checked without Twisted
    from twisted.internet.interfaces import IAddress

    from reqresp.server.functions import Answer

#: What is wrong with ``ordered = false`` beside an upstream.
UNORDERED_FORWARDS = "expected true where requests are forwarded, found false"


#: A fault of replies, or of what clients send.
AnyFault = Fault | PlacedFault | DirectedFault


def _placed(faults: Iterable[Fault | PlacedFault]) -> tuple[PlacedFault, ...]:
    return tuple(
        fault if isinstance(fault, PlacedFault) else PlacedFault(f"fault[{index}]", fault)
        for index, fault in enumerate(faults)
    )


@frozen
class ServerConfig:
    """
    How a server answers.

    :param faults: change each reply, and the greeting if there is one, in this order.  Those placed
        ``on_connect`` apply to whole connections, also before anything is sent.
    :param seed: the source of all randomness in faults; None: not chosen yet.
    :param ordered: whether replies leave in the order of their requests; if not, one that waits is
        overtaken by those to later requests.
    :param stream_faults: apply to what clients send, before requests are found in it.
    :raises FrameError: *framing* cannot encode a constant reply.
    :raises FieldError: *framing* cannot have a request within *limits*, or a fault of a stream is
        not one of what clients send.
    """

    responder: Responder
    framing: Framing = Factory(Chunk)
    limits: Limits = Factory(Limits)
    faults: tuple[PlacedFault, ...] = field(default=(), converter=_placed)
    seed: int | None = None
    ordered: bool = True
    stream_faults: tuple[DirectedFault, ...] = field(default=(), kw_only=True)
    #: Answers all requests of a read at once; None: the responder or the faults rule that out.
    batch: Batch | None = field(init=False, default=None, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        # Now, so that a mistake is found before the first connection.
        for directed in self.stream_faults:
            check_upstream(directed)
        properties = self.responder.state_properties
        for framing in (self.framing, *(it.framing for it in properties)):
            try:
                if framing is not None:
                    framing.decoder(self.limits.max_request)
            except ValueError as error:
                raise FieldError("framing", str(error)) from error
        table = None if self.faults or properties else self.responder.constants()
        if table is not self.responder:  # a batch frames all replies of its table
            self.responder.check(self.framing.encode)
        if table is not None:
            whole_read = complete_framing(self.framing).whole_read(self.limits.max_request)
            object.__setattr__(self, "batch", Batch(table, self.framing.encode, whole_read))

    @property
    def is_faulty(self) -> bool:
        """Whether any fault can be injected into replies."""
        return bool(self.faults or self.responder.faulty)

    def decoder(self) -> Decoder:
        """Return a new decoder, for one connection."""
        return self.framing.decoder(self.limits.max_request)

    def exchanges(
        self,
        peer: "IAddress",
        connection: int,
        first: int,
        requests: Sequence[bytes],
        steps: Callable[[Sequence[bytes]], Iterable[Steps]] | None = None,
        size: int | None = None,
    ) -> Exchanges:
        """
        Return the exchanges of *requests* on one connection.

        :param first: the number of the first request.
        :param steps: returns the steps that have answered each; None: constants have.
        :param size: bytes of the exchanges, if known.
        :raises ValueError: there are no constants.
        """
        if steps is None:
            if self.batch is None:
                raise ValueError("steps: expected a function, found None, without constants")
            steps = self.batch.steps
        by = self.responder.name
        return Exchanges(peer, connection, first, requests, steps, by, size)


class ConfigSource(ABC):
    """Something that describes how a server answers, such as a script."""

    #: What is valid, but perhaps not meant.
    warnings: Sequence[Problem] = ()

    @property
    def is_empty(self) -> bool:
        """Whether it says nothing of what clients get: perhaps it is not written yet."""
        return False

    @abstractmethod
    def config(self) -> ServerConfig:
        """Return a new config; two servers share nothing that changes."""


#: Everything that `resolve` accepts as the source of a config.
Source = ServerConfig | ConfigSource | Responder | Callable[[Request], "Answer"]


def is_function(given: object) -> bool:
    """Return whether *given* can answer requests as a function does; a class does not."""
    return callable(given) and not isinstance(given, type)


def _are_faults(given: object) -> bool:
    return isinstance(given, Sequence) and all(isinstance(it, AnyFault) for it in given)


#: What the arguments of `resolve` can be.
TYPES: Mapping[str, Expected] = {
    "framing": ("a Framing", is_framing),
    "limits": ("Limits, or a dictionary of them", lambda it: isinstance(it, Limits | Mapping)),
    "faults": ("a list of faults", _are_faults),
    "seed": ("an integer", lambda it: isinstance(it, int) and not isinstance(it, bool)),
    "ordered": ("True or False", lambda it: isinstance(it, bool)),
}


def resolve(
    source: Source | None = None,
    *,
    framing: Framing | None = None,
    limits: Limits | Mapping[str, Any] | None = None,
    faults: Sequence[AnyFault] | None = None,
    seed: int | None = None,
    ordered: bool | None = None,
    default: ServerConfig | None = None,
) -> ServerConfig:
    """
    Return the config to use: each part is the one given, else the source's, else the default.

    :param source: a config, a `ConfigSource`, a responder, or a function that answers.
    :param limits: replaces all limits of the source.  A mapping of names to values replaces only
        the limits that it names.
    :param faults: replace all faults of the source.
    :param default: the config of which a responder or a function has everything else, and whose
        seed a config without one gets; `fixed` with the default of each part unless given.
    :raises FrameError: *framing* cannot encode a constant reply of the source.
    :raises FieldError: a limit is out of range, *framing* cannot have a request within it, or a
        fault of a stream is not one of what clients send.
    :raises TypeError: an argument has a wrong type, or a limit is unknown; the message names it.
    """
    given: dict[str, Any] = {"framing": framing, "limits": limits, "seed": seed}
    given |= {"faults": faults, "ordered": ordered}
    check_types(TYPES, given)
    if default is None:
        default = ServerConfig(fixed())
    config = _config_of(source, default)
    if seed is None and config.seed is None:
        given["seed"] = default.seed
    if isinstance(limits, Mapping):
        given["limits"] = _changed(config.limits, limits)
    if faults is not None:
        given["faults"] = [it for it in faults if not isinstance(it, DirectedFault)]
        given["stream_faults"] = tuple(it for it in faults if isinstance(it, DirectedFault))
    changes = {name: value for name, value in given.items() if value is not None}
    return evolve(config, **changes) if changes else config


def _changed(limits: Limits, changes: Mapping[str, Any]) -> Limits:
    """
    Return *limits* with *changes*.

    :raises TypeError: one of *changes* is not a limit; the message suggests a similar one.
    :raises FieldError: a limit is out of range.
    """
    names = [it.name for it in fields(Limits)]
    for name in changes:
        if name not in names:
            raise TypeError(f"limits: {unknown('limit', str(name), names)}")
    return evolve(limits, **changes)


def _config_of(source: Source | None, default: ServerConfig) -> ServerConfig:
    if isinstance(source, ServerConfig):
        return source
    if isinstance(source, ConfigSource):
        return source.config()
    if source is None:
        return default
    if isinstance(source, Responder):
        return evolve(default, responder=source)
    if not is_function(source):
        expected = "a function, a Responder, or a ConfigSource such as a Script"
        raise TypeError(f"respond: expected {expected}, found {source!r}")
    from reqresp.server.functions import Function  # late: it needs Twisted

    return evolve(default, responder=Function(source))
