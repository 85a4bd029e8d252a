"""Every attack of strangers on both programs at work: short here, longer in `make test-deep`, in full by `make bench-attack`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.attack.attacks import ATTACKS
from tests.attack.scene import scene
from tests.support.processes import ROOT

pytestmark = pytest.mark.system
SESSIONS = 10
# Other tests run on the same cores: here every check is only answered in time for the watchdog. `make bench-attack` measures.
P99_MS = 10_000


async def _attack(folder: Path, seconds: float) -> dict[str, list[str]]:
    """By attack, what did not hold."""
    found = {}
    async with scene(folder, sessions=SESSIONS) as running:
        for name in ATTACKS:
            faults = (await running.attacked(name, seconds)).faults(p99_ms=P99_MS)
            if faults:
                found[name] = faults
            assert all(program.process and program.process.poll() is None for program in running.programs), name
        boots = [program.output().count('"event":"server.started"') for program in running.programs]
        assert boots == [1, 1]
    return found


@pytest.mark.long
@pytest.mark.deep
@pytest.mark.timeout(600)
async def test_no_attack_of_strangers_stops_a_program_loses_a_message_or_alerts_anybody(tmp_path: Path) -> None:
    assert await _attack(tmp_path, 1.0) == {}


@pytest.mark.deep
@pytest.mark.timeout(1800)
async def test_attacks_that_last_change_nothing(tmp_path: Path) -> None:
    assert await _attack(tmp_path, 15.0) == {}


def test_the_attacks_are_selected_by_name() -> None:
    line = [sys.executable, "-m", "tests.attack", "--only", "idle,no-such-attack"]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert "unknown: no-such-attack" in done.stderr
    assert "half-requests" in done.stderr
