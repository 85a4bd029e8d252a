"""Contacts, profile, presence, calls, stars and blocks in the simulated world."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from bot_service.domain import people as ask
from bot_service.domain.directory import Question
from bot_service.engines.port import EngineError
from bot_service.engines.simulator.session import SimulatedSession
from bot_service.engines.simulator.world import digits_of, jid_of

# Numbers with this end have no account.
NO_ACCOUNT = "0000"


def lid_of(address: str) -> str:
    """The hidden address of a number: a 9 before its digits."""
    return address if address.endswith("@lid") else f"9{digits_of(address)}@lid"


def number_of(address: str) -> str:
    """The telephone address of a person."""
    return jid_of(digits_of(address)[1:]) if address.endswith("@lid") else jid_of(address)


def _contacts(session: SimulatedSession, _: ask.ListContacts) -> list[ask.Person]:
    return [
        ask.Person(jid, lid_of(jid), push_name=session.people[jid])
        for jid in sorted(session.people)
        if jid.endswith("@s.whatsapp.net")
    ]


def _contact(session: SimulatedSession, question: ask.GetContact) -> ask.PersonDetails:
    jid = number_of(question.contact)
    exists = not digits_of(jid).endswith(NO_ACCOUNT)
    return ask.PersonDetails(
        jid,
        lid_of(jid) if exists else None,
        push_name=session.people.get(jid),
        about="Simulated" if exists else None,
        picture_id="1" if exists else None,
    )


def _profile(session: SimulatedSession, _: Question) -> ask.Profile:
    phone = session.phone
    jid = jid_of(digits_of(phone.jid or ""))
    return ask.Profile(jid, lid_of(jid), phone.push_name, phone.about, phone.picture_id)


def _change_profile(session: SimulatedSession, question: ask.ChangeProfile) -> ask.Profile:
    if question.name is not None:
        session.phone.push_name = question.name
    if question.about is not None:
        session.phone.about = question.about or None
    _save(session)
    return _profile(session, question)


def _set_picture(session: SimulatedSession, question: ask.SetPicture) -> str:
    session.phone.picture_id = hashlib.sha256(question.picture).hexdigest()[:16]
    _save(session)
    return session.phone.picture_id


def _set_presence(session: SimulatedSession, question: ask.SetPresence) -> None:
    if session.phone.push_name is None:
        raise EngineError("rejected", "can't send presence without PushName set")
    session.presence = "available" if question.available else "unavailable"


def _follow_presence(session: SimulatedSession, question: ask.FollowPresence) -> None:
    session.follows.add(number_of(question.contact))


def _reject_call(session: SimulatedSession, question: ask.RejectCall) -> None:
    session.rejected.append({"call": question.call, "from": number_of(question.caller)})
    del session.rejected[:-100]


def _star(session: SimulatedSession, question: ask.StarMessage) -> None:
    starred = set(session.phone.starred)
    (starred.add if question.starred else starred.discard)(question.message)
    session.phone.starred = sorted(starred)
    _save(session)


def _blocklist(session: SimulatedSession, _: ask.GetBlocklist) -> list[str]:
    return list(session.phone.blocked)


def _block(session: SimulatedSession, question: ask.Block) -> list[str]:
    blocked = set(session.phone.blocked)
    (blocked.add if question.blocked else blocked.discard)(number_of(question.contact))
    session.phone.blocked = sorted(blocked)
    _save(session)
    return session.phone.blocked


def _address(_: SimulatedSession, question: ask.FindAddress) -> ask.Person:
    jid = number_of(question.address)
    return ask.Person(jid, None if digits_of(jid).endswith(NO_ACCOUNT) else lid_of(jid))


def _save(session: SimulatedSession) -> None:
    session.world.files.save_phone(session.name, session.phone)


ANSWERS: dict[type[Question], Callable[[SimulatedSession, Any], Any]] = {
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
