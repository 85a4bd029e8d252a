"""Makes the Grafana board ``monitoring/grafana/boards/veilleur.json``: every panel with a query that has an answer.

Usage: ``python -m monitoring.board --write`` or ``--check`` (exit code 1 when the file is not what this makes).
A test runs each query against a real Prometheus that scrapes the real programs, so that no panel stays empty.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard as boards
from grafana_foundation_sdk.builders import prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common, dashboard

FILE = Path(__file__).parent / "grafana" / "boards" / "veilleur.json"
BOT = 'job="veilleur-bot"'
WATCHDOG = 'job="veilleur-watchdog"'


@dataclass(frozen=True)
class Query:
    """One PromQL expression and the words its series are shown under."""

    expression: str
    legend: str = ""


@dataclass(frozen=True)
class Panel:
    """One panel. ``bad_from`` colours a single value red from there on, or below it when ``low_is_bad``."""

    title: str
    about: str
    queries: Sequence[Query]
    unit: str = "short"
    kind: Literal["stat", "lines"] = "lines"
    bad_from: float | None = None
    low_is_bad: bool = False
    width: int = 8


ROWS: dict[str, list[Panel]] = {
    "Now": [
        Panel(
            "Bot service", "1 while the watchdog says UP.",
            [Query('max by (target) (veilleur_watchdog_target_state{state="UP"})', "{{target}}")],
            kind="stat", bad_from=1, low_is_bad=True, width=4,
        ),
        Panel(
            "Open incidents", "Of every kind.",
            [Query("sum(veilleur_watchdog_incidents_open)")], kind="stat", bad_from=1, width=4,
        ),
        Panel(
            "Sessions ready", "Of those that should run.",
            [Query("veilleur_bot_sessions_ready", "ready"), Query("veilleur_bot_sessions_wanted", "wanted")],
            kind="stat", width=4,
        ),
        Panel(
            "Dead letters", "Events that wait for a person.",
            [Query("veilleur_bot_dead_letters")], kind="stat", bad_from=1, width=4,
        ),
        Panel(
            "Last push of the watchdog", "Its age, as the bot service sees it.",
            [Query("veilleur_bot_watchdog_push_age_seconds")], unit="s", kind="stat", bad_from=90, width=4,
        ),
        Panel(
            "Repairs left", "In the budget of now.",
            [Query("min(veilleur_watchdog_repair_budget_remaining)")], kind="stat", bad_from=1, low_is_bad=True, width=4,
        ),
    ],
    "Watching": [
        Panel(
            "State of each target", "1 for the state it is in.",
            [Query("veilleur_watchdog_target_state > 0", "{{target}} {{state}}")], width=8,
        ),
        Panel(
            "Pings", "Decided pings by outcome.",
            [Query("sum by (target, outcome) (increase(veilleur_watchdog_pings_total[$__rate_interval]))", "{{target}} {{outcome}}")],
        ),
        Panel(
            "Time of a ping", "Half and 99 of 100 were faster.",
            [
                Query("histogram_quantile(0.5, sum by (le) (rate(veilleur_watchdog_ping_seconds_bucket[$__range])))", "p50"),
                Query("histogram_quantile(0.99, sum by (le) (rate(veilleur_watchdog_ping_seconds_bucket[$__range])))", "p99"),
            ],
            unit="s",
        ),
        Panel(
            "Age of the heartbeat", "Time since the last beat.",
            [Query("veilleur_watchdog_heartbeat_age_seconds", "{{target}}")], unit="s",
        ),
        Panel(
            "Share of bad time", "Of the error budget's windows; 0.1 % uses it up in a month.",
            [
                Query("veilleur:target_bad:ratio1h", "{{target}} 1 h"),
                Query("veilleur:target_bad:ratio6h", "{{target}} 6 h"),
                Query("veilleur:target_bad:ratio3d", "{{target}} 3 d"),
            ],
            unit="percentunit",
        ),
        Panel(
            "Notices", "Waiting, and age of the oldest.",
            [
                Query("veilleur_watchdog_outbox_depth", "waiting"),
                Query("veilleur_watchdog_outbox_oldest_seconds", "oldest (s)"),
            ],
        ),
    ],
    "Sessions": [
        Panel("Sessions by state", "All sessions.", [Query("veilleur_bot_sessions > 0 or veilleur_bot_sessions", "{{state}}")]),
        Panel(
            "Changes of state", "Per minute, by reason.",
            [Query("60 * sum by (reason) (rate(veilleur_bot_session_transitions_total[$__rate_interval]))", "{{reason}}")],
        ),
        Panel(
            "Suspected silence", "Connected sessions that seem to receive nothing.",
            [Query("veilleur_bot_session_silence_suspected")],
        ),
        Panel(
            "Memory of the workers", "Resident.",
            [Query("sum(veilleur_bot_worker_resident_bytes)", "all workers")], unit="bytes",
        ),
        Panel(
            "Lag of the journal", "Age of the oldest received message that is not taken in.",
            [Query("veilleur_bot_journal_lag_seconds")], unit="s",
        ),
        Panel(
            "Loop lag", "Of both programs.",
            [Query("veilleur_bot_loop_lag_seconds", "bot"), Query("veilleur_watchdog_loop_lag_seconds", "watchdog")], unit="s",
        ),
        Panel(
            "Age of the client version", "The announced one; WhatsApp refuses versions after about two months.",
            [
                Query(
                    "veilleur_bot_client_version_age_days"
                    " * on (job, instance) group_left (version, source) veilleur_bot_client_version_info",
                    "{{version}} {{source}}",
                )
            ],
            unit="d",
        ),
        Panel(
            "Turns of the bot's loop", "What whoever asks may have to wait; every turn is counted.",
            [
                Query("histogram_quantile(0.99, sum by (le) (rate(veilleur_bot_loop_turn_seconds_bucket[$__rate_interval])))", "p99"),
                Query("histogram_quantile(1, sum by (le) (rate(veilleur_bot_loop_turn_seconds_bucket[$__rate_interval])))", "longest"),
            ],
            unit="s",
        ),
    ],
    "Messages": [
        Panel(
            "Messages in", "Per minute.", [Query("60 * sum(rate(veilleur_bot_messages_in_total[$__rate_interval]))", "in")],
        ),
        Panel(
            "Messages out", "Per minute, by state.",
            [Query("60 * sum by (state) (rate(veilleur_bot_messages_out_total[$__rate_interval]))", "{{state}}")],
        ),
        Panel(
            "Oldest in the outboxes", "Messages and webhook events.",
            [
                Query("veilleur_bot_outbox_oldest_seconds", "messages"),
                Query("veilleur_bot_webhook_outbox_oldest_seconds", "webhooks"),
            ],
            unit="s",
        ),
    ],
    "Programs": [
        Panel(
            "Requests", "Per second, by status.",
            [Query("sum by (status) (rate(veilleur_bot_http_requests_total[$__rate_interval]))", "{{status}}")], unit="reqps",
        ),
        Panel(
            "Time of a request", "99 of 100 were faster.",
            [
                Query(
                    "histogram_quantile(0.99, sum by (le, route) (rate(veilleur_bot_http_request_seconds_bucket[$__range])))",
                    "{{route}}",
                )
            ],
            unit="s",
        ),
        Panel(
            "Memory", "Resident, of each program.",
            [Query(f"process_resident_memory_bytes{{{BOT}}}", "bot"), Query(f"process_resident_memory_bytes{{{WATCHDOG}}}", "watchdog")],
            unit="bytes",
        ),
    ],
}  # fmt: skip


def build() -> str:
    """The board as JSON, the same text every time."""
    source = dashboard.DataSourceRef(type_val="prometheus", uid="veilleur-prometheus")
    board = (
        boards.Dashboard("Veilleur")
        .uid("veilleur")
        .description("Sessions, pings, incidents and messages of the bot service and its watchdog")
        .tags(["veilleur"])
        .timezone("browser")
        .refresh("15s")
        .time("now-6h", "now")
        .readonly()
    )
    for row, panels in ROWS.items():
        board = board.with_row(boards.Row(row))
        for panel in panels:
            board = board.with_panel(_panel(panel, source))
    return JSONEncoder(sort_keys=True, indent=2).encode(board.build()) + "\n"


def _panel(panel: Panel, source: dashboard.DataSourceRef) -> stat.Panel | timeseries.Panel:
    made: stat.Panel | timeseries.Panel
    if panel.kind == "stat":
        made = stat.Panel().height(4).thresholds(_thresholds(panel)).text_mode(common.BigValueTextMode.AUTO)
    else:
        legend = common_builders.VizLegendOptions().show_legend(True).placement(common.LegendPlacement.BOTTOM)
        made = timeseries.Panel().height(7).legend(legend).fill_opacity(10)
    made = made.title(panel.title).description(panel.about).unit(panel.unit).span(panel.width).datasource(source)
    for index, query in enumerate(panel.queries):
        target = prometheus.Dataquery().expr(query.expression).legend_format(query.legend).ref_id(chr(ord("A") + index))
        made = made.with_target(target.range())
    return made


def _thresholds(panel: Panel) -> boards.ThresholdsConfig:
    first, then = ("red", "green") if panel.low_is_bad else ("green", "red")
    steps = [dashboard.Threshold(value=None, color=first if panel.bad_from is not None else "text")]
    if panel.bad_from is not None:
        steps.append(dashboard.Threshold(value=panel.bad_from, color=then))
    return boards.ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE).steps(steps)


def main(arguments: Sequence[str]) -> int:
    if list(arguments) == ["--write"]:
        FILE.parent.mkdir(parents=True, exist_ok=True)
        FILE.write_text(build(), encoding="utf-8")
        return 0
    if list(arguments) == ["--check"]:
        if FILE.exists() and FILE.read_text(encoding="utf-8") == build():
            return 0
        sys.stderr.write(f"{FILE} is not what monitoring/board.py makes: run make docs\n")
        return 1
    sys.stderr.write("usage: python -m monitoring.board --write | --check\n")
    return 2


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
