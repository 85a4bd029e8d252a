"""States, kinds and reasons in words for people; the keys of the French catalogue."""

from __future__ import annotations

import re
from collections.abc import Mapping

from shared.web.ui.words import Words

KIND: Mapping[str, str] = {
    "UP": "good",
    "SUSPECT": "warn",
    "DOWN": "bad",
    "FLAPPING": "bad",
    "DEGRADED": "warn",
    "BLIND": "warn",
    "PAUSED": "calm",
    "UNKNOWN": "idle",
}

STATE: Mapping[str, str] = {
    "UP": "Running",
    "SUSPECT": "In doubt",
    "DOWN": "Down",
    "FLAPPING": "Unstable",
    "DEGRADED": "Degraded",
    "BLIND": "Not seen",
    "PAUSED": "Maintenance",
    "UNKNOWN": "Not known yet",
}

# In one sentence; ``{name}`` is the bot service.
SENTENCE: Mapping[str, str] = {
    "UP": "{name} is running.",
    "SUSPECT": "{name} missed a ping; it is being checked.",
    "DOWN": "{name} is down.",
    "FLAPPING": "{name} goes up and down.",
    "DEGRADED": "{name} is running, but too many sessions are not ready.",
    "BLIND": "{name} cannot be seen: the fault is on the watchdog’s side.",
    "PAUSED": "{name} is under maintenance.",
    "UNKNOWN": "{name} has not been pinged yet.",
}

INCIDENT: Mapping[str, str] = {
    "down": "Down",
    "flapping": "Unstable",
    "degraded": "Degraded",
    "blind": "Not seen",
    "refused": "Refuses the watchdog",
}

REASON: Mapping[str, str] = {
    "ok": "answered",
    "connect_refused": "connection refused",
    "connect_reset": "connection reset",
    "disconnected": "connection broken off",
    "timeout": "no answer in time",
    "unreachable": "unreachable",
    "no_route": "no network here",
    "dns_no_such_name": "its name does not exist",
    "dns_unavailable": "names cannot be resolved here",
    "tls": "no trusted TLS",
    "redirect_loop": "redirects without end",
    "bad_http": "not an HTTP answer",
    "bad_body": "not the expected answer",
    "loop_stall": "the watchdog itself hung",
    "own_port": "the watchdog’s own port is dead",
    "no_canary": "no other address answers either",
    "watchdog_started": "the watchdog started",
    "first_answer": "the first answer",
    "sessions_not_ready": "too many sessions are not ready",
    "sessions_ready": "sessions are ready again",
    "accepted_again": "it accepts the watchdog again",
    "can_see_again": "it can be seen again",
    "stable_again": "stable again",
    "maintenance_over": "the maintenance is over",
    "answered_again": "it answers again",
    "restarted": "it was restarted",
    "planned_stop": "announced stop",
    "boot_grace": "it is starting",
    "upstream_outage": "WhatsApp itself is disturbed",
    "not_seen_yet": "not seen yet",
    "budget_spent": "the budget of repairs is spent",
    "in_flight": "a repair is running",
    "heartbeat_silent": "the heartbeat is silent",
    "ping_failed": "a ping failed",
    "connect_failed": "no connection",
}

NOTICE: Mapping[str, str] = {
    "down": "is down",
    "up": "is up again",
    "was_down": "was down",
    "restarted": "restarted",
    "flapping": "is unstable",
    "flapping_over": "is stable again",
    "degraded": "is degraded",
    "degraded_over": "is whole again",
    "blind": "cannot be seen",
    "blind_over": "can be seen again",
    "refused": "refuses the watchdog",
    "refused_over": "accepts the watchdog",
    "reminder": "reminder",
    "channel_failing": "a channel fails",
    "repair_budget_spent": "repairs are used up",
    "test": "test",
}

ACTION: dict[str, str] = {
    "reconnect_session": "reconnect sessions",
    "recycle_worker": "replace an engine worker",
    "restart_container": "restart the container",
    "restart_deployment": "restart the deployment",
    "redeploy": "deploy again",
}

RESULT: dict[str, str] = {
    "planned": "planned",
    "running": "running",
    "done": "done",
    "failed": "failed",
    "dry_run": "only decided (dry run)",
    "abandoned": "abandoned",
}

# An event of a timeline by its kind: sentence and colour.
LINE: Mapping[str, tuple[str, str]] = {
    "began": ("It began: {reason}", "bad"),
    "decided": ("Decided: {what}", "bad"),
    "ping_failed": ("Ping failed: {reason}", "warn"),
    "delivered": ("Sent by {channel}: {notice}", "calm"),
    "delivery_failed": ("Not delivered by {channel}: {reason}", "warn"),
    "muted": ("Not sent by {channel}: {notice} ({reason})", "idle"),
    "merged": ("Not sent by {channel}: {notice} ({reason})", "idle"),
    "expired": ("Not sent by {channel}: {notice} ({reason})", "warn"),
    "repair_started": ("Repair begins: {text}", "calm"),
    "repair_ended": ("Repair ended: {text}", "calm"),
    "acknowledged": ("Acknowledged by {author}", "calm"),
    "over": ("Over: {text}", "good"),
    "restarted": ("The bot service restarted", "warn"),
    "planned_stop": ("The bot service announced a stop", "calm"),
    "stop_announced": ("The bot service announced a stop", "calm"),
    "watchdog_gap": ("The watchdog did not run", "warn"),
}

_STATUS = re.compile(r"(?:http|refused)_(\d{3})")
_FAILURES = re.compile(r"(\d+)_failures")


def reason(code: str, t: Words) -> str:
    """The words for a reason code, with the part behind its colon; unknown codes as they are."""
    return ": ".join(_part(part, t) for part in code.split(":") if part)


def _part(code: str, t: Words) -> str:
    status, failures = _STATUS.fullmatch(code), _FAILURES.fullmatch(code)
    if status:
        return t("answered with status {status}", status=status[1])
    if failures:
        return t("{n} failures in a row", n=failures[1])
    return t(REASON.get(code, code.replace("_", " ")))
