"""Sender keys: how one device encrypts once for a whole group (Signal's group cipher, both directions)."""

from __future__ import annotations

import os
from dataclasses import dataclass

from tests.fake_whatsapp import fields, xeddsa
from tests.fake_whatsapp.keys import DJB, KeyPair, cbc_decrypt, cbc_encrypt, hkdf, mac

VERSION = b"\x33"
SIGNATURE_SIZE = 64
MAX_AHEAD = 2000


class SenderKeyError(Exception):
    """The group message fits no sender key: unknown key, bad signature, or a number that was used already."""


@dataclass(frozen=True, slots=True)
class _Chain:
    seed: bytes
    iteration: int

    def keys(self) -> tuple[bytes, bytes]:
        out = hkdf(mac(self.seed, b"\x01"), b"", b"WhisperGroup", 48)
        return out[16:], out[:16]

    def step(self) -> _Chain:
        return _Chain(mac(self.seed, b"\x02"), self.iteration + 1)


class OwnSenderKey:
    """The key with which a device writes into one group."""

    def __init__(self) -> None:
        self._id = int.from_bytes(os.urandom(4), "big") & 0x7FFFFFFF
        self._chain = _Chain(os.urandom(32), 0)
        self._signing = KeyPair()

    def distribution(self) -> bytes:
        """The message that lets others read what is written from now on."""
        chain = self._chain
        return VERSION + fields.write((1, self._id), (2, chain.iteration), (3, chain.seed), (4, self._signing.tagged))

    def seal(self, plain: bytes) -> bytes:
        """One `skmsg` envelope."""
        key, iv = self._chain.keys()
        pad = os.urandom(1)[0] & 15 or 15
        sealed = cbc_encrypt(key, iv, plain + bytes((pad,)) * pad)
        body = VERSION + fields.write((1, self._id), (2, self._chain.iteration), (3, sealed))
        self._chain = self._chain.step()
        return body + self._signing.sign(body)


class OtherSenderKey:
    """What a device knows of somebody else's sender key."""

    def __init__(self, distribution: bytes) -> None:
        parsed = fields.Fields(distribution[1:])
        self.id = parsed.integer(1)
        self._chain = _Chain(parsed.data(3), parsed.integer(2))
        self._signing = parsed.data(4).removeprefix(DJB)
        self._skipped: dict[int, tuple[bytes, bytes]] = {}

    def open(self, envelope: bytes) -> bytes:
        """Decrypt one `skmsg`; raises `SenderKeyError` when it does not fit."""
        parsed = fields.Fields(envelope[1:-SIGNATURE_SIZE])
        if parsed.integer(1) != self.id:
            raise SenderKeyError("another sender key")
        if not xeddsa.verify(self._signing, envelope[:-SIGNATURE_SIZE], envelope[-SIGNATURE_SIZE:]):
            raise SenderKeyError("bad signature")
        iteration = parsed.integer(2)
        if iteration - self._chain.iteration > MAX_AHEAD:
            raise SenderKeyError("too far ahead")
        while self._chain.iteration <= iteration:
            self._skipped[self._chain.iteration] = self._chain.keys()
            self._chain = self._chain.step()
        keys = self._skipped.pop(iteration, None)
        if keys is None:
            raise SenderKeyError(f"message {iteration} was read already")
        plain = cbc_decrypt(keys[0], keys[1], parsed.data(3))
        return plain[: -plain[-1]]
