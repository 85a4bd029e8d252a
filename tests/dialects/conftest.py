"""The service with no limit on sending."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.bot_app import Bot, running


@pytest.fixture
async def bot(tmp_path: Path) -> AsyncIterator[Bot]:
    async with running(
        tmp_path, SEND_PER_MINUTE="0", SEND_NEW_CHATS_PER_HOUR="0", WEBHOOK_ALLOW_PRIVATE="true"
    ) as started:
        yield started
