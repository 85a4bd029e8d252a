"""What the server says when an account gets or loses a device: to its other devices, and to those who asked for its devices."""

from __future__ import annotations

from tests.fake_whatsapp.accounts import Companion
from tests.fake_whatsapp.jid import lid_jid, phone_jid
from tests.fake_whatsapp.nodes import Attr, Node
from tests.fake_whatsapp.world import World

# Fits no list of devices, so that the reader asks for the list again.
_HASH = "2:AAAAAAAA"


async def linked(world: World, companion: Companion) -> None:
    """`companion` belongs to its account from now on."""
    await _say(world, companion, "add")


async def unlinked(world: World, companion: Companion) -> None:
    """`companion` does not belong to its account any more."""
    await _say(world, companion, "remove")


async def _say(world: World, changed: Companion, tag: str) -> None:
    account = world.account(changed.number)
    devices = [Node("device", {"jid": phone_jid(account.number, device)}) for device in (0, *account.companions)]
    own = Node("devices", {"dhash": _HASH}, devices)
    change = Node(
        tag,
        {"device_hash": _HASH, "device_lid_hash": _HASH},
        [Node("device", {"jid": changed.jid, "lid": changed.lid})],
    )
    for number in sorted({*account.asked_by, account.number}):
        for reader in world.account(number).companions.values():
            if reader is changed:
                continue
            attrs: dict[str, Attr] = {
                "from": phone_jid(account.number),
                "id": world.new_id("notify"),
                "t": world.now_s(),
            }
            if number == account.number:
                notice = Node("notification", {**attrs, "type": "account_sync"}, [own])
            else:
                notice = Node("notification", {**attrs, "type": "devices", "lid": lid_jid(account.number)}, [change])
            reader.queue.add(notice)
            if reader.connection is not None:
                await reader.connection.flush()
