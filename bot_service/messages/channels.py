"""The use cases of channels (newsletters): list, look at, create, follow, mute."""

from __future__ import annotations

import re
from typing import Annotated

import msgspec
from msgspec import Meta

from bot_service.domain import channels as ask
from bot_service.domain.channels import Channel
from bot_service.domain.refused import invalid
from bot_service.domain.session_record import SessionRecord
from bot_service.messages.asking import Asking

LINK = "https://whatsapp.com/channel/"
SERVER = "@newsletter"
_ID = re.compile(r"[0-9]{5,32}(?:@newsletter)?")
_CODE = re.compile(r"[A-Za-z0-9_-]{1,64}")


class NewChannel(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """WhatsApp wants its terms for channels accepted on the phone before the first one."""

    name: Annotated[str, Meta(min_length=1, max_length=100)]
    description: Annotated[str, Meta(max_length=2048)] = ""


class Channels:
    """Every method raises as :class:`Asking` does, and :class:`Refused` ``invalid``.

    A channel is named by its JID, by the digits of it, or by the code of its link.
    """

    def __init__(self, asking: Asking) -> None:
        self._ask = asking

    async def all(self, record: SessionRecord) -> list[Channel]:
        """Those that the account owns or follows."""
        found: list[Channel] = await self._ask(record, ask.ListChannels())
        return found

    async def get(self, record: SessionRecord, channel: str) -> Channel:
        found: Channel = await self._ask(record, _question(channel))
        return found

    async def create(self, record: SessionRecord, wanted: NewChannel) -> Channel:
        made: Channel = await self._ask(record, ask.CreateChannel(wanted.name, wanted.description))
        return made

    async def follow(self, record: SessionRecord, channel: str, *, follow: bool) -> None:
        await self._ask(record, ask.FollowChannel(await self._jid(record, channel), follow))

    async def mute(self, record: SessionRecord, channel: str, *, mute: bool) -> None:
        """For a channel that the account follows."""
        await self._ask(record, ask.MuteChannel(await self._jid(record, channel), mute))

    async def _jid(self, record: SessionRecord, channel: str) -> str:
        return _question(channel).channel or (await self.get(record, channel)).id


def _question(channel: str) -> ask.GetChannel:
    text = channel.strip().removeprefix(LINK)
    if _ID.fullmatch(text):
        return ask.GetChannel(channel=text.removesuffix(SERVER) + SERVER)
    if _CODE.fullmatch(text):
        return ask.GetChannel(invite=text)
    raise invalid("channel", "must be a channel, for example 120363041234567890@newsletter, or the code of its link")
