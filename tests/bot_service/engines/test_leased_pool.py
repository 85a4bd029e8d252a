"""The pool of a replica, over real workers: they end with its lease, nothing is adopted, and one is kept ready."""

from __future__ import annotations

import time

import pytest

from bot_service.engines.port import EngineError
from bot_service.engines.wire import worker_records
from tests.bot_service.engines.conftest import Bench
from tests.support.waiting import eventually


async def test_a_worker_ends_with_the_lease_and_none_starts_until_there_is_another_one(bench: Bench) -> None:
    pool = await bench.open(adopts=False)
    jid = await bench.pair("s1")
    worker = next(iter(pool.fleet.workers.values()))
    pool.own_until(time.monotonic() + 60)
    pool.own_until(until_s := time.monotonic() + 1.0)
    await eventually(lambda: worker.is_lost, what="the end of the worker")
    assert time.monotonic() >= until_s
    assert worker.process is not None
    assert worker.process.exit_code == 75
    # Its session is not started again by the pool.
    with pytest.raises(EngineError) as refused:
        await pool.start_session("s1", jid=jid, proxy=None)
    assert refused.value.code == "no_lease"
    pool.own_until(time.monotonic() + 60)
    bench.reported.clear()
    await pool.start_session("s1", jid=jid, proxy=None)
    await bench.until_reported("s1", "connected")


async def test_all_workers_end_at_once_when_the_lease_was_lost(bench: Bench) -> None:
    pool = await bench.open(adopts=False)
    await bench.pair("s1")
    pool.own_until(time.monotonic() + 60)
    workers = list(pool.fleet.workers.values())
    await pool.abandon()
    assert all(worker.is_lost for worker in workers)
    assert pool.fleet.workers == {}
    with pytest.raises(EngineError, match="not started"):
        await pool.pairing_code("s1", "4915112345678")
    # The next lease begins with a worker, before a session needs one.
    pool.own_until(time.monotonic() + 60)
    (spare,) = pool.fleet.workers.values()
    assert await spare.greeted_within(60)
    assert spare.sessions == set()


async def test_a_spare_worker_waits_for_sessions_of_other_replicas(bench: Bench) -> None:
    pool = await bench.open(adopts=False, spare_every_s=0.5)
    pool.fleet.check()
    assert pool.fleet.workers == {}, "not without a lease"
    pool.own_until(time.monotonic() + 60)
    pool.fleet.check()
    pool.fleet.check()
    (spare,) = pool.fleet.workers.values()
    assert await spare.greeted_within(60)
    await bench.pair("s1")
    assert spare.sessions == {"s1"}
    await eventually(lambda: len(pool.fleet.workers) == 2, what="the next spare worker")


async def test_what_an_earlier_process_left_is_ended(bench: Bench) -> None:
    await bench.open()
    await bench.pair("s1")
    assert len(bench.workers()) == 1
    pool = await bench.reopen(adopts=False)
    assert (pool.fleet.workers, bench.workers()) == ({}, {})
    assert worker_records.read_all(bench.policy.run_dir) == []
