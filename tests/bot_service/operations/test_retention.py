"""What is deleted at which age, what stays at any age, and that many rows go in slices."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from bot_service.domain.message import Media
from bot_service.messages.local_media import LocalMedia
from bot_service.messages.media import MediaStore
from bot_service.operations.retention import Retention, RetentionPolicy
from bot_service.store.database import Database, open_database
from bot_service.store.deliveries import webhook_outbox
from bot_service.store.events import events
from bot_service.store.messages import messages
from shared.clock import to_ms
from shared.tasks import TaskGroupOfLoops
from tests.support.fake_clock import FakeClock
from tests.support.template import empty_store, store_url
from tests.support.waiting import eventually

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
POLICY = RetentionPolicy(messages_ms=7 * DAY_MS, events=3, retry_for_ms=DAY_MS)


@dataclass
class Kept:
    """A store with rows of any age; ``down`` are webhooks that are not asked any more."""

    clock: FakeClock
    database: Database
    media: MediaStore
    folder: Path
    down: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.retention = Retention(self.clock, self.database, self.media, POLICY, receivers_down=lambda: self.down)

    @property
    def now_ms(self) -> int:
        return to_ms(self.clock.now())

    async def insert(self, table: sa.Table, *rows: dict[str, Any]) -> None:
        async with self.database.write() as connection:
            await connection.execute(table.insert(), list(rows))

    async def values(self, column: sa.Column[Any]) -> list[Any]:
        async with self.database.read() as connection:
            return sorted((await connection.execute(sa.select(column))).scalars())

    def message(self, name: str, age_ms: int, state: str = "received", body: bytes = b"{}") -> dict[str, Any]:
        at_ms = self.now_ms - age_ms
        return {
            "session": "one", "chat": "c", "message_id": name, "direction": "out" if state == "queued" else "in",
            "type": "text", "at_ms": at_ms, "stored_ms": at_ms, "state": state, "state_ms": at_ms, "duplicates": 0,
            "body": body,
        }  # fmt: skip

    def delivery(
        self, event: str, state: str, *, finished_ago_ms: int | None = None, age_ms: int = 0
    ) -> dict[str, Any]:
        finished = None if finished_ago_ms is None else self.now_ms - finished_ago_ms
        return {
            "webhook": "wh-1", "event": event, "lane": "one", "type": "message", "body": b"{}", "state": state,
            "created_ms": self.now_ms - age_ms, "next_ms": self.now_ms, "attempts": 0, "finished_ms": finished,
        }  # fmt: skip


@pytest.fixture
async def kept(tmp_path: Path) -> AsyncIterator[Kept]:
    async with _kept(tmp_path) as made:
        yield made


@asynccontextmanager
async def _kept(folder: Path) -> AsyncIterator[Kept]:
    empty_store(folder)
    database = await open_database(store_url(folder))
    yield Kept(FakeClock(), database, MediaStore(LocalMedia(folder / "media"), limit_bytes=1000), folder)
    await database.close()


@pytest.mark.parametrize(
    ("age_ms", "state", "stays"),
    [
        (7 * DAY_MS, "received", True),
        (7 * DAY_MS + 1, "received", False),
        (7 * DAY_MS + 1, "sent", False),
        (7 * DAY_MS + 1, "failed", False),
        # What still waits to be sent is never too old; the sender gives it up.
        (70 * DAY_MS, "queued", True),
    ],
)
async def test_messages_go_by_age_unless_they_wait(kept: Kept, age_ms: int, state: str, stays: bool) -> None:
    await kept.insert(messages, kept.message("m", age_ms, state))
    assert await kept.retention.sweep() == (not stays)
    assert await kept.values(messages.c.message_id) == ["m"] * stays


async def test_a_message_takes_its_file_with_it_and_no_other(kept: Kept) -> None:
    old, new = [
        await kept.media.from_bytes("one", name, Media(mime_type="image/png"), b"picture") for name in ("old", "new")
    ]
    for name, media, age_ms in (("old", old, 8 * DAY_MS), ("new", new, DAY_MS)):
        await kept.insert(messages, kept.message(name, age_ms, body=msgspec.json.encode({"media": media})))
    assert await kept.retention.sweep() == 1
    assert [path.name.split("-")[0] for path in (kept.folder / "media").rglob("*") if path.is_file()] == ["new"]


async def test_the_newest_events_stay_whatever_their_age(kept: Kept) -> None:
    await kept.insert(
        events,
        *(
            {"id": f"{number:018d}", "owner": None, "session": "one", "type": "message", "body": b"{}"}
            for number in range(5)
        ),
    )
    assert await kept.retention.sweep() == 2
    assert [int(name) for name in await kept.values(events.c.id)] == [2, 3, 4]


@pytest.mark.parametrize(
    ("state", "finished_ago_ms", "stays"),
    [
        ("delivered", HOUR_MS, True),
        ("delivered", HOUR_MS + 1, False),
        ("dead", 30 * DAY_MS, True),
        ("dead", 30 * DAY_MS + 1, False),
        ("pending", None, True),
    ],
)
async def test_deliveries_go_by_their_end(kept: Kept, state: str, finished_ago_ms: int | None, stays: bool) -> None:
    await kept.insert(webhook_outbox, kept.delivery("e", state, finished_ago_ms=finished_ago_ms, age_ms=90 * DAY_MS))
    assert await kept.retention.sweep() == (not stays)
    assert await kept.values(webhook_outbox.c.event) == ["e"] * stays


@pytest.mark.parametrize(("down", "states"), [(True, ["dead", "pending"]), (False, ["pending", "pending"])])
async def test_deliveries_to_a_receiver_that_is_down_are_given_up(kept: Kept, down: bool, states: list[str]) -> None:
    old, new = kept.delivery("old", "pending", age_ms=DAY_MS + 1), kept.delivery("new", "pending", age_ms=HOUR_MS)
    await kept.insert(webhook_outbox, old, new)
    kept.down = ["wh-1"] * down
    await kept.retention.sweep()
    assert await kept.values(webhook_outbox.c.state) == states


async def test_many_rows_go_in_slices_with_a_pause_in_between(kept: Kept) -> None:
    await kept.insert(messages, *(kept.message(f"m{number}", 8 * DAY_MS) for number in range(1100)))
    loops = TaskGroupOfLoops(kept.clock)
    loops.start("retention", kept.retention.run)
    for left in (600, 100, 0):

        async def reached(left: int = left) -> bool:
            return len(await kept.values(messages.c.seq)) == left

        await eventually(reached, what=f"{left} messages")
        await eventually(lambda: kept.clock.sleeping, what="the pause")
        await kept.clock.advance(0.05)
    await loops.stop()
    assert await kept.values(messages.c.seq) == []


async def test_a_store_that_fails_is_logged_and_tried_again_a_minute_later(kept: Kept) -> None:
    await kept.insert(messages, kept.message("m", 8 * DAY_MS))
    async with kept.database.write() as connection:
        await connection.execute(sa.text("ALTER TABLE events RENAME TO away"))
    loops = TaskGroupOfLoops(kept.clock)
    with capture_logs() as logs:
        loops.start("retention", kept.retention.run)
        await eventually(lambda: kept.clock.sleeping, what="the pause")
    assert [line["event_name"] for line in logs] == ["retention.store"]
    async with kept.database.write() as connection:
        await connection.execute(sa.text("ALTER TABLE away RENAME TO events"))
    await kept.clock.advance(POLICY.every_s)

    async def empty() -> bool:
        return not await kept.values(messages.c.seq)

    await eventually(empty, what="the message being deleted")
    await loops.stop()
