"""One Signal session with one remote device: X3DH to begin, then a double ratchet for as many messages as both sides like."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace

from tests.fake_whatsapp import fields
from tests.fake_whatsapp.keys import DJB, KeyPair, cbc_decrypt, cbc_encrypt, hkdf, mac

VERSION = b"\x33"
MAC_SIZE = 8
MAX_SKIPPED = 2000
MAX_ARCHIVED = 40


class SessionError(Exception):
    """The message fits no session: unknown key, bad mac, or a number that was used already."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """What the server hands out so that somebody can open a session: public keys of a device."""

    registration_id: int
    identity: bytes
    signed_prekey_id: int
    signed_prekey: bytes
    prekey_id: int | None = None
    prekey: bytes | None = None


@dataclass(frozen=True, slots=True)
class Chain:
    """A symmetric chain: `step` gives the keys of its next message."""

    key: bytes
    index: int = 0

    def message_keys(self) -> tuple[bytes, bytes, bytes]:
        """(cipher key, mac key, iv) of the message with this index."""
        out = hkdf(mac(self.key, b"\x01"), b"", b"WhisperMessageKeys", 80)
        return out[:32], out[32:64], out[64:80]

    def step(self) -> Chain:
        return Chain(mac(self.key, b"\x02"), self.index + 1)


@dataclass(frozen=True, slots=True)
class Opening:
    """What a first message must carry until the other side has answered."""

    base: bytes
    registration_id: int
    prekey_id: int | None
    signed_prekey_id: int


@dataclass(slots=True)
class State:
    """The ratchet. Frozen parts are replaced, so a failed decryption leaves no trace."""

    local: KeyPair
    remote: bytes
    root: bytes
    ratchet: KeyPair
    sending: Chain
    base: bytes
    receiving: dict[bytes, Chain] = field(default_factory=dict)
    skipped: dict[tuple[bytes, int], tuple[bytes, bytes, bytes]] = field(default_factory=dict)
    previous: int = 0
    opening: Opening | None = None

    def seal(self, plain: bytes) -> tuple[str, bytes]:
        """(`pkmsg` or `msg`, envelope)."""
        cipher_key, mac_key, iv = self.sending.message_keys()
        body = VERSION + fields.write(
            (1, self.ratchet.tagged),
            (2, self.sending.index),
            (3, self.previous),
            (4, cbc_encrypt(cipher_key, iv, plain)),
        )
        body += mac(mac_key, self.local.tagged + DJB + self.remote + body)[:MAC_SIZE]
        self.sending = self.sending.step()
        if self.opening is None:
            return "msg", body
        opening = self.opening
        prekey = [(1, opening.prekey_id)] if opening.prekey_id is not None else []
        envelope = fields.write(
            *prekey,
            (2, DJB + opening.base),
            (3, self.local.tagged),
            (4, body),
            (5, opening.registration_id),
            (6, opening.signed_prekey_id),
        )
        return "pkmsg", VERSION + envelope

    def open(self, envelope: bytes) -> bytes:
        """Decrypt one ratchet message; raises `SessionError` and changes nothing when it does not fit."""
        message = fields.Fields(envelope[1:-MAC_SIZE])
        their_ratchet, counter = message.data(1)[1:], message.integer(2)
        saved = self.skipped.get((their_ratchet, counter))
        if saved is not None:
            plain = self._unseal(saved, envelope, message.data(4))
            del self.skipped[their_ratchet, counter]
            return plain
        turned = None
        chain = self.receiving.get(their_ratchet)
        if chain is None:
            root, chain_key = self._turn(self.root, self.ratchet, their_ratchet)
            chain, turned = Chain(chain_key), root
        if counter < chain.index or counter - chain.index > MAX_SKIPPED:
            raise SessionError(f"message {counter} when {chain.index} is next")
        skipped = {}
        while chain.index < counter:
            skipped[their_ratchet, chain.index] = chain.message_keys()
            chain = chain.step()
        plain = self._unseal(chain.message_keys(), envelope, message.data(4))
        self.skipped |= skipped
        self.receiving[their_ratchet] = chain.step()
        self.opening = None
        if turned is not None:
            self.previous = max(self.sending.index - 1, 0)
            self.ratchet = KeyPair()
            self.root, sending_key = self._turn(turned, self.ratchet, their_ratchet)
            self.sending = Chain(sending_key)
        return plain

    def _unseal(self, keys: tuple[bytes, bytes, bytes], envelope: bytes, sealed: bytes) -> bytes:
        cipher_key, mac_key, iv = keys
        expected = mac(mac_key, DJB + self.remote + self.local.tagged + envelope[:-MAC_SIZE])[:MAC_SIZE]
        if expected != envelope[-MAC_SIZE:]:
            raise SessionError("bad mac")
        return cbc_decrypt(cipher_key, iv, sealed)

    @staticmethod
    def _turn(root: bytes, ours: KeyPair, theirs: bytes) -> tuple[bytes, bytes]:
        out = hkdf(ours.agree(theirs), root, b"WhisperRatchet", 64)
        return out[:32], out[32:]


class DeviceKeys:
    """The keys of a device that people can open sessions with: identity, signed prekey and one reusable one-time prekey."""

    def __init__(self) -> None:
        self.identity = KeyPair()
        self.signed_prekey = KeyPair()
        self.prekey = KeyPair()
        self.registration_id = int.from_bytes(os.urandom(2), "big") + 1
        self.signature = self.identity.sign(self.signed_prekey.tagged)


class Session:
    """All ratchets with one remote device: the newest sends, older ones still decrypt what is on its way."""

    def __init__(self, keys: DeviceKeys) -> None:
        self._keys = keys
        self._states: list[State] = []

    @property
    def is_open(self) -> bool:
        return bool(self._states)

    def begin(self, bundle: Bundle) -> None:
        """Open a new ratchet towards a device (the X3DH of the side that writes first)."""
        base, ratchet, identity = KeyPair(), KeyPair(), self._keys.identity
        secret = b"\xff" * 32 + identity.agree(bundle.signed_prekey) + base.agree(bundle.identity)
        secret += base.agree(bundle.signed_prekey)
        if bundle.prekey is not None:
            secret += base.agree(bundle.prekey)
        root, first = self._derive(secret)
        root, sending = State._turn(root, ratchet, bundle.signed_prekey)
        self._push(
            State(
                local=identity,
                remote=bundle.identity,
                root=root,
                ratchet=ratchet,
                sending=Chain(sending),
                base=base.public,
                receiving={bundle.signed_prekey: Chain(first)},
                opening=Opening(base.public, self._keys.registration_id, bundle.prekey_id, bundle.signed_prekey_id),
            )
        )

    def seal(self, plain: bytes) -> tuple[str, bytes]:
        """Encrypt with the newest ratchet: (`pkmsg` or `msg`, envelope)."""
        pad = os.urandom(1)[0] & 15 or 15
        return self._states[0].seal(plain + bytes((pad,)) * pad)

    def open(self, kind: str, envelope: bytes) -> bytes:
        """Decrypt `pkmsg` or `msg`; raises `SessionError` when no ratchet fits."""
        if kind == "pkmsg":
            outer = fields.Fields(envelope[1:])
            envelope = outer.data(4)
            base = outer.data(2)[1:]
            if not any(state.base == base for state in self._states):
                fresh = self._answer(outer)
                plain = fresh.open(envelope)
                self._push(fresh)
                return self._unpad(plain)
        for state in list(self._states):
            try:
                plain = state.open(envelope)
            except SessionError:
                continue
            self._states.remove(state)
            self._states.insert(0, state)
            return self._unpad(plain)
        raise SessionError("no session fits")

    def _answer(self, outer: fields.Fields) -> State:
        theirs, base = outer.data(3)[1:], outer.data(2)[1:]
        keys = self._keys
        secret = b"\xff" * 32 + keys.signed_prekey.agree(theirs) + keys.identity.agree(base)
        secret += keys.signed_prekey.agree(base)
        if outer.has(1):
            secret += keys.prekey.agree(base)
        root, first = self._derive(secret)
        return State(
            local=keys.identity,
            remote=theirs,
            root=root,
            ratchet=keys.signed_prekey,
            sending=Chain(first),
            base=base,
        )

    @staticmethod
    def _derive(secret: bytes) -> tuple[bytes, bytes]:
        out = hkdf(secret, b"", b"WhisperText", 64)
        return out[:32], out[32:]

    @staticmethod
    def _unpad(plain: bytes) -> bytes:
        return plain[: -plain[-1]]

    def _push(self, state: State) -> None:
        self._states.insert(0, replace(state))
        del self._states[MAX_ARCHIVED:]
