"""
Schema: the keys of a service besides those of a script, and the types of their values.

Declarations only.  Must not know what a key means: that is `reading`.
"""

from typing import Any

import attrs
from attrs import Factory, frozen

from reqresp._defaults import HANDSHAKE_TIMEOUT
from reqresp._errors import Bytes, Seconds
from reqresp.script.schema import Document, PayloadTable


@frozen(kw_only=True)
class ServerTLSTable:
    """How TLS is added to the connections of clients."""

    cert: str
    key: str | None = None
    client_ca: str | None = None
    handshake_timeout: Seconds = HANDSHAKE_TIMEOUT


@frozen(kw_only=True)
class ServiceTable:
    """The keys of a service that say where it listens, and what else answers than its rules."""

    name: str
    listen: int | str | list[int | str]
    enabled: bool = True
    script: str | None = None
    response: str | PayloadTable | None = None
    close_on: str | PayloadTable | None = None
    replay: str | None = None
    pace: float | None = None
    ignore: str | list[str] | None = None
    record: str | None = None
    redact: str | list[str] | None = None
    journal: str | None = None
    journal_max_entry: Bytes | None = None
    tls: ServerTLSTable | None = None
    allow: str | list[str] | None = None
    deny: str | list[str] | None = None
    proxy_protocol: bool = False
    trust: str | list[str] | None = None


@frozen(kw_only=True)
class ServicesDocument:
    """A whole services file."""

    service: list[dict[str, Any]] = Factory(list)


#: The keys of a service that are not those of a script.
SERVICE_KEYS = tuple(it.name for it in attrs.fields(ServiceTable))
#: The keys of a script.
SCRIPT_KEYS = tuple(it.name for it in attrs.fields(Document))
