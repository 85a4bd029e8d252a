"""One ping: up to three attempts on fresh connections with fresh DNS, within one time limit; every attempt is kept.

A dead target is a result, never an exception.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from shared.clock import Clock
from shared.retry import retrying
from watchdog.domain.outcome import REFUSALS, Attempt, Cause, Outcome, ProbeResult
from watchdog.probes import http_get, reasons
from watchdog.probes.reasons import Failure, Proof
from watchdog.probes.self_check import SelfCheck

ATTEMPTS = 3


class _AttemptFailed(Exception):
    """An attempt that another one may put right."""


class _Answer(msgspec.Struct, frozen=True):
    status: int
    boot_id: str | None
    failure: Failure | None = None


# What one attempt got, and what was wrong with it.
_Tried = tuple[_Answer | None, Failure | None]


class _AnswerBody(msgspec.Struct, rename="camel"):
    boot_id: str | None = None


class HttpPinger:
    """Pings ``url`` of ``target``. ``timeout_s`` holds for all attempts together; waits between them come from ``retry_s``
    and stay well below it."""

    def __init__(
        self,
        *,
        target: str,
        url: str,
        timeout_s: float,
        retry_s: float,
        clock: Clock,
        self_check: SelfCheck,
        since: Callable[[], int | None] = lambda: None,
        on_attempt: Callable[[Attempt], None] = lambda _attempt: None,
    ) -> None:
        self._target, self._url, self._timeout_s, self._retry_s = target, url, timeout_s, retry_s
        self._clock, self._self_check = clock, self_check
        self._since, self._on_attempt = since, on_attempt

    async def ping(self, cause: Cause) -> ProbeResult:
        started, started_at_ms = self._clock.monotonic(), self._wall_ms()
        attempts: list[Attempt] = []
        answer, failure = await self._attempt(attempts, started)
        if failure is not None and failure.retry:
            answer, failure = await self._again(attempts, started, cause, (answer, failure))
        if failure is None:
            outcome, reason = Outcome.OK, "ok"
        elif answer is not None and answer.status in REFUSALS:
            outcome, reason = Outcome.UNKNOWN, failure.reason
        else:
            verdict = await self._self_check.judge(failure, started=started, timeout_s=self._timeout_s)
            outcome, reason = verdict.outcome, verdict.reason
        if outcome is Outcome.SELF_FAIL:
            attempts = [
                msgspec.structs.replace(a, outcome=a.outcome if a.outcome is Outcome.OK else outcome) for a in attempts
            ]
        for attempt in attempts:
            self._on_attempt(attempt)
        ended = self._clock.monotonic()
        return ProbeResult(
            target=self._target,
            cause=cause,
            started_at_ms=started_at_ms,
            at_ms=self._wall_ms(),
            outcome=outcome,
            reason=reason,
            latency_ms=attempts[-1].duration_ms if answer is not None else None,
            attempts=tuple(attempts),
            refused=answer.status if answer is not None and answer.status in REFUSALS else None,
            boot_id=answer.boot_id if answer is not None else None,
            detail=failure.detail if failure is not None else "",
            duration_ms=int((ended - started) * 1000),
            since_ms=self._since() if cause is not Cause.SCHEDULE else None,
        )

    async def _again(self, attempts: list[Attempt], started: float, cause: Cause, first: _Tried) -> _Tried:
        """The last of all attempts; ``first``, which has failed already, counts as the first of them.

        Only a ping that failed comes here: the retrier is nothing that a healthy bot should cost.
        """
        tried, made = first, False

        async def once() -> None:
            nonlocal tried, made
            tried, made = (await self._attempt(attempts, started) if made else first), True
            if tried[1] is not None and tried[1].retry:
                raise _AttemptFailed

        # A confirmation is a repetition itself and decides when the alert leaves: its attempts follow close on each other.
        first_s = min(0.25, self._retry_s / 4) if cause is Cause.SCHEDULE else min(0.1, self._retry_s / 20)
        retrier = retrying(
            self._clock,
            on=_AttemptFailed,
            attempts=ATTEMPTS,
            # No new attempt that would have no time left to be answered.
            total_s=0.9 * self._timeout_s - (self._clock.monotonic() - started),
            first_s=first_s,
            cap_s=min(1.0, self._retry_s / 2, self._timeout_s / 10),
        )
        try:
            await retrier(once)
        except _AttemptFailed:
            pass
        return tried

    async def _attempt(self, attempts: list[Attempt], ping_started: float) -> _Tried:
        begun, begun_ms = self._clock.monotonic(), self._wall_ms()
        left_s = max(0.05, self._timeout_s - (begun - ping_started))
        answer: _Answer | None = None
        failure: Failure | None
        try:
            async with asyncio.timeout(left_s):
                answer = await self._get()
            failure = answer.failure
        except Exception as error:  # whatever a target can do to a request is a result
            failure = reasons.of(error)
        refused = answer is not None and answer.status in REFUSALS
        bad = (
            Outcome.UNKNOWN
            if refused
            else Outcome.SELF_FAIL
            if failure and failure.proof is Proof.SELF
            else Outcome.TARGET_FAIL
        )
        attempts.append(
            Attempt(
                number=len(attempts) + 1,
                started_at_ms=begun_ms,
                duration_ms=round((self._clock.monotonic() - begun) * 1000, 3),
                outcome=Outcome.OK if failure is None else bad,
                reason="ok" if failure is None else failure.reason,
                status=answer.status if answer is not None else None,
            )
        )
        return answer, failure

    async def _get(self) -> _Answer:
        answer = await http_get.get(self._url)
        return _Answer(answer.status, _boot_id(answer.body), _failure_of(answer.status))

    def _wall_ms(self) -> int:
        return int(self._clock.now().timestamp() * 1000)


def _failure_of(status: int) -> Failure | None:
    if 200 <= status < 300:
        return None
    if status in REFUSALS:
        return Failure(f"refused_{status}", Proof.TARGET, False)
    return Failure(f"http_{status}", Proof.TARGET, status >= 500)


def _boot_id(body: bytes) -> str | None:
    try:
        parsed: Any = msgspec.json.decode(body, type=_AnswerBody)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError):
        return None
    boot_id = parsed.boot_id
    return boot_id[:100] if boot_id else None
