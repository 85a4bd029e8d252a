"""Questions to WhatsApp about people and the own account, and their answers; the same for every engine."""

from __future__ import annotations

from typing import Any

import msgspec

from bot_service.domain.directory import Question


class Person(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """An entry of the account's contacts.

    ``name`` is from the address book of the phone, ``push_name`` what the person calls himself.
    ``lid`` is the hidden address, where it is known.
    """

    jid: str
    lid: str | None = None
    name: str | None = None
    push_name: str | None = None
    business_name: str | None = None


class PersonDetails(Person, frozen=True, rename="camel", omit_defaults=True):
    """``about`` is the text of the profile; None without one or without the right to see it."""

    about: str | None = None
    picture_id: str | None = None


class Profile(msgspec.Struct, frozen=True, rename="camel"):
    """The own account. ``name`` is what others see; None until the phone or a caller has set it."""

    jid: str
    lid: str | None
    name: str | None
    about: str | None
    picture_id: str | None


class ListContacts(Question, frozen=True, tag="contacts"):
    """Answered by a list of :class:`Person` from what the phone shared; WhatsApp is not asked."""


class GetContact(Question, frozen=True, tag="contact"):
    """Answered by :class:`PersonDetails`, also for a number that is no contact."""

    contact: str


class GetProfile(Question, frozen=True, tag="profile"):
    """Answered by the :class:`Profile`."""


class ChangeProfile(Question, frozen=True, tag="change_profile"):
    """Changes what is not None. Answered by the :class:`Profile`."""

    name: str | None = None
    about: str | None = None


class SetPicture(Question, frozen=True, tag="set_picture"):
    """``picture`` is a JPEG. Answered by the new picture's id."""

    picture: bytes


class SetPresence(Question, frozen=True, tag="presence"):
    """Whether contacts see the account as online. It needs a name of the account."""

    available: bool


class FollowPresence(Question, frozen=True, tag="follow_presence"):
    """From now on the presence of ``contact`` is reported, until the connection ends."""

    contact: str


class RejectCall(Question, frozen=True, tag="reject_call"):
    call: str
    caller: str


class StarMessage(Question, frozen=True, tag="star"):
    """``sender`` wrote the message; ``from_me``: the own account did. ``at_ms``: now, since the epoch."""

    chat: str
    message: str
    sender: str
    from_me: bool
    starred: bool
    at_ms: int


class GetBlocklist(Question, frozen=True, tag="blocklist"):
    """Answered by the list of blocked JIDs."""


class Block(Question, frozen=True, tag="block"):
    """Blocks or unblocks. Answered by the list of blocked JIDs."""

    contact: str
    blocked: bool


class FindAddress(Question, frozen=True, tag="address"):
    """Answered by a :class:`Person`: the number and the hidden address, as far as they are known."""

    address: str


QUESTIONS = (
    ListContacts
    | GetContact
    | GetProfile
    | ChangeProfile
    | SetPicture
    | SetPresence
    | FollowPresence
    | RejectCall
    | StarMessage
    | GetBlocklist
    | Block
    | FindAddress
)
ANSWERS: dict[type, Any] = {
    ListContacts: list[Person],
    GetContact: PersonDetails,
    GetProfile: Profile,
    ChangeProfile: Profile,
    SetPicture: str,
    GetBlocklist: list[str],
    Block: list[str],
    FindAddress: Person,
}
