"""The real engine over a device store in PostgreSQL: what it does with files, and what only several machines need."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bot_service.domain.message import OutgoingMessage
from bot_service.engines.wire.device_store import PASSFILE
from tests.fake_whatsapp.remote import Remote
from tests.support import pgbouncer, postgresql
from tests.support.pgbouncer import PgBouncer
from tests.support.postgresql import PostgreSQL
from tests.wire.device_store import Replica, Store
from tests.wire.kills import measure
from tests.wire.test_kills import KINDS
from tests.wire.worker_driver import CommandError, WorkerDriver, eventually

pytestmark = [pytest.mark.wire, *postgresql.needed()]
BOT, ANN, BEN = "15550001", "15550002", "15550003"
GROUP = "120363@g.us"
Start = Callable[[str], Awaitable[Replica]]


@pytest.fixture
def own_server() -> Iterator[PostgreSQL]:
    """A server that a test may stop."""
    started = PostgreSQL()
    yield started
    started.close()


@pytest.fixture
async def store(own_server: PostgreSQL, tmp_path: Path) -> Store:
    await postgresql.migrated(own_server, "devices")
    return Store(own_server, "devices", tmp_path / "run")


@pytest.fixture
async def start(server: Remote, store: Store, tmp_path: Path) -> AsyncIterator[Start]:
    """Starts the worker of a replica, which has a data folder of that name."""
    started: list[Replica] = []

    async def run(name: str) -> Replica:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        replica = Replica(folder, server, store, name)
        started.append(replica)
        await replica.start()
        return replica

    yield run
    for replica in started:
        if replica.process is not None:
            await replica.end(signal.SIGKILL)


async def talk(worker: Replica, server: Remote, name: str) -> None:
    """A message to a person and one to a group, each read by phones, and an answer to each."""
    for to, text, readers in ((ANN, f"hello {name}", [ANN]), (GROUP, f"all {name}", [ANN, BEN])):
        await worker.send("s", OutgoingMessage(id=text.replace(" ", "-"), to=to, type="text", text=text))
        for reader in readers:
            await server.message_to(reader, text=text)
    await server("send", sender=ANN, chat=BOT, body=f"re {name}")
    await server("send", sender=BEN, chat=GROUP, body=f"re all {name}")
    await worker.message(text=f"re {name}")
    await worker.message(text=f"re all {name}")


async def all_readable(server: Remote) -> None:
    for number in (ANN, BEN):
        assert (await server("phone", number=number))["unreadable"] == []


async def test_a_session_pairs_sends_receives_and_comes_back_anywhere(
    start: Start, server: Remote, store: Store
) -> None:
    first = await start("first")
    jid = await first.pair("s", BOT)
    await server("group", id="120363", subject="Friends", members=[ANN, BOT, BEN])
    await talk(first, server, "here")
    await first.command("stop", "s")
    await first.begin("s", jid)
    await first.heard("s", "connected", 2)
    await talk(first, server, "again")
    await first.end(signal.SIGKILL)

    second = await start("second")
    await second.begin("s", jid)
    await second.heard("s", "connected")
    assert "qr" not in second.kinds("s")
    await talk(second, server, "elsewhere")
    await all_readable(server)
    # Nothing of the device is a file.
    assert list(second.data_dir.rglob("*.db")) == list(first.data_dir.rglob("*.db")) == []
    assert store.sql("SELECT session, opening, epoch, jid FROM veilleur_devices") == f"s|3|2|{jid}"


@pytest.mark.deep
async def test_a_worker_that_stood_still_writes_nothing_and_throws_nobody_off(
    start: Start, server: Remote, store: Store
) -> None:
    old = await start("old")
    jid = await old.pair("s", BOT)
    await old.command("stop", "s")
    await old.begin("s", jid)
    await old.heard("s", "connected", 2)
    await server("send", sender=ANN, chat=BOT, body="before")
    await old.message(text="before")
    assert old.process is not None
    os.kill(old.process.pid, signal.SIGSTOP)
    stopped_at = time.monotonic()
    # What it finds when it wakes: messages to send, and messages that arrived.
    late = [
        asyncio.create_task(
            old.send("s", OutgoingMessage(id=f"late-{number}", to=ANN, type="text", text=f"late {number}"))
        )
        for number in range(3)
    ]
    await server("send", sender=ANN, chat=BOT, body="while it stood still")
    new = await start("new")
    store.bury("old")
    await new.begin("s", jid)
    await new.heard("s", "connected")
    await new.message(text="while it stood still")
    await asyncio.sleep(max(0.0, stopped_at + 20.0 - time.monotonic()))
    store.sql(AUDIT)
    os.kill(old.process.pid, signal.SIGCONT)
    async with asyncio.timeout(30):
        assert await old.process.wait() == 75
    results = await asyncio.gather(*late, return_exceptions=True)
    assert all(isinstance(result, CommandError) for result in results), results
    await talk_to_ann(new, server, "after")
    opening = store.sql("SELECT 'veilleur device ' || number || ' ' || opening FROM veilleur_devices")
    assert set(store.sql("SELECT DISTINCT name FROM audit").splitlines()) == {opening}
    assert "replaced" not in new.kinds("s")
    assert not [one for one in await server("inbox", number=ANN) if one.get("text", "").startswith("late")]
    await all_readable(server)


AUDIT = """
CREATE TABLE audit (name text);
CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO audit VALUES (current_setting('application_name')); RETURN NULL; END $$;
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON whatsmeow_sessions FOR EACH ROW EXECUTE FUNCTION audit()
"""


async def talk_to_ann(worker: Replica, server: Remote, name: str) -> None:
    await worker.send("s", OutgoingMessage(id=f"hello-{name}", to=ANN, type="text", text=f"hello {name}"))
    await server.message_to(ANN, text=f"hello {name}")
    await server("send", sender=ANN, chat=BOT, body=f"re {name}")
    await worker.message(text=f"re {name}")


@dataclass
class Keeper:
    """Starts the sessions of a worker again as the service does, and sends a message of each now and then."""

    worker: Replica
    jids: dict[str, str]
    restarts: int = 0
    errors: list[str] = field(default_factory=list)

    async def supervise(self) -> None:
        handled = len(self.worker.signals)
        while True:
            for each in self.worker.signals[handled:]:
                handled += 1
                if each.kind in ("pump_died", "connect_error"):
                    await self._restart(each.session)
            await asyncio.sleep(0.05)

    async def _restart(self, session: str) -> None:
        self.restarts += 1
        while True:
            try:
                await self.worker.begin(session, self.jids[session])
            except CommandError as error:
                self.errors.append(f"start: {error}")
                await asyncio.sleep(0.3)
            else:
                return

    async def talk(self) -> None:
        for number in itertools.count():
            for session in self.jids:
                message = OutgoingMessage(id=f"{session}-{number}", to=ANN, type="text", text=f"{session} {number}")
                try:
                    await self.worker.send(session, message)
                except CommandError as error:
                    self.errors.append(f"send: {error.code}")
            await asyncio.sleep(0.1)


Outage = Callable[[PostgreSQL], Awaitable[None]]


def stopped(seconds: float) -> Outage:
    async def outage(postgres: PostgreSQL) -> None:
        await asyncio.to_thread(postgres.stop)
        await asyncio.sleep(seconds)
        await asyncio.to_thread(postgres.start)

    return outage


def frozen(seconds: float) -> Outage:
    async def outage(postgres: PostgreSQL) -> None:
        postgres.signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            postgres.signal(signal.SIGCONT)

    return outage


async def disconnected(postgres: PostgreSQL) -> None:
    for _ in range(3):
        await asyncio.to_thread(
            postgres.sql,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name LIKE 'veilleur %' AND pid <> pg_backend_pid()",
        )
        await asyncio.sleep(1.5)


@pytest.mark.deep
@pytest.mark.parametrize(
    "outage",
    [
        pytest.param(stopped(5.0), id="restart-5s"),
        pytest.param(stopped(15.0), id="restart-15s"),
        pytest.param(frozen(20.0), id="freeze-20s"),
        pytest.param(disconnected, id="connections-ended"),
    ],
)
async def test_no_message_is_lost_while_postgresql_is_away(
    start: Start, server: Remote, own_server: PostgreSQL, outage: Outage
) -> None:
    worker = await start("first")
    numbers = {"s": BOT, "t": "15550009"}
    jids = {session: await worker.pair(session, number) for session, number in numbers.items()}
    keeper = Keeper(worker, jids)
    await server("send", sender=ANN, chat=BOT, body="hello")
    await worker.message(text="hello")
    tasks = [asyncio.create_task(keeper.supervise()), asyncio.create_task(keeper.talk())]
    try:
        ids = await server("flood", sender=ANN, chats=list(numbers.values()), count=300, per_second=20)
        await asyncio.sleep(2.0)
        await outage(own_server)

        async def all_there() -> bool:
            assert not any(task.done() for task in tasks)
            found = {message.id for message in worker.messages()}
            return set(ids) <= found and not (await server("stats"))["owed"]

        await server.wait(all_there, within_s=60.0)
        for session in jids:  # in the same second, the library may still be about to dial
            await worker.send(
                session, OutgoingMessage(id=f"{session}-last", to=ANN, type="text", text=f"{session} last")
            )
            await server.message_to(ANN, text=f"{session} last")
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    await all_readable(server)
    assert not [error for error in keeper.errors if "rejected" in error or "internal" in error], keeper.errors
    print(f"{len(ids)} messages, {keeper.restarts} restarts, {len(keeper.errors)} errors")


@pytest.mark.deep
@pytest.mark.timeout(300)
@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
async def test_no_message_is_lost_by_kills(
    server: Remote, store: Store, tmp_path: Path, options: dict[str, Any]
) -> None:
    data_dir = tmp_path / "data"
    data_dir.mkdir()

    def make(folder: Path, remote: Remote) -> WorkerDriver:
        return Replica(folder, remote, store, "only")

    loss = await measure(server, data_dir, kills=3, chance=random.Random(7), make=make, **options)
    assert (loss.lost, loss.acknowledged, loss.acknowledged_early) == ([], [], 0), str(loss)
    assert loss.unreadable == 0
    print(loss)


@pytest.mark.parametrize("pool", [1, 4])
@pgbouncer.needed()
@pytest.mark.deep
async def test_pgbouncer_in_transaction_mode(
    server: Remote, store: Store, own_server: PostgreSQL, tmp_path: Path, pool: int
) -> None:
    """The library leaves two connections behind at each start; the server has a few of the pooler's."""
    pooler = PgBouncer(own_server, store.name, pool=pool)
    worker = Replica(
        tmp_path / "first", server, Store(own_server, store.name, tmp_path / "run", pooler=pooler.url), "first"
    )
    worker.data_dir.mkdir()
    try:
        await worker.start()
        numbers = {"s": BOT, "t": "15550009", "u": "15550010"}
        jids = {session: await worker.pair(session, number) for session, number in numbers.items()}
        await server("send", sender=ANN, chat=BOT, body="hello")
        await worker.message(text="hello")
        for turn in range(3):
            ids = await server("flood", sender=ANN, chats=list(numbers.values()), count=20)
            sends = [
                worker.send(session, OutgoingMessage(id=f"{session}-{turn}-{number}", to=ANN, type="text", text="hi"))
                for session in jids
                for number in range(5)
            ]
            await asyncio.gather(*sends)
            await eventually(lambda sent=ids: set(sent) <= {message.id for message in worker.messages()})  # type: ignore[misc]
            for session, jid in jids.items():
                await worker.command("stop", session)
                await worker.begin(session, jid)
                await worker.heard(session, "connected", turn + 2)
        assert (await server("phone", number=ANN))["unreadable"] == []
        assert len(await server("inbox", number=ANN)) == 45
        through = store.sql("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'veilleur device %'")
        assert int(through) <= pool
        assert worker.process is not None
        # The password is in a file that only this user reads.
        secret = pgbouncer.PASSWORD
        for name in ("cmdline", "environ"):
            assert secret not in Path(f"/proc/{worker.process.pid}/{name}").read_text(errors="replace")
        assert secret not in (worker.data_dir / "workers.log").read_text(errors="replace")
        assert (tmp_path / "run" / PASSFILE).stat().st_mode & 0o777 == 0o600
    finally:
        await worker.end(signal.SIGKILL)
        pooler.close()
