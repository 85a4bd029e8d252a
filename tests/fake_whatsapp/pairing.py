"""How a new device is linked: by a code that a phone scans, or by eight letters that a person types into the phone."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import os
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from neonize.proto.waAdv import WAAdv_pb2 as wa_adv

from tests.fake_whatsapp import device_notices
from tests.fake_whatsapp.connection import Connection
from tests.fake_whatsapp.jid import SERVER
from tests.fake_whatsapp.keys import KeyPair, ctr, hkdf
from tests.fake_whatsapp.nodes import Attr, Node
from tests.fake_whatsapp.world import World

CODE_ROUNDS = 2 << 16
ACCOUNT_SIGNATURE_PREFIX = b"\x06\x00"


class PairingError(Exception):
    """The code is unknown or was used already."""


@dataclass(slots=True)
class _TypedCode:
    connection: Connection
    reference: bytes
    wrapped_key: bytes
    shared: bytes = b""


class Pairing:
    """All devices that wait to be linked."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._waiting: dict[bytes, Connection] = {}
        self._codes: dict[str, _TypedCode] = {}
        self._late: set[asyncio.Task[None]] = set()

    async def begin(self, connection: Connection) -> None:
        """Give a new device the references that its QR codes are made of."""
        self._waiting[connection.noise_key] = connection
        self._world.stats["registrations"] += 1
        references = [Node("ref", {}, b"2@" + base64.b64encode(os.urandom(24))) for _ in range(self._world.qr_codes)]
        attrs: dict[str, Attr] = {"from": SERVER, "type": "set", "id": self._world.new_id(), "xmlns": "md"}
        await connection.send(Node("iq", {**attrs}, [Node("pair-device", {}, references)]))

    def forget(self, connection: Connection) -> None:
        """The device went away."""
        if self._waiting.get(connection.noise_key) is connection:
            del self._waiting[connection.noise_key]

    async def scan(self, code: str, number: str) -> None:
        """A phone scans a QR code; raises `PairingError` when nobody waits with it any more."""
        parts = code.rpartition("#")[2].split(",")
        noise_key, identity, secret = (base64.b64decode(part) for part in parts[1:4])
        connection = self._waiting.pop(noise_key, None)
        if connection is None:
            raise PairingError("nobody waits with this code")
        await self._succeed(connection, number, identity, secret)

    async def companion_hello(self, connection: Connection, node: Node) -> Node:
        """A device asks to be linked by typed code; the answer carries a reference."""
        reference = b"ref-" + os.urandom(8)
        wrapped = node.need("link_code_pairing_wrapped_companion_ephemeral_pub").data()
        self._codes[node.jid("jid").user] = _TypedCode(connection, reference, wrapped)
        children = [Node("link_code_pairing_ref", {}, reference)]
        return Node("link_code_companion_reg", {"stage": "companion_hello"}, children)

    async def type_code(self, number: str, code: str) -> None:
        """A person types the code into the phone; raises `PairingError` when no device waits for this number."""
        typed = self._codes.get(number)
        if typed is None:
            raise PairingError("no device waits for a code of this number")
        letters = code.replace("-", "").encode()
        phone = self._world.account(number).phone
        ours, salt, iv = KeyPair(), os.urandom(32), os.urandom(16)
        wrapped = typed.wrapped_key
        theirs = ctr(_stretch(letters, wrapped[:32]), wrapped[32:48], wrapped[48:80])
        typed.shared = ours.agree(theirs)
        self._waiting.pop(typed.connection.noise_key, None)
        sealed = salt + iv + ctr(_stretch(letters, salt), iv, ours.public)
        children = [
            Node("link_code_pairing_ref", {}, typed.reference),
            Node("link_code_pairing_wrapped_primary_ephemeral_pub", {}, sealed),
            Node("primary_identity_pub", {}, phone.keys.identity.public),
        ]
        attrs: dict[str, Attr] = {"from": SERVER, "type": "link_code_companion_reg", "id": self._world.new_id()}
        body = Node("link_code_companion_reg", {"stage": "primary_hello"}, children)
        await typed.connection.send(Node("notification", {**attrs, "t": self._world.now_s()}, [body]))

    def companion_finish(self, node: Node) -> None:
        """The device proves that it knew the code; the link follows in a moment, after the answer to this query."""
        number = node.jid("jid").user
        typed = self._codes.pop(number)
        sealed = node.need("link_code_pairing_wrapped_key_bundle").data()
        key = hkdf(typed.shared, sealed[:32], b"link_code_pairing_key_bundle_encryption_key", 32)
        plain = AESGCM(key).decrypt(sealed[32:44], sealed[44:], None)
        identity, random = plain[:32], plain[64:96]
        phone = self._world.account(number).phone
        secret = hkdf(typed.shared + phone.keys.identity.agree(identity) + random, b"", b"adv_secret", 32)
        task = asyncio.create_task(self._succeed(typed.connection, number, identity, secret, after_s=0.05))
        self._late.add(task)
        task.add_done_callback(self._late.discard)

    async def _succeed(
        self, connection: Connection, number: str, identity: bytes, secret: bytes, after_s: float = 0.0
    ) -> None:
        await asyncio.sleep(after_s)
        account = self._world.account(number)
        registration = connection.payload.devicePairingData
        companion = account.link(
            identity,
            connection.noise_key,
            int.from_bytes(registration.eRegid, "big"),
            (int.from_bytes(registration.eSkeyID, "big"), registration.eSkeyVal, registration.eSkeySig),
        )
        connection.adopt(companion)
        owner = account.phone.keys.identity
        details = wa_adv.ADVDeviceIdentity(
            rawID=7, timestamp=self._world.now_s(), keyIndex=companion.device
        ).SerializeToString()
        signed = wa_adv.ADVSignedDeviceIdentity(
            details=details,
            accountSignatureKey=owner.public,
            accountSignature=owner.sign(ACCOUNT_SIGNATURE_PREFIX + details + identity),
        ).SerializeToString()
        proof = hmac.digest(secret, signed, hashlib.sha256)
        box = wa_adv.ADVSignedDeviceIdentityHMAC(details=signed, HMAC=proof).SerializeToString()
        children = [
            Node("device-identity", {}, box),
            Node("device", {"jid": companion.jid, "lid": companion.lid}),
            Node("platform", {"name": "android"}),
        ]
        attrs: dict[str, Attr] = {"from": SERVER, "type": "set", "id": self._world.new_id(), "t": self._world.now_s()}
        await connection.send(Node("iq", {**attrs}, [Node("pair-success", {}, children)]))
        await device_notices.linked(self._world, companion)


def _stretch(letters: bytes, salt: bytes) -> bytes:
    return hashlib.pbkdf2_hmac("sha256", letters, salt, CODE_ROUNDS, 32)
