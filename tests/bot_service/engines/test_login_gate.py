"""The gate of logins: one goes ahead, its result decides for the others, and no trouble of the gate holds anybody for long."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bot_service.engines.wire.login_gate import (
    CLOSED_FOR_S,
    DECISION_S,
    PATIENCE_S,
    LoginGate,
    LoginResult,
    close_for,
    remove_unused,
)
from tests.support.fake_clock import FakeClock
from tests.support.processes import ROOT

BUILD = 1_047_769_893


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def gate(tmp_path: Path, clock: FakeClock) -> LoginGate:
    return LoginGate(tmp_path, BUILD, clock)


def test_one_login_goes_ahead_and_when_it_is_accepted_all_others_go(gate: LoginGate, clock: FakeClock) -> None:
    first, others = gate.attempt(), [gate.attempt() for _ in range(20)]
    assert first.ask() is LoginResult.GO
    assert {other.ask() for other in others} == {LoginResult.WAIT}
    clock.stall(0.2)
    first.accepted()
    assert {other.ask() for other in others} == {LoginResult.GO}


def test_when_it_is_refused_the_others_wait_for_the_decision(gate: LoginGate, clock: FakeClock, tmp_path: Path) -> None:
    first, other = gate.attempt(), gate.attempt()
    first.ask()
    clock.stall(0.2)
    first.refused()
    assert other.ask() is LoginResult.WAIT
    close_for(tmp_path, [BUILD])
    assert other.ask() is LoginResult.CLOSED
    assert other.is_closed()
    close_for(tmp_path, [])
    clock.stall(DECISION_S)
    assert other.ask() is LoginResult.GO


def test_after_a_refusal_that_may_be_one_accounts_trouble_one_more_login_goes(
    gate: LoginGate, clock: FakeClock
) -> None:
    first, second, others = gate.attempt(), gate.attempt(), [gate.attempt() for _ in range(20)]
    first.ask()
    first.refused()
    clock.stall(0.1)
    gate.attempt().allow_one_more()
    assert second.ask() is LoginResult.GO
    assert {other.ask() for other in others} == {LoginResult.WAIT}
    clock.stall(0.1)
    second.accepted()
    assert {other.ask() for other in others} == {LoginResult.GO}


def test_a_second_refusal_holds_the_others_again(gate: LoginGate, clock: FakeClock) -> None:
    first, second, other = gate.attempt(), gate.attempt(), gate.attempt()
    first.ask()
    first.refused()
    clock.stall(0.1)
    gate.attempt().allow_one_more()
    second.ask()
    clock.stall(0.1)
    second.refused()
    assert other.ask() is LoginResult.WAIT


def test_a_login_of_before_the_loss_proves_nothing_but_a_start_may_trust_it(gate: LoginGate, clock: FakeClock) -> None:
    gate.attempt().accepted()
    clock.stall(1.0)
    ahead, redial, start = gate.attempt(), gate.attempt(), gate.attempt(recent_s=5.0)
    assert ahead.ask() is LoginResult.GO
    assert redial.ask() is LoginResult.WAIT
    assert start.ask() is LoginResult.GO


def test_nobody_waits_long_for_a_login_that_hangs(gate: LoginGate, clock: FakeClock) -> None:
    hanging, other = gate.attempt(), gate.attempt()
    hanging.ask()
    assert other.ask() is LoginResult.WAIT
    clock.stall(PATIENCE_S)
    assert other.ask() is LoginResult.GO


def test_a_closed_gate_opens_by_itself_when_no_api_process_is_left(
    gate: LoginGate, clock: FakeClock, tmp_path: Path
) -> None:
    close_for(tmp_path, [BUILD])
    held = gate.attempt()
    assert held.ask() is LoginResult.CLOSED
    clock.stall(CLOSED_FOR_S)
    assert held.ask() is LoginResult.GO


def test_only_the_refused_build_is_closed(clock: FakeClock, tmp_path: Path) -> None:
    close_for(tmp_path, [BUILD, BUILD + 1])
    close_for(tmp_path, [BUILD + 1])
    assert LoginGate(tmp_path, BUILD, clock).attempt().ask() is LoginResult.GO
    assert LoginGate(tmp_path, BUILD + 1, clock).attempt().ask() is LoginResult.CLOSED
    assert LoginGate(tmp_path, BUILD + 2, clock).attempt().ask() is LoginResult.GO


def test_a_state_of_before_a_restart_of_the_machine_holds_nobody(gate: LoginGate, clock: FakeClock) -> None:
    clock.stall(1_000_000)
    gate.attempt().refused()
    gate.attempt().accepted()
    clock.stall(-999_990)
    first, other = gate.attempt(), gate.attempt()
    assert first.ask() is LoginResult.GO
    first.refused()
    assert other.ask() is LoginResult.WAIT


@pytest.mark.parametrize("content", [b"", b"short", b"\xff" * 24, b"x" * 4096])
def test_a_damaged_file_holds_nobody_for_longer_than_the_limits(
    clock: FakeClock, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / f"logins-{BUILD}").write_bytes(content)
    attempt = LoginGate(tmp_path, BUILD, clock).attempt()
    attempt.ask()
    clock.stall(CLOSED_FOR_S)
    assert attempt.ask() is LoginResult.GO


def test_a_folder_that_is_gone_holds_nobody(clock: FakeClock, tmp_path: Path) -> None:
    attempt = LoginGate(tmp_path / "gone", BUILD, clock).attempt()
    assert attempt.ask() is LoginResult.GO
    assert not attempt.is_closed()
    attempt.accepted()
    attempt.end()


def test_a_process_that_dies_during_its_login_lets_the_next_one_go(gate: LoginGate, tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from bot_service.engines.wire.login_gate import LoginGate;"
        "from shared.clock import SystemClock;"
        f"a = LoginGate(Path(sys.argv[1]), {BUILD}, SystemClock()).attempt(); print(a.ask().value, flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "go"
        waiting = gate.attempt()
        assert waiting.ask() is LoginResult.WAIT
        process.kill()
        process.wait()
    assert waiting.ask() is LoginResult.GO


def test_no_descriptor_is_left_open(gate: LoginGate, clock: FakeClock) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        ahead, other = gate.attempt(), gate.attempt()
        ahead.ask()
        other.ask()
        clock.stall(0.1)
        ahead.accepted()
        other.ask()
        refused = gate.attempt()
        refused.ask()
        refused.end()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_file_that_is_removed_during_a_login_is_made_again_for_all(gate: LoginGate, tmp_path: Path) -> None:
    first, other = gate.attempt(), gate.attempt()
    assert first.ask() is LoginResult.GO
    assert other.ask() is LoginResult.WAIT
    for path in tmp_path.iterdir():
        path.unlink()
    assert first.ask() is LoginResult.GO
    assert other.ask() is LoginResult.WAIT
    first.accepted()
    assert other.ask() is LoginResult.GO


def test_files_of_builds_that_nobody_announces_are_removed(tmp_path: Path, clock: FakeClock) -> None:
    for build in (1, 2, 3):
        LoginGate(tmp_path, build, clock).attempt().accepted()
    close_for(tmp_path, [2])
    remove_unused(tmp_path, {2, 3})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["logins-2", "logins-3"]
