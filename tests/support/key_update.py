"""
KeyUpdate records of a TLS 1.3 client, which Python's ``ssl`` cannot send.

The secret of the client is read from the log of keys that ``SSLContext.keylog_filename`` writes.

:source: RFC 8446, sections 4.6.3, 5.2, 7.1 and 7.2
"""

from hmac import digest
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

_HANDSHAKE = 22
_KEY_UPDATE = bytes([24, 0, 0, 1, 1])  # with update_requested


class KeyUpdates:
    """
    Makes KeyUpdate records that ask the server for one of its own, as many as are wanted.

    :param log: the file with the keys, of one connection that has sent no data.
    :param cipher: the name of the connection's cipher.
    """

    def __init__(self, log: Path, cipher: str) -> None:
        lines = [line.split() for line in log.read_text().splitlines()]
        [secret] = [line[2] for line in lines if line[0] == "CLIENT_TRAFFIC_SECRET_0"]
        self._secret = bytes.fromhex(secret)
        self._hash = "sha384" if "SHA384" in cipher else "sha256"
        self._is_chacha = "CHACHA20" in cipher
        self._key_size = 16 if "AES_128" in cipher else 32

    def record(self) -> bytes:
        """Return the next record: each is the first with its keys."""
        key = self._expand(b"key", self._key_size)
        nonce = self._expand(b"iv", 12)
        inner = _KEY_UPDATE + bytes([_HANDSHAKE])
        header = b"\x17\x03\x03" + (len(inner) + 16).to_bytes(2)
        cipher = ChaCha20Poly1305(key) if self._is_chacha else AESGCM(key)
        self._secret = self._expand(b"traffic upd", len(self._secret))
        return header + cipher.encrypt(nonce, inner, header)

    def _expand(self, label: bytes, size: int) -> bytes:
        name = b"tls13 " + label
        info = size.to_bytes(2) + bytes([len(name)]) + name + b"\0"
        # The first block of HKDF-Expand, which is enough: no size is larger than the hash.
        return digest(self._secret, info + b"\1", self._hash)[:size]
