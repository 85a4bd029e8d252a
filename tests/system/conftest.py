"""What the tests of the running programs share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.receiver import Receiver


@pytest.fixture
async def hook() -> AsyncIterator[Receiver]:
    """Gets the alerts."""
    async with Receiver() as receiver:
        yield receiver
