"""
Issued: certificates for tests, which end with the process, and files of them.
"""

import ssl
from functools import cache
from pathlib import Path
from typing import Any

import trustme
from OpenSSL import SSL
from twisted.internet.ssl import ContextFactory
from twisted.trial.unittest import SynchronousTestCase

from reqresp.transport.tls import Certificates, TLSFiles
from tests.support import live


@cache
def authority() -> trustme.CA:
    """The authority that peers trust."""
    return trustme.CA()


@cache
def stranger() -> trustme.CA:
    """An authority that peers do not trust."""
    return trustme.CA()


def pem(leaf: trustme.LeafCert) -> bytes:
    """Return a key in PEM, and its certificates."""
    return leaf.private_key_and_cert_chain_pem.bytes()


@cache
def ours() -> bytes:
    """Return the certificate of a server, and its key."""
    return pem(authority().issue_cert("localhost"))


class _OneContext(ContextFactory):
    def __init__(self, context: Any) -> None:
        self._context = context

    def getContext(self) -> Any:
        return self._context


def contexts(name: str = "localhost") -> tuple[ContextFactory, ssl.SSLContext]:
    """Return what a server called *name* and its clients use for TLS."""
    server = SSL.Context(SSL.TLS_METHOD)
    authority().issue_cert(name).configure_cert(server)
    client = ssl.create_default_context()
    authority().configure_trust(client)
    return _OneContext(server), client


class FileTestCase(SynchronousTestCase):
    """A test case with a directory of its own."""

    def setUp(self) -> None:
        self.directory = live.temporary(self)

    def file(self, name: str, data: bytes) -> Path:
        """Write a file; return its path."""
        path = self.directory / name
        path.write_bytes(data)
        return path

    def certificates(
        self, data: bytes | None = None, key: Path | None = None, client_ca: bytes | None = None
    ) -> Certificates:
        """Return loaded certificates of a server with *data* in the file of its certificate."""
        path = self.file("it.pem", ours() if data is None else data)
        ca = None if client_ca is None else self.file("ca.pem", client_ca)
        loaded = Certificates(TLSFiles(path, key, ca))
        loaded.load()
        return loaded
