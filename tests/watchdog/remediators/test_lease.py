"""The lease to repair, in a real PostgreSQL: one holder, and no repair while the database is away."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from shared.clock import SystemClock
from shared.settings import Secret, SettingsError, load
from tests.support import postgresql
from tests.support.fake_bot import FakeBot
from tests.support.fake_docker import FakeDocker
from tests.support.postgresql import PostgreSQL
from tests.support.receiver import Receiver
from tests.support.waiting import eventually
from tests.support.watchdog_app import running_watchdog
from watchdog.domain.remediation import Refusal
from watchdog.flow import remediator
from watchdog.parts import PARTS
from watchdog.remediators import lease as lease_module
from watchdog.remediators.lease import RepairLease
from watchdog.settings import WatchdogSettings


def _lease(database: PostgreSQL, holder: str) -> RepairLease:
    return RepairLease(Secret(database.url()), holder, SystemClock())


@pytest.mark.filterwarnings("ignore::ResourceWarning")
class TestWithPostgreSQL:
    pytestmark = postgresql.needed()

    async def test_one_of_two_holds_it_until_it_ends(self, database: PostgreSQL) -> None:
        paris, frankfurt = _lease(database, "paris"), _lease(database, "frankfurt")
        assert await paris.take()
        assert not await frankfurt.take()
        assert await paris.take(), "it renews its own"
        database.sql("UPDATE veilleur_lease SET until = clock_timestamp() - interval '1 second'")
        assert await frankfurt.take()
        assert not await paris.take()
        assert paris.away_s == frankfurt.away_s == 0
        for one in (paris, frankfurt):
            await one._drop()

    @pytest.mark.parametrize("how", ["killed", "frozen"])
    async def test_a_database_that_is_away_gives_no_lease_and_comes_back(
        self, database: PostgreSQL, how: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(lease_module, "ANSWER_S", 0.5)
        paris = _lease(database, "paris")
        assert await paris.take()
        if how == "killed":
            database.stop()
        else:
            database.signal(signal.SIGSTOP)
        assert not await paris.take()
        assert paris.away_s > 0
        if how == "killed":
            database.start()
        else:
            database.signal(signal.SIGCONT)
        await eventually(paris.take)
        assert paris.away_s == 0
        await paris._drop()

    async def test_an_outage_without_the_database_is_alerted_and_not_repaired(
        self, database: PostgreSQL, tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(remediator, "_LOCKED_AFTER_S", 1.0)
        monkeypatch.setattr(lease_module, "RENEW_S", 0.5)
        async with FakeDocker(tmp_path / "docker.sock") as docker, FakeBot() as bot:
            docker.add("veilleur-bot-1", service="bot")
            async with running_watchdog(
                tmp_path,
                bot.url,
                ALERT_URLS=receiver.url,
                REMEDIATION="docker",
                DOCKER_SOCKET=str(docker.socket),
                REMEDIATION_LOCK=database.url(),
            ) as watchdog:
                parts = watchdog.app[PARTS]
                assert parts.lease is not None
                await eventually(lambda: parts.lease is not None and parts.lease.held)
                database.stop()
                await receiver.wait_for(lambda body: body["data"]["kind"] == "repairs_locked")
                await bot.stop()
                await receiver.wait_for(lambda body: body["data"]["kind"] == "down")
                await eventually(lambda: (parts.repairs.refusal("bot") or [None])[0] is Refusal.LEASE_UNKNOWN)
                assert docker.restarts == []
                database.start()
                await receiver.wait_for(lambda body: body["data"]["kind"] == "repairs_unlocked")
                await eventually(lambda: docker.restarts)


@pytest.mark.parametrize("raw", ["mysql://u:hidden-word@h/d", "postgresql://", "postgresql://u:hidden-word@h:port/d"])
def test_a_wrong_address_is_refused_without_being_printed(raw: str) -> None:
    with pytest.raises(SettingsError, match="REMEDIATION_LOCK") as refused:
        load(WatchdogSettings, {"REMEDIATION_LOCK": raw})
    assert "hidden-word" not in str(refused.value)
