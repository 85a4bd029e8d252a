"""The server's half of Noise_XX_25519_AESGCM_SHA256, with the certificate chain that WhatsApp puts into it."""

from __future__ import annotations

import hashlib
import time

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from neonize.proto.waCert import WACert_pb2 as wa_cert

from tests.fake_whatsapp.keys import KeyPair, hkdf

PATTERN = b"Noise_XX_25519_AESGCM_SHA256\0\0\0\0"
CERTIFICATE_LIFE_S = 30 * 86_400


class Identity:
    """The keys of a server: a root (which the client must trust), an intermediate and the static key of the handshake."""

    def __init__(self) -> None:
        root, intermediate = KeyPair(), KeyPair()
        self.static = KeyPair()
        self.root_public = root.public
        chain = wa_cert.CertChain()
        details = wa_cert.CertChain.NoiseCertificate.Details
        now = int(time.time())
        span = {"notBefore": now - 3600, "notAfter": now + CERTIFICATE_LIFE_S}
        chain.intermediate.details = details(
            serial=1, issuerSerial=0, key=intermediate.public, **span
        ).SerializeToString()
        chain.intermediate.signature = root.sign(chain.intermediate.details)
        chain.leaf.details = details(serial=2, issuerSerial=1, key=self.static.public, **span).SerializeToString()
        chain.leaf.signature = intermediate.sign(chain.leaf.details)
        self.certificate: bytes = chain.SerializeToString()


class Handshake:
    """The symmetric state of one handshake; `split` ends it with the two transport ciphers."""

    def __init__(self, prologue: bytes) -> None:
        self._hash = self._salt = self._key = PATTERN
        self._counter = 0
        self.absorb(prologue)

    def absorb(self, data: bytes) -> None:
        """Add public data to the transcript."""
        self._hash = hashlib.sha256(self._hash + data).digest()

    def seal(self, plain: bytes) -> bytes:
        """Encrypt and add the result to the transcript."""
        sealed = AESGCM(self._key).encrypt(self._nonce(), plain, self._hash)
        self.absorb(sealed)
        return sealed

    def open(self, sealed: bytes) -> bytes:
        """Decrypt; a wrong key raises `cryptography.exceptions.InvalidTag`."""
        plain = AESGCM(self._key).decrypt(self._nonce(), sealed, self._hash)
        self.absorb(sealed)
        return plain

    def mix(self, secret: bytes) -> None:
        """Fold a shared secret into the keys."""
        out = hkdf(secret, self._salt, b"", 64)
        self._salt, self._key, self._counter = out[:32], out[32:], 0

    def split(self) -> tuple[Transport, Transport]:
        """The cipher from the client and the one towards it."""
        out = hkdf(b"", self._salt, b"", 64)
        return Transport(out[:32]), Transport(out[32:])

    def _nonce(self) -> bytes:
        self._counter += 1
        return bytes(8) + (self._counter - 1).to_bytes(4, "big")


class Transport:
    """One direction after the handshake: frames are numbered, so their order is part of the key."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)
        self._counter = 0

    def seal(self, plain: bytes) -> bytes:
        return self._cipher.encrypt(self._nonce(), plain, None)

    def open(self, sealed: bytes) -> bytes:
        return self._cipher.decrypt(self._nonce(), sealed, None)

    def _nonce(self) -> bytes:
        self._counter += 1
        return bytes(8) + (self._counter - 1).to_bytes(4, "big")
