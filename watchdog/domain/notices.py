"""Builds every notice: stable id, short title, one sentence, fields for programs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from shared.contract.attention import NoticeWords
from shared.reason_words import words
from watchdog.domain.states import Incident, IncidentKind, Notice, NoticeKind

OPENS = {
    IncidentKind.DOWN: NoticeKind.DOWN,
    IncidentKind.FLAPPING: NoticeKind.FLAPPING,
    IncidentKind.DEGRADED: NoticeKind.DEGRADED,
    IncidentKind.BLIND: NoticeKind.BLIND,
    IncidentKind.REFUSED: NoticeKind.REFUSED,
    IncidentKind.UNANSWERED: NoticeKind.UNANSWERED,
    IncidentKind.PARTIAL: NoticeKind.PARTIAL,
    IncidentKind.SILENT: NoticeKind.SILENT,
}
CLOSES = {
    IncidentKind.DOWN: NoticeKind.UP,
    IncidentKind.FLAPPING: NoticeKind.FLAPPING_OVER,
    IncidentKind.DEGRADED: NoticeKind.DEGRADED_OVER,
    IncidentKind.BLIND: NoticeKind.BLIND_OVER,
    IncidentKind.REFUSED: NoticeKind.REFUSED_OVER,
    IncidentKind.UNANSWERED: NoticeKind.UNANSWERED_OVER,
    IncidentKind.PARTIAL: NoticeKind.PARTIAL_OVER,
    IncidentKind.SILENT: NoticeKind.SILENT_OVER,
}
OPENER_OF = {CLOSES[kind]: OPENS[kind] for kind in IncidentKind}

_WRONG = {
    IncidentKind.DOWN: "is DOWN",
    IncidentKind.FLAPPING: "is flapping",
    IncidentKind.DEGRADED: "is degraded",
    IncidentKind.BLIND: "cannot be seen: the watchdog is blind",
    IncidentKind.REFUSED: "is alive but refuses the watchdog",
    IncidentKind.UNANSWERED: "answers no pings, but its heartbeat goes on",
    IncidentKind.PARTIAL: "is down for some watchdogs only",
    IncidentKind.SILENT: "is silent",
}
_RIGHT = {
    IncidentKind.DOWN: "is UP",
    IncidentKind.FLAPPING: "is stable again",
    IncidentKind.DEGRADED: "has recovered",
    IncidentKind.BLIND: "can be seen again",
    IncidentKind.REFUSED: "accepts the watchdog again",
    IncidentKind.UNANSWERED: "answers pings again",
    IncidentKind.PARTIAL: "is seen alike by all watchdogs again",
    IncidentKind.SILENT: "answers again",
}
_WAS = {
    IncidentKind.DOWN: "was down",
    IncidentKind.FLAPPING: "was unstable",
    IncidentKind.DEGRADED: "was degraded",
    IncidentKind.BLIND: "could not be seen",
    IncidentKind.REFUSED: "refused the watchdog",
    IncidentKind.UNANSWERED: "answered no pings",
    IncidentKind.PARTIAL: "was down for some watchdogs only",
    IncidentKind.SILENT: "was silent",
}


def _wrong(incident: Incident) -> str:
    if incident.kind is IncidentKind.REFUSED and incident.reason == "unproven":
        return "answers, but does not prove that it is the bot"
    return _WRONG[incident.kind]


def _clock_time(at_ms: int) -> str:
    """``2026-01-31 09:12:03 UTC`` from milliseconds since the epoch."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def length(duration_ms: int) -> str:
    """``42 s``, ``3 min 5 s``, ``2 h 10 min`` or ``3 d 4 h`` from milliseconds."""
    seconds = max(0, round(duration_ms / 1000))
    for size, unit, small, small_unit in ((86_400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if seconds >= size:
            rest = seconds % size // small
            return f"{seconds // size} {unit}" + (f" {rest} {small_unit}" if rest else "")
    return f"{seconds} s"


def keep_alive_sentence(threshold: int) -> str:
    """The alert sentence of the seed, logged when DOWN is decided."""
    return f"ALERT: {threshold} consecutive keep-alive failures!"


def opened(incident: Incident, **fields: Any) -> Notice:
    """The notice of a new incident."""
    text = f"{incident.target} {_wrong(incident)} since {_clock_time(incident.opened_at_ms)}: {words(incident.reason)}."
    return _of(incident, OPENS[incident.kind], incident.decided_at_ms, _wrong(incident), text, fields)


def closed(incident: Incident, **fields: Any) -> Notice:
    """The notice of the end of an incident. Raises ``ValueError`` while it is open."""
    if incident.closed_at_ms is None:
        raise ValueError(f"incident {incident.id} is still open")
    lasted_ms = incident.closed_at_ms - incident.opened_at_ms
    text = (
        f"{incident.target} {_RIGHT[incident.kind]}. It {_WAS[incident.kind]} for {length(lasted_ms)} "
        f"from {_clock_time(incident.opened_at_ms)}: {words(incident.reason)}."
    )
    more = {"lastedMs": lasted_ms, "closeReason": incident.close_reason}
    return _of(incident, CLOSES[incident.kind], incident.closed_at_ms, _RIGHT[incident.kind], text, more | fields)


def reminder(incident: Incident, now_ms: int) -> Notice:
    """The next reminder of an open incident; numbers count from 1."""
    number = incident.reminders + 1
    lasted_ms = now_ms - incident.opened_at_ms
    wrong = f"{_wrong(incident)} for {length(lasted_ms)}"
    text = f"Reminder {number}: {incident.target} {wrong}, since {_clock_time(incident.opened_at_ms)}: {words(incident.reason)}."
    more = {"reminder": number, "lastedMs": lasted_ms}
    return _of(incident, NoticeKind.REMINDER, now_ms, f"still {wrong}", text, more, suffix=f":{number}")


def was_down(incident: Incident, now_ms: int) -> Notice:
    """DOWN and UP as one notice, for a channel that got neither in time."""
    until_ms = incident.closed_at_ms if incident.closed_at_ms is not None else now_ms
    span = f"from {_clock_time(incident.opened_at_ms)} to {_clock_time(until_ms)}"
    lasted_ms = until_ms - incident.opened_at_ms
    text = f"{incident.target} was down {span} ({length(lasted_ms)}): {words(incident.reason)}. It is UP."
    return _of(incident, NoticeKind.WAS_DOWN, now_ms, f"was down {span}", text, {"lastedMs": lasted_ms})


def repair_budget_spent(incident: Incident, now_ms: int, *, per_30_min: int, per_day: int) -> Notice:
    """Repairs did not help and the budget is spent: a person is needed."""
    text = (
        f"{incident.target} {_wrong(incident)} and repairs did not help: the budget of {per_30_min} in 30 minutes "
        f"and {per_day} a day is spent. One try an hour goes on. A person is needed."
    )
    kind = NoticeKind.REPAIR_BUDGET_SPENT
    return _of(incident, kind, now_ms, "needs a person: repair budget spent", text, {})


def restarted(target: str, at_ms: int, *, boot_id: str, old_boot_id: str | None, gone_ms: int | None = None) -> Notice:
    """The bot restarted without a DOWN. ``gone_ms``: time without a sign of life."""
    gone = f" It was not heard for {length(gone_ms)}." if gone_ms is not None else ""
    return Notice(
        id=f"{target}:restarted:{boot_id}",
        target=target,
        kind=NoticeKind.RESTARTED,
        created_at_ms=at_ms,
        title=f"{target} restarted",
        text=f"{target} restarted at {_clock_time(at_ms)}.{gone}",
        fields={"bootId": boot_id, "oldBootId": old_boot_id, "goneMs": gone_ms},
    )


def channel_failing(channel: str, label: str, now_ms: int, *, since_ms: int, failures: int, reason: str) -> Notice:
    """A channel cannot deliver; sent on the others. One id per run of failures."""
    text = (
        f"Alerts by {label} have failed {failures} times since {_clock_time(since_ms)}: {reason}. "
        "They wait and will be sent when it works again."
    )
    return Notice(
        id=f"channel:{channel}:{since_ms}",
        target="watchdog",
        kind=NoticeKind.CHANNEL_FAILING,
        created_at_ms=now_ms,
        title=f"Alert channel {label} is failing",
        text=text,
        fields={"channel": channel, "label": label, "failures": failures, "reason": reason, "sinceMs": since_ms},
    )


LEDGER_KINDS = frozenset({NoticeKind.LEDGER_FAILING, NoticeKind.LEDGER_OVER, NoticeKind.LEDGER_DAMAGED})


def not_kept(notice: Notice) -> Notice:
    """The notice with the remark that the ledger could not keep it."""
    text = f"{notice.text} (History not kept: the watchdog's ledger cannot be written.)"
    return msgspec.structs.replace(notice, text=text, fields=notice.fields | {"historyKept": False})


def ledger_failing(since_ms: int, why: str, now_ms: int) -> Notice:
    """The ledger's file cannot be used; one id per failure."""
    text = (
        f"The watchdog cannot use its ledger since {_clock_time(since_ms)}: {why}. It goes on watching and alerting "
        "from memory, and copies what it decided when the ledger works again. What it decides is lost if it stops before."
    )
    fields = {"sinceMs": since_ms, "reason": why}
    return _own(f"ledger:{since_ms}:failing", NoticeKind.LEDGER_FAILING, now_ms, "Ledger is failing", text, fields)


def ledger_over(since_ms: int, until_ms: int, now_ms: int) -> Notice:
    """The end of :func:`ledger_failing`."""
    text = f"The watchdog's ledger works again after {length(until_ms - since_ms)} and holds what was decided since."
    fields = {"sinceMs": since_ms, "untilMs": until_ms}
    return _own(f"ledger:{since_ms}:over", NoticeKind.LEDGER_OVER, now_ms, "Ledger works again", text, fields)


def ledger_damaged(file: str, now_ms: int) -> Notice:
    """A damaged ledger was renamed to ``file``."""
    text = (
        f"The watchdog's ledger was damaged. It is kept as {file}, and a new one began: what was open goes on, "
        "the earlier history is in that file or in a backup."
    )
    return _own(f"ledger:{file}", NoticeKind.LEDGER_DAMAGED, now_ms, "Ledger was damaged", text, {"file": file})


def repairs_locked(since_ms: int, now_ms: int) -> Notice:
    """The database of REMEDIATION_LOCK is away; one id for each time."""
    text = (
        f"The database of REMEDIATION_LOCK does not answer since {_clock_time(since_ms)}. Nothing is repaired until it "
        "does; watching and alerting go on."
    )
    title, fields = "Repairs are locked", {"sinceMs": since_ms}
    return _own(f"repairs:{since_ms}:locked", NoticeKind.REPAIRS_LOCKED, now_ms, title, text, fields)


def repairs_unlocked(since_ms: int, now_ms: int) -> Notice:
    """The end of :func:`repairs_locked`."""
    text = f"The database of REMEDIATION_LOCK answers again after {length(now_ms - since_ms)}: repairs go on."
    title, fields = "Repairs are unlocked", {"sinceMs": since_ms}
    return _own(f"repairs:{since_ms}:unlocked", NoticeKind.REPAIRS_UNLOCKED, now_ms, title, text, fields)


def loop_failing(loop: str, error: str, since_ms: int, now_ms: int) -> Notice:
    """A part of the watchdog crashes again and again; one id per series of crashes."""
    text = (
        f"The watchdog's loop {loop} crashes again and again since {_clock_time(since_ms)} ({error}): "
        "what it does is not done. The log has the details."
    )
    fields = {"loop": loop, "error": error, "sinceMs": since_ms}
    return _own(f"loop:{loop}:{since_ms}", NoticeKind.LOOP_FAILING, now_ms, f"Loop {loop} is failing", text, fields)


def loop_over(loop: str, since_ms: int, now_ms: int) -> Notice:
    """The end of :func:`loop_failing`."""
    text = f"The watchdog's loop {loop} runs again after {length(now_ms - since_ms)}."
    fields = {"loop": loop, "sinceMs": since_ms}
    return _own(f"loop:{loop}:{since_ms}:over", NoticeKind.LOOP_OVER, now_ms, f"Loop {loop} runs again", text, fields)


def _own(notice_id: str, kind: NoticeKind, now_ms: int, title: str, text: str, fields: dict[str, Any]) -> Notice:
    """A notice of the watchdog about itself."""
    return Notice(notice_id, "watchdog", kind, now_ms, title, text, fields=fields)


def attention(kind: NoticeKind, target: str, words: NoticeWords, now_ms: int, number: str) -> Notice:
    """Sessions need a person, or work again. ``number`` makes the id unique."""
    return Notice(
        id=f"{target}:{kind}:{now_ms}-{number}",
        target=target,
        kind=kind,
        created_at_ms=now_ms,
        title=words.title,
        text=words.text,
        fields=words.fields,
    )


def test(notice_id: str, now_ms: int, author: str) -> Notice:
    """A test alert that a person asked for."""
    return Notice(
        id=notice_id,
        target="watchdog",
        kind=NoticeKind.TEST,
        created_at_ms=now_ms,
        title="Test alert",
        text=f"A test alert of the watchdog, asked for by {author} at {_clock_time(now_ms)}. Nothing is wrong.",
    )


def _of(
    incident: Incident,
    kind: NoticeKind,
    at_ms: int,
    headline: str,
    text: str,
    fields: dict[str, Any],
    *,
    suffix: str = "",
) -> Notice:
    return Notice(
        id=f"{incident.id}:{kind}{suffix}",
        target=incident.target,
        kind=kind,
        created_at_ms=at_ms,
        title=f"{incident.target} {headline}",
        text=text,
        incident_id=incident.id,
        fields={
            "incidentKind": str(incident.kind),
            "reason": incident.reason,
            "openedAtMs": incident.opened_at_ms,
            "decidedAtMs": incident.decided_at_ms,
        }
        | fields,
    )
