"""
Issued: certificates for tests, which end with the process, and files of them.
"""

from functools import cache
from pathlib import Path

import trustme
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
