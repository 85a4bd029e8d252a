"""One ping: up to three attempts, each on a new connection, within one time limit.

A dead target is a result, never an exception.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from msgspec.structs import replace

from shared.clock import Clock, epoch_ms
from shared.contract.identity import CHALLENGE_HEADER, Identity, new_challenge
from shared.retry import retrying
from watchdog.domain.outcome import Attempt, Cause, Outcome, ProbeResult
from watchdog.probes import http_get, reasons
from watchdog.probes.health_answer import Examined, KnownBoots, examine
from watchdog.probes.reasons import Proof
from watchdog.probes.self_check import SelfCheck

ATTEMPTS = 3
# Of the time limit: a name that takes longer to resolve is no time-out of the target.
RESOLVER_SHARE = 0.8


class _AttemptFailed(Exception):
    """An attempt that may succeed when repeated."""


class HttpPinger:
    """Pings ``url`` of ``target``.

    ``timeout_s`` limits all attempts together; the waits between them follow ``retry_s``.
    ``identity`` checks the bot's proofs, ``known`` gives the boots that the target has shown.
    ``on_watchdog`` is called with the boot id of a watchdog that answers.
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
        identity: Identity | None = None,
        known: Callable[[], KnownBoots] = KnownBoots,
        on_attempt: Callable[[Attempt], None] = lambda _attempt: None,
        on_watchdog: Callable[[str], None] = lambda _boot_id: None,
    ) -> None:
        self._target, self._url, self._timeout_s, self._retry_s = target, url, timeout_s, retry_s
        self._clock, self._self_check, self._on_attempt = clock, self_check, on_attempt
        self._identity, self._known, self._on_watchdog = identity, known, on_watchdog

    async def ping(self, cause: Cause) -> ProbeResult:
        started, started_at_ms = self._clock.monotonic(), epoch_ms(self._clock)
        attempts: list[Attempt] = []
        examined = await self._attempt(attempts, started)
        if examined.failure is not None and examined.failure.retry:
            examined = await self._retry(attempts, started, cause, examined)
        if examined.watchdog:
            self._on_watchdog(examined.watchdog)
        failure = examined.failure
        if failure is None:
            outcome, reason = Outcome.OK, "ok"
        elif examined.refused is not None:
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
            latency_ms=attempts[-1].duration_ms if examined.status is not None else None,
            attempts=tuple(attempts),
            refused=examined.refused,
            boot_id=examined.boot_id,
            orderly_stops=examined.orderly_stops,
            needs_person=examined.needs_person,
            proved=examined.proved,
            by_bot=examined.by_bot,
            detail=failure.detail if failure is not None else "",
            duration_ms=int((self._clock.monotonic() - started) * 1000),
        )

    async def _retry(self, attempts: list[Attempt], started: float, cause: Cause, last: Examined) -> Examined:
        """The result of the last attempt; ``last`` is that of the first.

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
                        last = await self._attempt(attempts, started)
                    if last.failure is not None and last.failure.retry:
                        raise _AttemptFailed
        except _AttemptFailed:
            pass
        return last

    async def _attempt(self, attempts: list[Attempt], ping_started: float) -> Examined:
        begun, begun_ms = self._clock.monotonic(), epoch_ms(self._clock)
        challenge = new_challenge()
        try:
            limit_s = max(0.05, self._timeout_s - (begun - ping_started))
            async with asyncio.timeout(limit_s):
                answer = await http_get.get(
                    self._url,
                    headers=f"{CHALLENGE_HEADER}: {challenge}\r\n",
                    resolve_s=RESOLVER_SHARE * limit_s,
                )
            examined = examine(answer, challenge, self._identity, self._known())
        except Exception as error:  # any fault of a target is a result
            examined = Examined(reasons.of(error))
        failure = examined.failure
        if failure is None:
            outcome = Outcome.OK
        elif examined.refused is not None:
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
                status=examined.status,
            )
        )
        return examined
