"""States, kinds and reasons in words for people; the page translates them when it shows them."""

from __future__ import annotations

import re
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

REASON: Mapping[str, str] = {
    "ok": N_("answered"),
    "answered": N_("answered"),
    "connect_refused": N_("connection refused"),
    "connect_reset": N_("connection reset"),
    "disconnected": N_("connection broken off"),
    "timeout": N_("no answer in time"),
    "unreachable": N_("unreachable"),
    "no_route": N_("no network here"),
    "dns_no_such_name": N_("its name does not exist"),
    "dns_unavailable": N_("names cannot be resolved here"),
    "tls": N_("no trusted TLS"),
    "redirect_loop": N_("redirects without end"),
    "bad_http": N_("not an HTTP answer"),
    "bad_body": N_("not the expected answer"),
    "not_the_bot": N_("something else answers in place of the bot"),
    "a_watchdog": N_("a watchdog answers in place of the bot"),
    "unproven": N_("the answer does not prove that it comes from the bot"),
    "unwell": N_("it says that it is not well"),
    "cannot_see": N_("the watchdog cannot see"),
    "silent": N_("no beat in time"),
    "stream_end": N_("the stream ended"),
    "too_much": N_("it sends more than a bot does"),
    "loop_stall": N_("the watchdog itself hung"),
    "own_port": N_("the watchdog’s own port is dead"),
    "no_canary": N_("no other address answers either"),
    "watchdog_started": N_("the watchdog started"),
    "first_answer": N_("the first answer"),
    "sessions_not_ready": N_("too many sessions are not ready"),
    "sessions_need_person": N_("sessions need a person"),
    "recovered": N_("it runs again"),
    "sessions_ready": N_("sessions are ready again"),
    "accepted_again": N_("it accepts the watchdog again"),
    "can_see_again": N_("it can be seen again"),
    "stable_again": N_("stable again"),
    "maintenance_over": N_("the maintenance is over"),
    "answered_again": N_("it answers again"),
    "agreed": N_("the watchdogs agree"),
    "seen_alike": N_("all watchdogs see the same again"),
    "removed": N_("it is no longer set"),
    "restarted": N_("it was restarted"),
    "planned_stop": N_("announced stop"),
    "boot_grace": N_("it is starting"),
    "upstream_outage": N_("WhatsApp itself is disturbed"),
    "not_seen_yet": N_("not seen yet"),
    "budget_spent": N_("the budget of repairs is spent"),
    "in_flight": N_("a repair is running"),
    "lease_elsewhere": N_("another watchdog repairs"),
    "lease_unknown": N_("the database of the repair lease is away"),
    "history_unknown": N_("earlier repairs cannot be read"),
    "history_gap": N_("the watchdog had no history"),
    "heartbeat_silent": N_("the heartbeat is silent"),
    "ping_failed": N_("a ping failed"),
    "unanswered": N_("pings fail while the heartbeat goes on"),
    "heartbeat_lives": N_("its heartbeat goes on"),
    "connect_failed": N_("no connection"),
    "connection_lost": N_("connection broken off"),
    "dns": N_("its name cannot be resolved"),
    "invalid_url": N_("not a usable address"),
    "network": N_("a fault of the network"),
    "apprise_died": N_("the process that sends it ended"),
    "apprise_unreachable": N_("the process that sends it takes nothing"),
    "maintenance": N_("maintenance"),
    "unreadable": N_("it cannot be read"),
    "channel_removed": N_("the channel is no longer set"),
    "news": N_("news"),
    "both_waited": N_("beginning and end waited together"),
    "opener_never_meant": N_("its beginning was not for this channel"),
    "opener_in_flight": N_("its beginning is being sent"),
    "opener_muted": N_("its beginning was not sent either"),
    "opener_still_waits": N_("its beginning still waits"),
    "inhibited_by_down": N_("the outage was reported already"),
    "inhibited_by_blind": N_("the watchdog could not see"),
    "inhibited_by_flapping": N_("the instability was reported already"),
    "acknowledged": N_("somebody has taken it on"),
    "incident_over": N_("it is over"),
    "superseded": N_("a later notice says more"),
    "too_many_restarts": N_("too many restarts"),
    "channel_works_again": N_("the channel works again"),
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

_STATUS = re.compile(r"(?:http|refused)_(\d{3})")
_FAILURES = re.compile(r"(\d+)_failures")
_CHANGES = re.compile(r"(\d+)_changes")
_PINGS = re.compile(r"(\d+)_of_(\d+)_pings_failed")
# An error of the operating system on the watchdog's side, or an unexpected one.
_APART = re.compile(r"down from (.+); up from (.+)")
_ERROR = re.compile(r"own_(e\w+)|error_(\w+)")


def refusal(code: str, t: Words) -> str:
    """The words for a refusal to repair."""
    return t(REFUSAL.get(code, code.replace("_", " ")))


def reason(code: str, t: Words) -> str:
    """The words for a reason code, with the part behind its colon; unknown codes as they are."""
    first, *others = [_part(part, t) for part in code.split(":") if part] or [""]
    return t("{reason}: {detail}", reason=first, detail=": ".join(others)) if others else first


def _part(code: str, t: Words) -> str:
    status, failures = _STATUS.fullmatch(code), _FAILURES.fullmatch(code)
    changes, pings, error = _CHANGES.fullmatch(code), _PINGS.fullmatch(code), _ERROR.fullmatch(code)
    if status:
        return t("answered with status {status}", status=status[1])
    if failures:
        return t("{n} failures in a row", n=failures[1])
    if changes:
        return t("{n} changes", n=changes[1])
    if pings:
        return t("{n} of {all} pings failed", n=pings[1], all=pings[2])
    if apart := _APART.fullmatch(code):
        return t("down from {down}, up from {up}", down=apart[1], up=apart[2])
    if error:
        return t("error {name}", name=error[1] or error[2])
    return t(REASON.get(code, code.replace("_", " ")))
