"""Each fault by command, on the real service with the simulator: the reaction, its time, and what the API said meanwhile."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import Client, Program, bot
from tests.support.waiting import eventually

pytestmark = [pytest.mark.system, pytest.mark.timeout(150)]

FAST = {
    "RECEIVE_PROBE": "self",
    "RECEIVE_PROBE_INTERVAL": "3000",
    "RECEIVE_PROBE_TIMEOUT": "1500",
    "SIMULATOR_OPTIONS": "auto_pair_ms=50,reconnect_ms=300,frame_ms=1000",
}


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[tuple[Program, Client]]:
    program = bot(tmp_path, **FAST)
    program.start()
    try:
        await program.ready()
        async with Client(program.url) as client:
            for session in ("one", "other"):
                await client.post("/api/sessions", {"id": session})
            for session in ("one", "other"):
                await reaches(client, session, "READY")
            yield program, client
    finally:
        program.close()


async def told(client: Client, session: str) -> list[dict[str, Any]]:
    """Transitions, oldest first."""
    return list(reversed((await client.get(f"/api/sessions/{session}/transitions"))["transitions"]))


async def reaches(client: Client, session: str, state: str, within_s: float = 40.0) -> dict[str, Any]:
    async def look() -> Any:
        view = await client.get(f"/api/sessions/{session}")
        return view if view["state"] == state else None

    return dict(await eventually(look, within_s=within_s, what=f"{session} being {state}"))


async def passes(client: Client, session: str, *wanted: tuple[str, str], within_s: float = 60.0) -> float:
    """Seconds until the transitions told since the start hold ``wanted`` (state, reason) in this order."""
    began = time.monotonic()

    async def look() -> bool:
        left = list(wanted)
        for change in await told(client, session):
            if left and (change["to"], change["reason"]) == left[0]:
                left.pop(0)
        return not left

    await eventually(look, within_s=within_s, every_s=0.05, what=f"{session} passing {wanted}")
    return time.monotonic() - began


async def break_it(client: Client, action: str, **args: Any) -> None:
    status, answer = await client.call("POST", "/api/sessions/one/simulate", {"action": action, **args})
    # A worker that dies of the command cannot answer it.
    assert status in (200, 409, 502, 504), answer


@pytest.mark.parametrize(
    ("action", "args", "wanted", "within_s"),
    [
        ("drop", {}, [("RECONNECTING", "disconnected"), ("READY", "synced")], 20),
        ("serverUnavailable", {}, [("RECONNECTING", "server_unavailable"), ("READY", "synced")], 30),
        ("pumpDied", {}, [("RECONNECTING", "pump_died"), ("READY", "synced")], 20),
        ("crashWorker", {}, [("RECONNECTING", "worker_lost"), ("READY", "synced")], 40),
        ("streamError", {}, [("RECONNECTING", "stream_error"), ("READY", "synced")], 20),
        (
            "silence",
            {},
            [("DEGRADED", "receive_suspected"), ("RECONNECTING", "reconnect"), ("READY", "synced")],
            60,
        ),
        (
            "silence",
            {"heals": "worker"},
            [
                ("DEGRADED", "receive_suspected"),
                ("RECONNECTING", "reconnect"),
                ("DEGRADED", "receive_suspected"),
                ("RECONNECTING", "rebuild"),
                ("READY", "synced"),
            ],
            120,
        ),
    ],
    ids=["drop", "unavailable", "pump", "killed", "stream-error", "silence", "silence-of-a-worker"],
)
async def test_a_fault_that_heals_is_told_and_healed(
    service: tuple[Program, Client], action: str, args: dict[str, Any], wanted: list[tuple[str, str]], within_s: float
) -> None:
    _, client = service
    before = len(await told(client, "one"))
    await break_it(client, action, **args)
    took = await passes(client, "one", *wanted, within_s=within_s)
    view = await reaches(client, "one", "READY")
    print(f"{action} {args or ''}: healed in {took:.1f} s, {len(await told(client, 'one')) - before} transitions")
    assert view["acts"] == "nobody"
    status, _ = await client.call("GET", "/health")
    assert status == 200


@pytest.mark.parametrize(
    ("action", "state", "acts"),
    [
        ("logout", "LOGGED_OUT", "user"),
        ("primaryGone", "LOGGED_OUT", "user"),
        ("ban", "BANNED", "owner"),
        ("tempBan", "TEMP_BANNED", "nobody"),
        ("outdated", "OUTDATED", "operator"),
    ],
)
async def test_an_end_is_told_with_who_must_act_and_never_retried(
    service: tuple[Program, Client], action: str, state: str, acts: str
) -> None:
    _, client = service
    await break_it(client, action)
    view = await reaches(client, "one", state)
    assert (view["acts"], view["wanted"], view["nextTryAt"]) == (acts, "run", None)
    await passes(client, "one", (state, (await client.get("/api/sessions/one"))["reason"]))
    count = len(await told(client, "one"))
    other = await client.get("/api/sessions/other")
    assert other["state"] == "READY"
    # The other one goes through a whole drop and return meanwhile; nothing more happens to this one.
    await client.post("/api/sessions/other/simulate", {"action": "drop"})
    await passes(client, "other", ("RECONNECTING", "disconnected"), ("READY", "synced"))
    assert len(await told(client, "one")) == count
    assert (await client.get("/api/sessions/one"))["state"] == state


async def test_replaced_is_taken_back_once_after_half_a_minute_only(service: tuple[Program, Client]) -> None:
    _, client = service
    await break_it(client, "replaced")
    view = await reaches(client, "one", "RECONNECTING")
    assert view["reason"] == "replaced"
    assert view["nextTryAt"] is not None


async def test_a_wedged_worker_is_replaced_and_its_sessions_come_back(service: tuple[Program, Client]) -> None:
    program, client = service
    before, count = set(program.worker_pids()), len(await told(client, "one"))
    began = time.monotonic()
    await break_it(client, "wedgeWorker")

    async def replaced() -> bool:
        return not before & set(program.worker_pids())

    await eventually(replaced, within_s=60, every_s=0.2, what="the end of the wedged worker")
    gone_s = time.monotonic() - began

    async def back() -> bool:
        new = (await told(client, "one"))[count:]
        # It was not READY in between, and is again.
        return any(change["to"] != "READY" for change in new) and new[-1]["to"] == "READY"

    await eventually(back, within_s=60, every_s=0.2, what="the session being READY again")
    new = [(change["to"], change["reason"]) for change in (await told(client, "one"))[count:]]
    print(f"wedgeWorker: worker gone in {gone_s:.1f} s, READY in {time.monotonic() - began:.1f} s: {new}")
    await reaches(client, "other", "READY")
