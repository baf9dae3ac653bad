"""
Forwarding: creating a relay, or what a server forwards requests to, from options and a script.

It contains no behaviour of its own.
"""

from typing import TYPE_CHECKING, Any

from attrs import evolve

from reqresp._errors import FieldError
from reqresp.daemon.options import Options
from reqresp.framing import NO_END, complete_framing
from reqresp.relay import Forwarding, RelayFactory, Unreachable
from reqresp.relay.settings import make_upstream
from reqresp.server.config import ServerConfig
from reqresp.server.limits import Limits
from reqresp.server.upstream_settings import TLSSettings, UpstreamSettings

if TYPE_CHECKING:
    from reqresp.script import Script

#: The options that each replace one value of `UpstreamSettings`, and of its `TLSSettings`.
_OPTIONS = {"forward": "address", "forward-timeout": "timeout", "unreachable": "unreachable"}
_TLS_OPTIONS = {
    "forward-name": "name",
    "forward-ca": "ca",
    "forward-cert": "cert",
    "forward-key": "key",
    "forward-insecure": "insecure",
}
_NO_SERVICE = "expected a service for forward = true: give [upstream] or --forward HOST:PORT"
#: The options that are about what a server answers by itself.
_ANSWERING = ("framing", "max-request", "request-timeout")


def upstream_settings(options: Options, script: "Script | None") -> UpstreamSettings | None:
    """
    Return where *options* and *script* forward clients to; None: nowhere.

    Options replace single values of the script.

    :raises ValueError: they do not fit together; the message names an option.
    """
    written = None if script is None else script.upstream
    if written is None and options["forward"] is None:
        given = [
            it
            for it in (*_OPTIONS, "send-proxy", "forward-tls", *_TLS_OPTIONS, "record")
            if options[it]
        ]
        if given:
            raise ValueError(f"--{given[0]}: requires --forward, or [upstream] in the script")
        return None
    changes = _given(options, _OPTIONS)
    if options["send-proxy"] is not None:
        changes["send_proxy"] = int(options["send-proxy"])
    tls = _tls_settings(options, None if written is None else written.tls)
    try:
        if written is None:
            return UpstreamSettings(tls=tls, **changes)
        return evolve(written, tls=tls, **changes)
    except FieldError as error:
        raise ValueError(f"--forward-{error.field}: {error.problem}") from None


def is_relay(options: Options, script: "Script | None") -> bool:
    """
    Return whether all bytes of clients are forwarded.

    :raises ValueError: the options do not fit to that.
    """
    if script is None:
        return options["forward"] is not None
    answers_all = not script.is_relay and not script.rules.forwards
    if answers_all and script.upstream is None and options["forward"] is not None:
        raise ValueError(
            f"--forward cannot be combined with {script.name}, which answers by itself"
        )
    given = [name for name in _ANSWERING if options[name] is not None]
    if script.is_relay and given:
        raise ValueError(f"--{given[0]} cannot be combined with {script.name}, a relay")
    return script.is_relay


def make_relay(
    options: Options, script: "Script | None", reactor: Any, **common: Any
) -> RelayFactory:
    """
    Return the relay that *options* and *script* describe.

    :param common: the arguments that all factories share.
    :raises ValueError: options do not fit together, or a file for TLS cannot be used.
    """
    return RelayFactory(**_arguments(options, script, reactor), **common)


def make_service(options: Options, script: "Script | None", reactor: Any) -> Forwarding | None:
    """
    Return the service to which *script* forwards requests; None: it forwards none.

    :raises ValueError: as for `make_relay`.
    """
    settings = upstream_settings(options, script)
    if settings is None or script is None:
        return None
    return Forwarding(make_upstream(settings, reactor), Unreachable(settings.unreachable))


def check_forwarding(options: Options, script: "Script | None", config: ServerConfig) -> None:
    """
    Check that requests can be forwarded as *config*, which *script* describes, and *options* say.

    :raises ValueError: they cannot; the message names the script.
    """
    if script is None or not script.rules.forwards:
        return
    if upstream_settings(options, script) is None:
        raise ValueError(f"{script.name}: {_NO_SERVICE}")
    if not complete_framing(config.framing).ends_replies:
        raise ValueError(f"{script.name} conflicts with --framing: {NO_END}")


def reconfigure_relay(
    factory: RelayFactory, options: Options, script: "Script | None", reactor: Any
) -> None:
    """
    Let *factory* forward new clients as *options* and *script* say now.

    :raises ValueError: as for `make_relay`; nothing has changed.
    """
    factory.reconfigure(**_arguments(options, script, reactor))


def _arguments(options: Options, script: "Script | None", reactor: Any) -> dict[str, Any]:
    settings = upstream_settings(options, script)
    if settings is None:
        raise ValueError("--forward: expected a service")
    limits = Limits() if script is None else script.limits
    return {
        "upstream": make_upstream(settings, reactor),
        "unreachable": Unreachable(settings.unreachable),
        "limits": evolve(limits, **options["limits"]),
        "faults": () if script is None else script.stream_faults,
        "seed": None if script is None else script.seed,
    }


def _tls_settings(options: Options, written: TLSSettings | None) -> TLSSettings | None:
    changes = _given(options, _TLS_OPTIONS)
    if written is None and not options["forward-tls"]:
        if changes:
            raise ValueError(f"--{_name_of_first(changes)}: requires --forward-tls")
        return None
    try:
        return evolve(written or TLSSettings(), **changes)
    except FieldError as error:
        raise ValueError(f"--forward-{error.field}: {error.problem}") from None


def _given(options: Options, names: dict[str, str]) -> dict[str, Any]:
    """Return the values of those options of *names* that were given, by what they replace."""
    return {name: options[option] for option, name in names.items() if options[option]}


def _name_of_first(changes: dict[str, Any]) -> str:
    return next(option for option, name in _TLS_OPTIONS.items() if name in changes)
