"""PEM files: which are accepted, and the errors for the others."""

import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from reqresp.transport.tls import Certificates, TLSFileError, TLSFiles
from tests.support import live
from tests.support.issued import FileTestCase, authority, ours


class FilesTests(FileTestCase):
    """Each error is one line with the file, what is wrong and what is expected."""

    def refused(self, certificate: Path, key: Path | None = None, ca: Path | None = None) -> str:
        """Return the error for these files, without the directory."""
        with self.assertRaises(TLSFileError) as caught:
            Certificates(TLSFiles(certificate, key, ca)).load()
        self.assertIsInstance(caught.exception, ValueError)
        message = str(caught.exception).replace(f"{self.directory}/", "")
        self.assertNotIn("\n", message)
        return message

    def test_all_that_a_server_needs_in_one_file(self) -> None:
        """One file may hold key and certificate in any order, and comments."""
        leaf = authority().issue_cert("localhost")
        key, certificate = leaf.private_key_pem.bytes(), leaf.cert_chain_pems[0].bytes()
        for data in (key + certificate, b"subject=CN = x\n" + certificate + key):
            self.certificates(data)

    def test_the_key_in_a_file_of_its_own(self) -> None:
        """With a separate key file, a key in the certificate's file is ignored."""
        leaf = authority().issue_cert("localhost")
        key = self.file("key.pem", leaf.private_key_pem.bytes())
        self.certificates(leaf.cert_chain_pems[0].bytes(), key=key)
        other = authority().issue_cert("localhost").private_key_pem.bytes()
        self.certificates(other + leaf.cert_chain_pems[0].bytes(), key=key)

    def test_keys_as_openssl_writes_them(self) -> None:
        """Keys of elliptic curves and RSA are accepted, in PKCS #1 and PKCS #8."""
        openssl = live.program("openssl")
        for number, words in enumerate(
            (
                ("ecparam", "-name", "prime256v1", "-genkey"),
                ("genrsa", "-traditional", "2048"),
                ("genpkey", "-algorithm", "ed25519"),
            )
        ):
            path = self.directory / f"{number}.pem"
            subprocess.run(
                [openssl, *words[:1], "-out", path, *words[1:]],
                check=True,
                capture_output=True,
                timeout=live.PATIENCE,
            )
            made = subprocess.run(
                [openssl, "req", "-x509", "-key", path, "-subj", "/CN=localhost", "-days", "2"],
                check=True,
                capture_output=True,
                timeout=live.PATIENCE,
            )
            self.certificates(made.stdout, key=path)

    def test_no_file(self) -> None:
        """Each of the three files can be missing."""
        gone, it = self.directory / "gone.pem", self.file("it.pem", ours())
        for files, wanted in (
            ((gone,), "the server's certificate, as PEM"),
            ((it, gone), "the certificate's private key as PEM, not encrypted"),
            ((it, None, gone), "the certificates of the CAs that sign client certificates, as PEM"),
        ):
            self.assertEqual(
                self.refused(*files),
                f"gone.pem: cannot be read: No such file or directory; expected {wanted}",
            )

    def test_no_file_at_all(self) -> None:
        """What is not a regular file, or cannot be one, is an error; no pipe is waited for."""
        os.mkfifo(self.directory / "pipe")
        for path, problem in (
            (self.directory / "", "is not a regular file"),
            (self.directory / "pipe", "is not a regular file"),
            (Path("/dev/zero"), "is not a regular file"),
            (Path("nul\0"), "is not a possible file name"),
        ):
            self.assertIn(f"{problem}; expected the server's", self.refused(path))

    def test_a_file_that_may_not_be_read(self) -> None:
        """A file without read permission is an error."""
        path = self.file("it.pem", ours())

        def denied(*_: Any, **_more: Any) -> Any:
            raise PermissionError(13, "Permission denied")

        self.patch(os, "open", denied)  # root could read the file
        self.assertIn("it.pem: cannot be read: Permission denied; expected the", self.refused(path))

    def test_a_file_that_is_too_large(self) -> None:
        """A file over the size limit is an error, and is not read to its end."""
        path = self.file("it.pem", b"")
        os.truncate(path, 2**40)
        self.assertEqual(
            self.refused(path),
            "it.pem: is larger than 4 MiB; expected the server's certificate, as PEM",
        )

    def test_no_certificate(self) -> None:
        """An empty file, other data, or a key alone contains no certificate."""
        key = authority().issue_cert("localhost").private_key_pem.bytes()
        for data in (b"", b"\x30\x82\x01\x0a", b"hello\n", key):
            self.assertEqual(
                self.refused(self.file("it.pem", data)),
                "it.pem: contains no certificate; expected the server's certificate, as PEM",
            )

    def test_no_authority(self) -> None:
        """An empty CA file is an error, since it would refuse all clients."""
        it = self.file("it.pem", ours())
        self.assertEqual(
            self.refused(it, None, self.file("ca.pem", b"")),
            "ca.pem: contains no certificate; expected the certificates of the CAs that sign "
            "client certificates, as PEM",
        )

    def test_a_broken_certificate(self) -> None:
        """A malformed certificate is an error, even if it is cut off after a valid one."""
        whole = authority().issue_cert("localhost")
        key, certificate = whole.private_key_pem.bytes(), whole.cert_chain_pems[0].bytes()
        broken = certificate.replace(b"MII", b"MIJ", 1)
        for data in (certificate[:-30], broken, certificate + certificate[:200]):
            self.assertEqual(
                self.refused(self.file("it.pem", key + data)),
                "it.pem: contains a malformed certificate; "
                "expected the server's certificate, as PEM",
            )

    def test_no_key(self) -> None:
        """A missing key is an error in either file."""
        certificate = authority().issue_cert("localhost").cert_chain_pems[0].bytes()
        it = self.file("it.pem", certificate)
        self.assertEqual(
            self.refused(it),
            "it.pem: contains no private key; "
            "expected an unencrypted private key in this file, or a separate key file",
        )
        self.assertEqual(
            self.refused(it, self.file("key.pem", certificate)),
            "key.pem: contains no private key; "
            "expected the certificate's private key as PEM, not encrypted",
        )

    def test_an_encrypted_key(self) -> None:
        """An encrypted key is an error, and no passphrase is requested."""
        plain = load_pem_private_key(ours(), None)
        for style in (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL):
            key = plain.private_bytes(Encoding.PEM, style, BestAvailableEncryption(b"secret"))
            message = self.refused(self.file("it.pem", ours()), self.file("key.pem", key))
            self.assertEqual(
                message,
                "key.pem: the private key is encrypted; "
                "expected the certificate's private key as PEM, not encrypted",
            )

    def test_a_broken_key(self) -> None:
        """A malformed key is an error that shows none of its bytes."""
        whole = authority().issue_cert("localhost").private_key_pem.bytes()
        key = whole[:60] + whole[90:]
        message = self.refused(self.file("it.pem", ours()), self.file("key.pem", key))
        self.assertIn("key.pem: the private key is malformed or of an unknown type;", message)
        self.assertNotIn(whole[40:50].decode(), message)

    def test_another_key(self) -> None:
        """A key of another certificate is an error, as after half a renewal."""
        it = self.file("it.pem", ours())
        other = authority().issue_cert("localhost").private_key_pem.bytes()
        self.assertEqual(
            self.refused(it, self.file("key.pem", other)),
            "key.pem: the private key does not belong to the certificate in it.pem; "
            "expected a certificate and its private key",
        )

    def test_a_chain_that_begins_at_the_wrong_end(self) -> None:
        """A chain in the wrong order is an error of its own."""
        leaf = authority().issue_cert("localhost")
        chain = authority().cert_pem.bytes() + leaf.cert_chain_pems[0].bytes()
        self.assertEqual(
            self.refused(self.file("it.pem", leaf.private_key_pem.bytes() + chain)),
            "it.pem: the private key belongs to certificate 2; "
            "expected the server's certificate first",
        )

    def test_a_key_that_openssl_finds_too_short(self) -> None:
        """A key that OpenSSL rejects as too small is an error with OpenSSL's reason."""
        key = rsa.generate_private_key(65537, 1024)  # noqa: S505 (that is the point)
        now = datetime.now(UTC)
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
        builder = x509.CertificateBuilder(name, name, key.public_key(), 1).not_valid_before(now)
        made = builder.not_valid_after(now + timedelta(1)).sign(key, SHA256())
        data = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        self.assertEqual(
            self.refused(self.file("it.pem", data + made.public_bytes(Encoding.PEM))),
            "it.pem: rejected by OpenSSL: ee key too small",
        )
