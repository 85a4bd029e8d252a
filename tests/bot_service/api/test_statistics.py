"""``GET /api/metrics``: what it shows of the client version; the other figures are looked at where they are made."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from bot_service import keys
from bot_service.api.health.statistics import Statistics
from bot_service.domain.client_version import Source
from bot_service.sessions.client_version import VersionFacts
from tests.support.bot_app import running


async def test_every_fact_of_the_client_version_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = VersionFacts(
        version="2.3000.1047769893",
        source=Source.PUBLISHED,
        age_days=12.3,
        outdated=True,
        refused=("2.3000.1041898753",),
        published="2.3000.1047769893",
        checked_at="2026-11-23T09:16:02.000Z",
        check_result="unchanged",
        problem="/data/engine: Read-only file system",
        problem_reason="not_writable",
    )
    async with running(tmp_path) as bot:
        monkeypatch.setattr(bot.app[keys.SESSIONS].client_version, "facts", lambda: facts)
        status, figures = await bot.call("GET", "/api/metrics")
    assert status == 200
    assert figures["clientVersion"] == {
        "version": "2.3000.1047769893",
        "source": "published",
        "ageDays": 12.3,
        "outdated": True,
        "refused": ["2.3000.1041898753"],
        "published": "2.3000.1047769893",
        "checkedAt": "2026-11-23T09:16:02.000Z",
        "checkResult": "unchanged",
        "problem": "only the engine's own version can be announced: no copy of its library can be written to DATA_DIR/engine",
        "problemReason": "not_writable",
    }
    msgspec.convert(figures, Statistics)


async def test_the_version_that_is_built_into_the_engine_is_shown(tmp_path: Path) -> None:
    async with running(tmp_path, ENGINE="neonize", WHATSAPP_VERSION="builtin") as bot:
        shown = (await bot.call("GET", "/api/metrics"))[1]["clientVersion"]
    assert shown["version"].startswith("2.3000.")
    assert (shown["source"], shown["outdated"], shown["refused"], shown["problem"]) == ("builtin", False, [], None)


async def test_it_is_null_when_the_engine_announces_none(tmp_path: Path) -> None:
    async with running(tmp_path) as bot:
        assert (await bot.call("GET", "/api/metrics"))[1]["clientVersion"] is None
