"""
Pem: certificates and keys in files, and what is wrong with them.

Knows files and what belongs into them; nothing of connections, and nothing of when they are read
again.  What is wrong is told in one line, which names the file and what was expected of it, and
shows nothing that is in it.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from attrs import field, frozen

try:
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
except ImportError as error:
    raise ImportError(f"{error} (pip install 'reqresp[tls]')") from None

#: Bytes of a file that are read: all the authorities of the world take a quarter of a megabyte.
LARGEST = 4 * 1024 * 1024

_CERTIFICATE = re.compile(rb"-----BEGIN (?:X509 )?CERTIFICATE-----")
_KEY = re.compile(rb"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----")


class TLSFileError(ValueError):
    """A file cannot be used: one line that names it."""


@frozen
class TLSFiles:
    """
    Where a server's certificates are; all files are PEM.

    :param certificate: the server's, and behind it those that clients need to trace it back to one
        they trust; the private key may be there too.
    :param key: its private key, not encrypted (None: it is in the certificate's file).
    :param client_ca: the authorities of which clients need a certificate (None: they need none).
    """

    certificate: Path
    key: Path | None = None
    client_ca: Path | None = None


@frozen
class Credentials:
    """
    What the files of a server held when they were read, each of them once.

    :param chain: the server's certificate, and those behind it.
    :param key: its private key.
    :param authorities: of which clients need a certificate.
    """

    files: TLSFiles
    chain: Sequence[x509.Certificate] = field(repr=False)
    key: Any = field(repr=False)
    authorities: Sequence[x509.Certificate] = field(repr=False)

    def warnings(self, now: datetime) -> Iterator[str]:
        """Tell which certificates are not valid *now*, a time with its zone."""
        for path, certificates in (
            (self.files.certificate, self.chain),
            (self.files.client_ca, self.authorities),
        ):
            for number, certificate in enumerate(certificates, 1):
                if (problem := _dated(certificate, now)) is not None:
                    which = f"certificate {number}" if len(certificates) > 1 else "the certificate"
                    yield f"{path}: {which} {problem}"


def read(files: TLSFiles) -> Credentials:
    """
    Read *files*, each of them once, and see that they go together.

    :raises TLSFileError: one of them cannot be used.
    """
    wanted = "the server's certificate, as PEM"
    data = _read(files.certificate, wanted)
    chain = _certificates(files.certificate, data, wanted)
    if files.key is None:
        wanted = "one there, not encrypted, or a file of its own for it"
        key = _private_key(files.certificate, data, wanted)
    else:
        wanted = "the certificate's private key there, as PEM, not encrypted"
        key = _private_key(files.key, _read(files.key, wanted), wanted)
    _check_pair(files, chain, key)
    authorities: Sequence[x509.Certificate] = ()
    if files.client_ca is not None:
        wanted = "the certificates of the clients' authorities, as PEM"
        authorities = _certificates(files.client_ca, _read(files.client_ca, wanted), wanted)
    return Credentials(files, chain, key, authorities)


def _read(path: Path, wanted: str) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise _error(path, error.strerror or type(error).__name__, wanted) from None
    except ValueError:  # a NUL in it
        raise _error(path, "this is no path", wanted) from None
    if len(data) > LARGEST:
        raise _error(path, f"it has more than {LARGEST // 2**20} MiB", wanted)
    return data


def _certificates(path: Path, data: bytes, wanted: str) -> Sequence[x509.Certificate]:
    begun = len(_CERTIFICATE.findall(data))
    if not begun:
        raise _error(path, "there is no certificate in it", wanted)
    try:
        certificates = x509.load_pem_x509_certificates(data)
    except ValueError:
        certificates = []
    # One that is cut off, as in a file that is being written, is passed over.
    if len(certificates) != begun:
        raise _error(path, "a certificate in it is broken", wanted)
    return certificates


def _private_key(path: Path, data: bytes, wanted: str) -> Any:
    begun = _KEY.search(data)
    if begun is None:
        raise _error(path, "there is no private key in it", wanted)
    try:
        # From there, lest it be looked for in a certificate.  Without a password nobody is asked.
        return load_pem_private_key(data[begun.start() :], password=None)
    except TypeError:
        raise _error(path, "the private key in it is encrypted", wanted) from None
    except (ValueError, UnsupportedAlgorithm):
        raise _error(path, "the private key in it is broken, or of no known kind", wanted) from None


def _check_pair(files: TLSFiles, chain: Sequence[x509.Certificate], key: Any) -> None:
    places = [place for place, each in enumerate(chain) if _public_key(each) == key.public_key()]
    if 0 in places:
        return
    if places:
        problem = f"the private key is that of certificate {places[0] + 1}"
        raise _error(files.certificate, problem, "the server's certificate first")
    problem = f"the private key in it is not that of the certificate in {files.certificate}"
    raise _error(files.key or files.certificate, problem, "two that go together")


def _public_key(certificate: x509.Certificate) -> Any:
    try:
        return certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return None


def _dated(certificate: x509.Certificate, now: datetime) -> str | None:
    if now > certificate.not_valid_after_utc:
        return f"has expired ({certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC)"
    if now < certificate.not_valid_before_utc:
        return f"is not valid before {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
    return None


def _error(path: Path, problem: str, wanted: str) -> TLSFileError:
    return TLSFileError(f"{path}: {problem}; expected {wanted}")
