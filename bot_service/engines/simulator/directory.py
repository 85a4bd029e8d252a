"""Numbers and groups in the simulated world. Groups are files, so that every worker sees them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from bot_service.domain import directory as ask
from bot_service.domain.group_changes import GroupChange
from bot_service.engines.port import EngineError
from bot_service.engines.simulator import account_questions, channels
from bot_service.engines.simulator.account_questions import NO_ACCOUNT, lid_of
from bot_service.engines.simulator.session import SimulatedSession
from bot_service.engines.simulator.store import replace_file
from bot_service.engines.simulator.world import digits_of, jid_of

INVITE = "https://chat.whatsapp.com/"


class StoredGroup(msgspec.Struct):
    group: ask.Group
    invites: int = 0
    requests: list[ask.JoinRequest] = []


def answer(session: SimulatedSession, question: ask.Question) -> Any:
    """The answer as :mod:`bot_service.domain.questions` says. Raises :class:`EngineError`."""
    session.require_online()
    return _ANSWERS[type(question)](session, question)


def _own(session: SimulatedSession) -> str:
    return jid_of(digits_of(session.phone.jid or ""))


def _numbers(_: SimulatedSession, question: ask.CheckNumbers) -> list[ask.NumberCheck]:
    return [
        ask.NumberCheck(number, exists=False)
        if number.endswith(NO_ACCOUNT)
        else ask.NumberCheck(number, True, jid_of(number), lid_of(number))
        for number in question.numbers
    ]


def _picture(_: SimulatedSession, question: ask.GetPicture) -> ask.Picture | None:
    return None if digits_of(question.chat).endswith(NO_ACCOUNT) else ask.Picture("https://example.com/picture", "1")


def _list(session: SimulatedSession, _: ask.ListGroups) -> list[ask.Group]:
    found = [stored.group for path in sorted(_folder(session).glob("*.json")) if (stored := _read(path)) is not None]
    return [group for group in found if any(member.jid == _own(session) for member in group.members)]


def _get(session: SimulatedSession, question: ask.GetGroup) -> ask.Group:
    return _stored(session, question.group).group


def _create(session: SimulatedSession, question: ask.CreateGroup) -> ask.Group:
    now_ms = session.world.now_ms()
    chance = session.world.random_for(session.name, "group", now_ms, question.subject)
    members = [ask.GroupMember(jid_of(member)) for member in question.members if jid_of(member) != _own(session)]
    group = ask.Group(
        id=f"1203{chance.randrange(10**14):014}@g.us",
        subject=question.subject,
        description="",
        owner=_own(session),
        created_ms=now_ms,
        announce=False,
        locked=False,
        members=(ask.GroupMember(_own(session), admin=True), *members),
    )
    _save(session, StoredGroup(group))
    report(session, group.id, "joined", by=_own(session), info=group)
    return group


def _members(session: SimulatedSession, question: ask.ChangeMembers) -> list[ask.GroupMember]:
    return change_members(session, _administered(session, question.group), question, by=_own(session))


def change_members(
    session: SimulatedSession, stored: StoredGroup, question: ask.ChangeMembers, *, by: str
) -> list[ask.GroupMember]:
    """Changes who is in the group, or an administrator."""
    members = {member.jid: member for member in stored.group.members}
    changed = []
    for jid in map(jid_of, question.members):
        known = members.get(jid)
        if (known is None) is not (question.action == "add"):
            changed.append(ask.GroupMember(jid, error=409 if known is not None else 404))
        elif question.action == "remove":
            changed.append(members.pop(jid))
        else:
            members[jid] = ask.GroupMember(jid, admin=question.action == "promote")
            changed.append(members[jid])
    stored.group = msgspec.structs.replace(stored.group, members=tuple(members.values()))
    _save(session, stored)
    done = tuple(member.jid for member in changed if not member.error)
    others = tuple(jid for jid in done if jid != _own(session) or question.action in ("promote", "demote"))
    if others:
        report(session, stored.group.id, "members", by=by, action=question.action, members=others)
    if len(others) < len(done):
        report(session, stored.group.id, "left" if question.action == "remove" else "joined", by=by)
    return changed


def _change(session: SimulatedSession, question: ask.ChangeGroup) -> ask.Group:
    stored = _administered(session, question.group)
    wanted = {name: getattr(question, name) for name in ("subject", "description", "announce", "locked")}
    given = {name: value for name, value in wanted.items() if value is not None}
    stored.group = msgspec.structs.replace(stored.group, **given)
    _save(session, stored)
    report(session, stored.group.id, "updated", by=_own(session), **given)
    return stored.group


def _invite(session: SimulatedSession, question: ask.InviteLink) -> str:
    stored = _administered(session, question.group)
    if question.reset:
        stored.invites += 1
        _save(session, stored)
    return f"{INVITE}{digits_of(question.group)}x{stored.invites}"


def _set_picture(session: SimulatedSession, question: ask.SetGroupPicture) -> str:
    _administered(session, question.group)
    return hashlib.sha256(question.picture).hexdigest()[:16]


def _invited(session: SimulatedSession, question: ask.GetInvitedGroup | ask.JoinGroup) -> StoredGroup:
    digits, _, invite = question.code.removeprefix(INVITE).partition("x")
    stored = _read(_folder(session) / f"{digits_of(digits)}.json")
    if stored is None or str(stored.invites) != invite:
        raise EngineError("rejected", "the server knows no such invitation")
    return stored


def _join(session: SimulatedSession, question: ask.JoinGroup) -> str:
    stored = _invited(session, question)
    if all(member.jid != _own(session) for member in stored.group.members):
        members = (*stored.group.members, ask.GroupMember(_own(session)))
        stored.group = msgspec.structs.replace(stored.group, members=members)
        _save(session, stored)
        report(session, stored.group.id, "joined", by=_own(session), info=stored.group)
    return stored.group.id


def _leave(session: SimulatedSession, question: ask.LeaveGroup) -> None:
    stored = _stored(session, question.group)
    members = tuple(member for member in stored.group.members if member.jid != _own(session))
    stored.group = msgspec.structs.replace(stored.group, members=members)
    _save(session, stored)
    report(session, stored.group.id, "left", by=_own(session))


def report(session: SimulatedSession, group: str, kind: Any, **parts: Any) -> None:
    """Journals what happened to a group, as the real engine does."""
    session.world.sink.group_change(GroupChange(session.name, group, kind, session.world.now_ms(), **parts))


def _join_requests(session: SimulatedSession, question: ask.ListJoinRequests) -> list[ask.JoinRequest]:
    return _administered(session, question.group).requests


def _answer_join_requests(_: SimulatedSession, __: ask.AnswerJoinRequests) -> Any:
    # As the real engine.
    raise EngineError("not_supported", "the WhatsApp library has no call that answers a request to join a group")


def request_to_join(session: SimulatedSession, group: str, person: str) -> None:
    """A person asks the administrators of a group of this account."""
    stored = _stored(session, group)
    stored.requests.append(ask.JoinRequest(jid_of(person), session.world.now_ms()))
    _save(session, stored)


def others_change(
    session: SimulatedSession, group: str, by: str, members: ask.ChangeMembers | None, settings: dict[str, Any]
) -> None:
    """Another administrator changes who is in a group of this account, or its settings."""
    session.require_online()
    stored = _stored(session, group)
    if members is not None:
        change_members(session, stored, members, by=jid_of(by))
    if settings:
        stored.group = msgspec.structs.replace(stored.group, **settings)
        _save(session, stored)
        report(session, stored.group.id, "updated", by=jid_of(by), **settings)


def _folder(session: SimulatedSession) -> Path:
    return session.world.files.folder / "groups"


def _read(path: Path) -> StoredGroup | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=StoredGroup)
    except (OSError, msgspec.MsgspecError):
        return None


def _stored(session: SimulatedSession, group: str) -> StoredGroup:
    """A group of this account."""
    found = _read(_folder(session) / f"{digits_of(group)}.json")
    if found is None or all(member.jid != _own(session) for member in found.group.members):
        raise EngineError("rejected", "the account belongs to no such group")
    return found


def _administered(session: SimulatedSession, group: str) -> StoredGroup:
    found = _stored(session, group)
    if ask.GroupMember(_own(session), admin=True) not in found.group.members:
        raise EngineError("rejected", "the account is no administrator of this group")
    return found


def _save(session: SimulatedSession, stored: StoredGroup) -> None:
    folder = _folder(session)
    folder.mkdir(exist_ok=True)
    replace_file(folder / f"{digits_of(stored.group.id)}.json", msgspec.json.encode(stored))


_ANSWERS: dict[type[ask.Question], Callable[[SimulatedSession, Any], Any]] = {
    ask.CheckNumbers: _numbers,
    ask.GetPicture: _picture,
    ask.ListGroups: _list,
    ask.GetGroup: _get,
    ask.CreateGroup: _create,
    ask.ChangeMembers: _members,
    ask.ChangeGroup: _change,
    ask.InviteLink: _invite,
    ask.SetGroupPicture: _set_picture,
    ask.GetInvitedGroup: lambda session, question: _invited(session, question).group,
    ask.JoinGroup: _join,
    ask.LeaveGroup: _leave,
    ask.ListJoinRequests: _join_requests,
    ask.AnswerJoinRequests: _answer_join_requests,
    **account_questions.ANSWERS,
    **channels.ANSWERS,
}
