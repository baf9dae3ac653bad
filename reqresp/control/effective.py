"""
Effective: what a service is now, with each default filled in, and the schema of that JSON.

Its definition has what was written, which a script or a default may complete.  Changes nothing.
"""

from pathlib import Path
from typing import Any

import attrs

from reqresp._defaults import MAX_ENTRY_BYTES
from reqresp.control._describe import ACCEPT, framing_name, reply_framing_name
from reqresp.control._schemas import SCHEMAS, array, described, described_by, nullable, table
from reqresp.script.json_schema import Schema
from reqresp.server.factory import ReqRespFactory
from reqresp.server.limits import Limits
from reqresp.server.upstream_settings import TLSSettings, UpstreamSettings
from reqresp.services.definition import ServerTLS
from reqresp.services.layers import LOOPBACK
from reqresp.services.service import Kind, Service
from reqresp.transport.accept_modes import written_mode
from reqresp.transport.access import Access, Networks


def _limits() -> dict[str, Schema]:
    """Return the schemas of the limits; null: there is none."""
    schemas = {it.name: SCHEMAS.of(it.type) for it in attrs.fields(Limits)}
    optional = [it.name for it in attrs.fields(Limits) if it.default is None]
    schemas |= {name: nullable(schemas[name]) for name in optional}
    return described_by(Limits, **schemas)


_TEXT: Schema = {"type": "string"}
_FLAG: Schema = {"type": "boolean"}
_TEXTS = array(_TEXT)
_PATHS = dict.fromkeys(("ca", "cert", "key"), nullable(_TEXT))
#: Limits of requests: a relay knows none.
_OF_REQUESTS = ("max_request", "max_waiting", "request_timeout")

_UPSTREAM_TLS = table(**described_by(TLSSettings, name=nullable(_TEXT), insecure=_FLAG, **_PATHS))
_UPSTREAM = table(
    **described_by(
        UpstreamSettings,
        address=_TEXT,
        timeout={"type": "number"},
        unreachable=_TEXT,
        send_proxy=nullable({"type": "integer"}),
        tls=nullable(_UPSTREAM_TLS),
    )
)
_TLS = table(
    cert=described("the file of the certificate", _TEXT),
    **described_by(
        ServerTLS,
        key=nullable(_TEXT),
        client_ca=nullable(_TEXT),
        handshake_timeout={"type": "number"},
    ),
)

#: The schema of what `describe_effective` returns.
EFFECTIVE: Schema = table(
    listen=described("where it listens; if it is disabled, where it would", _TEXTS),
    accept=described("what happens to clients that connect", ACCEPT),
    framing=described("where a request ends; null: a relay, or a recording", nullable(_TEXT)),
    reply_framing=described("how a reply is wrapped; null: likewise", nullable(_TEXT)),
    ordered=described(
        "whether replies leave in the order of their requests; null: a relay", nullable(_FLAG)
    ),
    seed=described(
        "the source of all randomness in faults; null: none was needed so far",
        nullable({"type": "integer"}),
    ),
    limits=described("what clients may use", table(*_OF_REQUESTS, **_limits())),
    upstream=described("where clients are forwarded to; null: nowhere", nullable(_UPSTREAM)),
    tls=described("how TLS is added for clients; null: bytes are not encrypted", nullable(_TLS)),
    allow=described("the networks that may connect; null: all", nullable(_TEXTS)),
    deny=described("the networks that may not", _TEXTS),
    proxy_protocol=described("whether each connection begins with a PROXY header", _FLAG),
    trust=described("the networks whose PROXY headers count; null: none do", nullable(_TEXTS)),
    journal=described("the file to which what happens is appended; null: none", nullable(_TEXT)),
    journal_max_entry=described(
        "bytes of a request and its reply that it has; null: there is no such file",
        nullable({"type": "integer"}),
    ),
    record=described("the file to which conversations are recorded; null: none", nullable(_TEXT)),
)


def describe_effective(service: Service) -> dict[str, Any]:
    """Return what *service* is now, as JSON; None: it has no such thing, or no such limit."""
    definition, files = service.definition, service.definition.files
    factory = service.factory
    limits = attrs.asdict(service.limits)
    if service.kind is Kind.RELAY:
        limits = {name: it for name, it in limits.items() if name not in _OF_REQUESTS}
    access = Access() if definition.access is None else definition.access
    trusted = LOOPBACK if definition.trusted is None else definition.trusted
    most = MAX_ENTRY_BYTES if files.journal_max_entry is None else files.journal_max_entry
    return {
        "listen": [*service.listen],
        "accept": written_mode(service.ports.accept),
        "framing": framing_name(service),
        "reply_framing": reply_framing_name(service),
        "ordered": factory.config.ordered if isinstance(factory, ReqRespFactory) else None,
        "seed": service.faults.seed,
        "limits": limits,
        "upstream": _upstream(service.upstream_settings),
        "tls": _values(definition.tls),
        "allow": None if access.allow is None else _networks(access.allow),
        "deny": _networks(access.deny),
        "proxy_protocol": definition.has_proxy_header,
        "trust": _networks(trusted) if definition.has_proxy_header else None,
        "journal": _text(files.journal),
        "journal_max_entry": None if files.journal is None else most,
        "record": _text(files.record),
    }


def _upstream(settings: UpstreamSettings | None) -> dict[str, Any] | None:
    if settings is None:
        return None
    values = {it.name: getattr(settings, it.name) for it in attrs.fields(UpstreamSettings)}
    return {**values, "address": settings.name, "tls": _values(settings.tls)}


def _values(settings: TLSSettings | ServerTLS | None) -> dict[str, Any] | None:
    """Return the values of *settings*, with paths as text."""
    if settings is None:
        return None
    values = attrs.asdict(settings)
    return {name: str(it) if isinstance(it, Path) else it for name, it in values.items()}


def _networks(networks: Networks) -> list[str]:
    return [str(it) for it in networks.networks]


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
