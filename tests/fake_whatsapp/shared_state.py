"""State that the devices of an account share: a phone seals its contacts for them, as WhatsApp's app state."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from neonize.proto.waE2E import WAWebProtobufsE2E_pb2 as e2e
from neonize.proto.waServerSync import WAWebProtobufsServerSync_pb2 as sync
from neonize.proto.waSyncAction import WAWebProtobufSyncAction_pb2 as action

from tests.fake_whatsapp.keys import cbc_encrypt, hkdf, mac

CONTACTS = "critical_unblock_low"
MAC_SIZE, HASH_SIZE = 32, 128


@dataclass(frozen=True, slots=True)
class StateKey:
    """A key that the phone gives to its devices."""

    id: bytes = field(default_factory=lambda: bytes(4) + os.urandom(2))
    secret: bytes = field(default_factory=lambda: os.urandom(32))

    def parts(self) -> list[bytes]:
        """The keys of index, value, MAC of the value, MAC of the state, and MAC of the patch."""
        out = hkdf(self.secret, b"", b"WhatsApp Mutation Keys", 160)
        return [out[at : at + 32] for at in range(0, 160, 32)]

    def shared(self) -> str:
        """The message by which the phone gives it, in base64."""
        message = e2e.Message()
        message.protocolMessage.type = e2e.ProtocolMessage.APP_STATE_SYNC_KEY_SHARE
        key: Any = message.protocolMessage.appStateSyncKeyShare.keys.add()
        key.keyID.keyID = self.id
        key.keyData.keyData = self.secret
        key.keyData.timestamp = 1
        key.keyData.fingerprint.rawID = 7
        key.keyData.fingerprint.currentIndex = 1
        return base64.b64encode(message.SerializeToString()).decode()


def contacts(key: StateKey, names: Mapping[str, str]) -> bytes:
    """The first patch of the collection: the name of each JID in the address book."""
    index_key, value_key, value_mac_key, state_mac_key, patch_mac_key = key.parts()
    patch, macs, state = sync.SyncdPatch(), [], bytes(HASH_SIZE)
    patch.version.version, patch.keyID.ID = 1, key.id
    for jid, name in names.items():
        data = action.SyncActionData(index=json.dumps(["contact", jid]).encode(), version=2, padding=b"")
        data.value.timestamp = 1
        data.value.contactAction.fullName, data.value.contactAction.firstName = name, name
        iv = os.urandom(16)
        sealed = iv + cbc_encrypt(value_key, iv, data.SerializeToString())
        signed = b"\x01" + key.id + sealed + (len(key.id) + 1).to_bytes(8, "big")
        macs.append(hmac.digest(value_mac_key, signed, hashlib.sha512)[:MAC_SIZE])
        mutation = patch.mutations.add()
        mutation.operation = sync.SyncdMutation.SET
        mutation.record.index.blob = mac(index_key, data.index)
        mutation.record.value.blob = sealed + macs[-1]
        mutation.record.keyID.ID = key.id
        state = _added(state, hkdf(macs[-1], b"", b"WhatsApp Patch Integrity", HASH_SIZE))
    version = (1).to_bytes(8, "big")
    patch.snapshotMAC = mac(state_mac_key, state + version + CONTACTS.encode())
    patch.patchMAC = mac(patch_mac_key, patch.snapshotMAC + b"".join(macs) + version + CONTACTS.encode())
    return bytes(patch.SerializeToString())


def _added(state: bytes, part: bytes) -> bytes:
    """The sum of both, each two bytes on their own."""
    pairs = range(0, HASH_SIZE, 2)
    sums = (int.from_bytes(state[at : at + 2], "little") + int.from_bytes(part[at : at + 2], "little") for at in pairs)
    return b"".join((each & 0xFFFF).to_bytes(2, "little") for each in sums)
