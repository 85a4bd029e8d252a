"""The status page in the reader's words, from the status view alone.

What it shows is for customers: what is wrong now, what is announced and planned, and the history.
"""

from __future__ import annotations

from dataclasses import dataclass

from shared import reason_words
from shared.clock import from_ms
from shared.translation import N_
from shared.web.ui.markup import Html, filled, moment
from shared.web.ui.pages import Figure
from shared.web.ui.sessions_ready import sessions_ready
from shared.web.ui.svg import Svg
from shared.web.ui.words import Words
from watchdog.domain.uptime import DAY_MS, covers
from watchdog.status import charts, history_lines, wording
from watchdog.status.incident_model import Incident, incident
from watchdog.status.schema import (
    PUBLIC_INCIDENTS,
    AnnouncementView,
    ComponentView,
    PauseView,
    SeenView,
    StatusView,
    TargetView,
    UptimeView,
    for_everybody,
)

# How soon an open page refreshes; sooner while a decision is pending.
CALM_MS, IN_DOUBT_MS = 1500, 250
WINDOWS = ("24h", "7d", "30d", "90d")


@dataclass(frozen=True, slots=True)
class Seen:
    """What one watchdog sees."""

    watchdog: str
    kind: str
    text: str
    vote: str


@dataclass(frozen=True, slots=True)
class Component:
    """A part of the service with its state in words."""

    name: str
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Target:
    name: str
    kind: str
    state: str
    sentence: str
    lines: list[Html | str]
    figures: list[Figure]
    days: Svg
    days_from: str
    bad_days: list[str]
    curve: Svg | None
    curve_y: list[str]
    curve_x: list[Html]
    seen: list[Seen]
    components: list[Component]


@dataclass(frozen=True, slots=True)
class Note:
    """What stands on top of the page: maintenance or an announcement."""

    id: str
    kind: str
    title: str
    when: Html | str
    text: str


@dataclass(frozen=True, slots=True)
class Page:
    title: str
    summary: str
    targets: list[Target]
    notes: list[Note]
    incidents: list[Incident]
    no_incident: Html | str
    footer: str
    refresh_ms: int


def page(view: StatusView, t: Words, title: str) -> Page:
    """``title`` is what the page calls the service."""
    view = for_everybody(view)
    several = len(view.targets) > 1
    targets = [target(each, view, t, title, several=several) for each in view.targets]
    shown = [each for each in view.incidents if each.kind in PUBLIC_INCIDENTS]
    return Page(
        title=f"{wording_of(view.state, t)} · {title}",
        summary=" ".join(each.sentence for each in targets),
        targets=targets,
        notes=[
            *(announcement(each, t) for each in view.announcements),
            *(maintenance(each, t, several=several) for each in view.pauses),
        ],
        incidents=[incident(each, t, several=several) for each in shown],
        no_incident=_no_incident(view, t),
        refresh_ms=IN_DOUBT_MS if view.state in ("SUSPECT", "UNKNOWN") else CALM_MS,
        footer=_footer(view, t),
    )


def _footer(view: StatusView, t: Words) -> str:
    if not view.watchdog.enabled:
        return t("switched off: nothing is pinged")
    return t("one ping every {span}", span=t.span(view.watchdog.ping_interval_ms))


def _no_incident(view: StatusView, t: Words) -> Html | str:
    """What stands in place of a list of incidents: sessions that need a person open none."""
    worst = next((each for each in view.targets if each.state == view.state), None)
    if worst is None or worst.state in ("UP", "PAUSED", "UNKNOWN"):
        return t("No incident so far.")
    return filled(
        t,
        N_("No outage so far. {state} since {when}: {reason}."),
        state=wording_of(worst.state, t),
        when=moment(t, from_ms(worst.since_ms)),
        reason=reason_words.words(worst.reason, t),
    )


def wording_of(state: str, t: Words) -> str:
    return t(wording.STATE.get(state, state))


def target(
    shown: TargetView, view: StatusView, t: Words, title: str, *, several: bool, details: bool = False
) -> Target:
    """One bot service; with ``several`` it is called by its own name. ``details`` are for operators."""
    name = shown.name if several else t("The bot service") if title == "Veilleur" else title
    sentence = t(wording.SENTENCE.get(shown.state, "{name}"), name=name)
    if shown.reason == "sessions_need_person" and shown.state == "DEGRADED":
        sentence = t("{name} is running, but sessions need a person.", name=name)
    elif shown.reason.startswith("unanswered") and shown.state == "DEGRADED":
        sentence = t("{name} does not answer pings, but its heartbeat goes on.", name=name)
    elif shown.reason == "unproven" and shown.state == "DEGRADED":
        sentence = t("What answers does not prove that it is {name}.", name=name)
    if not view.watchdog.enabled:
        sentence = t("The watchdog is switched off.")
    curve, curve_y, curve_x = charts.response_times(shown.curve, view.generated_at_ms, t, tail=details)
    return Target(
        name=shown.name,
        kind=wording.KIND.get(shown.state, "idle"),
        state=wording_of(shown.state, t),
        sentence=sentence,
        lines=[
            *_lines(shown, view.generated_at_ms, t, details=details),
            *history_lines.gap(view, t),
            *history_lines.filled(shown, t),
        ],
        figures=_figures(shown, view.generated_at_ms, t),
        days=charts.days(shown.days, t),
        days_from=t.day(charts.midnight(shown.days[0].day)) if shown.days else "",
        bad_days=[charts.day_title(day, t) for day in reversed(shown.days) if charts.is_bad(day)],
        curve=curve,
        curve_y=curve_y,
        curve_x=curve_x,
        seen=[_seen(each, t) for each in shown.seen],
        components=[_component(each, t) for each in shown.components],
    )


def _seen(seen: SeenView, t: Words) -> Seen:
    text, kind = wording.VIEW.get(seen.view, (seen.view, "idle"))
    counts = t("counts") if seen.counts else t("does not count")
    return Seen(seen.watchdog, kind, t(text), counts)


def _component(component: ComponentView, t: Words) -> Component:
    text, kind = wording.COMPONENT.get(component.state, (component.state, "idle"))
    return Component(component.name, kind, t(text))


def _lines(shown: TargetView, now_ms: int, t: Words, *, details: bool) -> list[Html | str]:
    found: list[Html | str] = []
    if shown.state in ("DOWN", "FLAPPING", "BLIND", "DEGRADED", "SUSPECT", "PARTIAL"):
        found.append(
            filled(
                t,
                N_("Since {when}, for {span}: {reason}."),
                when=moment(t, from_ms(shown.since_ms), show="seconds"),
                span=t.span(now_ms - shown.since_ms),
                reason=reason_words.words(shown.reason, t),
            )
        )
    ping = shown.last_ping
    if ping is not None:
        ago = t.ago(from_ms(ping.at_ms), from_ms(now_ms))
        if ping.latency_ms is not None and ping.outcome == "ok":
            text = t("Last ping {ago}, answered in {span}.", ago=ago, span=t.span(ping.latency_ms))
        else:
            text = t("Last ping {ago}: {reason}.", ago=ago, reason=reason_words.words(ping.reason, t))
        if shown.heartbeat.up and shown.heartbeat.age_ms is not None:
            text += " " + t("Heartbeat {span} ago.", span=t.span(shown.heartbeat.age_ms, parts=1))
        found.append(text)
    if shown.sessions_total and shown.state not in ("DOWN", "BLIND", "UNKNOWN"):
        ready, running, total = shown.sessions_ready, shown.sessions_wanted, shown.sessions_total
        found.append(sessions_ready(t, ready=ready, running=running, total=total) + ".")
    if shown.sessions_needing_person and details:
        found.append(
            t.many(
                shown.sessions_needing_person,
                "{n} session needs a person; the alert and the dashboard say which and what to do.",
                "{n} sessions need a person; the alerts and the dashboard say which and what to do.",
            )
        )
    return found


def _figures(shown: TargetView, now_ms: int, t: Words) -> list[Figure]:
    """Uptime. A window that the records do not fill is not named: one figure covers all there is."""
    names = {"24h": t("24 hours"), "7d": t("7 days"), "30d": t("30 days"), "90d": t("90 days")}
    known = {name: shown.uptime[name] for name in WINDOWS if name in shown.uptime}
    found = [
        Figure(_named(names[name], uptime, t), t.percent(uptime.ratio))
        for name, uptime in known.items()
        if covers(uptime.since_ms, name, now_ms)
    ]
    longest = next(reversed(known.values()), None)
    if len(found) < len(known) and longest is not None and longest.since_ms is not None:
        whole_days = now_ms - longest.since_ms >= DAY_MS
        when = moment(t, from_ms(longest.since_ms), show="day" if whole_days else "when")
        found.append(Figure(_named(filled(t, N_("since {when}"), when=when), longest, t), t.percent(longest.ratio)))
    day = shown.latency.get("24h")
    if day is not None and day.p50_ms is not None:
        found.append(Figure(t("{name}, 24 h", name="p50"), t.span(day.p50_ms)))
    return found


def _named(window: Html | str, uptime: UptimeView, t: Words) -> Html | str:
    """The window, and for how long of it the service did less than it should, although it answered."""
    if not uptime.degraded_ms:
        return window
    return filled(t, N_("{name}, degraded for {span}"), name=window, span=t.span(uptime.degraded_ms))


def announcement(shown: AnnouncementView, t: Words) -> Note:
    kind = "bad" if shown.severity == "problem" else "calm"
    when = filled(t, N_("Announced {when}"), when=moment(t, from_ms(shown.created_at_ms)))
    return Note(shown.id, kind, shown.title, when, shown.text)


def maintenance(shown: PauseView, t: Words, *, several: bool) -> Note:
    title = t("Maintenance") if shown.open else t("Planned maintenance")
    if several and shown.target != "*":
        title = t("{name}: {what}", name=shown.target, what=title)
    return Note(shown.id, "calm", title, window(shown, t), shown.text)


def window(shown: PauseView, t: Words) -> Html:
    """From when to when; of one that is open, until when."""
    until = moment(t, from_ms(shown.until_ms))
    if shown.open:
        return filled(t, N_("until {when}"), when=until)
    return filled(t, N_("from {begin} to {end}"), begin=moment(t, from_ms(shown.from_ms)), end=until)
