"""Who exists: accounts by telephone number, their companion devices, and groups."""

from __future__ import annotations

import hashlib
import time
from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.fake_whatsapp.jid import JID, lid_jid, phone_jid
from tests.fake_whatsapp.offline_queue import OfflineQueue
from tests.fake_whatsapp.signal_session import Bundle

if TYPE_CHECKING:
    from tests.fake_whatsapp.connection import Connection
    from tests.fake_whatsapp.phone import Phone

LOW_PREKEYS = 5


@dataclass(slots=True)
class Companion:
    """One linked device of an account: its public keys, its prekeys and what the server owes it."""

    number: str
    device: int
    identity: bytes
    noise_key: bytes
    registration_id: int
    signed_prekey: tuple[int, bytes, bytes]
    prekeys: deque[tuple[int, bytes]] = field(default_factory=deque)
    queue: OfflineQueue = field(default_factory=OfflineQueue)
    connection: Connection | None = None

    @property
    def jid(self) -> JID:
        return phone_jid(self.number, self.device)

    @property
    def lid(self) -> JID:
        return lid_jid(self.number, self.device)

    def take_bundle(self) -> Bundle:
        """Keys to open a session with, using up one prekey."""
        prekey_id, prekey = self.prekeys.popleft() if self.prekeys else (None, None)
        return Bundle(
            registration_id=self.registration_id,
            identity=self.identity,
            signed_prekey_id=self.signed_prekey[0],
            signed_prekey=self.signed_prekey[1],
            prekey_id=prekey_id,
            prekey=prekey,
        )


def picture_id(picture: bytes) -> str:
    return hashlib.sha256(picture).hexdigest()[:10]


@dataclass(slots=True)
class Profile:
    """What an account shows, whom it blocks, who sees its statuses, and the state that its devices share (patches by collection)."""

    about: str = "Hey there!"
    picture: bytes = b""
    presence: str = ""
    blocked: set[str] = field(default_factory=set)
    rejected: list[dict[str, str]] = field(default_factory=list)
    status_privacy: tuple[str, list[str]] = ("contacts", [])
    patches: defaultdict[str, list[bytes]] = field(default_factory=lambda: defaultdict(list))

    @property
    def picture_id(self) -> str:
        return picture_id(self.picture)


@dataclass(slots=True)
class Account:
    """One telephone number: the phone that owns it and the devices linked to it."""

    number: str
    phone: Phone
    companions: dict[int, Companion] = field(default_factory=dict)
    next_device: int = 1
    logins: list[float] = field(default_factory=list)
    attempts: list[float] = field(default_factory=list)
    profile: Profile = field(default_factory=Profile)
    asked_by: set[str] = field(default_factory=set)
    """The accounts with devices that asked for the devices of this one."""
    build: int = 0
    """The client build of its last login."""

    def link(
        self, identity: bytes, noise_key: bytes, registration_id: int, signed_prekey: tuple[int, bytes, bytes]
    ) -> Companion:
        """Add a companion device."""
        companion = Companion(self.number, self.next_device, identity, noise_key, registration_id, signed_prekey)
        self.companions[self.next_device] = companion
        self.next_device += 1
        return companion

    def unlink(self, device: int) -> Companion | None:
        return self.companions.pop(device, None)


@dataclass(slots=True)
class Group:
    """A group chat: who is in it, and its subject."""

    id: str
    subject: str
    members: list[str]
    created: int = field(default_factory=lambda: int(time.time()))
    description: str = ""
    invite: str = ""
    picture: bytes = b""
    admins: set[str] = field(default_factory=set)
    settings: dict[str, bool] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.invite = self.invite or f"{self.id}x0"


class Directory:
    """All accounts and groups of one server."""

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}
        self.groups: dict[str, Group] = {}

    def find(self, jid: JID) -> Account | None:
        return self.accounts.get(jid.number)

    def companion(self, jid: JID) -> Companion | None:
        account = self.find(jid)
        return account.companions.get(jid.device) if account else None

    def by_noise_key(self, number: str, device: int, noise_key: bytes) -> Companion | None:
        """The companion that logs in, if it is still linked with this key."""
        account = self.accounts.get(number)
        companion = account.companions.get(device) if account else None
        return companion if companion and companion.noise_key == noise_key else None

    def online(self) -> list[Companion]:
        """All companions with a live connection."""
        return [
            companion
            for account in self.accounts.values()
            for companion in account.companions.values()
            if companion.connection is not None
        ]
