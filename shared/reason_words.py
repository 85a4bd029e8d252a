"""Reason codes in words for people: in English for alerts, translated for pages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Protocol

from shared.translation import N_


class Translate(Protocol):
    """Translates a text and fills in its ``{values}``."""

    def __call__(self, text: str, /, **values: object) -> str: ...


def english(text: str, /, **values: object) -> str:
    """The text as it is written in the code."""
    return text.format(**values) if values else text


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
    "apprise_refused": N_("the service refused it"),
    "apprise_unknown_url": N_("apprise does not know this kind of address"),
    "apprise_missing": N_("apprise is not installed"),
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

_STATUS = re.compile(r"(?:http|refused)_(\d{3})")
_FAILURES = re.compile(r"(\d+)_failures")
_CHANGES = re.compile(r"(\d+)_changes")
_PINGS = re.compile(r"(\d+)_of_(\d+)_pings_failed")
# An error of the operating system on the watchdog's side, or an unexpected one.
_APART = re.compile(r"down from (.+); up from (.+)")
_ERROR = re.compile(r"own_(e\w+)|error_(\w+)")


def words(code: str, t: Translate = english) -> str:
    """The words for a reason code, with the part behind its colon; unknown codes as they are."""
    first, *others = [_part(part, t) for part in code.split(":") if part] or [""]
    return t("{reason}: {detail}", reason=first, detail=": ".join(others)) if others else first


def _part(code: str, t: Translate) -> str:
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
