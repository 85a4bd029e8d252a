"""Everything that the connections of one fake server share, and the reset between tests."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from typing import TYPE_CHECKING

from tests.fake_whatsapp.accounts import Account, Directory
from tests.fake_whatsapp.channels import Channels
from tests.fake_whatsapp.faults import Faults
from tests.fake_whatsapp.media import MediaStore
from tests.fake_whatsapp.noise import Identity
from tests.fake_whatsapp.phone import Phone
from tests.fake_whatsapp.versions import Versions

if TYPE_CHECKING:
    from tests.fake_whatsapp.connection import Connection


class World:
    """`qr_codes`: how many codes a pairing round has. `announced_prekeys`: what a device is told that the server still has of its keys
    (1 makes it upload 50, 0 makes it upload 812, which costs a second of its processor)."""

    def __init__(self) -> None:
        self.identity = Identity()
        self.faults = Faults()
        self.media = MediaStore(self.faults)
        self.directory, self.channels = Directory(), Channels()
        self.stats: Counter[str] = Counter()
        self.connections: set[Connection] = set()
        self.versions = Versions()
        self.qr_codes = 6
        self.announced_prekeys = 1
        self._ids = itertools.count(1)

    def new_id(self, prefix: str = "srv") -> str:
        """An id that this server never used before."""
        return f"{prefix}-{next(self._ids)}"

    def new_message_id(self) -> str:
        """An id as phones make them."""
        return f"3A{next(self._ids):018X}"

    def account(self, number: str, name: str = "") -> Account:
        """The account of a number, made when it is new."""
        known = self.directory.accounts.get(number)
        if known is None:
            known = self.directory.accounts[number] = Account(number, Phone(number, name))
        return known

    def now_s(self) -> int:
        return int(time.time())

    async def reset(self) -> None:
        """Forget all accounts, files, faults and counts, and close all connections; the keys stay."""
        for connection in list(self.connections):
            await connection.close()
        self.directory, self.channels = Directory(), Channels()
        self.stats.clear()
        self.media.clear()
        healthy = Faults()
        for name in Faults.__slots__:
            setattr(self.faults, name, getattr(healthy, name))
        self.qr_codes, self.announced_prekeys = 6, 1
        self.versions.release()
        self.versions = Versions()
