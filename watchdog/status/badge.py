"""``GET /badge.svg``: the state of a target or its uptime, as a small picture for a README."""

from __future__ import annotations

from html import escape

from shared.clock import from_ms
from watchdog.domain.notices import length
from watchdog.domain.uptime import DAY_MS, covers
from watchdog.status.schema import TargetView

_COLOURS = {
    "UP": "#2c7a3f",
    "DOWN": "#b3261e",
    "FLAPPING": "#b3261e",
    "DEGRADED": "#946200",
    "SUSPECT": "#946200",
    "PARTIAL": "#946200",
    "BLIND": "#5f6368",
    "PAUSED": "#3b5ba9",
    "UNKNOWN": "#5f6368",
}


def state_badge(label: str, state: str) -> str:
    return _svg(label, state.lower(), _COLOURS.get(state, "#5f6368"))


def uptime_badge(label: str, target: TargetView, window: str, now_ms: int) -> str:
    """``window`` is one of the keys of ``target.uptime``; a window that the records do not fill is not named."""
    uptime = target.uptime[window]
    ratio, since_ms = uptime.ratio, uptime.since_ms
    if ratio is None:
        return _svg(f"{label} {window}", "no data", "#5f6368")
    if since_ms is not None and not covers(since_ms, window, now_ms):
        since = from_ms(since_ms)
        window = f"since {since:%H:%M} UTC" if now_ms - since_ms < DAY_MS else f"since {since.day} {since:%b}"
    colour = _COLOURS["UP"] if ratio >= 0.99 else _COLOURS["DEGRADED"] if ratio >= 0.95 else _COLOURS["DOWN"]
    # Never rounded up to 100: that would hide an outage.
    value = f"{int(ratio * 10_000) / 100:.2f}%"
    if uptime.degraded_ms:
        value += f", degraded {length(uptime.degraded_ms)}"
        colour = _COLOURS["DEGRADED"] if ratio >= 0.95 else colour
    return _svg(f"{label} {window}", value, colour)


def _svg(label: str, value: str, colour: str) -> str:
    left, right = 12 + 7 * len(label), 12 + 7 * len(value)
    title = escape(f"{label}: {value}")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20" role="img" aria-label="{title}">'
        f"<title>{title}</title>"
        f'<rect width="{left}" height="20" fill="#3c4043"/>'
        f'<rect x="{left}" width="{right}" height="20" fill="{colour}"/>'
        '<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" text-anchor="middle">'
        f'<text x="{left / 2:g}" y="14" textLength="{left - 10}">{escape(label)}</text>'
        f'<text x="{left + right / 2:g}" y="14" textLength="{right - 10}">{escape(value)}</text></g></svg>'
    )
