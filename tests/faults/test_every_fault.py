"""Each fault by command, on the real service with the simulator: the reaction, its time, and what the API said meanwhile."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.faults.catalogue import FAULTS
from tests.faults.scene import Fault

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(
            fault,
            id=re.sub(r"\W+", "-", fault.name).strip("-"),
            # `make test` runs a few of the short ones; each is a start of the service.
            marks=[pytest.mark.long] * fault.long + [pytest.mark.deep] * (fault.long or number % 4 > 0),
        )
        for number, fault in enumerate(FAULTS)
    ],
)
async def test_a_fault_has_its_reaction(tmp_path: Path, fault: Fault) -> None:
    row = await fault.run(tmp_path)
    assert row.reaction
    print(f"{fault.name}: {row.reaction} [{row.took_s} s, {row.until}] {row.answers}")
