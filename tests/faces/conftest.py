"""What several modules of the pages' tests share; a module with its own ``bot`` or ``browser`` replaces these."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.faces.test_dashboard import Browser
from tests.support.bot_app import Bot, running


@pytest.fixture
async def bot(tmp_path: Path) -> AsyncIterator[Bot]:
    async with running(tmp_path / "data", WEBHOOK_ALLOW_PRIVATE="true") as started:
        yield started


@pytest.fixture
async def browser(bot: Bot) -> Browser:
    made = Browser(bot)
    await made.sign_in()
    return made
