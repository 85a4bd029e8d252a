"""Who answers a ping: the bot, an older bot, a page of a proxy, another program, a watchdog, an imitation."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
import pytest

from shared.clock import SystemClock
from shared.contract.identity import BOT, WATCHDOG, Identity, new_challenge
from shared.settings import Secret
from tests.support.fake_bot import FakeBot
from tests.support.processes import WATCHDOG_TOKEN
from watchdog.domain.outcome import Cause, Outcome, ProbeResult
from watchdog.probes.health_answer import KnownBoots, examine
from watchdog.probes.http1 import Answer
from watchdog.probes.http_ping import HttpPinger
from watchdog.probes.self_check import SelfCheck


@pytest.fixture
async def bot() -> AsyncIterator[FakeBot]:
    async with FakeBot() as fake:
        yield fake


async def ping(bot: FakeBot, known: KnownBoots | None = None, *, token: str = WATCHDOG_TOKEN) -> ProbeResult:
    pinger = HttpPinger(
        target="bot",
        url=bot.url + "/health",
        timeout_s=5.0,
        retry_s=0.02,
        clock=SystemClock(),
        self_check=SelfCheck(near=True, canaries=(), own_port=None, worst_stall_s=lambda _since: 0.0),
        identity=Identity(Secret(token)),
        known=lambda: known or KnownBoots(),
    )
    return await pinger.ping(Cause.SCHEDULE)


SEEN = KnownBoots(boots=("b0",))
PROVED = KnownBoots(boots=("b0",), proved=("b0",))


async def test_the_bot_proves_itself(bot: FakeBot) -> None:
    result = await ping(bot, PROVED)
    assert (result.outcome, result.boot_id, result.proved, result.by_bot) == (Outcome.OK, bot.boot_id, True, True)


@pytest.mark.parametrize("known", [KnownBoots(), SEEN])
async def test_an_old_bot_without_proof_is_recognised_by_its_boot_id(bot: FakeBot, known: KnownBoots) -> None:
    bot.token = None
    result = await ping(bot, known)
    assert (result.outcome, result.boot_id, result.proved) == (Outcome.OK, bot.boot_id, False)


async def test_an_old_and_a_new_replica_behind_one_address_are_both_the_bot(bot: FakeBot) -> None:
    bot.token, bot.boot_id = None, "old"
    result = await ping(bot, KnownBoots(boots=("old", "new"), proved=("new",)))
    assert (result.outcome, result.boot_id) == (Outcome.OK, "old")


@pytest.mark.parametrize(("health", "known"), [("html", KnownBoots()), ("html", SEEN), ("json", SEEN), ("404", SEEN)])
async def test_what_is_not_the_bot_is_a_failure_with_its_own_reason(
    bot: FakeBot, health: str, known: KnownBoots
) -> None:
    bot.health = health
    result = await ping(bot, known)
    assert (result.outcome, result.reason, result.boot_id) == (Outcome.TARGET_FAIL, "not_the_bot", None)
    assert not result.by_bot


BY_A_PROXY = [b"", b"<html>Sign in</html>", b'{"error": "rate limited"}', b'{"status": "ok", "bootId": "imitation"}']


@pytest.mark.parametrize("body", BY_A_PROXY)
@pytest.mark.parametrize("status", [400, 401, 403, 404, 407, 421, 429, 451])
@pytest.mark.parametrize("known", [SEEN, PROVED])
def test_a_refusal_in_place_of_a_known_bot_is_a_failure(status: int, body: bytes, known: KnownBoots) -> None:
    examined = examine(Answer(status, None, body), new_challenge(), Identity(Secret(WATCHDOG_TOKEN)), known)
    assert examined.failure is not None
    assert (examined.failure.reason, examined.refused, examined.by_bot) == ("not_the_bot", None, False)


@pytest.mark.parametrize("status", [401, 403, 404, 429])
def test_before_any_bot_was_seen_a_refusal_is_one(status: int) -> None:
    examined = examine(Answer(status, None, b"{}"), new_challenge(), Identity(Secret(WATCHDOG_TOKEN)), KnownBoots())
    assert examined.refused == status


@pytest.mark.parametrize("known", [KnownBoots(), SEEN, PROVED])
async def test_a_watchdog_is_never_the_bot(bot: FakeBot, known: KnownBoots) -> None:
    bot.health = "watchdog"
    result = await ping(bot, known)
    assert (result.outcome, result.reason, result.boot_id) == (Outcome.TARGET_FAIL, "a_watchdog", None)


@pytest.mark.parametrize(
    ("boot_id", "token"),
    [("new", None), ("b0", None), ("new", "another-token-0123456789"), ("b0", "another-token-0123456789")],
)
async def test_after_a_proof_an_answer_without_a_good_one_is_unproven(
    bot: FakeBot, boot_id: str, token: str | None
) -> None:
    bot.boot_id, bot.token = boot_id, token
    result = await ping(bot, PROVED)
    assert (result.outcome, result.reason, result.refused) == (Outcome.UNKNOWN, "unproven", 200)
    assert (result.boot_id, result.proved) == (None, False), "an imitation is no restart of the bot"


@pytest.mark.parametrize("status", ["unhealthy", "error", "stopping"])
async def test_a_body_that_is_not_ok_is_a_failure_whatever_the_http_status(bot: FakeBot, status: str) -> None:
    bot.status = status
    result = await ping(bot, PROVED)
    assert (result.outcome, result.reason, result.by_bot) == (Outcome.TARGET_FAIL, "unwell", True)


async def test_a_503_says_whether_the_bot_itself_gave_it(bot: FakeBot) -> None:
    bot.health = "503"
    assert (await ping(bot, PROVED)).by_bot
    bot.token = None
    unproven = await ping(bot, PROVED)
    assert (unproven.outcome, unproven.reason, unproven.by_bot) == (Outcome.TARGET_FAIL, "http_503", False)


def test_a_proof_holds_for_one_challenge_program_boot_and_token() -> None:
    identity, challenge = Identity(Secret("t" * 20)), new_challenge()
    proof = identity.proof(BOT, "b1", challenge)
    assert proof is not None
    assert identity.proves(proof, BOT, "b1", challenge)
    assert not identity.proves(proof, BOT, "b2", challenge)
    assert not identity.proves(proof, WATCHDOG, "b1", challenge)
    assert not identity.proves(proof, BOT, "b1", new_challenge())
    assert not identity.proves(None, BOT, "b1", challenge)
    assert not identity.proves("\u00e9" * 64, BOT, "b1", challenge)
    assert not Identity(Secret("u" * 20)).proves(proof, BOT, "b1", challenge)


@pytest.mark.parametrize("challenge", [None, "", "short", "x" * 32, "0" * 65, "0" * 31 + "\n"])
def test_no_proof_without_a_challenge_of_the_right_form(challenge: str | None) -> None:
    assert Identity(Secret("t" * 20)).proof(BOT, "b1", challenge) is None


@pytest.mark.parametrize(
    ("sessions", "count"),
    [
        ({"total": 3, "ready": 1, "needPerson": 2}, 2),
        ({"total": 3, "ready": 1, "needPerson": 0}, 0),
        ({"total": 3, "ready": 1}, None),
        ({"needPerson": "2"}, None),
        ({"needPerson": True}, None),
        ({"needPerson": -1}, None),
        ([1, 2], None),
        (None, None),
    ],
)
def test_an_answer_says_how_many_sessions_need_a_person_or_nothing(sessions: object, count: int | None) -> None:
    body = msgspec.json.encode({"status": "ok", "bootId": "b1", "sessions": sessions})
    examined = examine(Answer(200, None, body), "challenge", None, KnownBoots())
    assert (examined.failure, examined.needs_person) == (None, count)
