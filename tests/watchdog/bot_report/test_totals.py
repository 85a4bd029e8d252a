"""The totals of a report: a ping that the ledger commits while they are read is counted once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.fake_bot import FakeBot
from tests.support.waiting import eventually
from tests.support.watchdog_app import running_watchdog
from watchdog.bot_report.snapshot import ReportBuilder
from watchdog.parts import PARTS


@pytest.mark.parametrize("reports", [20])
async def test_totals_and_counts_agree_while_pings_go_on(tmp_path: Path, reports: int) -> None:
    async with (
        FakeBot(beats="absent") as bot,
        running_watchdog(tmp_path, bot.url, KEEP_ALIVE_INTERVAL="100", KEEP_ALIVE_PUSH_INTERVAL="600000") as run,
    ):
        parts = run.app[PARTS]
        counts = parts.watches["bot"].counts
        await eventually(lambda: counts.pings > 0, what="a ping")
        for sequence in range(reports):
            parts.watches["bot"].schedule.ping_now()
            report = ReportBuilder(
                "bot",
                bot.url,
                parts.base,
                counts,
                parts.cycle,
                parts.pipeline,
                parts.dispatcher,
                parts.watches["bot"].attention,
            )
            made = await report.build(sequence)
            assert made.lifetime is not None
            assert made.lifetime.ping_count == made.ping_count
