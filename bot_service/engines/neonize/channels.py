"""Asks the library about channels, and translates its answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bot_service.domain import channels as ask
from bot_service.domain.directory import Question
from bot_service.engines.neonize import jids
from bot_service.engines.neonize.library import LibraryError, raise_error, read_answer
from bot_service.engines.neonize.native import binder, pb

# The library's numbers; it has none for an account that is not asked about.
_ROLES: dict[int, ask.ChannelRole] = {1: "subscriber", 2: "guest", 3: "admin", 4: "owner"}
_VERIFIED, _MUTED = 1, 1


def _list(client: bytes, _: Question) -> list[ask.Channel]:
    answer = read_answer(pb.GetSubscribedNewslettersReturnFunction, binder.gocode.GetSubscribedNewsletters(client))
    return [_channel(each) for each in answer.Newsletter]


def _get(client: bytes, question: ask.GetChannel) -> ask.Channel:
    if question.channel is None:
        return _one(binder.gocode.GetNewsletterInfoWithInvite(client, (question.invite or "").encode()))
    channel = jids.to_library(question.channel).SerializeToString()
    return _one(binder.gocode.GetNewsletterInfo(client, channel, len(channel)))


def _create(client: bytes, question: ask.CreateChannel) -> ask.Channel:
    body = pb.CreateNewsletterParams(
        Name=question.name, Description=question.description, Picture=b""
    ).SerializeToString()
    return _one(binder.gocode.CreateNewsletter(client, body, len(body)))


def _follow(client: bytes, question: ask.FollowChannel) -> None:
    channel = jids.to_library(question.channel).SerializeToString()
    call = binder.gocode.FollowNewsletter if question.follow else binder.gocode.UnfollowNewsletter
    raise_error(call(client, channel, len(channel)))


def _mute(client: bytes, question: ask.MuteChannel) -> None:
    channel = jids.to_library(question.channel).SerializeToString()
    raise_error(binder.gocode.NewsletterToggleMute(client, channel, len(channel), question.mute))


def _one(raw: bytes) -> ask.Channel:
    answer = read_answer(pb.CreateNewsLetterReturnFunction, raw)
    if not answer.HasField("NewsletterMetadata"):
        raise LibraryError("the server knows no such channel")
    return _channel(answer.NewsletterMetadata)


def _channel(found: Any) -> ask.Channel:
    about, viewer = found.ThreadMeta, found.ViewerMeta
    return ask.Channel(
        id=jids.to_text(found.ID),
        name=about.Name.Text,
        description=about.Description.Text,
        invite=about.InviteCode,
        role=_ROLES.get(viewer.Role, "guest") if found.HasField("ViewerMeta") else "guest",
        subscribers=int(about.SubscriberCount),
        verified=about.HasField("VerificationState") and about.VerificationState == _VERIFIED,
        muted=viewer.HasField("Mute") and viewer.Mute == _MUTED,
    )


ANSWERS: dict[type[Question], Callable[[bytes, Any], Any]] = {
    ask.ListChannels: _list,
    ask.GetChannel: _get,
    ask.CreateChannel: _create,
    ask.FollowChannel: _follow,
    ask.MuteChannel: _mute,
}
