"""Decides when a failed delivery is tried again: a pure function of delivery, attempt and time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from bot_service.store.deliveries import Delivery
from bot_service.webhooks.call import Attempt
from shared.retry import full_jitter


@dataclass(frozen=True, slots=True)
class WebhookPolicy:
    """Waits are random up to a ceiling that doubles from ``first_s`` to ``cap_s``.

    While the receiver is down, the ceiling ends at ``pause_cap_s``. After ``aside_after`` refusals
    by an available receiver, a delivery steps aside. After ``pause_after`` failures in a row, the
    receiver gets single attempts with pauses between them.
    """

    retry_for_ms: int
    concurrency: int = 4
    first_s: float = 5.0
    cap_s: float = 3600.0
    aside_after: int = 3
    pause_after: int = 5
    pause_first_s: float = 10.0
    pause_cap_s: float = 600.0


class AfterFailure(StrEnum):
    """The state of a delivery after a failed attempt."""

    HOLD = "pending"  # stays at the head of its lane
    ASIDE = "aside"  # is retried on its own, the lane goes on
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class RetryDecision:
    """``next_ms``: the next attempt; ``pause_until_ms``: 0 without a pause of the receiver."""

    state: AfterFailure
    next_ms: int
    pause_until_ms: int


def after_failure(
    delivery: Delivery,
    attempt: Attempt,
    policy: WebhookPolicy,
    *,
    failures: int,
    aside: bool,
    now_ms: int,
    pick: Callable[[], float],
    may_give_up: bool = True,
) -> RetryDecision:
    """``failures``: failed attempts in a row, with this one. ``aside``: retried on its own.

    ``may_give_up`` False: the age of the delivery is not certain, because the clock was set.
    """
    asked_s = pause_s = attempt.retry_after_s or 0.0
    beyond = failures - policy.pause_after
    if beyond >= 0:
        pause_s = max(pause_s, full_jitter(beyond, first_s=policy.pause_first_s, cap_s=policy.pause_cap_s, pick=pick))
    pause_until_ms = now_ms + int(pause_s * 1000) if pause_s > 0 else 0
    if may_give_up and now_ms - delivery.created_ms >= policy.retry_for_ms:
        return RetryDecision(AfterFailure.DEAD, now_ms, pause_until_ms)
    attempts = delivery.attempts + 1
    # A receiver that is down gets single attempts: others must not wait an hour for this one.
    cap_s = policy.pause_cap_s if attempt.down else policy.cap_s
    wait_s = full_jitter(attempts - 1, first_s=policy.first_s, cap_s=cap_s, pick=pick)
    next_ms = now_ms + int(1000 * max(wait_s, asked_s))
    steps_aside = aside or (not attempt.down and attempts >= policy.aside_after)
    return RetryDecision(AfterFailure.ASIDE if steps_aside else AfterFailure.HOLD, next_ms, pause_until_ms)
