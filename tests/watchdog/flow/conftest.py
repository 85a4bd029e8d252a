"""Fixtures for stories on a fake clock."""

from __future__ import annotations

import pytest

from watchdog.flow import dispatcher, housekeeping, remediator


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """For stories of many hours: what looks for work every second looks every ten seconds, and costs a tenth."""
    monkeypatch.setattr(dispatcher, "_KEEP_S", 10.0)
    monkeypatch.setattr(remediator, "_LOOK_S", 10.0)
    monkeypatch.setattr(housekeeping, "TICK_S", 10.0)
