"""The level of a log line fits what happened, and with it the symbol: an exact table for what matters most, and a
rule for every line of both programs."""

from __future__ import annotations

import ast
import io
import re
from functools import cache
from typing import Any, NamedTuple

import pytest
import structlog

from bot_service.domain.session_record import SessionRecord
from bot_service.domain.states import State, Wanted
from bot_service.sessions.notifications import EventBus, SessionNotifications
from shared import logs
from shared.clock import SystemClock
from tests.support.processes import ROOT
from watchdog.domain import states as target
from watchdog.domain.decision import Decided
from watchdog.domain.facts import Tick
from watchdog.domain.policy import Now
from watchdog.domain.states import Flip, Notice, NoticeKind
from watchdog.domain.target import Event, EventKind, Step, TargetState
from watchdog.flow.counts import Counts
from watchdog.flow.decision_log import DecisionLog
from watchdog.notifiers.log import LogNotifier

LEVELS = ("debug", "info", "warning", "error", "critical")
# Events that mean trouble, with their level.
EVENTS = {
    "attention.alert": "error",
    "channel.failing": "error",
    "clock.step": "warning",
    "fleet.exhausted": "critical",
    "fleet.outdated": "critical",
    "hook.failed": "exception",
    "http.crash": "exception",
    "incident.opened": "error",
    "journal.damaged": "error",
    "journal.replaced": "error",
    "journal.unreadable": "error",
    "ledger.failed": "error",
    "ledger.kept_aside": "error",
    "ledger.lost": "error",
    "lock.replaced": "error",
    "loop.crashed": "exception",
    "message.lost": "error",
    "ping.failed": "warning",
    "ping.gap": "warning",
    "probe.missed": "warning",
    "push.failed": "warning",
    "reply.frozen": "warning",
    "send.refused": "warning",
    "service.alert": "error or critical",
    "store.failing": "error",
    "store.lost": "error",
    "store.lost_at_stop": "error",
    "store.row": "error",
    "webhook.dead": "error",
    "webhook.down": "warning",
    "worker.lost": "error",
    "worker.wedged": "error",
    # The normal course of things
    "boot.restoring": "info",
    "cleanup.complete": "info",
    "heartbeat.up": "info",
    "incident.closed": "info",
    "keepalive.started": "info",
    "ping.ok": "info",
    "server.started": "info",
    "server.stopped": "info",
    "server.stopping": "info",
    "service.recovered": "info",
    "store.recovered": "info",
    "target.stopping": "info",
    "worker.adopted": "info",
}
_TROUBLE = re.compile(
    r"\b(lost|damaged|cannot|could not|failed|fails|crashed|died|given up|refuses|refused|did not|does not|unreadable)\b"
)
# Sentences that only sound like trouble: said at ``debug`` or ``info`` for a reason.
HARMLESS = {
    "attention.over": "the end of a need",
    "clock.store": "the ledger's own failure is logged as ledger.failed",
    "engine.paired.restart": "the service connects by itself",
    "ledger.resumed": "the end of a failure",
    "keepalive.stats": "figures",
    "push.answer": "an older bot answers in its own way",
    "probe.not_sent": "a probe that is not sent proves nothing",
    "repair.refused": "a rule of the budget held",
    "alert.withheld": "another notice covers it",
    "watchdog.gap": "a restart; a long gap is a warning",
}


class Call(NamedTuple):
    level: str
    event: str
    sentence: str
    place: str


@cache
def _calls() -> list[Call]:
    """Every ``log.<level>("sentence", event_name="…")`` of both programs."""
    calls = []
    for package in ("bot_service", "watchdog", "shared"):
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                    continue
                event = next((each.value for each in node.keywords if each.arg == "event_name"), None)
                if isinstance(event, ast.Constant) and node.args and node.func.attr in (*LEVELS, "exception"):
                    place = f"{path.relative_to(ROOT)}:{node.lineno}"
                    calls.append(Call(node.func.attr, str(event.value), ast.unparse(node.args[0]), place))
    return calls


@pytest.mark.parametrize(("event", "level"), sorted(EVENTS.items()))
def test_an_event_has_its_level_wherever_it_is_logged(event: str, level: str) -> None:
    assert {
        (call.level, call.place) for call in _calls() if call.event == event and call.level not in level.split(" or ")
    } == set()
    assert any(call.event == event for call in _calls()), "the table names only events that exist"


def test_what_sounds_like_trouble_is_at_least_a_warning() -> None:
    quiet = [
        call
        for call in _calls()
        if call.level in ("debug", "info") and _TROUBLE.search(call.sentence) and call.event not in HARMLESS
    ]
    # Libraries and clients cause these; the program itself is well.
    quiet = [call for call in quiet if call.event not in ("http.unreadable", "engine.library", "engine.ended")]
    assert quiet == []
    assert len(_calls()) > 100


def record(state: State, reason: str, *, wanted: Wanted = Wanted.RUN) -> SessionRecord:
    return SessionRecord(id="s", owner="main", name="s", created_ms=1, state=state, reason=reason, wanted=wanted)


@pytest.mark.parametrize(
    ("after", "level"),
    [
        (record(State.BANNED, "banned"), "error"),
        (record(State.TEMP_BANNED, "temp_banned"), "warning"),
        (record(State.TEMP_BANNED, "temp_banned_again"), "error"),
        (record(State.LOGGED_OUT, "logged_out"), "error"),
        (record(State.FENCED, "replaced_twice"), "error"),
        (record(State.FAILED, "connect_refused"), "error"),
        (record(State.FAILED, "pairing_timed_out"), "warning"),
        (record(State.OUTDATED, "client_outdated"), "error"),
        (record(State.CLOSED, "inactive", wanted=Wanted.STOP), "warning"),
        (record(State.DEGRADED, "frames_stale"), "warning"),
        (record(State.RECONNECTING, "worker_lost"), "warning"),
        (record(State.RECONNECTING, "recycle_max_age"), "info"),
        (record(State.READY, "synced"), "info"),
        (record(State.PAIRING, "qr_shown"), "info"),
        (record(State.STOPPED, "user_stop", wanted=Wanted.STOP), "info"),
        (record(State.LOGGED_OUT, "user_logout", wanted=Wanted.STOP), "info"),
    ],
)
def test_a_change_of_a_session_has_the_level_of_what_happened(after: SessionRecord, level: str) -> None:
    with structlog.testing.capture_logs() as lines:
        SessionNotifications(EventBus(), SystemClock()).changed(record(State.READY, "synced"), after)
    assert [line["log_level"] for line in lines] == [level]


@pytest.mark.parametrize("kind", NoticeKind)
async def test_a_notice_in_the_log_is_calm_only_when_something_is_over_or_a_test(kind: NoticeKind) -> None:
    with structlog.testing.capture_logs() as lines:
        await LogNotifier().send(Notice("n", "bot", kind, 1, "title", "text"))
    calm = kind.endswith("_over") or kind in (NoticeKind.UP, NoticeKind.TEST, NoticeKind.REPAIRS_UNLOCKED)
    assert (lines[0]["log_level"] == "info") is calm


@pytest.mark.parametrize(("level", "symbol"), [("info", "✅"), ("warning", "⚠️"), ("error", "❌"), ("critical", "🚨")])
def test_each_level_has_the_symbol_of_the_original_program(level: str, symbol: str) -> None:
    out = io.StringIO()
    before: dict[str, Any] = structlog.get_config()
    try:
        logs.configure("console", "info", out)
        getattr(logs.get("test"), level)("A ban", event_name="session.state")
    finally:
        structlog.configure(**before)
    assert symbol in out.getvalue()
    assert [other for other in ("✅", "⚠️", "❌", "🚨") if other != symbol and other in out.getvalue()] == []


@pytest.mark.parametrize(
    ("new", "level"),
    [
        (target.State.DOWN, "error"),
        (target.State.FLAPPING, "error"),
        (target.State.DEGRADED, "warning"),
        (target.State.BLIND, "warning"),
        (target.State.SUSPECT, "warning"),
        (target.State.UP, "info"),
        (target.State.PAUSED, "info"),
    ],
)
def test_a_change_of_the_watched_state_has_the_level_of_the_new_one(new: target.State, level: str) -> None:
    flip = Flip("bot", 2, 1, target.State.UNKNOWN, new, "why")
    with structlog.testing.capture_logs() as lines:
        _decision_log().write(Decided(Tick(), Step(TargetState("bot"), flip), (), (), (), Now(2, 2)))
    assert [(line["event_name"], line["log_level"]) for line in lines] == [("target.flip", level)]


@pytest.mark.parametrize(
    ("event", "level"),
    [
        (Event("bot", EventKind.RESTARTED, 2, "b2", planned=True), "info"),
        (Event("bot", EventKind.RESTARTED, 2, "b2"), "warning"),
        (Event("bot", EventKind.WATCHDOG_GAP, 3_000, since_ms=1), "info"),
        (Event("bot", EventKind.WATCHDOG_GAP, 3_600_000, since_ms=1), "warning"),
        (Event("bot", EventKind.STOP_ANNOUNCED, 2), "info"),
    ],
)
def test_a_restart_that_was_announced_is_no_warning_and_a_long_gap_is_one(event: Event, level: str) -> None:
    with structlog.testing.capture_logs() as lines:
        _decision_log().write(Decided(Tick(), Step(TargetState("bot"), events=(event,)), (), (), (), Now(2, 2)))
    assert [line["log_level"] for line in lines] == [level]


def _decision_log() -> DecisionLog:
    return DecisionLog(target="bot", counts=Counts(), stats_every=10, threshold=3, uptime_ms=lambda: 1)
