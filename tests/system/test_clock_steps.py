"""The real bot service while the wall clock of its machine is set: waits go on, nothing expires, nothing is deleted."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.support.members import members
from tests.support.processes import Client, Program, bot
from tests.support.receiver import Received, Receiver
from tests.support.sessions import paired, reaches
from tests.support.step_clock import StepClock
from tests.support.waiting import eventually

pytestmark = [pytest.mark.system, pytest.mark.timeout(300), pytest.mark.deep]

MINUTE, DAY = 60.0, 86_400.0
SETTINGS: dict[str, Any] = {
    "WEBHOOK_ALLOW_PRIVATE": "true",
    "SESSION_CLEANUP_INTERVAL": "1000",
    "RECONNECT_FIRST_DELAY": "500",
}


@pytest.fixture
def step_clock(tmp_path: Path) -> StepClock:
    return StepClock(tmp_path / "clock")


@pytest.fixture
async def program(tmp_path: Path, step_clock: StepClock) -> AsyncIterator[Program]:
    program = bot(tmp_path, **SETTINGS | step_clock.env | step_clock.worker_env)
    yield program
    program.close()


def logged(program: Program, name: str) -> list[dict[str, Any]]:
    return [line for line in program.events() if line.get("event") == name]


async def steps_seen(program: Program, count: int) -> None:
    await eventually(lambda: len(logged(program, "clock.step")) >= count, what=f"{count} steps in the log")


async def cleanups(program: Program, count: int) -> None:
    """Wait until so many more checks for unused sessions have run."""
    before = len(logged(program, "cleanup.complete"))
    await eventually(lambda: len(logged(program, "cleanup.complete")) >= before + count, what="checks of sessions")


async def texts_stored(client: Client, session: str) -> set[str]:
    found = (await client.get(f"/api/sessions/{session}/messages?limit=100"))["messages"]
    return {each["text"] for each in found}


async def nothing_expired(client: Client, program: Program, *sessions: str) -> None:
    for session in sessions:
        reasons = [each["reason"] for each in (await client.get(f"/api/sessions/{session}/transitions"))["transitions"]]
        assert not {"inactive", "max_age"} & set(reasons), reasons
    assert (await client.get("/api/deliveries?state=dead"))["deliveries"] == []
    assert not [line for line in program.events() if line["level"] in ("error", "critical")]


class Flaky:
    """A receiver that refuses the first attempt of every delivery."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self.accepted: list[str] = []

    def __call__(self, got: Received) -> tuple[int, Any, dict[str, str]]:
        text = got.json["data"].get("text", "")
        if text not in self.seen:
            self.seen.add(text)
            return 503, None, {}
        self.accepted.append(text)
        return 200, None, {}


async def accepts(flaky: Flaky, text: str) -> None:
    await eventually(lambda: any(text in each for each in flaky.accepted), within_s=30, what=f"the delivery of {text}")


@pytest.mark.long
@pytest.mark.parametrize(
    "step_s", members([60 * DAY, -5 * MINUTE, 2 * DAY, -400 * DAY]), ids=lambda step_s: f"{step_s:.0f}s"
)
async def test_while_the_clock_is_wrong_everything_goes_on_and_nothing_expires(
    program: Program, step_clock: StepClock, step_s: float
) -> None:
    async with Receiver() as receiver, program.running(), Client(program.url) as client:
        flaky = receiver.answer = Flaky()
        await client.post("/api/webhooks", {"url": receiver.url, "events": ["message"]})
        await paired(client, "one", "away")
        await client.post("/api/sessions/one/simulate", {"action": "message", "text": "before"})
        # Waits in the queue until its session is connected again.
        await client.post("/api/sessions/away/simulate", {"action": "offline", "seconds": 15})
        queued = await client.post("/api/sessions/away/messages", {"to": "4915100000001", "text": "later"})
        for turn, offset_s in enumerate((step_s, 0.0, step_s)):
            step_clock.set(offset_s)
            await steps_seen(program, turn + 1)
            # A wait that begins under the wrong clock, and one that goes over the step.
            await client.post("/api/sessions/one/simulate", {"action": "pumpDied"})
            await client.post("/api/sessions/one/simulate", {"action": "message", "text": f"turn {turn}"})
            await reaches(client, "one", "READY", within_s=30)
            await accepts(flaky, f"turn {turn}")
            await cleanups(program, 2)
        await reaches(client, "away", "READY")

        async def sent() -> bool:
            found = await client.get(f"/api/sessions/away/messages/{queued['id']}")
            assert found["state"] != "failed", found
            return found["state"] in ("sent", "delivered", "read")

        await eventually(sent, what="the queued message being sent")
        assert any("before" in text for text in await texts_stored(client, "one"))
        await nothing_expired(client, program, "one", "away")


@pytest.mark.parametrize("step_s", members([-5 * MINUTE, 60 * DAY]), ids=lambda step_s: f"{step_s:.0f}s")
async def test_a_step_for_good_is_followed_with_all_that_is_stored(
    tmp_path: Path, step_clock: StepClock, step_s: float
) -> None:
    program = bot(tmp_path, CLOCK_STEADY_AFTER="3000", **SETTINGS | step_clock.env | step_clock.worker_env)
    async with Receiver() as receiver, program.running(), Client(program.url) as client:
        flaky = receiver.answer = Flaky()
        await client.post("/api/webhooks", {"url": receiver.url, "events": ["message"]})
        await paired(client, "one")
        before = await client.get("/api/sessions/one")
        await client.post("/api/sessions/one/simulate", {"action": "message", "text": "before"})
        await eventually(lambda: flaky.seen, what="the first attempt")
        step_clock.set(step_s)
        await eventually(lambda: logged(program, "clock.followed"), within_s=30, what="the clock being followed")
        await eventually(lambda: flaky.accepted, within_s=30, what="the second attempt")
        await eventually(lambda: logged(program, "clock.followed"), what="the time following")
        after = await client.get("/api/sessions/one")
        moved_s = (_at(after["createdAt"]) - _at(before["createdAt"])).total_seconds()
        assert moved_s == pytest.approx(step_s, abs=3)
        await client.post("/api/sessions/one/simulate", {"action": "pumpDied"})
        change = (await client.get("/api/sessions/one/transitions"))["transitions"][0]
        assert (_at(change["at"]) - datetime.now(UTC)).total_seconds() == pytest.approx(step_s, abs=15)
        await reaches(client, "one", "READY")
        await cleanups(program, 3)
        await nothing_expired(client, program, "one")
    # The next start goes on with the time that is followed now.
    async with program.running(), Client(program.url) as client:
        await reaches(client, "one", "READY")
        await cleanups(program, 2)
        await nothing_expired(client, program, "one")
        assert len(logged(program, "clock.step")) == 1


@pytest.mark.parametrize("step_s", members([60 * DAY, -5 * MINUTE]), ids=lambda step_s: f"{step_s:.0f}s")
async def test_a_start_with_a_wrong_clock_deletes_nothing(
    program: Program, step_clock: StepClock, step_s: float
) -> None:
    async with program.running(), Client(program.url) as client:
        await paired(client, "one")
        await client.post("/api/sessions/one/simulate", {"action": "message", "text": "kept"})
        await eventually(lambda: _has(client, "one", "kept"), what="the message being stored")
    step_clock.set(step_s)
    async with program.running(), Client(program.url) as client:
        await steps_seen(program, 1)
        await reaches(client, "one", "READY")
        await client.post("/api/sessions/one/simulate", {"action": "pumpDied"})
        await reaches(client, "one", "READY", within_s=30)
        await cleanups(program, 2)
        assert await _has(client, "one", "kept")
        await nothing_expired(client, program, "one")
        step_clock.set(0)
        await steps_seen(program, 2)
        await cleanups(program, 2)
        await nothing_expired(client, program, "one")


async def test_workers_that_outlive_a_step_back_have_sessions_that_start_again(
    program: Program, step_clock: StepClock
) -> None:
    program.start()
    await program.ready()
    async with Client(program.url) as client:
        await paired(client, "one")
    workers = program.worker_pids()
    program.kill()
    step_clock.set(-5 * MINUTE)
    program.start()
    await program.ready()
    async with Client(program.url) as client:
        await reaches(client, "one", "READY")
        assert program.worker_pids() == workers
        await client.post("/api/sessions/one/simulate", {"action": "pumpDied"})
        await reaches(client, "one", "RECONNECTING", "STARTING", "CONNECTING")
        await reaches(client, "one", "READY", within_s=30)


async def test_a_machine_that_was_started_again_with_a_wrong_clock_deletes_nothing(
    program: Program, step_clock: StepClock
) -> None:
    async with program.running(), Client(program.url) as client:
        await paired(client, "one")
        await client.post("/api/sessions/one/simulate", {"action": "message", "text": "kept"})
        await eventually(lambda: _has(client, "one", "kept"), what="the message being stored")
    _another_machine(program)
    step_clock.set(60 * DAY)
    async with program.running(), Client(program.url) as client:
        await reaches(client, "one", "READY")
        await cleanups(program, 2)
        assert await _has(client, "one", "kept")
        await nothing_expired(client, program, "one")


def _another_machine(program: Program) -> None:
    """As if the program had last run before the machine was started."""
    store = Path(program.env["DATA_DIR"]) / "bot.db"
    connection = sqlite3.connect(store)
    with connection:
        (raw,) = connection.execute("SELECT saved FROM service_clock").fetchone()
        connection.execute("UPDATE service_clock SET saved = ?", (raw.replace(b'"machine":"', b'"machine":"was-'),))
    connection.close()


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)


async def _has(client: Client, session: str, text: str) -> bool:
    return any(text in each for each in await texts_stored(client, session))
