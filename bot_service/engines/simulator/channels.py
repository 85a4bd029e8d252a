"""Channels in the simulated world. They are files, so that every worker sees them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from bot_service.domain import channels as ask
from bot_service.domain.directory import Question
from bot_service.engines.port import EngineError
from bot_service.engines.simulator.session import SimulatedSession
from bot_service.engines.simulator.store import replace_file
from bot_service.engines.simulator.world import digits_of, jid_of


class StoredChannel(msgspec.Struct):
    """``followers``: who follows it, and whether it is muted there."""

    id: str
    name: str
    description: str
    owner: str
    followers: dict[str, bool] = {}


def open_channel(session: SimulatedSession, owner: str, name: str, description: str = "") -> StoredChannel:
    """Somebody makes a channel."""
    chance = session.world.random_for(session.name, "channel", session.world.now_ms(), name)
    made = StoredChannel(f"1203{chance.randrange(10**14):014}@newsletter", name, description, jid_of(owner))
    _save(session, made)
    return made


def _own(session: SimulatedSession) -> str:
    return jid_of(digits_of(session.phone.jid or ""))


def _list(session: SimulatedSession, _: Question) -> list[ask.Channel]:
    found = [_read(path) for path in sorted(_folder(session).glob("*.json"))]
    shown = [_shown(session, each) for each in found if each is not None]
    return [each for each in shown if each.role != "guest"]


def _get(session: SimulatedSession, question: ask.GetChannel) -> ask.Channel:
    return _shown(session, _stored(session, question.channel or question.invite or ""))


def _create(session: SimulatedSession, question: ask.CreateChannel) -> ask.Channel:
    return _shown(session, open_channel(session, _own(session), question.name, question.description))


def _follow(session: SimulatedSession, question: ask.FollowChannel) -> None:
    stored = _stored(session, question.channel)
    if question.follow:
        stored.followers.setdefault(_own(session), False)
    else:
        stored.followers.pop(_own(session), None)
    _save(session, stored)


def _mute(session: SimulatedSession, question: ask.MuteChannel) -> None:
    stored = _stored(session, question.channel)
    if _own(session) not in stored.followers:
        raise EngineError("rejected", "the account does not follow this channel")
    stored.followers[_own(session)] = question.mute
    _save(session, stored)


def _shown(session: SimulatedSession, stored: StoredChannel) -> ask.Channel:
    own = _own(session)
    role: ask.ChannelRole = "subscriber" if own in stored.followers else "guest"
    return ask.Channel(
        id=stored.id,
        name=stored.name,
        description=stored.description,
        invite=digits_of(stored.id),
        role="owner" if stored.owner == own else role,
        subscribers=len(stored.followers),
        verified=False,
        muted=stored.followers.get(own, False),
    )


def _folder(session: SimulatedSession) -> Path:
    return session.world.files.folder / "channels"


def _read(path: Path) -> StoredChannel | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=StoredChannel)
    except (OSError, msgspec.MsgspecError):
        return None


def _stored(session: SimulatedSession, channel: str) -> StoredChannel:
    found = _read(_folder(session) / f"{digits_of(channel)}.json")
    if found is None:
        raise EngineError("rejected", "the server knows no such channel")
    return found


def _save(session: SimulatedSession, stored: StoredChannel) -> None:
    _folder(session).mkdir(exist_ok=True)
    replace_file(_folder(session) / f"{digits_of(stored.id)}.json", msgspec.json.encode(stored))


ANSWERS: dict[type[Question], Callable[[SimulatedSession, Any], Any]] = {
    ask.ListChannels: _list,
    ask.GetChannel: _get,
    ask.CreateChannel: _create,
    ask.FollowChannel: _follow,
    ask.MuteChannel: _mute,
}
