"""Channels: every engine makes, finds, follows and mutes them alike."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from bot_service.domain import channels
from bot_service.domain.channels import Channel
from bot_service.domain.directory import Question
from bot_service.domain.questions import answer_type
from tests.contracts.engines.conftest import Bench
from tests.contracts.engines.outside import SESSION
from tests.wire.worker_driver import CommandError


async def answer(bench: Bench, question: Question) -> Any:
    found = await bench.worker.command("ask", SESSION, question=msgspec.to_builtins(question))
    kind = answer_type(question)
    return found if kind is None else msgspec.convert(found, kind)


async def test_an_own_channel_is_made_and_listed(bench: Bench) -> None:
    await bench.pair()
    assert await answer(bench, channels.ListChannels()) == []
    made: Channel = await answer(bench, channels.CreateChannel("News é", "What is new"))
    assert (made.name, made.description, made.role, made.muted) == ("News é", "What is new", "owner", False)
    assert made.id.endswith("@newsletter")
    assert made.invite
    assert await answer(bench, channels.ListChannels()) == [made]


async def test_a_channel_is_found_followed_muted_and_left(bench: Bench) -> None:
    await bench.pair()
    jid, invite = await bench.outside.opens_channel("Of Ann")
    for question in (channels.GetChannel(channel=jid), channels.GetChannel(invite=invite)):
        found: Channel = await answer(bench, question)
        assert (found.id, found.invite, found.name, found.role) == (jid, invite, "Of Ann", "guest")
    assert await answer(bench, channels.ListChannels()) == []
    assert await answer(bench, channels.FollowChannel(jid, follow=True)) is None
    for muted in (True, False):
        await answer(bench, channels.MuteChannel(jid, mute=muted))
        (followed,) = await answer(bench, channels.ListChannels())
        assert (followed.id, followed.role, followed.subscribers, followed.muted) == (jid, "subscriber", 1, muted)
    await answer(bench, channels.FollowChannel(jid, follow=False))
    assert await answer(bench, channels.ListChannels()) == []


async def test_an_unknown_channel_is_refused_and_costs_nothing_else(bench: Bench) -> None:
    await bench.pair()
    none = "120363000000000000@newsletter"
    for question in (
        channels.GetChannel(channel=none),
        channels.GetChannel(invite="none"),
        channels.FollowChannel(none, follow=True),
        channels.MuteChannel(none, mute=True),
    ):
        with pytest.raises(CommandError) as refused:
            await answer(bench, question)
        assert refused.value.code == "rejected", question
    assert await answer(bench, channels.ListChannels()) == []
