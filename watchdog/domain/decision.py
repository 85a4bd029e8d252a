"""One committed decision, and the notices that follow from it."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from watchdog.domain import notices
from watchdog.domain.facts import Fact
from watchdog.domain.policy import Now
from watchdog.domain.states import Incident, Notice
from watchdog.domain.target import EventKind, Step, TargetState


class Decided(msgspec.Struct, frozen=True):
    """One fact, the step it led to, and the incidents as the ledger holds them now."""

    fact: Fact
    step: Step
    opened: tuple[Incident, ...]
    closed: tuple[Incident, ...]
    notices: tuple[Notice, ...]
    at: Now


def notices_of(before: TargetState, step: Step, opened: Iterable[Incident], closed: Iterable[Incident]) -> list[Notice]:
    """The notices of a step in the order of what happened: ends, then restarts, then beginnings."""
    found = [notices.closed(incident) for incident in closed]
    for event in step.events:
        if event.kind is EventKind.RESTARTED and not event.quiet:
            gone_ms = event.at_ms - event.since_ms
            found.append(
                notices.restarted(
                    event.target,
                    event.at_ms,
                    boot_id=event.detail,
                    old_boot_id=before.boot_id,
                    gone_ms=gone_ms if gone_ms > 0 else None,
                )
            )
    failures, not_ready = step.state.failures, step.state.not_ready
    found += [notices.opened(incident, failures=failures, sessionsNotReady=not_ready) for incident in opened]
    return found
