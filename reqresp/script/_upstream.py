"""
Upstream: the service that a script forwards to, made from its table.

Reports what is wrong and continues.  Must not know rules.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import asdict

from reqresp._errors import FieldError
from reqresp.script.reader import Reader
from reqresp.script.schema import UpstreamTable, UpstreamTLSTable
from reqresp.script.toml_positions import join
from reqresp.server.upstream_settings import TLSSettings, UpstreamSettings, parse_address

#: The keys of a script that a relay can have.  All others are about requests or replies.
_RELAY_KEYS = {"upstream", "limits", "accept", "fault", "seed"}
_PATH = "upstream"
_TLS_PATH = "upstream.tls"


def is_relay(tables: Mapping[str, Any]) -> bool:
    """Return whether a script with these *tables* says where to forward, and nothing else."""
    return _PATH in tables and tables.keys() <= _RELAY_KEYS


def read_upstream(
    table: UpstreamTable | None, reader: Reader, base: Path
) -> UpstreamSettings | None:
    """
    Return the settings that *table* describes; None: it is None, or has problems.

    :param base: the directory that paths are relative to.
    """
    if table is None:
        return None
    given: dict[str, Any] = {
        name: value
        for name in ("timeout", "unreachable", "send_proxy")
        if (value := getattr(table, name)) is not None
    }
    try:
        given["address"] = parse_address(table.address, base)
    except ValueError as error:
        reader.report(f"{_PATH}.address", str(error))
    tls = _read_tls(table.tls, reader, base)
    if not reader.is_clean(_PATH):
        return None
    try:
        return UpstreamSettings(tls=tls, **given)
    except FieldError as error:
        reader.report(join(_PATH, error.field), error.problem)
        return None


def _read_tls(given: bool | UpstreamTLSTable, reader: Reader, base: Path) -> TLSSettings | None:
    if isinstance(given, bool):
        return TLSSettings() if given else None
    keys = {
        name: base.absolute() / value if name in ("ca", "cert", "key") else value
        for name, value in asdict(given).items()
        if value is not None
    }
    try:
        return TLSSettings(**keys)
    except FieldError as error:
        reader.report(join(_TLS_PATH, error.field), error.problem)
        return None
