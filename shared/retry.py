"""Builds retries: exponential backoff with jitter, a limit of attempts and of time."""

from __future__ import annotations

import random
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import tenacity

from shared.clock import Clock

RETRY_AFTER_CAP_S = 3600.0
_SECONDS = re.compile(r"[0-9]{1,10}(?:\.[0-9]{1,10})?")


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
    """``Retry-After`` in seconds from 0 to :data:`RETRY_AFTER_CAP_S`, from a number or a date.

    None when it is absent or unusable: the server that sends it may be broken or hostile.
    """
    if value is None or len(value) > 64 or not value.isascii():
        return None
    if _SECONDS.fullmatch(value.strip()):
        return min(float(value), RETRY_AFTER_CAP_S)
    try:
        moment = parsedate_to_datetime(value)
        wait = ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now).total_seconds()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return min(max(wait, 0.0), RETRY_AFTER_CAP_S)
