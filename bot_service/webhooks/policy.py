"""What a failed attempt at a webhook means: pure, from the delivery, the attempt, the receiver's run of failures and the time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from bot_service.store.deliveries import Delivery
from bot_service.webhooks.call import Attempt
from shared.retry import full_jitter


@dataclass(frozen=True, slots=True)
class WebhookPolicy:
    """Waits are random between 0 and a ceiling that doubles from ``first_s`` to ``cap_s``, to ``pause_cap_s`` while the
    receiver itself is down.

    ``aside_after`` refusals by a receiver that answers, a delivery steps aside. ``pause_after`` failures in a row, the
    receiver is asked by single attempts, apart by a wait of its own.
    """

    retry_for_ms: int
    concurrency: int = 4
    first_s: float = 5.0
    cap_s: float = 3600.0
    aside_after: int = 3
    pause_after: int = 5
    pause_first_s: float = 10.0
    pause_cap_s: float = 600.0


class Next(StrEnum):
    """States of a delivery after an attempt."""

    HOLD = "pending"  # stays at the head of its lane
    ASIDE = "aside"  # is retried by itself, the lane goes on
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class RetryDecision:
    """``next_ms`` of the next attempt; ``pause_until_ms`` 0 when the receiver is not paused."""

    next: Next
    next_ms: int
    pause_until_ms: int


def judge(
    delivery: Delivery,
    attempt: Attempt,
    policy: WebhookPolicy,
    *,
    failures: int,
    aside: bool,
    now_ms: int,
    pick: Callable[[], float],
) -> RetryDecision:
    """``failures``: attempts at this receiver that failed in a row, this one included. ``aside``: already retried by itself."""
    asked_s = attempt.retry_after_s or 0.0
    pause_s = asked_s
    beyond = failures - policy.pause_after
    if beyond >= 0:
        pause_s = max(pause_s, full_jitter(beyond, first_s=policy.pause_first_s, cap_s=policy.pause_cap_s, pick=pick))
    pause_until_ms = now_ms + int(pause_s * 1000) if pause_s > 0 else 0
    if now_ms - delivery.created_ms >= policy.retry_for_ms:
        return RetryDecision(Next.DEAD, now_ms, pause_until_ms)
    attempts = delivery.attempts + 1
    # A receiver that is down is asked by one attempt at a time: the whole of what waits must not wait an hour for it.
    cap_s = policy.pause_cap_s if attempt.down else policy.cap_s
    wait_s = full_jitter(attempts - 1, first_s=policy.first_s, cap_s=cap_s, pick=pick)
    next_ms = now_ms + int(1000 * max(wait_s, asked_s))
    if aside or (not attempt.down and attempts >= policy.aside_after):
        return RetryDecision(Next.ASIDE, next_ms, pause_until_ms)
    return RetryDecision(Next.HOLD, next_ms, pause_until_ms)
