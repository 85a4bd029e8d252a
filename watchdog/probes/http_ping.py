"""One ping: up to three attempts, each on a new connection, within one time limit.

A dead target is a result, never an exception.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
from msgspec.structs import replace

from shared.clock import Clock, epoch_ms
from shared.retry import retrying
from watchdog.domain.outcome import REFUSALS, Attempt, Cause, Outcome, ProbeResult
from watchdog.probes import http_get, reasons
from watchdog.probes.http1 import Answer
from watchdog.probes.reasons import Failure, Proof
from watchdog.probes.self_check import SelfCheck

ATTEMPTS = 3


class _AttemptFailed(Exception):
    """An attempt that may succeed when repeated."""


class _HealthBody(msgspec.Struct, rename="camel"):
    boot_id: str | None = None


_decode_body = msgspec.json.Decoder(_HealthBody).decode


class HttpPinger:
    """Pings ``url`` of ``target``.

    ``timeout_s`` limits all attempts together; the waits between them follow ``retry_s``.
    """

    def __init__(
        self,
        *,
        target: str,
        url: str,
        timeout_s: float,
        retry_s: float,
        clock: Clock,
        self_check: SelfCheck,
        on_attempt: Callable[[Attempt], None] = lambda _attempt: None,
    ) -> None:
        self._target, self._url, self._timeout_s, self._retry_s = target, url, timeout_s, retry_s
        self._clock, self._self_check, self._on_attempt = clock, self_check, on_attempt

    async def ping(self, cause: Cause) -> ProbeResult:
        started, started_at_ms = self._clock.monotonic(), epoch_ms(self._clock)
        attempts: list[Attempt] = []
        answer, failure = await self._attempt(attempts, started)
        if failure is not None and failure.retry:
            answer, failure = await self._retry(attempts, started, cause, (answer, failure))
        refused = answer.status if answer is not None and answer.status in REFUSALS else None
        if failure is None:
            outcome, reason = Outcome.OK, "ok"
        elif refused is not None:
            outcome, reason = Outcome.UNKNOWN, failure.reason
        else:
            found = await self._self_check.assess(failure, started=started, timeout_s=self._timeout_s)
            outcome, reason = found.outcome, found.reason
        if outcome is Outcome.SELF_FAIL:
            attempts = [replace(a, outcome=a.outcome if a.outcome is Outcome.OK else outcome) for a in attempts]
        for attempt in attempts:
            self._on_attempt(attempt)
        return ProbeResult(
            target=self._target,
            cause=cause,
            started_at_ms=started_at_ms,
            at_ms=epoch_ms(self._clock),
            outcome=outcome,
            reason=reason,
            latency_ms=attempts[-1].duration_ms if answer is not None else None,
            attempts=tuple(attempts),
            refused=refused,
            boot_id=_boot_id(answer.body) if answer is not None else None,
            detail=failure.detail if failure is not None else "",
            duration_ms=int((self._clock.monotonic() - started) * 1000),
        )

    async def _retry(
        self,
        attempts: list[Attempt],
        started: float,
        cause: Cause,
        result: tuple[Answer | None, Failure | None],
    ) -> tuple[Answer | None, Failure | None]:
        """The result of the last attempt; ``result`` is that of the first.

        Only a failed ping comes here, so that a healthy bot costs no retrier.
        """
        # A confirmation decides when the alert leaves: its attempts follow closely.
        first_s = min(0.25, self._retry_s / 4) if cause is Cause.SCHEDULE else min(0.1, self._retry_s / 20)
        retrier = retrying(
            self._clock,
            on=_AttemptFailed,
            attempts=ATTEMPTS,
            # No attempt starts too late to be answered.
            total_s=0.9 * self._timeout_s - (self._clock.monotonic() - started),
            first_s=first_s,
            cap_s=min(1.0, self._retry_s / 2, self._timeout_s / 10),
        )
        try:
            async for attempt in retrier:
                with attempt:
                    if attempt.retry_state.attempt_number > 1:
                        result = await self._attempt(attempts, started)
                    if result[1] is not None and result[1].retry:
                        raise _AttemptFailed
        except _AttemptFailed:
            pass
        return result

    async def _attempt(self, attempts: list[Attempt], ping_started: float) -> tuple[Answer | None, Failure | None]:
        begun, begun_ms = self._clock.monotonic(), epoch_ms(self._clock)
        answer: Answer | None = None
        try:
            async with asyncio.timeout(max(0.05, self._timeout_s - (begun - ping_started))):
                answer = await http_get.get(self._url)
            failure = _failure_of(answer.status)
        except Exception as error:  # any fault of a target is a result
            failure = reasons.of(error)
        if failure is None:
            outcome = Outcome.OK
        elif answer is not None and answer.status in REFUSALS:
            outcome = Outcome.UNKNOWN
        else:
            outcome = Outcome.SELF_FAIL if failure.proof is Proof.SELF else Outcome.TARGET_FAIL
        attempts.append(
            Attempt(
                number=len(attempts) + 1,
                started_at_ms=begun_ms,
                duration_ms=round((self._clock.monotonic() - begun) * 1000, 3),
                outcome=outcome,
                reason="ok" if failure is None else failure.reason,
                status=answer.status if answer is not None else None,
            )
        )
        return answer, failure


def _failure_of(status: int) -> Failure | None:
    if 200 <= status < 300:
        return None
    if status in REFUSALS:
        return Failure(f"refused_{status}", Proof.TARGET, False)
    return Failure(f"http_{status}", Proof.TARGET, status >= 500)


def _boot_id(body: bytes) -> str | None:
    try:
        boot_id = _decode_body(body).boot_id
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return boot_id[:100] if boot_id else None
