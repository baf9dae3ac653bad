"""
PEM files: certificates and private keys, and what is wrong with a file that cannot be used.

Knows files and their contents.  It must not know connections, or when a file is read again.  An
error is one line: it names the file, what is wrong and what is expected, and shows none of the
file's contents.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from attrs import field, frozen

from reqresp._errors import TLSFileError
from reqresp._files import FileTooLargeError, read_regular

try:
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
except ImportError as error:
    raise ImportError(f"{error} (pip install 'reqresp[tls]')") from None

#: The largest file that is read, in bytes.  All public CAs together take 0.25 MB.
MAX_FILE_SIZE = 4 * 1024 * 1024

_CERTIFICATE = re.compile(rb"-----BEGIN (?:X509 )?CERTIFICATE-----")
_KEY = re.compile(rb"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----")


@frozen
class TLSFiles:
    """
    The paths of a server's certificates and key; all files are PEM.

    :param certificate: the server's certificate, followed by its chain of intermediate
        certificates.  The private key may be in the same file.
    :param key: the private key, not encrypted; None: it is in the certificate's file.
    :param client_ca: the CAs that sign client certificates; None: clients need no certificate.
    """

    certificate: Path
    key: Path | None = None
    client_ca: Path | None = None


@frozen
class Credentials:
    """
    The contents of a server's files, each read once.

    :param chain: the server's certificate, then its intermediate certificates.
    :param key: its private key.
    :param authorities: the CAs that sign client certificates.
    """

    files: TLSFiles
    chain: Sequence[x509.Certificate] = field(repr=False)
    key: Any = field(repr=False)
    authorities: Sequence[x509.Certificate] = field(repr=False)

    def warnings(self, now: datetime) -> Iterator[str]:
        """Return a message for each certificate that is not valid *now*, an aware datetime."""
        for path, certificates in (
            (self.files.certificate, self.chain),
            (self.files.client_ca, self.authorities),
        ):
            yield from date_warnings(path, certificates, now)


def date_warnings(
    path: Path | None, certificates: Sequence[x509.Certificate], now: datetime
) -> Iterator[str]:
    """Return a message for each of *certificates*, from the file *path*, not valid *now*."""
    for number, certificate in enumerate(certificates, 1):
        if (problem := _date_problem(certificate, now)) is not None:
            which = f"certificate {number}" if len(certificates) > 1 else "the certificate"
            yield f"{path}: {which} {problem}"


def read_credentials(files: TLSFiles, owner: str = "server") -> Credentials:
    """
    Read *files*, each once, and check that they belong together.

    :param owner: whose certificate it is, for messages.
    :raises TLSFileError: one of them cannot be used.
    """
    wanted = f"the {owner}'s certificate, as PEM"
    data = _read(files.certificate, wanted)
    chain = _certificates(files.certificate, data, wanted)
    if files.key is None:
        wanted = "an unencrypted private key in this file, or a separate key file"
        key = _private_key(files.certificate, data, wanted)
    else:
        wanted = "the certificate's private key as PEM, not encrypted"
        key = _private_key(files.key, _read(files.key, wanted), wanted)
    _check_pair(files, chain, key, owner)
    authorities: Sequence[x509.Certificate] = ()
    if files.client_ca is not None:
        wanted = "the certificates of the CAs that sign client certificates, as PEM"
        authorities = read_authorities(files.client_ca, wanted)
    return Credentials(files, chain, key, authorities)


def read_authorities(path: Path, wanted: str) -> Sequence[x509.Certificate]:
    """
    Return the certificates in the file *path*.

    :param wanted: what they are, for messages.
    :raises TLSFileError: the file cannot be used.
    """
    return _certificates(path, _read(path, wanted), wanted)


def _read(path: Path, wanted: str) -> bytes:
    # Not a pipe, for example, that has taken the place of a file: to read it can block the reactor.
    try:
        return read_regular(path, MAX_FILE_SIZE)
    except FileTooLargeError:
        raise _error(path, f"is larger than {MAX_FILE_SIZE // 2**20} MiB", wanted) from None
    except ValueError as error:
        raise _error(path, str(error), wanted) from None


def _certificates(path: Path, data: bytes, wanted: str) -> Sequence[x509.Certificate]:
    count = len(_CERTIFICATE.findall(data))
    if not count:
        raise _error(path, "contains no certificate", wanted)
    try:
        certificates = x509.load_pem_x509_certificates(data)
    except ValueError:
        certificates = []
    # cryptography skips a certificate that is cut off, as in a file that is being written.
    if len(certificates) != count:
        raise _error(path, "contains a malformed certificate", wanted)
    return certificates


def _private_key(path: Path, data: bytes, wanted: str) -> Any:
    start = _KEY.search(data)
    if start is None:
        raise _error(path, "contains no private key", wanted)
    try:
        # From there on: before it may be certificates.  password=None never prompts.
        return load_pem_private_key(data[start.start() :], password=None)
    except TypeError:
        raise _error(path, "the private key is encrypted", wanted) from None
    except (ValueError, UnsupportedAlgorithm):
        raise _error(path, "the private key is malformed or of an unknown type", wanted) from None


def _check_pair(files: TLSFiles, chain: Sequence[x509.Certificate], key: Any, owner: str) -> None:
    matches = [index for index, each in enumerate(chain) if _public_key(each) == key.public_key()]
    if 0 in matches:
        return
    if matches:
        problem = f"the private key belongs to certificate {matches[0] + 1}"
        raise _error(files.certificate, problem, f"the {owner}'s certificate first")
    problem = f"the private key does not belong to the certificate in {files.certificate}"
    raise _error(files.key or files.certificate, problem, "a certificate and its private key")


def _public_key(certificate: x509.Certificate) -> Any:
    try:
        return certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return None


def _date_problem(certificate: x509.Certificate, now: datetime) -> str | None:
    if now > certificate.not_valid_after_utc:
        return f"has expired ({certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC)"
    if now < certificate.not_valid_before_utc:
        return f"is not valid before {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
    return None


def _error(path: Path, problem: str, wanted: str) -> TLSFileError:
    return TLSFileError(path, f"{problem}; expected {wanted}")
