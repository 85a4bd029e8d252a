"""The status page in the reader's words, from the status view alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import groupby

from shared.clock import from_ms
from shared.translation import N_
from shared.web.ui.pages import Figure
from shared.web.ui.sessions_ready import sessions_ready
from shared.web.ui.svg import Bar, Series, Svg, bars, curve, round_up
from shared.web.ui.words import Words
from watchdog.ledger.settling import ChannelState
from watchdog.ledger.timeline import NoticeLine, Receipt, Slot
from watchdog.status import history_lines, wording
from watchdog.status.schema import DayView, IncidentView, LineView, PauseView, SeenView, StatusView, TargetView

HOUR_MS = 3_600_000
# How soon an open page refreshes; sooner while a decision is pending.
CALM_MS, IN_DOUBT_MS = 1500, 250
NOTICES = 10
WINDOWS = ("24h", "7d", "30d", "90d")


@dataclass(frozen=True, slots=True)
class Seen:
    """What one watchdog sees."""

    watchdog: str
    kind: str
    text: str
    vote: str


@dataclass(frozen=True, slots=True)
class Target:
    name: str
    kind: str
    state: str
    sentence: str
    lines: list[str]
    figures: list[Figure]
    days: Svg
    days_from: str
    bad_days: list[str]
    curve: Svg | None
    curve_y: list[str]
    curve_x: list[str]
    seen: list[Seen]


@dataclass(frozen=True, slots=True)
class Step:
    kind: str
    at: str
    text: str


@dataclass(frozen=True, slots=True)
class Incident:
    id: str
    kind: str
    title: str
    when: str
    open: bool
    steps: list[Step]


@dataclass(frozen=True, slots=True)
class Pause:
    open: bool
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Channel:
    name: str
    role: str
    kind: str
    result: str
    last: datetime | None


@dataclass(frozen=True, slots=True)
class Notice:
    """A sent notice; ``results`` is one sentence per channel."""

    what: str
    at: datetime
    kind: str
    results: list[str]


@dataclass(frozen=True, slots=True)
class Page:
    title: str
    targets: list[Target]
    incidents: list[Incident]
    pauses: list[Pause]
    channels: list[Channel]
    notices: list[Notice]
    no_incident: str
    footer: str
    refresh_ms: int


def page(view: StatusView, t: Words) -> Page:
    several = len(view.targets) > 1
    targets = [_target(each, view, t, several=several) for each in view.targets]
    watchdog = view.watchdog
    footer = t("Watchdog {version}, running for {span}", version=watchdog.version, span=t.span(watchdog.uptime_ms))
    pings = t("one ping every {span}", span=t.span(watchdog.ping_interval_ms))
    if not watchdog.enabled:
        pings = t("switched off: nothing is pinged")
    return Page(
        title=f"{wording_of(view.state, t)} · Veilleur",
        targets=targets,
        incidents=[_incident(each, t, several=several) for each in view.incidents],
        pauses=[_pause(each, t) for each in view.pauses],
        channels=[_channel(each, t) for each in view.channels],
        notices=[_notice(each, t, several=several) for each in view.notices[:NOTICES]],
        no_incident=_no_incident(view, t),
        refresh_ms=IN_DOUBT_MS if view.state in ("SUSPECT", "UNKNOWN") else CALM_MS,
        footer=f"{footer} · {pings}",
    )


def _no_incident(view: StatusView, t: Words) -> str:
    """What stands in place of a list of incidents: sessions that need a person open none."""
    worst = next((each for each in view.targets if each.state == view.state), None)
    if worst is None or worst.state in ("UP", "PAUSED", "UNKNOWN"):
        return t("No incident so far.")
    since = t.when(from_ms(worst.since_ms))
    why, state = wording.reason(worst.reason, t), wording_of(worst.state, t)
    return t("No outage so far. {state} since {when}: {reason}.", state=state, when=since, reason=why)


def wording_of(state: str, t: Words) -> str:
    return t(wording.STATE.get(state, state))


def _target(target: TargetView, view: StatusView, t: Words, *, several: bool) -> Target:
    name = target.name if several else t("The bot service")
    sentence = t(wording.SENTENCE.get(target.state, "{name}"), name=name)
    if target.reason == "sessions_need_person" and target.state == "DEGRADED":
        sentence = t("{name} is running, but sessions need a person.", name=name)
    elif target.reason.startswith("unanswered") and target.state == "DEGRADED":
        sentence = t("{name} does not answer pings, but its heartbeat goes on.", name=name)
    elif target.reason == "unproven" and target.state == "DEGRADED":
        sentence = t("What answers does not prove that it is {name}.", name=name)
    if not view.watchdog.enabled:
        sentence = t("The watchdog is switched off.")
    curve_svg, curve_y, curve_x = _curve(target.curve, view.generated_at_ms, t)
    return Target(
        name=target.name,
        kind=wording.KIND.get(target.state, "idle"),
        state=wording_of(target.state, t),
        sentence=sentence,
        lines=[*_lines(target, view.generated_at_ms, t), *history_lines.gap(view, t), *history_lines.filled(target, t)],
        figures=_figures(target, t),
        days=_days(target.days, t),
        days_from=t.day(_midnight(target.days[0].day)) if target.days else "",
        bad_days=[_day_title(day, t) for day in reversed(target.days) if _day_kind(day) in ("part", "down")],
        curve=curve_svg,
        curve_y=curve_y,
        curve_x=curve_x,
        seen=[_seen(each, t) for each in target.seen],
    )


def _seen(seen: SeenView, t: Words) -> Seen:
    text, kind = wording.VIEW.get(seen.view, (seen.view, "idle"))
    counts = t("counts") if seen.counts else t("does not count")
    return Seen(seen.watchdog, kind, t(text), counts)


def _lines(target: TargetView, now_ms: int, t: Words) -> list[str]:
    found = []
    if target.state in ("DOWN", "FLAPPING", "BLIND", "DEGRADED", "SUSPECT", "PARTIAL"):
        since = t.when(from_ms(target.since_ms), seconds=True)
        span = t.span(now_ms - target.since_ms)
        why = wording.reason(target.reason, t)
        found.append(t("Since {when}, for {span}: {reason}.", when=since, span=span, reason=why))
    ping = target.last_ping
    if ping is not None:
        ago = t.ago(from_ms(ping.at_ms), from_ms(now_ms))
        if ping.latency_ms is not None and ping.outcome == "ok":
            text = t("Last ping {ago}, answered in {span}.", ago=ago, span=t.span(ping.latency_ms))
        else:
            text = t("Last ping {ago}: {reason}.", ago=ago, reason=wording.reason(ping.reason, t))
        if target.heartbeat.up and target.heartbeat.age_ms is not None:
            text += " " + t("Heartbeat {span} ago.", span=t.span(target.heartbeat.age_ms, parts=1))
        found.append(text)
    if target.sessions_total and target.state not in ("DOWN", "BLIND", "UNKNOWN"):
        ready, running, total = target.sessions_ready, target.sessions_wanted, target.sessions_total
        found.append(sessions_ready(t, ready=ready, running=running, total=total) + ".")
    if target.sessions_needing_person:
        found.append(
            t.many(
                target.sessions_needing_person,
                "{n} session needs a person; the alert and the dashboard say which and what to do.",
                "{n} sessions need a person; the alerts and the dashboard say which and what to do.",
            )
        )
    return found


def _figures(target: TargetView, t: Words) -> list[Figure]:
    names = {"24h": t("24 hours"), "7d": t("7 days"), "30d": t("30 days"), "90d": t("90 days")}
    found = [Figure(names[each], t.percent(target.uptime[each].ratio)) for each in WINDOWS if each in target.uptime]
    day = target.latency.get("24h")
    if day is not None:
        for name, value in (("p50", day.p50_ms), ("p95", day.p95_ms), ("p99", day.p99_ms)):
            found.append(Figure(t("{name}, 24 h", name=name), "–" if value is None else t.span(value)))
    return found


# --- the bars ---


def _days(days: Sequence[DayView], t: Words) -> Svg:
    made = [Bar(_day_kind(day), 0.06 if day.gap else 1.0, _day_title(day, t)) for day in days]
    bad = sum(bar.kind in ("part", "down") for bar in made)
    gaps = sum(bar.kind == "gap" for bar in made)
    label = t("{days} days: {bad} with an outage, {gaps} not watched", days=len(made), bad=bad, gaps=gaps)
    return bars(made, label=label)


def _day_kind(day: DayView) -> str:
    if day.gap:
        return "gap"
    if day.uptime.down_ms >= HOUR_MS:
        return "down"
    if day.uptime.down_ms > 0:
        return "part"
    return "up" if day.uptime.up_ms > 0 else "rest"


def _day_title(day: DayView, t: Words) -> str:
    head = t.day(_midnight(day.day))
    if day.gap:
        return t("{name}: {what}", name=head, what=t("not watched"))
    parts = [t.percent(day.uptime.ratio)] if day.uptime.ratio is not None else []
    if day.uptime.down_ms:
        parts.append(t("down for {span}", span=t.span(day.uptime.down_ms)))
    if day.incidents:
        parts.append(t.many(day.incidents, "{n} incident", "{n} incidents"))
    if day.uptime.maintenance_ms:
        parts.append(t("maintenance for {span}", span=t.span(day.uptime.maintenance_ms)))
    for watchdog, span_ms in sorted(day.filled.items()):
        parts.append(t("{span} from the record of {watchdog}", span=t.span(span_ms), watchdog=watchdog))
    return t("{name}: {what}", name=head, what=", ".join(parts))


def _midnight(day: str) -> datetime:
    return datetime.fromisoformat(day).replace(tzinfo=UTC)


# --- the curve ---


def _curve(slots: Sequence[Slot], now_ms: int, t: Words) -> tuple[Svg | None, list[str], list[str]]:
    highest = max((slot.p99_ms for slot in slots if slot.p99_ms is not None), default=None)
    if highest is None:
        return None, [], []
    top = round_up(highest)
    width = slots[1].from_ms - slots[0].from_ms if len(slots) > 1 else HOUR_MS
    middle = [(slot.from_ms + width / 2, slot) for slot in slots]
    series = [
        Series("p99", [(x, slot.p99_ms) for x, slot in middle]),
        Series("p95", [(x, slot.p95_ms) for x, slot in middle]),
        Series("p50", [(x, slot.p50_ms) for x, slot in middle]),
    ]
    begin = slots[0].from_ms
    label = t("Response time over 24 hours; the slowest took {span}", span=t.span(highest))
    drawn = curve(series, x_from=begin, x_until=now_ms, y_max=top, label=label)
    hours = [from_ms(begin + part * (now_ms - begin) // 4).strftime("%H:%M") for part in range(5)]
    return drawn, [_short(top, t), _short(top / 2, t), "0"], hours


def _short(milliseconds: float, t: Words) -> str:
    """``2.5 ms``, ``100 ms``, ``2 s``: what stands beside an axis."""
    if milliseconds < 10:
        return f"{t.number(milliseconds, 0 if milliseconds == int(milliseconds) else 1)} ms"
    return t.span(milliseconds, parts=1)


# --- incidents, maintenance, channels ---


def _incident(incident: IncidentView, t: Words, *, several: bool) -> Incident:
    open_now = incident.closed_at_ms is None
    what, span = t(wording.INCIDENT.get(incident.kind, incident.kind)), t.span(incident.lasted_ms)
    why = wording.reason(incident.reason, t)
    said = N_("{what} for {span} now: {reason}") if open_now else N_("{what} for {span}: {reason}")
    if several:
        what = t("{name}: {what}", name=incident.target, what=what)
    return Incident(
        id=incident.id,
        kind="bad" if open_now else "idle",
        title=t(said, what=what, span=span, reason=why),
        when=t.when(from_ms(incident.opened_at_ms)),
        open=open_now,
        steps=_without_repeats([_step(line, incident, t) for line in incident.timeline]),
    )


def _step(line: LineView, incident: IncidentView, t: Words) -> Step:
    said, kind = wording.LINE.get(line.kind, ("{text}", "idle"))
    reason = wording.reason(line.reason, t)
    repair = f"{line.remediator} {t(wording.ACTION.get(line.action, line.action))}"
    ended = f"{t(wording.RESULT.get(line.result, line.result))} {line.detail}".rstrip()
    change = f"{wording_of(line.old, t)} → {wording_of(line.new, t)}"
    text = {
        "over": f"{reason}, {t.span(incident.lasted_ms)}",
        "state": t("{name}: {what}", name=change, what=reason),
        "repair_started": repair,
        "repair_ended": t("{name}: {what}", name=repair, what=ended),
    }.get(line.kind, line.text)
    filled = t(
        said,
        text=text,
        reason=reason,
        what=t(wording.INCIDENT.get(incident.kind, incident.kind)).lower(),
        channel=line.channel,
        notice=t(wording.NOTICE.get(line.notice, line.notice)),
        author=line.author,
    )
    return Step(kind, from_ms(line.at_ms).strftime("%H:%M:%S"), filled)


def _without_repeats(steps: Sequence[Step]) -> list[Step]:
    """Joins equal lines in a row into one with a count and the first time."""
    found: list[Step] = []
    for _, same in groupby(steps, key=lambda step: (step.kind, step.text)):
        several = list(same)
        first = several[0]
        found.append(replace(first, text=f"{first.text} (×{len(several)})") if len(several) > 1 else first)
    return found


def _pause(pause: PauseView, t: Words) -> Pause:
    length = t.span(pause.until_ms - pause.from_ms)
    title = t("Maintenance of {span}", span=length) if pause.open else t("Planned: maintenance of {span}", span=length)
    text = t("until {when}, by {author}", when=t.when(from_ms(pause.until_ms)), author=pause.author)
    return Pause(pause.open, title, t("{name}: {what}", name=text, what=pause.reason) if pause.reason else text)


def _notice(notice: NoticeLine, t: Words, *, several: bool) -> Notice:
    name = notice.target if several else t("The bot service")
    words = t(wording.NOTICE.get(notice.kind, notice.kind))
    delivered = [each.state == "done" for each in notice.receipts]
    return Notice(
        what=t("{name}: {what}", name=name, what=words),
        at=from_ms(notice.created_at_ms),
        kind="good" if delivered and all(delivered) else "warn",
        results=[_receipt_text(each, t) for each in notice.receipts],
    )


def _receipt_text(receipt: Receipt, t: Words) -> str:
    channel = receipt.channel
    if receipt.state == "done":
        return t("delivered by {channel}", channel=channel)
    if receipt.state in ("muted", "merged", "expired"):
        return t("not sent by {channel} ({reason})", channel=channel, reason=wording.reason(receipt.reason, t))
    if receipt.tries:
        why = wording.reason(receipt.reason, t)
        return t("{n} attempts by {channel} ({reason})", n=receipt.tries, channel=channel, reason=why)
    return t("waiting for {channel}", channel=channel)


def _channel(channel: ChannelState, t: Words) -> Channel:
    last = from_ms(channel.last_ok_at_ms) if channel.last_ok_at_ms is not None else None
    role = t("fallback") if channel.role == "fallback" else t("primary")
    if channel.failing_since_ms is not None:
        why = wording.reason(channel.last_reason, t)
        since = t.when(from_ms(channel.failing_since_ms))
        return Channel(channel.name, role, "bad", t("fails since {when}: {reason}", when=since, reason=why), last)
    if channel.waiting:
        waiting = t.many(channel.waiting, "{n} notice waits", "{n} notices wait")
        return Channel(channel.name, role, "warn", waiting, last)
    if last is None:
        return Channel(channel.name, role, "idle", t("not used yet"), last)
    return Channel(channel.name, role, "good", t("OK"), last)
