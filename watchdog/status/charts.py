"""The bars of ninety days and the curve of response times."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from shared.clock import from_ms
from shared.web.ui.markup import Html, moment
from shared.web.ui.svg import Bar, Series, Svg, bars, curve, round_up
from shared.web.ui.words import Words
from watchdog.ledger.timeline import Slot
from watchdog.status.schema import DayView

HOUR_MS = 3_600_000


def days(shown: Sequence[DayView], t: Words) -> Svg:
    """One bar a day, oldest first."""
    heights = {"gap": 0.06, "degraded": 0.6}  # not by colour alone
    made = [Bar(kind, heights.get(kind, 1.0), day_title(day, t)) for day in shown for kind in (day_kind(day),)]
    bad = sum(bar.kind in ("part", "down") for bar in made)
    degraded = sum(bool(day.uptime.degraded_ms) for day in shown)
    gaps = sum(bar.kind == "gap" for bar in made)
    label = t(
        "{days} days: {bad} with an outage, {degraded} degraded, {gaps} without data",
        days=len(made), bad=bad, degraded=degraded, gaps=gaps,
    )  # fmt: skip
    return bars(made, label=label)


def day_kind(day: DayView) -> str:
    """The class of the bar: gap, down, part, degraded, up or rest."""
    if day.gap:
        return "gap"
    if day.uptime.down_ms >= HOUR_MS:
        return "down"
    if day.uptime.down_ms > 0:
        return "part"
    if day.uptime.degraded_ms > 0:
        return "degraded"
    return "up" if day.uptime.up_ms > 0 else "rest"


def is_bad(day: DayView) -> bool:
    """Whether the page lists the day: it had an outage, or was degraded."""
    return day_kind(day) in ("part", "down", "degraded")


def day_title(day: DayView, t: Words) -> str:
    """Date, uptime and incidents of the day, in one line."""
    head = t.day(midnight(day.day))
    if day.gap:
        return t("{name}: {what}", name=head, what=t("no data"))
    parts = [t.percent(day.uptime.ratio)] if day.uptime.ratio is not None else []
    if day.uptime.down_ms:
        parts.append(t("down for {span}", span=t.span(day.uptime.down_ms)))
    if day.uptime.degraded_ms:
        parts.append(t("degraded for {span}", span=t.span(day.uptime.degraded_ms)))
    if day.incidents:
        parts.append(t.many(day.incidents, "{n} incident", "{n} incidents"))
    if day.uptime.maintenance_ms:
        parts.append(t("maintenance for {span}", span=t.span(day.uptime.maintenance_ms)))
    for watchdog, span_ms in sorted(day.filled.items()):
        parts.append(t("{span} from the record of {watchdog}", span=t.span(span_ms), watchdog=watchdog))
    return t("{name}: {what}", name=head, what=", ".join(parts))


def midnight(day: str) -> datetime:
    return datetime.fromisoformat(day).replace(tzinfo=UTC)


def response_times(
    slots: Sequence[Slot], now_ms: int, t: Words, *, tail: bool
) -> tuple[Svg | None, list[str], list[Html]]:
    """The curve with the labels of both axes; no curve when nothing was answered. ``tail``: with p99."""
    slowest = [slot.p99_ms if tail else slot.p95_ms for slot in slots]
    highest = max((value for value in slowest if value is not None), default=None)
    if highest is None:
        return None, [], []
    top = round_up(highest)
    width = slots[1].from_ms - slots[0].from_ms if len(slots) > 1 else HOUR_MS
    middle = [(slot.from_ms + width / 2, slot) for slot in slots]
    series = [
        *([Series("p99", [(x, slot.p99_ms) for x, slot in middle])] if tail else []),
        Series("p95", [(x, slot.p95_ms) for x, slot in middle]),
        Series("p50", [(x, slot.p50_ms) for x, slot in middle]),
    ]
    begin = slots[0].from_ms
    label = t("Response time over 24 hours; the slowest took {span}", span=t.span(highest))
    drawn = curve(series, x_from=begin, x_until=now_ms, y_max=top, label=label)
    hours = [moment(t, from_ms(begin + part * (now_ms - begin) // 4), show="clock") for part in range(5)]
    return drawn, [_short(top, t), _short(top / 2, t), "0"], hours


def _short(milliseconds: float, t: Words) -> str:
    """``2.5 ms``, ``100 ms``, ``2 s``: what stands beside an axis."""
    if milliseconds < 10:
        return f"{t.number(milliseconds, 0 if milliseconds == int(milliseconds) else 1)} ms"
    return t.span(milliseconds, parts=1)
