"""States, kinds and reasons in words for people; the page translates them when it shows them."""

from __future__ import annotations

from collections.abc import Mapping

from shared.translation import N_
from shared.web.ui.words import Words

KIND: Mapping[str, str] = {
    "UP": "good",
    "SUSPECT": "warn",
    "DOWN": "bad",
    "FLAPPING": "bad",
    "DEGRADED": "warn",
    "PARTIAL": "warn",
    "BLIND": "warn",
    "PAUSED": "calm",
    "UNKNOWN": "idle",
}

STATE: Mapping[str, str] = {
    "UP": N_("Running"),
    "SUSPECT": N_("Checking"),
    "DOWN": N_("Down"),
    "FLAPPING": N_("Unstable"),
    "DEGRADED": N_("Degraded"),
    "PARTIAL": N_("Seen differently"),
    "BLIND": N_("Monitoring blind"),
    "PAUSED": N_("Maintenance"),
    "UNKNOWN": N_("Not known yet"),
}

# What one watchdog sees of a target.
VIEW: Mapping[str, tuple[str, str]] = {
    "up": (N_("running"), "good"),
    "suspect": (N_("in doubt"), "warn"),
    "flapping": (N_("unstable"), "bad"),
    "down": (N_("down"), "bad"),
    "blind": (N_("cannot see it"), "idle"),
    "silent": (N_("does not answer"), "idle"),
}

# A component: a group of sessions.
COMPONENT: Mapping[str, tuple[str, str]] = {
    "up": (N_("running"), "good"),
    "partly": (N_("partly disturbed"), "warn"),
    "down": (N_("down"), "bad"),
    "maintenance": (N_("maintenance"), "calm"),
    "idle": (N_("not in use"), "idle"),
    "unknown": (N_("not known"), "idle"),
}

# In one sentence; ``{name}`` is the bot service.
SENTENCE: Mapping[str, str] = {
    "UP": N_("{name} is running."),
    "SUSPECT": N_("{name} missed a ping; it is being checked."),
    "DOWN": N_("{name} is down."),
    "FLAPPING": N_("{name} goes up and down."),
    "DEGRADED": N_("{name} is running, but too many sessions are not ready."),
    "PARTIAL": N_("{name} is down for some watchdogs and up for others."),
    "BLIND": N_("{name} cannot be seen: the problem is on the watchdog’s side."),
    "PAUSED": N_("{name} is under maintenance."),
    "UNKNOWN": N_("{name} has not been pinged yet."),
}

INCIDENT: Mapping[str, str] = {
    "down": N_("Down"),
    "flapping": N_("Unstable"),
    "degraded": N_("Degraded"),
    "blind": N_("Monitoring blind"),
    "refused": N_("Refuses the watchdog"),
    "unanswered": N_("Answers no pings"),
    "partial": N_("Seen differently"),
    "silent": N_("A watchdog is silent"),
}

NOTICE: Mapping[str, str] = {
    "down": N_("down"),
    "up": N_("up again"),
    "was_down": N_("was down"),
    "restarted": N_("restarted"),
    "flapping": N_("unstable"),
    "flapping_over": N_("stable again"),
    "degraded": N_("degraded"),
    "degraded_over": N_("recovered"),
    "blind": N_("monitoring blind"),
    "blind_over": N_("monitoring works again"),
    "refused": N_("refuses the watchdog"),
    "refused_over": N_("accepts the watchdog"),
    "unanswered": N_("answers no pings"),
    "unanswered_over": N_("answers pings again"),
    "partial": N_("is down for some watchdogs only"),
    "partial_over": N_("is seen alike by all watchdogs again"),
    "silent": N_("is silent"),
    "silent_over": N_("answers again"),
    "reminder": N_("reminder"),
    "channel_failing": N_("a channel fails"),
    "attention": N_("sessions need a person"),
    "attention_over": N_("sessions work again"),
    "repair_budget_spent": N_("repairs are used up"),
    "repairs_locked": N_("repairs are locked: their database is away"),
    "repairs_unlocked": N_("repairs go on"),
    "ledger_failing": N_("the ledger fails"),
    "ledger_over": N_("the ledger works again"),
    "ledger_damaged": N_("the ledger was damaged"),
    "loop_failing": N_("a part of the watchdog crashes"),
    "loop_over": N_("a part of the watchdog runs again"),
    "test": N_("test"),
}

ACTION: dict[str, str] = {
    "reconnect_session": N_("reconnect sessions"),
    "recycle_worker": N_("replace an engine worker"),
    "restart_container": N_("restart the container"),
    "restart_deployment": N_("restart the deployment"),
    "redeploy": N_("deploy again"),
}

RESULT: dict[str, str] = {
    "planned": N_("planned"),
    "running": N_("running"),
    "done": N_("done"),
    "failed": N_("failed"),
    "dry_run": N_("only decided (dry run)"),
    "skipped": N_("not needed"),
    "abandoned": N_("abandoned"),
}

# Why nothing is repaired.
REFUSAL: Mapping[str, str] = {
    "not_configured": N_("no way to repair is set"),
    "nothing_wrong": N_("nothing is wrong"),
    "not_repairable": N_("no repair helps against this"),
    "lease_elsewhere": N_("another watchdog repairs"),
    "lease_unknown": N_("the database of the repair lease is away"),
    "blind": N_("the watchdog cannot see"),
    "heartbeat_lives": N_("its heartbeat goes on"),
    "refused_by_bot": N_("it refuses the watchdog"),
    "maintenance": N_("maintenance"),
    "planned_stop": N_("announced stop"),
    "starting": N_("it is starting"),
    "logged_out": N_("its sessions wait for people"),
    "upstream_outage": N_("WhatsApp itself is disturbed"),
    "no_rung": N_("none of the ways to repair fits"),
    "in_flight": N_("a repair is running"),
    "boot_grace": N_("it was restarted and gets time to start"),
    "backoff": N_("waiting before the next try"),
    "budget_spent": N_("the budget of repairs is spent"),
    "history_unknown": N_("earlier repairs cannot be read"),
}

# An event of a timeline by its kind: sentence and colour.
LINE: Mapping[str, tuple[str, str]] = {
    "began": (N_("Started: {reason}"), "bad"),
    "decided": (N_("Confirmed: {what}"), "bad"),
    "ping_failed": (N_("Ping failed: {reason}"), "warn"),
    "delivered": (N_("Alert sent by {channel}: {notice}"), "calm"),
    "delivery_failed": (N_("Alert not delivered by {channel}: {reason}"), "warn"),
    "muted": (N_("Alert not sent by {channel}: {notice} ({reason})"), "idle"),
    "merged": (N_("Alert not sent by {channel}: {notice} ({reason})"), "idle"),
    "expired": (N_("Alert not sent by {channel}: {notice} ({reason})"), "warn"),
    "repair_started": (N_("Repair begins: {text}"), "calm"),
    "repair_ended": (N_("Repair ended: {text}"), "calm"),
    "acknowledged": (N_("Acknowledged by {author}"), "calm"),
    "over": (N_("Ended: {text}"), "good"),
    "restarted": (N_("The bot service restarted"), "warn"),
    "planned_stop": (N_("The bot service announced a stop"), "calm"),
    "stop_announced": (N_("The bot service announced a stop"), "calm"),
    "watchdog_gap": (N_("The watchdog did not run"), "warn"),
    "ledger_gap": (N_("The history was kept in memory"), "warn"),
}


def refusal(code: str, t: Words) -> str:
    """The words for a refusal to repair."""
    return t(REFUSAL.get(code, code.replace("_", " ")))
