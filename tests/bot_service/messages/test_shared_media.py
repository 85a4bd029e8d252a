"""Files of messages that replicas share: stored, read in parts, moved to an object store, and deleted with their message."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import sqlalchemy as sa
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from bot_service.access.downloads import download
from bot_service.access.open_requests import OpenRequests
from bot_service.access.principals import ADMINISTRATOR
from bot_service.domain.message import Media, OutgoingMessage
from bot_service.engines.port import EngineError
from bot_service.messages.media import MediaStore
from bot_service.messages.shared_media import SENDING, SWEEP_EVERY_S, SharedMedia
from bot_service.store import media
from bot_service.store.database import Database, open_database
from bot_service.store.media import PART_BYTES, Place
from shared.clock import SystemClock
from tests.support import postgresql

pytestmark = postgresql.needed()

DAY_MS = 86_400_000
# Two parts and a piece, and no two parts alike.
LARGE = bytes(range(256)) * (2 * PART_BYTES // 256) + b"the end"
PNG = Media("image/png", "a.png")


@dataclass
class Objects:
    """An object store in memory. ``away``: it does not answer. ``during``: called in each upload."""

    kept: dict[str, bytes] = field(default_factory=dict)
    away: bool = False
    during: list[object] = field(default_factory=list)

    def _answer(self) -> None:
        if self.away:
            raise ConnectionError("no answer")

    async def put(self, key: str, parts: AsyncIterator[bytes]) -> None:
        self._answer()
        data = b"".join([part async for part in parts])
        for call in self.during:
            await call()  # type: ignore[operator]
        self.kept[key] = data

    async def read(self, key: str, start: int, stop: int) -> bytes:
        self._answer()
        if key not in self.kept:
            raise FileNotFoundError(2, "no such object")
        return self.kept[key][start:stop]

    async def delete(self, key: str) -> None:
        self._answer()
        self.kept.pop(key, None)


@pytest.fixture
async def database() -> AsyncIterator[Database]:
    opened = await open_database(postgresql.create("media"))
    async with opened.write() as connection:
        await connection.execute(sa.text("DELETE FROM media_files"))
    yield opened
    await opened.close()
    postgresql.drop("media")


def shared(database: Database, folder: Path, objects: Objects | None = None) -> SharedMedia:
    return SharedMedia(database, SystemClock(), folder, keeps_ms=30 * DAY_MS, objects=objects)


async def places(database: Database) -> dict[str, tuple[str, int]]:
    """Where each file is, and how many parts of it are in PostgreSQL."""
    query = "SELECT key, place, (SELECT count(*) FROM media_parts AS part WHERE part.key = file.key) FROM media_files AS file"
    async with database.read() as connection:
        return {row[0]: (row[1], row[2]) for row in await connection.execute(sa.text(query))}


async def move_all(files: SharedMedia, objects: Objects) -> None:
    while await files.move_one(objects):
        pass


async def test_a_file_is_found_by_another_replica_copied_sent_and_deleted(database: Database, tmp_path: Path) -> None:
    here, there = (MediaStore(shared(database, tmp_path), limit_bytes=2**24) for _ in range(2))
    stored = await here.from_bytes("one", "M1", PNG, LARGE)
    assert stored.path is None
    assert await there.content(stored) == LARGE
    copy = await there.copy("two", "M2", stored)
    assert copy is not None
    await here.delete(stored)
    assert (await there.find(stored), await here.content(copy)) == (None, LARGE)

    message = OutgoingMessage("M2", "491", "image", media=copy)
    async with there.sendable(message) as ready:
        assert ready.media is not None
        assert Path(ready.media.path or "").read_bytes() == LARGE
    assert not list(tmp_path.glob(f"{SENDING}*"))

    await here.forget_session("two")
    assert await places(database) == {}
    with pytest.raises(EngineError, match="not kept any more") as refused:
        async with there.sendable(message):
            pass
    assert not refused.value.retryable


async def test_with_an_object_store_files_are_moved_there_and_read_in_between_and_after(
    database: Database, tmp_path: Path
) -> None:
    objects = Objects()
    files = shared(database, tmp_path, objects)
    kept = MediaStore(files, limit_bytes=2**24)
    stored = await kept.from_bytes("one", "M1", PNG, LARGE)
    assert stored.key is not None

    # Away: files stay where they are, and can be read and sent.
    objects.away = True
    with pytest.raises(ConnectionError):
        await files.move_one(objects)
    assert await kept.content(stored) == LARGE
    objects.away = False
    # Who tried keeps it for a while: another replica goes on with the next one.
    assert not await files.move_one(objects)
    async with database.write() as connection:
        await connection.execute(sa.text("UPDATE media_files SET claimed_until_ms = 0"))

    found = await kept.find(stored)
    assert found is not None
    parts = found.parts(0, found.size)
    assert len(await anext(parts)) == PART_BYTES
    await move_all(files, objects)
    assert (objects.kept[stored.key], await places(database)) == (LARGE, {stored.key: (Place.MOVED, 0)})
    # The reader that had begun goes on with the moved file.
    assert b"".join([part async for part in parts]) == LARGE[PART_BYTES:]
    assert await kept.content(stored) == LARGE

    copy = await kept.copy("one", "M2", stored)
    assert copy is not None
    await kept.delete(stored)
    assert await kept.find(stored) is None
    await move_all(files, objects)
    assert list(objects.kept) == [copy.key]
    await kept.forget_session("one")
    await move_all(files, objects)
    assert (objects.kept, await places(database)) == ({}, {})

    # A replica without the object store says that it cannot read what was moved.
    again = await kept.from_bytes("one", "M3", PNG, b"png")
    await move_all(files, objects)
    with pytest.raises(FileNotFoundError, match="MEDIA_URL"):
        await MediaStore(shared(database, tmp_path), limit_bytes=9).content(again)


async def test_what_is_deleted_during_its_upload_does_not_stay_in_the_object_store(
    database: Database, tmp_path: Path
) -> None:
    objects = Objects()
    files = shared(database, tmp_path, objects)
    kept = MediaStore(files, limit_bytes=2**24)
    stored = await kept.from_bytes("one", "M1", PNG, b"png")

    async def delete() -> None:
        await kept.delete(stored)

    objects.during.append(delete)
    assert await files.move_one(objects)
    assert objects.kept == {}
    await move_all(files, objects)
    assert await places(database) == {}


async def test_two_replicas_that_move_the_same_file_do_not_lose_it(database: Database, tmp_path: Path) -> None:
    objects = Objects()
    files, others = shared(database, tmp_path, objects), shared(database, tmp_path, objects)
    stored = await MediaStore(files, limit_bytes=9).from_bytes("one", "M1", PNG, b"png")

    async def overtaken() -> None:
        objects.during.clear()
        async with database.write() as connection:
            await connection.execute(sa.text("UPDATE media_files SET claimed_until_ms = 0"))
        assert await others.move_one(objects)

    objects.during.append(overtaken)
    assert await files.move_one(objects)
    assert await MediaStore(others, limit_bytes=9).content(stored) == b"png"


@pytest.mark.parametrize("objects", [None, Objects()], ids=["postgresql", "object store"])
async def test_files_that_no_message_has_are_deleted(
    database: Database, tmp_path: Path, objects: Objects | None
) -> None:
    files = shared(database, tmp_path, objects)
    kept = MediaStore(files, limit_bytes=99)
    for name in ("new", "lost", "old"):
        await kept.from_bytes("one", name, PNG, b"png")
    async with database.write() as connection:
        await media.begin(connection, "one/cut-off", 9)
        age = "UPDATE media_files SET stored_ms = stored_ms - :ms WHERE key LIKE :key"
        for key, ms in (("one/lost%", 2 * 3_600_000), ("one/cut%", 2 * 3_600_000), ("one/old%", 31 * DAY_MS)):
            await connection.execute(sa.text(age), {"key": key, "ms": ms})
    assert SWEEP_EVERY_S <= 3600
    assert await files.sweep() == 3
    assert [key.partition("-")[0] for key, (place, _) in (await places(database)).items() if place != Place.GONE] == [
        "one/new"
    ]


@pytest.mark.parametrize(
    ("headers", "status", "body", "content_range"),
    [
        ({}, 200, LARGE, None),
        ({"Range": "bytes=0-0"}, 206, LARGE[:1], f"bytes 0-0/{len(LARGE)}"),
        ({"Range": f"bytes={PART_BYTES - 2}-{PART_BYTES + 1}"}, 206, LARGE[PART_BYTES - 2 : PART_BYTES + 2], None),
        ({"Range": "bytes=-7"}, 206, b"the end", None),
        ({"Range": f"bytes={len(LARGE) - 3}-"}, 206, b"end", None),
        ({"Range": f"bytes={len(LARGE)}-"}, 416, b"", f"bytes */{len(LARGE)}"),
        ({"Range": "lines=1-2"}, 416, b"", None),
        ({"Range": "bytes=0-0", "If-Range": '"another"'}, 200, LARGE, None),
        ({"If-None-Match": "TAG"}, 304, b"", None),
        ({"If-None-Match": '"another"'}, 200, LARGE, None),
    ],
)
async def test_downloads_answer_ranges_and_readers_that_have_it_already(
    database: Database, tmp_path: Path, headers: dict[str, str], status: int, body: bytes, content_range: str | None
) -> None:
    kept = MediaStore(shared(database, tmp_path), limit_bytes=2**24)
    stored = await kept.from_bytes("one", "M1", PNG, LARGE)

    async def serve(_request: web.Request) -> web.StreamResponse:
        file = await kept.find(stored)
        assert file is not None
        return download(stored, file, OpenRequests(SystemClock()), ADMINISTRATOR)

    app = web.Application()
    app.router.add_get("/", serve)
    async with TestClient(TestServer(app)) as client:
        async with client.head("/") as answer:
            assert (answer.status, answer.headers["Content-Length"]) == (200, str(len(LARGE)))
            tag = answer.headers["ETag"]
        sent = {name: tag if value == "TAG" else value for name, value in headers.items()}
        async with client.get("/", headers=sent) as answer:
            assert (answer.status, await answer.read()) == (status, body)
            if content_range is not None:
                assert answer.headers["Content-Range"] == content_range
            assert answer.headers["Content-Disposition"].startswith("attachment")
            assert answer.headers["Accept-Ranges"] == "bytes"
