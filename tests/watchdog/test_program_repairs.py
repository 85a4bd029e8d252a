"""The real watchdog as a process: a dead bot causes a signed webhook, a repair by Docker's socket, and an UP notice."""

from __future__ import annotations

import asyncio
import base64
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from tests.support import postgresql, processes
from tests.support.fake_bot import FakeBot
from tests.support.fake_docker import FakeDocker
from tests.support.postgresql import PostgreSQL
from tests.support.processes import WATCHDOG_TOKEN, Client, Program, watchdog
from tests.support.receiver import Received, Receiver
from tests.support.waiting import eventually

pytestmark = pytest.mark.system

SECRET = "whsec_" + base64.b64encode(b"a secret of thirty-two bytes ...").decode()


@pytest.fixture
async def docker(tmp_path: Path) -> AsyncIterator[FakeDocker]:
    async with FakeDocker(tmp_path / "docker.sock") as fake:
        fake.add("veilleur-bot-1", service="bot")
        yield fake


def _alerts(receiver: Receiver) -> list[Received]:
    return [got for got in receiver.requests if got.path == "/alerts"]


async def test_a_dead_bot_is_told_restarted_and_told_again(
    tmp_path: Path, docker: FakeDocker, receiver: Receiver
) -> None:
    async with FakeBot() as bot:
        program = watchdog(
            tmp_path,
            bot.url,
            ALERT_URLS=f"{receiver.url}/alerts",
            ALERT_WEBHOOK_SECRET=SECRET,
            DEADMAN_URL=f"{receiver.url}/deadman",
            REMEDIATION="bot,docker",
            DOCKER_SOCKET=str(docker.socket),
            KEEP_ALIVE_RETRY_INTERVAL="100",
            KEEP_ALIVE_DOWN_INTERVAL="200",
            HEARTBEAT_INTERVAL="200",
        )
        program.start()
        try:
            await program.ready()
            await eventually(
                lambda: any(got.path == "/deadman" for got in receiver.requests), what="the dead man's call"
            )
            await bot.stop()
            await eventually(lambda: docker.restarts, what="the restart of the container")
            assert docker.restarts == [("veilleur-bot-1", "10")]
            assert [got.json["data"]["kind"] for got in _alerts(receiver)] == ["down"]
            await bot.start()
            await eventually(lambda: len(_alerts(receiver)) == 2, what="the message that it is UP")
            for got in _alerts(receiver):
                Webhook(SECRET).verify(got.raw, {name.lower(): value for name, value in got.headers.items()})
            async with Client(program.url, WATCHDOG_TOKEN) as api:
                status = await api.get("/api/status")
                assert status["targets"][0]["repairBudget"] == 2
                assert [one["result"] for one in status["repairs"]] == ["done"]
                lines = [line["kind"] for line in status["incidents"][0]["timeline"]]
                assert lines.index("decided") < lines.index("repair_ended") < lines.index("over")
            assert "ALERT: 3 consecutive keep-alive failures!" in program.output()
            assert SECRET not in program.output()
        finally:
            program.close()


async def test_a_bot_that_says_goodbye_before_it_stops_is_neither_told_nor_repaired(
    tmp_path: Path, docker: FakeDocker, receiver: Receiver
) -> None:
    async with FakeBot() as bot:
        program = watchdog(
            tmp_path,
            bot.url,
            ALERT_URLS=f"{receiver.url}/alerts",
            REMEDIATION="docker",
            DOCKER_SOCKET=str(docker.socket),
            KEEP_ALIVE_RETRY_INTERVAL="100",
            HEARTBEAT_INTERVAL="200",
        )
        program.start()
        try:
            await program.ready()
            await eventually(lambda: bot.pings > 0 and bot.tokens, what="the first ping and the heartbeat link")
            await bot.announce_stop(60_000)
            await eventually(lambda: "announces a planned stop" in program.output(), what="the announcement")
            pings = program.output().count("failed")
            await bot.stop()
            # More failures than the threshold: without the announcement this would cause an alert.
            await eventually(
                lambda: program.output().count("Keep-alive ping") >= pings + 5, within_s=60, what="some failed pings"
            )
            assert docker.restarts == []
            assert _alerts(receiver) == []
        finally:
            program.close()


async def test_of_several_bots_the_one_that_is_dead_is_restarted_and_no_other(tmp_path: Path) -> None:
    async with FakeBot() as first, FakeBot() as second, FakeDocker(tmp_path / "docker.sock") as docker:
        docker.add("bot-a", service="bot-a")
        docker.add("bot-b", service="bot-b")
        program = watchdog(
            tmp_path,
            "",
            BOT_URLS=f"{first.url},{second.url}",
            REMEDIATION="docker",
            DOCKER_SOCKET=str(docker.socket),
            DOCKER_CONTAINER="bot-a,bot-b",
            KEEP_ALIVE_RETRY_INTERVAL="100",
            KEEP_ALIVE_DOWN_INTERVAL="200",
            HEARTBEAT_INTERVAL="200",
        )
        del program.env["BOT_URL"]
        program.start()
        try:
            await program.ready()
            async with Client(program.url, WATCHDOG_TOKEN) as client:

                async def both_up() -> bool:
                    return [one["state"] for one in (await client.get("/api/status"))["targets"]] == ["UP", "UP"]

                await eventually(both_up, what="both UP")
            await second.stop()
            await eventually(lambda: docker.restarts, what="the restart of the container")
            assert docker.restarts == [("bot-b", "10")]
        finally:
            program.close()


@pytest.mark.deep
@pytest.mark.timeout(300)
class TestWithPostgreSQL:
    pytestmark = postgresql.needed()

    @pytest.mark.parametrize(("how", "away_s"), [("stopped", 60), ("frozen", 25)])
    async def test_while_the_database_of_the_lease_is_away_an_outage_is_alerted_and_nothing_is_repaired(
        self, tmp_path: Path, docker: FakeDocker, receiver: Receiver, database: PostgreSQL, how: str, away_s: float
    ) -> None:
        await outage_without_the_database(tmp_path, docker, receiver, database, how, away_s)


async def outage_without_the_database(
    tmp_path: Path, docker: FakeDocker, receiver: Receiver, database: PostgreSQL, how: str, away_s: float
) -> None:
    bot = processes.bot(tmp_path)
    dogs = [
        watchdog(
            tmp_path,
            bot.url,
            name=name,
            WATCHDOG_NAME=name,
            ALERT_URLS=f"{receiver.url}/{name}",
            REMEDIATION="docker",
            DOCKER_SOCKET=str(docker.socket),
            REMEDIATION_LOCK=database.url(),
            **processes.QUICK,
        )
        for name in ("paris", "frankfurt")
    ]
    try:
        bot.start()
        await bot.ready()
        for dog in dogs:
            dog.start()
            await dog.ready()
        await eventually(lambda: _sees_up(dogs), what="UP at both")
        database.stop() if how == "stopped" else database.signal(signal.SIGSTOP)
        bot.kill()
        for dog in dogs:
            name = dog.env["WATCHDOG_NAME"]
            await eventually(lambda name=name: "down" in _kinds(receiver, name), what=f"the alert of {name}")  # type: ignore[misc]
        await asyncio.sleep(away_s)
        assert docker.restarts == []
        for dog in dogs:
            async with Client(dog.url, WATCHDOG_TOKEN) as api:
                target = (await api.get("/api/status"))["targets"][0]
            assert (target["state"], target["repairRefusal"]) == ("DOWN", "lease_unknown")
        database.start() if how == "stopped" else database.signal(signal.SIGCONT)
        await eventually(lambda: docker.restarts, within_s=90, what="the repair, once one of them holds the lease")
        bot.start()
        for dog in dogs:
            name = dog.env["WATCHDOG_NAME"]
            await eventually(lambda name=name: "up" in _kinds(receiver, name), what=f"the recovery at {name}")  # type: ignore[misc]
            kinds = _kinds(receiver, name)
            assert (kinds.count("down"), kinds.count("up")) == (1, 1)
    finally:
        for dog in dogs:
            dog.close()
        bot.close()


async def _sees_up(dogs: list[Program]) -> bool:
    for dog in dogs:
        async with Client(dog.url, WATCHDOG_TOKEN) as api:
            if (await api.get("/api/status"))["state"] != "UP":
                return False
    return True


def _kinds(receiver: Receiver, name: str) -> list[str]:
    return [got.json["data"]["kind"] for got in receiver.requests if got.path == f"/{name}"]
