"""Channels over the API: named by JID, digits or the code of their link."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bot_service.domain import channels as ask
from bot_service.domain.channels import Channel
from tests.support.bot_app import Bot, paired, running

JID = "120363041234567890@newsletter"
CHANNELS = "/api/sessions/one/channels"
FOUND = Channel(JID, "News", "About", "0029VaAb", "subscriber", 3, True, False)


@pytest.fixture
async def bot(tmp_path: Path) -> AsyncIterator[Bot]:
    async with running(tmp_path) as started:
        await paired(started, "one")
        started.pool.answers = {
            ask.ListChannels: [FOUND],
            ask.GetChannel: FOUND,
            ask.CreateChannel: FOUND,
            ask.FollowChannel: None,
            ask.MuteChannel: None,
        }
        yield started


def asked(bot: Bot) -> list[Any]:
    questions = [question for _, question in bot.pool.asked]
    bot.pool.asked.clear()
    return questions


async def test_a_channel_is_shown_with_its_link(bot: Bot) -> None:
    shown = {
        "id": JID,
        "name": "News",
        "description": "About",
        "link": "https://whatsapp.com/channel/0029VaAb",
        "role": "subscriber",
        "subscribers": 3,
        "verified": True,
        "muted": False,
    }
    assert await bot.call("GET", CHANNELS) == (200, {"channels": [shown]})
    assert await bot.call("POST", CHANNELS, {"name": "News"}) == (201, shown)
    assert await bot.call("GET", f"{CHANNELS}/{JID}") == (200, shown)


@pytest.mark.parametrize(
    ("given", "question"),
    [
        (JID, ask.GetChannel(channel=JID)),
        ("120363041234567890", ask.GetChannel(channel=JID)),
        ("0029VaAb", ask.GetChannel(invite="0029VaAb")),
    ],
)
async def test_every_name_of_a_channel_leads_to_it(bot: Bot, given: str, question: ask.GetChannel) -> None:
    assert (await bot.call("GET", f"{CHANNELS}/{given}"))[0] == 200
    assert asked(bot) == [question]
    looked_up = [question] if question.invite else []
    for method, path, wanted in (
        ("PUT", "follow", ask.FollowChannel(JID, True)),
        ("DELETE", "follow", ask.FollowChannel(JID, False)),
        ("PUT", "mute", ask.MuteChannel(JID, True)),
        ("DELETE", "mute", ask.MuteChannel(JID, False)),
    ):
        assert (await bot.call(method, f"{CHANNELS}/{given}/{path}"))[0] == 204
        assert asked(bot) == [*looked_up, wanted]


@pytest.mark.parametrize("given", ["1@g.us", "33612345678@s.whatsapp.net", "a b", "x" * 65])
async def test_what_is_no_channel_is_422_and_says_the_form(bot: Bot, given: str) -> None:
    status, problem = await bot.call("GET", f"{CHANNELS}/{given}")
    assert (status, problem["errors"][0]["field"]) == (422, "channel")
    assert JID in problem["detail"]
    assert asked(bot) == []
