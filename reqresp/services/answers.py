"""
Answers: what serves the clients of a service, made from its definition and the files it names.

It contains no behaviour of its own.  It must not know where a service listens.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen
from twisted.logger import Logger

from reqresp._errors import FieldError, Problem, ProblemsError
from reqresp.framing import NO_END, Chunk, complete_framing
from reqresp.relay import Forwarding, RelayFactory, Unreachable
from reqresp.relay.settings import make_upstream, read_tls
from reqresp.relay.upstream import Upstream
from reqresp.server.config import ServerConfig, resolve
from reqresp.server.factory import ReqRespFactory
from reqresp.server.front_factory import FrontFactory
from reqresp.server.limits import Limits
from reqresp.server.responders import fixed
from reqresp.server.upstream_settings import TLSSettings, UpstreamSettings
from reqresp.services.definition import (
    Definition,
    FixedReply,
    Forwarded,
    ReplayFile,
    ScriptFile,
    WrittenScript,
    problems_of,
    reading,
    reading_tls,
)
from reqresp.transport.accept_modes import Accept, AcceptMode

if TYPE_CHECKING:  # few services have a script
    from reqresp.recording.replay import Replay
    from reqresp.script import Script

_log = Logger()

_ADDRESS = "upstream.address"
_TLS = "upstream.tls"
#: The keys that are about what a server answers by itself.
_ANSWERING = ("limits.max_request", "limits.request_timeout")


@frozen
class Loaded:
    """
    What the files contain that say what a service answers.

    :param script: None: there is none.
    :param text: its TOML text, if it has one of its own.
    :param replay: None: nothing is replayed.
    """

    script: "Script | None" = None
    text: str | None = None
    replay: "Replay | None" = None

    @property
    def name(self) -> str:
        """The name of the file, or of what else says what is answered."""
        if self.replay is not None:
            return self.replay.recording.name
        return "" if self.script is None else self.script.name

    def is_same(self, other: "Loaded") -> bool:
        """Return whether *other* answers alike."""
        if self.replay is not None and other.replay is not None:
            same = self.replay.recording == other.replay.recording
            return same and self.replay.pace == other.replay.pace
        if self.script is not None and other.script is not None:
            return self.script.is_same(other.script)
        return self.source is None and other.source is None

    @property
    def source(self) -> "Script | Replay | None":
        """What says what is answered; None: the definition does."""
        return self.replay if self.script is None else self.script


def load(definition: Definition) -> Loaded:
    """
    Read the files that say what *definition* answers.

    A script with thousands of rules takes seconds, as a large recording does.

    :raises ProblemsError: a file cannot be read, or has problems; it has all of them.
    """
    match definition.answering:
        case WrittenScript(script=script, text=text):
            return Loaded(definition.completed(script), text)
        case ScriptFile(path=path):
            from reqresp.script import Script  # late, likewise
            from reqresp.script.loader import read_script

            with reading(definition, "script"):
                text = read_script(path)
                script = Script.parse(text, str(path), path.parent)
            return Loaded(definition.completed(script), text)
        case ReplayFile(path=path, pace=pace, ignore=ignore):
            from reqresp.recording.replay import Replay  # late: few services replay

            with problems_of(definition), reading(definition, "replay"):
                return Loaded(replay=Replay.load(path, pace, ignore))
        case _:
            return Loaded()


def upstream_settings(definition: Definition, script: "Script | None") -> UpstreamSettings | None:
    """
    Return where clients are forwarded to; None: nowhere.

    The definition replaces single values of the script.

    :raises FieldError: they do not fit together; it names a key.
    """
    written = None if script is None else script.upstream
    name_of = definition.name_of
    if written is None and "address" not in definition.upstream:
        keys = [f"upstream.{it}" for it in definition.upstream]
        keys += [_TLS] if definition.adds_tls else []
        keys += [f"{_TLS}.{it}" for it in definition.upstream_tls]
        keys += ["record"] if definition.files.record is not None else []
        if keys:
            problem = f"requires {name_of(_ADDRESS)}, or [upstream] in the script"
            raise FieldError(keys[0], problem)
        return None
    tls = _tls_settings(definition, None if written is None else written.tls)
    try:
        if written is None:
            return UpstreamSettings(tls=tls, **definition.upstream)
        return evolve(written, tls=tls, **definition.upstream)
    except FieldError as error:
        raise FieldError(f"upstream.{error.field}", error.problem) from None


def accept_mode_of(definition: Definition, script: "Script | None") -> AcceptMode:
    """Return what happens to clients that connect; the definition replaces what a script says."""
    if definition.accept is not None:
        return definition.accept
    return Accept.NOW if script is None else script.accept


def is_relay(definition: Definition, script: "Script | None") -> bool:
    """
    Return whether all bytes of clients are forwarded.

    :raises FieldError: the definition does not fit to that.
    """
    if script is None:
        return isinstance(definition.answering, Forwarded)
    answers_all = not script.is_relay and not script.rules.forwards
    if answers_all and script.upstream is None and "address" in definition.upstream:
        problem = f"cannot be combined with {script.name}, which answers by itself"
        raise FieldError(_ADDRESS, problem)
    given = ["framing"] if definition.framing is not None else []
    given += [it for it in _ANSWERING if it.removeprefix("limits.") in definition.limits]
    if script.is_relay and given:
        raise FieldError(given[0], f"cannot be combined with {script.name}, a relay")
    return script.is_relay


def log_warnings(loaded: Loaded) -> None:
    """Log what is valid in a script or a recording, but perhaps not meant."""
    for warning in () if loaded.source is None else loaded.source.warnings:
        _log.warn("{problem}", problem=warning)


#: Returns a config that answers otherwise than another one.
Around = Callable[[ServerConfig], ServerConfig]


def _as_it_is(config: ServerConfig) -> ServerConfig:
    return config


def make_factory(
    definition: Definition,
    loaded: Loaded,
    reactor: Any,
    around: Around = _as_it_is,
    **common: Any,
) -> FrontFactory:
    """
    Return the factory of a service.

    :param around: returns the config that is used for the one that answers as defined.
    :param common: the arguments that all factories share.
    :raises FieldError: parts of the definition do not fit together.
    :raises ProblemsError: its script has a key that is not usable.
    """
    if is_relay(definition, loaded.script):
        return RelayFactory(**_relay_arguments(definition, loaded.script, reactor), **common)
    config = around(_make_config(definition, loaded))
    return ReqRespFactory(
        config, service=_make_forwarding(definition, loaded.script, reactor), **common
    )


def check_answers(definition: Definition, loaded: Loaded, reactor: Any) -> None:
    """
    Check that `make_factory` can make a factory, without a trace in the log.

    :raises FieldError, ValueError: it cannot.
    """
    # With a seed: otherwise one would be chosen and logged, and never used.
    seed: dict[str, Any] = {} if is_relay(definition, loaded.script) else {"seed": 0}
    make_factory(definition, loaded, reactor, clock=reactor, **seed)


def reconfigure(
    factory: FrontFactory,
    definition: Definition,
    loaded: Loaded,
    reactor: Any,
    around: Around = _as_it_is,
) -> None:
    """
    Let *factory* serve new clients as *definition* says now.

    :param around: as for `make_factory`.
    :raises FieldError, ValueError: as for `make_factory`, or a relay begins or ends to be one;
        nothing has changed.
    """
    script = loaded.script
    if is_relay(definition, script) != isinstance(factory, RelayFactory):
        raise ValueError("a relay begins or ends to be one only at a restart")
    if isinstance(factory, RelayFactory):
        factory.reconfigure(**_relay_arguments(definition, script, reactor))
    elif isinstance(factory, ReqRespFactory):
        service = _make_forwarding(definition, script, reactor)
        factory.reconfigure(around(_make_config(definition, loaded)), service=service)


def _make_config(definition: Definition, loaded: Loaded) -> ServerConfig:
    source, answering = loaded.source, definition.answering
    if source is None:
        reply = answering if isinstance(answering, FixedReply) else FixedReply()
        try:
            return resolve(
                fixed(reply.response, close_on=reply.close_on),
                framing=definition.framing or Chunk(),
                limits=definition.limits,
                faults=reply.faults,
                seed=reply.seed,
            )
        except FieldError:
            raise
        except ValueError as error:
            raise FieldError("response", str(error)) from None
    try:
        config = resolve(source, framing=definition.framing, limits=definition.limits)
    except ValueError as error:
        conflict = _conflict(definition, error)
        raise ValueError(f"{loaded.name} {conflict}") from error
    _check_forwarding(definition, loaded.script, config)
    if config.responder.starts_tls and definition.tls is None:
        raise FieldError("tls.cert", "expected a certificate for the step start_tls, found none")
    return config


def _conflict(definition: Definition, error: ValueError) -> str:
    """Return which keys conflict with a script that has no errors of its own."""
    given = ["framing"] if definition.framing is not None else []
    given += ["limits.max_request"] if "max_request" in definition.limits else []
    problem = error.problem if isinstance(error, FieldError) else error
    return f"conflicts with {' and '.join(map(definition.name_of, given))}: {problem}"


def _check_forwarding(
    definition: Definition, script: "Script | None", config: ServerConfig
) -> None:
    if script is None or not script.rules.forwards:
        return
    if upstream_settings(definition, script) is None:
        address = definition.name_of(_ADDRESS)
        raise ValueError(
            f"{script.name}: expected a service for forward = true: give [upstream] or {address}"
        )
    if not complete_framing(config.framing).ends_replies:
        framing = definition.name_of("framing")
        raise ValueError(f"{script.name} conflicts with {framing}: {NO_END}")


def _make_forwarding(
    definition: Definition, script: "Script | None", reactor: Any
) -> Forwarding | None:
    settings = upstream_settings(definition, script)
    if settings is None or script is None:
        return None
    upstream = _make_upstream(settings, definition, script, reactor)
    return Forwarding(upstream, Unreachable(settings.unreachable))


def _make_upstream(
    settings: UpstreamSettings, definition: Definition, script: "Script | None", reactor: Any
) -> Upstream:
    """
    Return what *settings*, those of *definition* and *script*, describe.

    :raises FieldError, ProblemsError: as for `upstream_warnings`.
    """
    if settings.tls is None:
        return make_upstream(settings, reactor)
    with _reading_upstream(settings.tls, definition, script):
        return make_upstream(settings, reactor)


def upstream_warnings(definition: Definition, script: "Script | None") -> list[str]:
    """
    Return what is valid in TLS to the service that clients are forwarded to, but perhaps not meant.

    :raises FieldError: a key of the definition is not usable.
    :raises ProblemsError: a key of the script is not.
    :raises ImportError: a package is not installed; the message has the extra.
    """
    found: list[str] = []
    settings = upstream_settings(definition, script)
    if settings is not None and settings.tls is not None:
        with _reading_upstream(settings.tls, definition, script):
            read_tls(settings, settings.tls, found.append)
    return found


@contextmanager
def _reading_upstream(
    tls: TLSSettings, definition: Definition, script: "Script | None"
) -> Iterator[None]:
    """Say which key, of *definition* or of *script*, has the file or the name of *tls*."""
    try:
        with reading_tls(tls, _TLS):
            yield
    except FieldError as error:
        is_beside = error.field.removeprefix(f"{_TLS}.") in definition.upstream_tls
        if script is None or is_beside or definition.has_script_keys:
            raise
        from reqresp.script.toml_positions import line_of  # late: few services have a script

        line = line_of(script.lines, error.field)
        raise ProblemsError(Problem(script.name, line, error.field, error.problem)) from None


def relay_limits(definition: Definition, script: "Script | None") -> Limits:
    """Return the limits of a service that forwards all bytes."""
    return evolve(Limits() if script is None else script.limits, **definition.limits)


def _relay_arguments(
    definition: Definition, script: "Script | None", reactor: Any
) -> dict[str, Any]:
    settings = upstream_settings(definition, script)
    if settings is None:
        raise FieldError(_ADDRESS, "expected a service")
    return {
        "upstream": _make_upstream(settings, definition, script, reactor),
        "unreachable": Unreachable(settings.unreachable),
        "limits": relay_limits(definition, script),
        "faults": () if script is None else script.stream_faults,
        "seed": None if script is None else script.seed,
    }


def _tls_settings(definition: Definition, written: TLSSettings | None) -> TLSSettings | None:
    changes = definition.upstream_tls
    if written is None and not definition.adds_tls:
        if changes:
            name = next(iter(changes))
            problem = f"requires {definition.name_of(_TLS)}"
            raise FieldError(f"{_TLS}.{name}", problem)
        return None
    try:
        return evolve(written or TLSSettings(), **changes)
    except FieldError as error:
        raise FieldError(f"{_TLS}.{error.field}", error.problem) from None
