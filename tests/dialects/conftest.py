"""The service with no limit on sending."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot_service.dialects.evolution import routes as evolution
from bot_service.dialects.waha import routes as waha
from tests.dialects.reference import EVOLUTION, WAHA, covered
from tests.support.bot_app import Bot, running


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How many operations of each document are here; nothing without the documents."""
    for name, file, routes in (("WAHA", WAHA, waha.ROUTES), ("Evolution", EVOLUTION, evolution.ROUTES)):
        if (found := covered(file, routes)) is not None:
            terminalreporter.write_line(f"{name}: {found[0]} of {found[1]} operations")


@pytest.fixture
async def bot(tmp_path: Path) -> AsyncIterator[Bot]:
    async with running(
        tmp_path, SEND_PER_MINUTE="0", SEND_NEW_CHATS_PER_HOUR="0", WEBHOOK_ALLOW_PRIVATE="true"
    ) as started:
        yield started
