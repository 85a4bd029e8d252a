"""Asks the library about people and the own account, and translates its answers."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

from bot_service.domain import people as ask
from bot_service.domain.directory import Question
from bot_service.engines.neonize import jids
from bot_service.engines.neonize.library import LibraryError, raise_error, read_answer
from bot_service.engines.neonize.native import binder, pb
from bot_service.engines.port import EngineError


def _contacts(client: bytes, _: ask.ListContacts) -> list[ask.Person]:
    answer = read_answer(pb.ContactsGetAllContactsReturnFunction, binder.gocode.GetAllContacts(client))
    found: dict[str, ask.Person] = {}
    for entry in answer.Contact:
        if entry.JID.Server in (jids.USER_SERVER, jids.HIDDEN_SERVER):
            person = _person(client, entry.JID, entry.Info)
            found[person.jid] = _merged(found.get(person.jid), person)
    return [found[jid] for jid in sorted(found)]


def _merged(one: ask.Person | None, other: ask.Person) -> ask.Person:
    """The library keeps one entry for each address of a person."""
    if one is None:
        return other
    parts = {name: getattr(one, name) or getattr(other, name) for name in ask.Person.__struct_fields__}
    return ask.Person(**parts)


def _person(client: bytes, jid: Any, info: Any) -> ask.Person:
    number, lid = both_addresses(client, jid)
    return ask.Person(
        number or lid or jids.to_text(jid),
        lid,
        info.FullName or info.FirstName or None,
        info.PushName or None,
        info.BusinessName or None,
    )


def both_addresses(client: bytes, jid: Any) -> tuple[str | None, str | None]:
    """(number, hidden address) of a person, as far as this device knows them."""
    given = jids.to_text(jid)
    if jid.Server == jids.HIDDEN_SERVER:
        return _other(client, binder.gocode.GetPNFromLID, jid), given
    return given, _other(client, binder.gocode.GetLIDFromPN, jid)


def number_of(client: bytes, lid: Any) -> Any:
    """The address with the number behind a hidden one; raises ``LibraryError`` while it is not known."""
    body = lid.SerializeToString()
    return read_answer(pb.GetJIDFromStoreReturnFunction, binder.gocode.GetPNFromLID(client, body, len(body))).Jid


def _other(client: bytes, function: Callable[..., Any], jid: Any) -> str | None:
    body = jid.SerializeToString()
    try:
        found = read_answer(pb.GetJIDFromStoreReturnFunction, function(client, body, len(body)))
    except LibraryError:
        return None
    return jids.to_text(found.Jid) or None


def _contact(client: bytes, question: ask.GetContact) -> ask.PersonDetails:
    jid = jids.to_library(question.contact)
    body = jid.SerializeToString()
    known = read_answer(pb.ContactsGetContactReturnFunction, binder.gocode.GetContact(client, body, len(body)))
    person = _person(client, jid, known.ContactInfo)
    info = _info(client, jid)
    parts = {name: getattr(person, name) for name in ask.Person.__struct_fields__}
    business = parts.pop("business_name") or info.VerifiedName.Details.verifiedName or None
    return ask.PersonDetails(
        **parts, business_name=business, about=info.Status or None, picture_id=info.PictureID or None
    )


def _info(client: bytes, jid: Any) -> Any:
    body = pb.JIDArray(JIDS=[jid]).SerializeToString()
    found = read_answer(pb.GetUserInfoReturnFunction, binder.gocode.GetUserInfo(client, body, len(body)))
    return found.UsersInfo[0].UserInfo if found.UsersInfo else pb.UserInfo()


def _profile(client: bytes, _: Question) -> ask.Profile:
    own = pb.Device.FromString(binder.gocode.GetMe(client))
    own.JID.Device = own.LID.Device = 0
    info = _info(client, own.JID)
    return ask.Profile(
        jids.to_text(own.JID),
        jids.to_text(own.LID) or None,
        own.PushName or None,
        info.Status or None,
        info.PictureID or None,
    )


def _change_profile(client: bytes, question: ask.ChangeProfile) -> ask.Profile:
    if question.name is not None:
        raise_error(binder.gocode.SetPushName(client, question.name.encode()))
    if question.about is not None:
        raise_error(binder.gocode.SetStatusMessage(client, question.about.encode()))
    return _profile(client, question)


def _set_picture(client: bytes, question: ask.SetPicture) -> str:
    raw = binder.gocode.SetProfilePhoto(client, question.picture, len(question.picture))
    return str(read_answer(pb.SetGroupPhotoReturnFunction, raw).PictureID)


def _set_presence(client: bytes, question: ask.SetPresence) -> None:
    raise_error(binder.gocode.SendPresence(client, b"available" if question.available else b"unavailable"))


def _follow_presence(client: bytes, question: ask.FollowPresence) -> None:
    body = jids.to_library(question.contact).SerializeToString()
    raise_error(binder.gocode.SubscribePresence(client, body, len(body)))


def _reject_call(client: bytes, question: ask.RejectCall) -> None:
    caller = jids.to_library(question.caller, keep_device=True).SerializeToString()
    call = ctypes.create_string_buffer(question.call.encode())
    raise_error(binder.gocode.RejectCall(client, caller, len(caller), call))


def _star(_client: bytes, _question: ask.StarMessage) -> None:
    # SendAppState of the library leaves the name of the collection out, and the server keeps nothing.
    raise EngineError("not_supported", "the WhatsApp library cannot store a star: it names no collection for it")


def _blocklist(client: bytes, _: ask.GetBlocklist) -> list[str]:
    return _blocked(client, binder.gocode.GetBlocklist(client))


def _block(client: bytes, question: ask.Block) -> list[str]:
    body = jids.to_library(question.contact).SerializeToString()
    action = b"block" if question.blocked else b"unblock"
    return _blocked(client, binder.gocode.UpdateBlocklist(client, body, len(body), action))


def _blocked(client: bytes, raw: bytes) -> list[str]:
    listed = read_answer(pb.GetBlocklistReturnFunction, raw).Blocklist.JIDs
    return sorted({both_addresses(client, jid)[0] or jids.to_text(jid) for jid in listed})


def _address(client: bytes, question: ask.FindAddress) -> ask.Person:
    jid = jids.to_library(question.address)
    number, lid = both_addresses(client, jid)
    if lid is None and number is not None:
        # The answer to this question carries the hidden address, and the library keeps it.
        name = f"+{jid.User}".encode()
        read_answer(pb.IsOnWhatsAppReturnFunction, binder.gocode.IsOnWhatsApp(client, name, len(name)))
        number, lid = both_addresses(client, jid)
    return ask.Person(number or jids.to_text(jid), lid)


ANSWERS: dict[type[Question], Callable[[bytes, Any], Any]] = {
    ask.ListContacts: _contacts,
    ask.GetContact: _contact,
    ask.GetProfile: _profile,
    ask.ChangeProfile: _change_profile,
    ask.SetPicture: _set_picture,
    ask.SetPresence: _set_presence,
    ask.FollowPresence: _follow_presence,
    ask.RejectCall: _reject_call,
    ask.StarMessage: _star,
    ask.GetBlocklist: _blocklist,
    ask.Block: _block,
    ask.FindAddress: _address,
}
