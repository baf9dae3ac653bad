"""
Definitions: the services that a process has, as its options or its services file define them.

The options define the one service ``default``.  It must not know how a service runs.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from reqresp.daemon.options import Options
from reqresp.server.upstream_settings import format_service
from reqresp.services.definition import (
    Answering,
    Appended,
    Definition,
    FixedReply,
    Forwarded,
    Origin,
    ReplayFile,
    ScriptFile,
    ServerTLS,
)

if TYPE_CHECKING:
    from reqresp.services.registry import Wanted

#: What messages call the keys that options define.
_NAMES = {
    "listen": "",  # there are several options; messages show the endpoint
    "framing": "--framing",
    "limits.max_request": "--max-request",
    "limits.request_timeout": "--request-timeout",
    "response": "--response",
    "upstream.address": "--forward",
    "upstream.timeout": "--forward-timeout",
    "upstream.unreachable": "--unreachable",
    "upstream.send_proxy": "--send-proxy",
    "upstream.tls": "--forward-tls",
    "upstream.tls.name": "--forward-name",
    "upstream.tls.ca": "--forward-ca",
    "upstream.tls.cert": "--forward-cert",
    "upstream.tls.key": "--forward-key",
    "upstream.tls.insecure": "--forward-insecure",
    "tls.cert": "--tls-cert",
    "tls.key": "--tls-key",
    "tls.client_ca": "--client-ca",
    "journal": "--journal",
    "record": "--record",
    "script": "--script",
    "replay": "--replay",
}
#: The options that each replace one value of an upstream, and of its TLS.
_UPSTREAM = {"forward": "address", "forward-timeout": "timeout", "unreachable": "unreachable"}
_UPSTREAM_TLS = {
    "forward-name": "name",
    "forward-ca": "ca",
    "forward-cert": "cert",
    "forward-key": "key",
    "forward-insecure": "insecure",
}


def _accept_all(_definition: Definition) -> None:
    """Accept any definition."""


def read_definitions(
    options: Options, check: Callable[[Definition], object] = _accept_all
) -> Sequence[Definition]:
    """
    Return the services that *options* define, in their order.

    :param check: raises a `ProblemsError` for more that is wrong with a service.
    :raises ProblemsError: the services file cannot be read, or has problems; it has all of them.
    """
    if options["services"] is None:
        definition = option_definition(options)
        check(definition)
        return [definition]
    from reqresp.services.reading import load_services  # late: few processes have several

    return load_services(options["services"], check)


def load_definitions(options: Options) -> "Sequence[Wanted]":
    """
    Return the services that *options* define, with what the files contain that they name.

    :raises ProblemsError: a file cannot be read, or has problems; it has those of all files.
    """
    from reqresp.services.answers import load  # late: it loads a server

    wanted: list[Wanted] = []
    read_definitions(options, lambda it: wanted.append((it, load(it))))
    return wanted


def option_definition(options: Options) -> Definition:
    """Return the one service that *options* define without a services file."""
    upstream = _given(options, _UPSTREAM)
    if options["send-proxy"] is not None:
        upstream["send_proxy"] = int(options["send-proxy"])
    tls = options["tls-cert"] and ServerTLS(
        cert=options["tls-cert"],
        key=options["tls-key"],
        client_ca=options["client-ca"],
        **_given(options, {"handshake-timeout": "handshake_timeout"}),
    )
    return Definition(
        listen=tuple(options["endpoints"]),
        answering=_answering(options),
        framing=options["framing"],
        limits=options["limits"],
        upstream=upstream,
        adds_tls=bool(options["forward-tls"]),
        upstream_tls=_given(options, _UPSTREAM_TLS),
        files=Appended(
            journal=options["journal"],
            journal_max_entry=options["journal-max-entry"],
            record=options["record"],
            redact=tuple(options["redact"] or ()),
        ),
        tls=tls or None,
        access=options["access"],
        has_proxy_header=bool(options["proxy-protocol"]),
        trusted=options["trusted"],
        origin=Origin(names=_NAMES),
        written=_written(options),
    )


def _answering(options: Options) -> Answering:
    if options["replay"] is not None:
        ignore = tuple(options["ignore"] or ())
        return ReplayFile(options["replay"], options["pace"] or 0.0, ignore)
    if options["script"] is not None:
        return ScriptFile(options["script"])
    if options["forward"] is not None:
        return Forwarded()
    return FixedReply(options["response"], options["close-on"] or None)


def _given(options: Options, names: Mapping[str, str]) -> dict[str, Any]:
    """Return the values of those options of *names* that were given, by what they replace."""
    return {name: options[option] for option, name in names.items() if options[option]}


def _as_is(value: Any) -> Any:
    return value


#: The keys of a service that options define, and how their values are written as JSON.
_WRITTEN: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    "replay": ("replay", str),
    "pace": ("pace", _as_is),
    "ignore": ("ignore", list),
    "framing": ("framing", lambda framing: framing.name),
    "limits": ("limits", dict),
    "journal": ("journal", str),
    "journal-max-entry": ("journal_max_entry", _as_is),
    "record": ("record", str),
    "redact": ("redact", list),
    "allow": ("allow", lambda networks: str(networks).split(", ")),
    "deny": ("deny", lambda networks: str(networks).split(", ")),
    "proxy-protocol": ("proxy_protocol", bool),
    "trust": ("trust", lambda networks: str(networks).split(", ")),
}


def _written(options: Options) -> dict[str, Any]:
    """Return the keys with which the same service is defined over HTTP."""
    written = {
        key: write(options[option]) for option, (key, write) in _WRITTEN.items() if options[option]
    }
    for option, key in (("response", "response"), ("close-on", "close_on")):
        if options[option] is not None:
            written[key] = _written_bytes(options[option])
    if options["tls-cert"] is not None:
        names = {"tls-cert": "cert", "tls-key": "key", "client-ca": "client_ca"}
        written["tls"] = {key: str(it) for key, it in _given(options, names).items()}
        written["tls"] |= _given(options, {"handshake-timeout": "handshake_timeout"})
    upstream = _given(options, {**_UPSTREAM, "send-proxy": "send_proxy"})
    if "address" in upstream:
        upstream["address"] = format_service(upstream["address"])
        tls = _given(options, _UPSTREAM_TLS)
        if options["forward-tls"]:
            paths = ("ca", "cert", "key")
            upstream["tls"] = {key: str(it) if key in paths else it for key, it in tls.items()}
        written["upstream"] = upstream
    return written


def _written_bytes(data: bytes) -> Any:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"hex": data.hex(" ")}
