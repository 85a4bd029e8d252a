"""Curve25519 key pairs and the derivations that the handshake, the ratchet and the media files share."""

from __future__ import annotations

import hashlib
import hmac
import os

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from tests.fake_whatsapp import xeddsa

DJB = b"\x05"


class KeyPair:
    """One Curve25519 pair: agreement with `agree`, XEdDSA signatures with `sign`."""

    def __init__(self) -> None:
        self._private = os.urandom(32)
        self._key = X25519PrivateKey.from_private_bytes(self._private)
        self.public = self._key.public_key().public_bytes_raw()

    def agree(self, public: bytes) -> bytes:
        """The shared secret with a 32-byte public key."""
        return self._key.exchange(X25519PublicKey.from_public_bytes(public))

    def sign(self, message: bytes) -> bytes:
        """A 64-byte signature that verifies against `public`."""
        return xeddsa.sign(self._private, message)

    @property
    def tagged(self) -> bytes:
        """The public key with the type byte that Signal puts before it."""
        return DJB + self.public


def mac(key: bytes, data: bytes) -> bytes:
    """HMAC-SHA256."""
    return hmac.digest(key, data, hashlib.sha256)


def hkdf(secret: bytes, salt: bytes, info: bytes, size: int) -> bytes:
    """HKDF-SHA256 (RFC 5869); an empty salt counts as 32 zero bytes."""
    seed = mac(salt or bytes(32), secret)
    out = block = b""
    counter = 1
    while len(out) < size:
        block = mac(seed, block + info + bytes((counter,)))
        out += block
        counter += 1
    return out[:size]


def cbc_encrypt(key: bytes, iv: bytes, plain: bytes) -> bytes:
    """AES-256-CBC with PKCS#7 padding."""
    pad = 16 - len(plain) % 16
    encryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
    return encryptor.update(plain + bytes((pad,)) * pad) + encryptor.finalize()


def cbc_decrypt(key: bytes, iv: bytes, sealed: bytes) -> bytes:
    """The reverse of `cbc_encrypt`."""
    decryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).decryptor()
    plain = decryptor.update(sealed) + decryptor.finalize()
    return plain[: -plain[-1]]


def ctr(key: bytes, iv: bytes, data: bytes) -> bytes:
    """AES-256-CTR, the same in both directions."""
    return Cipher(algorithms.AES(key), modes.CTR(iv)).encryptor().update(data)
