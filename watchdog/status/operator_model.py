"""The operator's page in the reader's words: incidents, maintenance, channels, repairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from shared import reason_words
from shared.clock import from_ms
from shared.translation import N_
from shared.web.ui.markup import Html, filled, moment
from shared.web.ui.words import Words
from watchdog.ledger.repairs import Repair
from watchdog.ledger.settling import ChannelState, Waiting
from watchdog.ledger.timeline import NoticeLine, Receipt
from watchdog.status import page_model, wording
from watchdog.status.incident_model import Incident, incident
from watchdog.status.page_model import CALM_MS, IN_DOUBT_MS, Note, Target
from watchdog.status.schema import IncidentView, StatusView, TargetView

NOTICES = 10
REPAIRS = 5


@dataclass(frozen=True, slots=True)
class Channel:
    """``waits`` has one sentence for each of the first notices that wait."""

    id: str
    name: str
    role: str
    kind: str
    result: Html | str
    last_ok: datetime | None
    last_failed: datetime | None
    failure: str
    waits: list[str]


@dataclass(frozen=True, slots=True)
class Notice:
    """A sent notice; ``results`` is one sentence per channel."""

    what: str
    at: datetime
    kind: str
    results: list[str]


@dataclass(frozen=True, slots=True)
class Repairing:
    """The repairs of one bot service: the budget left, and why nothing is repaired now."""

    target: str
    budget: str
    why_not: Html | str


@dataclass(frozen=True, slots=True)
class Window:
    """A maintenance window with what only operators see of it."""

    note: Note
    by: str
    open: bool


@dataclass(frozen=True, slots=True)
class Page:
    title: str
    targets: list[Target]
    open: list[Incident]
    earlier: list[Incident]
    windows: list[Window]
    announcements: list[Note]
    channels: list[Channel]
    notices: list[Notice]
    repairs: list[Repairing]
    repairs_how: str
    past_repairs: list[Html]
    footer: str
    refresh_ms: int


def page(view: StatusView, t: Words, title: str, chosen: IncidentView | None = None) -> Page:
    """``chosen``: the incident that the address names, which may be an old one."""
    several, watchdog = len(view.targets) > 1, view.watchdog
    known = list(view.incidents)
    if chosen is not None and all(each.id != chosen.id for each in known):
        known.append(chosen)
    found = [(each, incident(each, t, several=several)) for each in known]
    return Page(
        title=f"{t('Operations')} · {title}",
        targets=[page_model.target(each, view, t, title, several=several, details=True) for each in view.targets],
        open=[shown for each, shown in found if each.closed_at_ms is None],
        earlier=[shown for each, shown in found if each.closed_at_ms is not None],
        windows=[
            Window(page_model.maintenance(each, t, several=several), _by(each.author, each.reason, t), each.open)
            for each in view.pauses
        ],
        announcements=[page_model.announcement(each, t) for each in view.announcements],
        channels=[_channel(each, t) for each in view.channels],
        notices=[_notice(each, t, several=several) for each in view.notices[:NOTICES]],
        repairs=[_repairing(each, t) for each in view.targets if each.repair_budget is not None],
        repairs_how=_how(watchdog.remediation, t, dry_run=watchdog.dry_run),
        past_repairs=[_repair(each, t) for each in view.repairs[:REPAIRS]],
        footer=t("Watchdog {version}, running for {span}", version=watchdog.version, span=t.span(watchdog.uptime_ms)),
        refresh_ms=IN_DOUBT_MS if view.state in ("SUSPECT", "UNKNOWN") else CALM_MS,
    )


def _by(author: str, reason: str, t: Words) -> str:
    by = t("by {author}", author=author)
    return t("{name}: {what}", name=by, what=reason) if reason else by


def _channel(channel: ChannelState, t: Words) -> Channel:
    kind, result = _state(channel, t)
    return Channel(
        id=channel.id,
        name=channel.name,
        role=t("fallback") if channel.role == "fallback" else t("primary"),
        kind=kind,
        result=result,
        last_ok=_at(channel.last_ok_at_ms),
        last_failed=_at(channel.last_failed_at_ms),
        failure=reason_words.words(channel.last_failure, t) if channel.last_failed_at_ms is not None else "",
        waits=[_waits(each, t) for each in channel.first],
    )


def _state(channel: ChannelState, t: Words) -> tuple[str, Html | str]:
    if channel.failing_since_ms is not None:
        why, since = reason_words.words(channel.last_reason, t), moment(t, from_ms(channel.failing_since_ms))
        return "bad", filled(t, N_("fails since {when}: {reason}"), when=since, reason=why)
    if channel.waiting:
        return "warn", t.many(channel.waiting, "{n} notice waits", "{n} notices wait")
    if channel.last_ok_at_ms is None:
        return "idle", t("not used yet")
    return "good", t("OK")


def _at(at_ms: int | None) -> datetime | None:
    return from_ms(at_ms) if at_ms is not None else None


def _waits(waiting: Waiting, t: Words) -> str:
    words = t(wording.NOTICE.get(waiting.kind, waiting.kind))
    what = t("{name}: {what}", name=waiting.target, what=words)
    why = waiting.reason.removeprefix("held:")
    return t("{what} ({reason})", what=what, reason=reason_words.words(why, t)) if why else what


def _notice(notice: NoticeLine, t: Words, *, several: bool) -> Notice:
    name = notice.target if several else t("The bot service")
    words = t(wording.NOTICE.get(notice.kind, notice.kind))
    delivered = [each.state == "done" for each in notice.receipts]
    return Notice(
        what=t("{name}: {what}", name=name, what=words),
        at=from_ms(notice.created_at_ms),
        kind="good" if delivered and all(delivered) else "warn",
        results=[_receipt(each, t) for each in notice.receipts],
    )


def _receipt(receipt: Receipt, t: Words) -> str:
    channel = receipt.channel
    if receipt.state == "done":
        return t("delivered by {channel}", channel=channel)
    if receipt.state in ("muted", "merged", "expired"):
        return t("not sent by {channel} ({reason})", channel=channel, reason=reason_words.words(receipt.reason, t))
    if receipt.tries:
        why = reason_words.words(receipt.reason, t)
        return t("{n} attempts by {channel} ({reason})", n=receipt.tries, channel=channel, reason=why)
    return t("waiting for {channel}", channel=channel)


def _how(remediation: Sequence[str], t: Words, *, dry_run: bool) -> str:
    if not remediation:
        return t("Repairs are off: REMEDIATION is not set.")
    if dry_run:
        return t(
            "Repairs by {names} are only decided and recorded (REMEDIATION_DRY_RUN).", names=", ".join(remediation)
        )
    return t("Repairs by {names}.", names=", ".join(remediation))


def _repairing(target: TargetView, t: Words) -> Repairing:
    left = target.repair_budget or 0
    budget = t.many(left, "{n} repair left", "{n} repairs left")
    why: Html | str = t("No decision yet.")
    if target.repair_refusal is not None and target.repair_refused_at_ms is not None:
        why = filled(
            t,
            N_("No repair since {when}: {reason}."),
            when=moment(t, from_ms(target.repair_refused_at_ms), show="seconds"),
            reason=wording.refusal(target.repair_refusal, t),
        )
    return Repairing(target.name, budget, why)


def _repair(repair: Repair, t: Words) -> Html:
    action = t(wording.ACTION.get(repair.action, repair.action))
    result = f"{t(wording.RESULT.get(repair.result, repair.result))} {repair.detail}".rstrip()
    return filled(
        t,
        N_("{when}: {target}, {action}: {result}"),
        when=moment(t, from_ms(repair.at_ms), show="seconds"),
        target=repair.target,
        action=f"{repair.remediator} {action}",
        result=result,
    )
