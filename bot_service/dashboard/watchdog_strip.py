"""The watchdog's report above the list: its state, the last pings as bars, uptime, silence."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shared.contract.keepalive import KeepAlive
from shared.translation import N_
from shared.web.ui.pages import Figure
from shared.web.ui.svg import Bar, Svg, bars
from shared.web.ui.words import Words

PINGS = 40

_KIND = {
    "UP": "good", "DEGRADED": "warn", "SUSPECT": "warn", "FLAPPING": "warn", "DOWN": "bad",
    "BLIND": "warn", "PARTIAL": "warn", "PAUSED": "calm", "UNKNOWN": "idle",
}  # fmt: skip
_SENTENCE = {
    "PARTIAL": N_("Monitored: reachable for one watchdog, not for another"),
    "UP": N_("Monitored: up"),
    "DEGRADED": N_("Monitored: degraded, sessions are not ready or need a person"),
    "SUSPECT": N_("Monitored: checking a missed ping"),
    "FLAPPING": N_("Monitored: unstable"),
    "DOWN": N_("Monitored: not reachable"),
    "BLIND": N_("Monitoring blind: the problem is on the watchdog’s side"),
    "PAUSED": N_("Maintenance: no alert is sent"),
    "UNKNOWN": N_("Monitoring has just started"),
}


@dataclass(frozen=True, slots=True)
class Strip:
    kind: str
    sentence: str
    detail: str
    reported: datetime | None = None
    pings: Svg | None = None
    figures: list[Figure] = field(default_factory=list)


def strip(report: KeepAlive | None, t: Words) -> Strip:
    """``report`` is the answer of ``GET /api/keepalive``; None before the first push."""
    if report is None or report.last_push_at is None:
        return Strip("bad", t("No watchdog has reported yet"), t("Start it, with the same WATCHDOG_TOKEN."))
    if report.stale:
        detail = t("Its last report came {when}.", when=t.when(report.last_push_at, seconds=True))
        return Strip("bad", t("The watchdog is silent"), detail, None, _bars(report, t), _figures(report, t))
    if not report.is_running:
        return Strip("idle", t("Monitoring is switched off"), "KEEP_ALIVE_ENABLED=false", report.last_push_at)
    sentence = t(_SENTENCE.get(report.state, report.state))
    kind, pings, figures = _KIND.get(report.state, "idle"), _bars(report, t), _figures(report, t)
    return Strip(kind, sentence, _last(report, t), report.last_push_at, pings, figures)


def _last(report: KeepAlive, t: Words) -> str:
    every = t("one ping every {span}", span=t.span(report.ping_interval))
    ping = report.last_ping
    if ping is None:
        return every
    if ping.latency_ms is None:
        return t("last ping unanswered") + ", " + every
    return t("last ping {span}", span=t.span(ping.latency_ms)) + ", " + every


def _bars(report: KeepAlive, t: Words) -> Svg | None:
    recent = report.recent[-PINGS:]
    if not recent:
        return None
    most = max((each for each in recent if each is not None), default=1) or 1
    made = [
        Bar("down", 1.0, t("unanswered")) if each is None else Bar("up", 0.25 + 0.75 * each / most, t.span(each))
        for each in recent
    ]
    failed = sum(each is None for each in recent)
    # As wide with three pings as with forty.
    made = [Bar("gap", 0.06, "")] * (PINGS - len(made)) + made
    label = t("Last {n} pings, {failed} unanswered", n=len(recent), failed=failed)
    return bars(made, label=label)


def _figures(report: KeepAlive, t: Words) -> list[Figure]:
    names = {"24h": (1, t("24 hours")), "7d": (7, t("7 days")), "30d": (30, t("30 days"))}
    known = {name: names[name] for name in names if name in report.uptime_ratio}
    since = report.lifetime.since if report.lifetime is not None else None
    age = report.last_push_at - since if since is not None and report.last_push_at is not None else None
    # The percentage of a window that the watchdog has not watched whole bears the name of what it covers.
    found = [
        Figure(words, t.percent(report.uptime_ratio[name]))
        for name, (days, words) in known.items()
        if age is None or age >= timedelta(days=days)
    ]
    if since is not None and age is not None and len(found) < len(known):
        when = t.day(since) if age >= timedelta(days=1) else t.when(since)
        found.append(Figure(t("since {when}", when=when), t.percent(report.uptime_ratio[list(known)[-1]])))
    return found or [Figure(t("Answered"), t.number(float(report.success_rate), 1) + "%")]
