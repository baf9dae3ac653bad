"""Templates: read from the keys of a table, and filled for a request."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from twisted.internet.address import IPv4Address

from reqresp.script.files import AnyFiles
from reqresp.script.names import REPLY_SOURCES, TemplateContext
from reqresp.script.payloads import read_payload
from reqresp.script.schema import PayloadTable
from reqresp.script.templates import Template


def read(*, names: Any = REPLY_SOURCES, **keys: Any) -> bytes | Template:
    """Return the payload that a table with these keys describes."""
    return read_payload(PayloadTable(**keys), AnyFiles(Path()), names)


def request_context(data: bytes = b"", *, seed: int | None = 1, **values: Any) -> TemplateContext:
    """Return the context of a request."""
    peer = IPv4Address("TCP", "192.0.2.1", 50000)
    client: Any = SimpleNamespace(number=7, taken=3, peer=peer, config=SimpleNamespace(seed=seed))
    return TemplateContext(data, client, **values)


def fill(text: str, data: bytes = b"", *, let: Any = None, **values: Any) -> bytes:
    """Return the bytes of the template *text*."""
    found = read(template=text, let=let)
    return found if isinstance(found, bytes) else found.fill_from(request_context(data, **values))
