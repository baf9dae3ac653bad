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
    """
    How TLS is added to the connections of clients.

    :param cert: the file of the certificate and those that lead to its CA.
    :param key: the file of its key; the file of *cert* unless given.
    :param client_ca: the file of the CAs that sign the certificates of clients.
    :param handshake_timeout: seconds for the handshake of a client.
    """

    cert: str
    key: str | None = None
    client_ca: str | None = None
    handshake_timeout: Seconds = HANDSHAKE_TIMEOUT


@frozen(kw_only=True)
class ServiceTable:
    """
    The keys of a service that say where it listens, and what else answers than its rules.

    :param name: its name: letters, digits and ``. _ : -``.
    :param listen: a port, an address, an endpoint description, or a list of these.
    :param enabled: whether it listens.
    :param script: the path of a script that answers.
    :param response: a fixed reply to everything.
    :param close_on: the request after whose reply the connection is closed.
    :param replay: the path of a recording that answers.
    :param pace: factor of the recorded times: 0 replies at once, 1 as recorded.
    :param ignore: patterns of what may differ from the recording.
    :param record: the path to which the conversations are recorded.
    :param redact: patterns of what the recording must not show.
    :param journal: the path of the file to which everything that happens is appended.
    :param journal_max_entry: bytes of a request or reply that the journal has at most.
    :param tls: how TLS is added to the connections of clients.
    :param allow: networks that may connect.
    :param deny: networks that may not connect.
    :param proxy_protocol: whether each connection begins with a PROXY header.
    :param trust: networks whose PROXY headers count.
    """

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
    """
    A whole services file.

    :param service: the services.
    """

    service: list[dict[str, Any]] = Factory(list)


#: The keys of a service that are not those of a script.
SERVICE_KEYS = tuple(it.name for it in attrs.fields(ServiceTable))
#: The keys of a script.
SCRIPT_KEYS = tuple(it.name for it in attrs.fields(Document))
