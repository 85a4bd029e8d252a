"""Repairs by the bot's own API: only counted answers are believed."""

from __future__ import annotations

from typing import Any

import pytest

from shared.contract.identity import BOT, CHALLENGE_HEADER, Identity
from shared.settings import Secret
from tests.support.receiver import Received, Receiver
from watchdog.domain.ports import Repaired
from watchdog.domain.states import Incident, IncidentKind
from watchdog.remediators.bot_api import BotApiRemediator


def proving(got: Received, token: str = "watchdog-token") -> tuple[int, Any, dict[str, str]] | None:
    """The answer of a bot's /health; None for other requests."""
    if got.path != "/health":
        return None
    proof = Identity(Secret(token)).proof(BOT, "b1", got.headers[CHALLENGE_HEADER])
    return 200, {"status": "ok", "bootId": "b1", "proof": proof}, {}


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
    receiver.answer = lambda got: proving(got) or (status, body, {})
    remediator = BotApiRemediator(receiver.url, Secret("watchdog-token"))
    assert await remediator.run("reconnect_session", INCIDENT) == repaired
    request = receiver.requests[1]
    assert (request.path, request.json) == ("/api/repair", {"action": "reconnect_session"})
    assert request.headers["Authorization"] == "Bearer watchdog-token"


async def test_a_bot_that_is_gone_or_hangs_is_a_failure(receiver: Receiver) -> None:
    receiver.hang = True
    slow = BotApiRemediator(receiver.url, Secret("t"), timeout_s=0.2)
    assert await slow.run("recycle_worker", INCIDENT) == Repaired("failed", "timeout")
    await receiver.stop()
    assert await slow.run("recycle_worker", INCIDENT) == Repaired("failed", "connect_failed")


async def test_what_does_not_prove_to_be_the_bot_gets_no_request(receiver: Receiver) -> None:
    receiver.answer = lambda got: proving(got, token="another-token") or (202, {"sessions": 3}, {})
    remediator = BotApiRemediator(receiver.url, Secret("watchdog-token"))
    assert await remediator.run("reconnect_session", INCIDENT) == Repaired("failed", "unproven")
    assert [(request.path, "Authorization" in request.headers) for request in receiver.requests] == [("/health", False)]
