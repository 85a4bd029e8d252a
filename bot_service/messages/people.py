"""The use cases of contacts and the own account: profile, presence, calls, blocks, stars, addresses."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from bot_service.domain import people as ask
from bot_service.domain.addresses import address
from bot_service.domain.people import Person, PersonDetails, Profile
from bot_service.domain.refused import invalid
from bot_service.domain.session_record import SessionRecord
from bot_service.messages import rendering
from bot_service.messages.asking import Asking
from bot_service.messages.requests import Chat
from bot_service.store.messages import StoredMessage

LONGEST_PICTURE_BYTES = 1024 * 1024
_JPEG = b"\xff\xd8\xff"


class ChangeProfile(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """What is left out stays. ``name``: what others see. ``about``: the text of the profile, empty
    for none."""

    name: Annotated[str, Meta(min_length=1, max_length=25)] | None = None
    about: Annotated[str, Meta(max_length=139)] | None = None


class NewPicture(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """``data``: a JPEG in base64, best a square of 640 pixels."""

    data: Annotated[str, Meta(min_length=1, max_length=LONGEST_PICTURE_BYTES * 4 // 3 + 4)]


class ChangePresence(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    state: Literal["available", "unavailable"]


class FollowPresence(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    chat: Chat


class RejectCall(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """``from`` is that of the ``call.received`` event."""

    from_: Chat = msgspec.field(name="from")


def jpeg(wanted: NewPicture) -> bytes:
    """The bytes of a picture. Refused: ``invalid``."""
    try:
        picture = base64.b64decode(wanted.data, validate=True)
    except (binascii.Error, ValueError):
        raise invalid("data", "must be base64") from None
    if not picture.startswith(_JPEG):
        raise invalid("data", "must be a JPEG: WhatsApp takes no other kind of picture")
    return picture


class People:
    """Every method raises as :class:`Asking` does, and :class:`Refused` ``invalid``."""

    def __init__(self, asking: Asking, *, now_ms: Callable[[], int]) -> None:
        self._ask, self._now_ms = asking, now_ms

    async def contacts(
        self, record: SessionRecord, *, search: str | None = None, after: str | None = None, limit: int
    ) -> tuple[list[Person], str | None]:
        """By address, and the ``after`` of the page that follows. ``search`` is in a name or the address."""
        found: list[Person] = await self._ask(record, ask.ListContacts())
        if search:
            wanted = search.casefold()
            found = [person for person in found if any(wanted in part.casefold() for part in _names(person))]
        page = [person for person in found if after is None or person.jid > after][: limit + 1]
        return page[:limit], page[limit - 1].jid if len(page) > limit else None

    async def contact(self, record: SessionRecord, contact: str) -> PersonDetails:
        """Also for a number that is no contact."""
        found: PersonDetails = await self._ask(record, ask.GetContact(_person(contact, "contact")))
        return found

    async def profile(self, record: SessionRecord) -> Profile:
        found: Profile = await self._ask(record, ask.GetProfile())
        return found

    async def change_profile(self, record: SessionRecord, wanted: ChangeProfile) -> Profile:
        if wanted.name is None and wanted.about is None:
            raise invalid("name", "or about is needed")
        if wanted.name is not None and not wanted.name.strip():
            raise invalid("name", "must not be blank")
        changed: Profile = await self._ask(record, ask.ChangeProfile(wanted.name, wanted.about))
        return changed

    async def set_picture(self, record: SessionRecord, wanted: NewPicture) -> str:
        """The new picture's id."""
        picture_id: str = await self._ask(record, ask.SetPicture(jpeg(wanted)))
        return picture_id

    async def set_presence(self, record: SessionRecord, wanted: ChangePresence) -> None:
        await self._ask(record, ask.SetPresence(wanted.state == "available"))

    async def follow_presence(self, record: SessionRecord, wanted: FollowPresence) -> None:
        await self._ask(record, ask.FollowPresence(_person(wanted.chat, "chat")))

    async def reject_call(self, record: SessionRecord, call: str, wanted: RejectCall) -> None:
        await self._ask(record, ask.RejectCall(call, _person(wanted.from_, "from")))

    async def star(self, record: SessionRecord, target: StoredMessage, *, starred: bool) -> None:
        """``target`` is a message of the session that is visible to the caller."""
        sender, own = rendering.author_of(target)
        question = ask.StarMessage(target.chat, target.message_id, sender or "", own, starred, self._now_ms())
        await self._ask(record, question)

    async def blocklist(self, record: SessionRecord) -> list[str]:
        found: list[str] = await self._ask(record, ask.GetBlocklist())
        return found

    async def block(self, record: SessionRecord, contact: str, *, blocked: bool) -> list[str]:
        """The blocked addresses, after it."""
        found: list[str] = await self._ask(record, ask.Block(_person(contact, "contact"), blocked))
        return found

    async def addresses(self, record: SessionRecord, contact: str) -> Person:
        """The number and the hidden address of a person, as far as they are known."""
        found: Person = await self._ask(record, ask.FindAddress(_person(contact, "contact")))
        return found


def _names(person: Person) -> list[str]:
    parts = (person.jid, person.name, person.push_name, person.business_name)
    return [part for part in parts if part]


def _person(text: str, field: str) -> str:
    jid = address(text, field)
    if not jid.endswith(("@s.whatsapp.net", "@lid")):
        raise invalid(field, "must be a person, for example 33612345678")
    return jid
