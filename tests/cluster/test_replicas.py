"""Three real bot services on one PostgreSQL: each session runs on exactly one, whatever becomes of the others."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.cluster.link import Link
from tests.cluster.replicas import Cluster, cluster, postgresql_server
from tests.support.postgresql import PostgreSQL
from tests.support.processes import Client
from tests.support.waiting import eventually

pytestmark = [pytest.mark.postgresql, pytest.mark.system, pytest.mark.long]

SESSIONS = [f"phone-{number:02}" for number in range(12)]
# A lease of 5 s, and what a busy machine adds to a take-over.
WITHIN_S = 10.0


@pytest.fixture
def server() -> Iterator[PostgreSQL]:
    with postgresql_server() as started:
        yield started


@pytest.fixture
async def three(tmp_path: Path, server: PostgreSQL) -> AsyncIterator[Cluster]:
    """Three replicas with twelve READY sessions in fair shares."""
    async with cluster(tmp_path, server) as made:
        await made.pair(*SESSIONS)
        await made.even(0, 1, 2)
        yield made


async def test_after_kill_9_all_sessions_of_a_replica_are_ready_elsewhere(three: Cluster) -> None:
    before, owners = three.epochs(), three.replica_of()
    async with three.one_client_each():
        three.programs[0].kill()
        killed_at = time.monotonic()
        await eventually(lambda: 0 not in three.shares() and None not in three.shares(), what="other owners")
        await three.ready(1, 12)
        took_s = time.monotonic() - killed_at
        await three.even(1, 2)
    assert took_s < WITHIN_S
    after = three.epochs()
    for session in SESSIONS:
        assert after[session] == before[session] + (owners[session] == 0), session


@pytest.mark.deep
async def test_at_sigterm_a_replica_gives_its_sessions_back_at_once(three: Cluster) -> None:
    owners = three.replica_of()
    async with three.one_client_each():
        three.programs[1].signal(signal.SIGTERM)
        stopped_at = time.monotonic()
        await eventually(lambda: 1 not in three.shares() and None not in three.shares(), what="other owners")
        gave_s = time.monotonic() - stopped_at
        assert await three.programs[1].exit_code() == 0
        await three.ready(2, 12)
    # Far less than a lease: no session waited for its end. A quiet machine takes half a second.
    moved = {session: away_s for session, away_s in three.offline_s().items() if owners[session] == 1}
    assert len(moved) == sum(owner == 1 for owner in owners.values())
    assert max(moved.values()) < 3.0
    assert gave_s < 3.0
    assert three.rows("SELECT count(*) FROM replicas") == [["2"]]


@pytest.mark.deep
async def test_a_replica_that_was_stopped_for_20_s_owns_nothing_when_it_wakes(three: Cluster) -> None:
    before, owners = three.epochs(), three.replica_of()
    woken = three.programs[2]
    async with three.one_client_each():
        # Its API process and its workers, as a machine that stands still.
        stopped = [woken.pid, *woken.worker_pids()]
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        stopped_at = time.monotonic()
        await three.ready(0, 12)
        await eventually(lambda: 2 not in three.shares(), within_s=WITHIN_S, what="other owners")
        await asyncio.sleep(max(0.0, stopped_at + 20 - time.monotonic()))
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
        # Those of its sessions that run here again came by fair shares, under higher epochs.
        await eventually(lambda: "replica.lease_over" in woken.output(), what="the end of its lease being noticed")
        await eventually(lambda: all(map(_ended, stopped[1:])), what="the end of its workers")
        await three.even(0, 1, 2)
        await three.ready(0, 12)
    for session, epoch in three.epochs().items():
        moved = epoch - before[session]
        assert moved >= (owners[session] == 2), session
    assert "Background loop" not in woken.output()


@pytest.mark.deep
async def test_workers_end_before_the_lease_of_a_replica_whose_api_process_is_stopped(three: Cluster) -> None:
    woken = three.programs[0]
    workers = woken.worker_pids()
    async with three.one_client_each():
        woken.signal(signal.SIGSTOP)
        stopped_at = time.monotonic()
        await eventually(lambda: all(map(_ended, workers)), every_s=0.01, what="the end of its workers")
        assert time.monotonic() - stopped_at < 5.0
        await three.ready(1, 12)
        woken.signal(signal.SIGCONT)
        await three.even(0, 1, 2)
        await three.ready(0, 12)


def _ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


@pytest.mark.deep
async def test_after_5_s_without_postgresql_every_session_comes_back(three: Cluster) -> None:
    before = three.epochs()
    async with three.one_client_each():
        await asyncio.to_thread(three.server.stop)
        await asyncio.sleep(5.0)
        # Each replica let go of all its sessions before its lease ended.
        await eventually(lambda: not any(three.logged_in().values()), within_s=1.0, what="no client being left")
        await asyncio.to_thread(three.server.start)
        back_at = time.monotonic()
        await three.ready(0, 12)
        took_s = time.monotonic() - back_at
        await three.even(0, 1, 2)
        await three.ready(0, 12)
    assert took_s < WITHIN_S
    # No lease outlived the outage: each session was taken again.
    assert all(epoch > before[session] for session, epoch in three.epochs().items())


@pytest.mark.deep
async def test_while_postgresql_stands_still_nothing_runs_and_then_all_come_back(three: Cluster) -> None:
    before = three.epochs()
    async with three.one_client_each():
        three.server.signal(signal.SIGSTOP)
        try:
            await eventually(lambda: not any(three.logged_in().values()), within_s=6.0, what="no client being left")
            await asyncio.sleep(15.0)
        finally:
            three.server.signal(signal.SIGCONT)
        back_at = time.monotonic()
        await three.ready(0, 12)
        took_s = time.monotonic() - back_at
        await three.even(0, 1, 2)
        await three.ready(0, 12)
    assert took_s < WITHIN_S
    assert all(epoch > before[session] for session, epoch in three.epochs().items())


@pytest.mark.deep
async def test_a_replica_that_is_cut_off_from_postgresql_lets_go_before_others_begin(
    tmp_path: Path, server: PostgreSQL
) -> None:
    async with Link(server.port) as link, cluster(tmp_path, server, 2) as made:
        through = server.url("cluster").replace(f":{server.port}/", f":{link.port}/")
        await made.add(DATABASE_URL=through)
        await made.pair(*SESSIONS)
        await made.even(0, 1, 2)
        before, owners = made.epochs(), made.replica_of()
        async with made.one_client_each():
            link.cut()
            moving = next(session for session, owner in owners.items() if owner == 2)
            passed_on = asyncio.create_task(made.clients[0].call("POST", f"/api/sessions/{moving}/restart"))
            await made.even(0, 1)
            await made.ready(0, 12, within_s=WITHIN_S)
            # Who asked for a session of it is not kept waiting until it answers again.
            assert (await asyncio.wait_for(passed_on, WITHIN_S))[0] == 503
            # It answers all the same, from memory, and takes nothing on.
            status, health = await made.clients[2].call("GET", "/health")
            assert (status, health.get("reasons", [])) in ((200, []), (503, ["store"]))
            assert (await made.clients[2].call("POST", "/api/sessions", {"id": "one-more"}))[0] == 503
            # What it sent meanwhile arrives now, and fits no lease.
            link.heal()
            await made.even(0, 1, 2)
            await made.ready(0, 12)
        for session, epoch in made.epochs().items():
            assert epoch >= before[session] + (owners[session] == 2), session


@pytest.mark.deep
async def test_a_request_reaches_the_owner_from_every_replica(three: Cluster) -> None:
    session = SESSIONS[0]
    for client in three.clients:
        assert (await client.get(f"/api/sessions/{session}"))["state"] == "READY"
        assert (await client.get(f"/api/sessions/{session}/health"))["state"] == "READY"
        sent = await client.post(f"/api/sessions/{session}/messages", {"to": "4915112345678", "text": "Hello"})
        await eventually(partial(_is_sent, client, session, sent["id"]), what="the message being sent")
    owner = three.replica_of()[session]
    assert owner is not None
    others = [client for number, client in enumerate(three.clients) if number != owner]
    stopped = await others[0].post(f"/api/sessions/{session}/stop")
    assert stopped["state"] == "STOPPED"
    await eventually(partial(_is_stopped, others[1], session), within_s=2.0, what="the other one seeing it")
    assert (await others[1].post(f"/api/sessions/{session}/start"))["state"] == "STARTING"
    await three.ready(0, 12)


async def _is_sent(client: Client, session: str, message: str) -> bool:
    found = await client.get(f"/api/sessions/{session}/messages/{message}")
    return bool(found["state"] in ("sent", "delivered", "read"))


async def _is_stopped(client: Client, session: str) -> bool:
    return bool((await client.get(f"/api/sessions/{session}"))["state"] == "STOPPED")
