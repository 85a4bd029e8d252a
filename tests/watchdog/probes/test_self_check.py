"""Is it me or them: what a failure proves by itself, and what a look at ourselves adds."""

from __future__ import annotations

import errno
import socket

import aiohttp
import pytest

from tests.support.processes import free_port
from tests.support.receiver import Receiver
from watchdog.domain.outcome import Outcome
from watchdog.probes import reasons
from watchdog.probes.reasons import Failure, Proof
from watchdog.probes.self_check import SelfCheck, SelfCheckResult, is_near

TIMEOUT = Failure("timeout", Proof.NONE, True)
REFUSED = Failure("connect_refused", Proof.TARGET, True)


def check(
    *, near: bool = False, canaries: tuple[str, ...] = (), own_port: int | None = None, stall_s: float = 0.0
) -> SelfCheck:
    return SelfCheck(near=near, canaries=canaries, own_port=own_port, worst_stall_s=lambda _since: stall_s)


async def judge(failure: Failure, **how: object) -> SelfCheckResult:
    return await check(**how).assess(failure, started=0.0, timeout_s=1.0)  # type: ignore[arg-type]


async def test_silence_while_a_canary_answers_is_the_targets_fault() -> None:
    async with Receiver() as canary:
        canary.answer = lambda _got: (500, None, {})
        dead = f"http://127.0.0.1:{free_port()}"
        assert (await judge(TIMEOUT, canaries=(dead, canary.url))).outcome is Outcome.TARGET_FAIL


async def test_silence_while_no_canary_answers_is_our_own() -> None:
    dead = f"http://127.0.0.1:{free_port()}"
    assert await judge(TIMEOUT, canaries=(dead,)) == SelfCheckResult(Outcome.SELF_FAIL, "no_canary")


async def test_canaries_are_not_asked_about_a_neighbour() -> None:
    dead = f"http://127.0.0.1:{free_port()}"
    assert (await judge(TIMEOUT, canaries=(dead,), near=True)).outcome is Outcome.TARGET_FAIL


async def test_a_refusal_proves_the_target_without_canaries() -> None:
    dead = f"http://127.0.0.1:{free_port()}"
    assert (await judge(REFUSED, canaries=(dead,))).outcome is Outcome.TARGET_FAIL


async def test_an_own_port_that_cannot_be_opened_is_our_own_fault() -> None:
    assert await judge(REFUSED, own_port=free_port()) == SelfCheckResult(Outcome.SELF_FAIL, "own_port")


async def test_an_own_port_that_opens_is_no_fault() -> None:
    async with Receiver() as own:
        verdict = await judge(REFUSED, own_port=int(own.url.rsplit(":", 1)[1]))
    assert verdict.outcome is Outcome.TARGET_FAIL


async def test_a_resolver_that_does_not_answer_is_our_own_and_one_that_says_no_is_theirs() -> None:
    silent = reasons.of(socket.gaierror(socket.EAI_AGAIN, "try again"))
    unknown = reasons.of(socket.gaierror(socket.EAI_NONAME, "no such name"))
    assert await judge(silent) == SelfCheckResult(Outcome.SELF_FAIL, "dns_unavailable")
    assert await judge(unknown) == SelfCheckResult(Outcome.TARGET_FAIL, "dns_no_such_name")
    assert (await judge(silent, near=True)).outcome is Outcome.TARGET_FAIL, "a container that is gone has no name"


@pytest.mark.parametrize(
    ("error", "reason", "proof"),
    [
        (OSError(errno.ECONNREFUSED, "x"), "connect_refused", Proof.TARGET),
        (OSError(errno.EMFILE, "x"), "own_emfile", Proof.SELF),
        (OSError(errno.EHOSTUNREACH, "x"), "unreachable", Proof.NONE),
        (TimeoutError(), "timeout", Proof.NONE),
        (aiohttp.ServerDisconnectedError(), "disconnected", Proof.TARGET),
        (ConnectionResetError(errno.ECONNRESET, "x"), "connect_reset", Proof.TARGET),
        (RuntimeError("odd"), "error_RuntimeError", Proof.NONE),
    ],
)
def test_errors_have_stable_names(error: BaseException, reason: str, proof: Proof) -> None:
    found = reasons.of(error)
    assert (found.reason, found.proof) == (reason, proof)


@pytest.mark.parametrize(
    ("host", "near"),
    [
        ("bot", True),
        ("127.0.0.1", True),
        ("::1", True),
        ("10.1.2.3", True),
        ("bot.railway.internal", True),
        ("bot.example.org", False),
        ("8.8.8.8", False),
    ],
)
def test_what_is_near(host: str, near: bool) -> None:
    assert is_near(host) is near
