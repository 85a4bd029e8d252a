"""Fixtures for all tests."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator

import pytest

from tests.support.receiver import Receiver

# What a marker needs, as a program that must be found.
_NEEDS = {"prometheus": ("prometheus", "promtool"), "browser": ("chromium",)}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for marker, programs in _NEEDS.items():
            missing = [name for name in programs if item.get_closest_marker(marker) and shutil.which(name) is None]
            if missing:
                item.add_marker(pytest.mark.skip(reason=f"not installed: {', '.join(missing)} (.ci/run installs it)"))


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A running webhook receiver."""
    async with Receiver() as running:
        yield running
