"""A worker is killed while messages arrive as fast as they can: nothing is lost, and nothing was acknowledged before it was kept."""

from __future__ import annotations

import random
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.fake_whatsapp.remote import Remote
from tests.support.members import members
from tests.wire.kills import measure

pytestmark = [pytest.mark.wire, pytest.mark.timeout(300), pytest.mark.deep]


KINDS: dict[str, dict[str, Any]] = {
    "ten-fast": {"sessions": 10, "per_second": 0.0, "messages": 600},
    "replying": {"sessions": 2, "per_second": 0.0, "messages": 300, "replying": True},
    "one-steady": {"sessions": 1, "per_second": 100.0, "messages": 200},
    "one-fast": {"sessions": 1, "per_second": 0.0, "messages": 400},
    "group": {"sessions": 5, "per_second": 0.0, "messages": 300, "grouped": True},
    "sigterm": {"sessions": 5, "per_second": 0.0, "messages": 500, "end": signal.SIGTERM},
}


@pytest.mark.parametrize("options", members([*KINDS.values()], first=2, ids=[*KINDS]))
async def test_no_message_is_lost_by_kills(server: Remote, tmp_path: Path, options: dict[str, Any]) -> None:
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    loss = await measure(server, data_dir, kills=2, chance=random.Random(7), **options)
    assert loss.kills == 2
    assert loss.sent >= options["messages"]
    assert (loss.lost, loss.acknowledged, loss.acknowledged_early) == ([], [], 0), str(loss)
    assert loss.unreadable == 0
