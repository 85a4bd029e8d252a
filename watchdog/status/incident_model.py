"""An incident in the reader's words, with what happened during it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from shared import reason_words
from shared.clock import from_ms
from shared.translation import N_
from shared.web.ui.markup import Html, moment
from shared.web.ui.words import Words
from watchdog.status import wording
from watchdog.status.schema import IncidentView, LineView


@dataclass(frozen=True, slots=True)
class Step:
    kind: str
    at: Html
    text: str


@dataclass(frozen=True, slots=True)
class Incident:
    """``what`` is its kind in words. ``open``: not over. ``acknowledged`` says by whom and when, empty before that."""

    id: str
    kind: str
    what: str
    title: str
    when: Html
    open: bool
    steps: list[Step]
    acknowledged: str


def incident(found: IncidentView, t: Words, *, several: bool) -> Incident:
    """``several``: there are more bots than one, so the title names it."""
    open_now = found.closed_at_ms is None
    what, span = t(wording.INCIDENT.get(found.kind, found.kind)), t.span(found.lasted_ms)
    why = reason_words.words(found.reason, t)
    said = N_("{what} for {span} now: {reason}") if open_now else N_("{what} for {span}: {reason}")
    if several:
        what = t("{name}: {what}", name=found.target, what=what)
    by = found.acknowledged_by or ""
    return Incident(
        id=found.id,
        kind="bad" if open_now else "idle",
        what=what,
        title=t(said, what=what, span=span, reason=why),
        when=moment(t, from_ms(found.opened_at_ms)),
        open=open_now,
        steps=_without_repeats([_step(line, found, t) for line in found.timeline]),
        acknowledged=t("Acknowledged by {author}", author=by) if found.acknowledged_at_ms is not None else "",
    )


def _step(line: LineView, found: IncidentView, t: Words) -> Step:
    said, kind = wording.LINE.get(line.kind, ("{text}", "idle"))
    if line.kind == "acknowledged" and not line.author:
        said = N_("People are working on it")
    reason = reason_words.words(line.reason, t)
    repair = f"{line.remediator} {t(wording.ACTION.get(line.action, line.action))}"
    ended = f"{t(wording.RESULT.get(line.result, line.result))} {line.detail}".rstrip()
    change = f"{t(wording.STATE.get(line.old, line.old))} → {t(wording.STATE.get(line.new, line.new))}"
    text = {
        "over": f"{reason}, {t.span(found.lasted_ms)}",
        "state": t("{name}: {what}", name=change, what=reason),
        "repair_started": repair,
        "repair_ended": t("{name}: {what}", name=repair, what=ended),
    }.get(line.kind, line.text)
    filled = t(
        said,
        text=text,
        reason=reason,
        what=t(wording.INCIDENT.get(found.kind, found.kind)).lower(),
        channel=line.channel,
        notice=t(wording.NOTICE.get(line.notice, line.notice)),
        author=line.author,
    )
    return Step(kind, moment(t, from_ms(line.at_ms), show="ticks"), filled)


def _without_repeats(steps: Sequence[Step]) -> list[Step]:
    """Joins equal lines in a row into one with a count and the first time."""
    found: list[Step] = []
    for _, same in groupby(steps, key=lambda step: (step.kind, step.text)):
        several = list(same)
        first = several[0]
        found.append(replace(first, text=f"{first.text} (×{len(several)})") if len(several) > 1 else first)
    return found
