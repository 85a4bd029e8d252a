"""Builds retries: exponential backoff with jitter, a limit of attempts and of time."""

from __future__ import annotations

import math
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import tenacity

from shared.clock import Clock


def retrying(
    clock: Clock,
    *,
    on: type[BaseException] | tuple[type[BaseException], ...],
    attempts: int,
    total_s: float,
    first_s: float,
    cap_s: float,
    on_attempt: Callable[[int, BaseException], None] | None = None,
) -> tenacity.AsyncRetrying:
    """A tenacity retrier that raises the last error itself.

    ``attempts`` counts the first try; no try starts after ``total_s`` seconds. Waits grow from
    ``first_s`` to ``cap_s`` seconds with full jitter. ``on_attempt(number, error)`` is called after
    every failed try.
    """

    def after(state: tenacity.RetryCallState) -> None:
        if on_attempt is not None and state.outcome is not None:
            error = state.outcome.exception()
            if error is not None:
                on_attempt(state.attempt_number, error)

    started = clock.monotonic()

    def out_of_time(_state: tenacity.RetryCallState) -> bool:
        # stop_after_delay of tenacity would read the machine's clock.
        return clock.monotonic() - started >= total_s

    limit = tenacity.stop_after_attempt(attempts)
    sleep: Callable[[float], Awaitable[None]] = clock.sleep
    return tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception_type(on),
        stop=lambda state: limit(state) or out_of_time(state),
        wait=tenacity.wait_random_exponential(multiplier=first_s, max=cap_s),
        sleep=sleep,
        after=after,
        reraise=True,
    )


def full_jitter(attempt: int, *, first_s: float, cap_s: float, pick: Callable[[], float] = random.random) -> float:
    """Seconds to wait before try ``attempt + 1``: uniform up to ``min(cap, first x 2^attempt)``."""
    ceiling = min(cap_s, first_s * 2.0 ** min(attempt, 32))
    return pick() * ceiling


def retry_after_s(value: str | None, now: datetime) -> float | None:
    """``Retry-After`` in seconds, from a number or a date, never negative; None when unusable."""
    if not value:
        return None
    try:
        wait = float(value)
    except ValueError:
        try:
            moment = parsedate_to_datetime(value)
        except ValueError:
            return None
        wait = ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now).total_seconds()
        return max(wait, 0.0)
    return wait if math.isfinite(wait) and wait >= 0 else None
