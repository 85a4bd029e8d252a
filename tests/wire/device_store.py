"""A device store in PostgreSQL for workers of a test, and the leases under which they use it."""

from __future__ import annotations

from pathlib import Path

from bot_service.domain.calls import Call
from bot_service.domain.group_changes import GroupChange
from bot_service.domain.message import InboundMessage, JournalRecord, Receipt
from bot_service.engines.wire import device_store
from bot_service.engines.wire.device_store import DeviceStoreAddress
from bot_service.engines.wire.journal_format import read_unchecked
from tests.support.postgresql import PostgreSQL
from tests.wire.worker_driver import WorkerDriver

LONG_MS = 86_400_000


class Store:
    """The database ``name`` of ``server``, which has the tables of a service."""

    def __init__(self, server: PostgreSQL, name: str, folder: Path, *, pooler: str | None = None) -> None:
        self.server, self.name = server, name
        self._folder, self._pooler = folder, pooler

    def address(self) -> DeviceStoreAddress:
        return device_store.prepare(self.server.url(self.name), self._pooler, self._folder)

    def sql(self, statement: str) -> str:
        return self.server.sql(statement, self.name)

    def give(self, session: str, replica: str) -> int:
        """``replica`` owns ``session`` from now on. Returns the epoch."""
        self.sql(
            "INSERT INTO replicas (id, url, version, connections, started_ms, expires_ms, draining) VALUES"
            f" ('{replica}', '', '', '', 0, (extract(epoch FROM now()) * 1000)::bigint + {LONG_MS}, false)"
            " ON CONFLICT DO NOTHING"
        )
        return int(
            self.sql(
                f"INSERT INTO leases (id, holder, epoch) VALUES ('{session}', '{replica}', 1)"
                " ON CONFLICT (id) DO UPDATE SET holder = excluded.holder, epoch = leases.epoch + 1 RETURNING epoch"
            )
        )

    def journaled(self) -> list[JournalRecord]:
        """The rows of all workers, oldest first: no service stores and deletes them here."""
        rows = self.sql("SELECT encode(body, 'hex') FROM journal_rows ORDER BY seq").split()
        found = [read_unchecked(bytes.fromhex(row)) for row in rows]
        return [record for record in found if record is not None]

    def bury(self, replica: str) -> None:
        """The lease of a replica is over."""
        self.sql(f"DELETE FROM replicas WHERE id = '{replica}'")


class Replica(WorkerDriver):
    """A worker of a replica, with files of its own and the device store of all."""

    def __init__(self, data_dir: Path, server: object, store: Store, name: str) -> None:
        super().__init__(data_dir, server, settings={"device_store": store.address()})  # type: ignore[arg-type]
        self.store, self.name = store, name
        self._epochs: dict[str, int] = {}
        self._records: list[InboundMessage | Receipt | Call | GroupChange] = []

    async def begin(self, session: str, jid: str | None = None) -> None:
        """Start a session under a lease of this replica; a jid is known to the store."""
        if session not in self._epochs:
            self._epochs[session] = self.store.give(session, self.name)
        await self.command(
            "start",
            session,
            jid=jid,
            proxy=self.proxy,
            pairing=jid is None,
            incarnation=next(self._incarnations),
            epoch=self._epochs[session],
        )

    def records(self) -> list[InboundMessage | Receipt | Call | GroupChange]:
        """What is in PostgreSQL, or was there when it answered last."""
        try:
            self._records = [record.item for record in self.store.journaled() if record.item is not None]
        except AssertionError:
            pass
        return self._records
