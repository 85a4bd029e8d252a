"""Repairs by the bot's own API: only counted answers are believed."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from shared.settings import Secret
from tests.support.receiver import Receiver
from watchdog.domain.ports import Repaired
from watchdog.domain.states import Incident, IncidentKind
from watchdog.remediators.bot_api import BotApiRemediator

INCIDENT = Incident("i1", "bot", IncidentKind.DEGRADED, 0, 0, "sessions_not_ready")


@pytest.mark.parametrize(
    ("status", "body", "repaired"),
    [
        (202, {"action": "reconnect_session", "sessions": 3}, Repaired("done", "3 sessions")),
        (202, {"action": "reconnect_session", "sessions": 0}, Repaired("skipped", "nothing_to_repair")),
        (202, ["what"], Repaired("failed", "not_the_bots_answer")),
        (200, {}, Repaired("failed", "http_200")),
        (403, {}, Repaired("failed", "http_403")),
        (500, {}, Repaired("failed", "http_500")),
    ],
)
async def test_the_bots_answer_decides(receiver: Receiver, status: int, body: Any, repaired: Repaired) -> None:
    receiver.answer = lambda _: (status, body, {})
    async with aiohttp.ClientSession() as http:
        remediator = BotApiRemediator(http, receiver.url, Secret("watchdog-token"))
        assert await remediator.run("reconnect_session", INCIDENT) == repaired
    request = receiver.requests[0]
    assert (request.path, request.json) == ("/api/repair", {"action": "reconnect_session"})
    assert request.headers["Authorization"] == "Bearer watchdog-token"


async def test_a_bot_that_is_gone_or_hangs_is_a_failure(receiver: Receiver) -> None:
    async with aiohttp.ClientSession() as http:
        receiver.hang = True
        slow = BotApiRemediator(http, receiver.url, Secret("t"), timeout_s=0.2)
        assert await slow.run("recycle_worker", INCIDENT) == Repaired("failed", "timeout")
        await receiver.stop()
        assert await slow.run("recycle_worker", INCIDENT) == Repaired("failed", "connect_failed")
