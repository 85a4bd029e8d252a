"""Files of messages in a bucket of a real S3-compatible server on loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from urllib.request import Request, urlopen

import pytest
from moto.server import ThreadedMotoServer

from bot_service.messages.object_store import S3Objects
from bot_service.settings import BotSettings
from shared.settings import SettingsError, load
from tests.support.ports import free_port
from tests.support.processes import API_KEY, WATCHDOG_TOKEN

# More than one part of an upload.
LARGE = bytes(range(256)) * 40_000
KEY = "one/M1%2F-0a1b.png"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    started = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    started.start()
    host, port = started.get_host_and_port()
    yield f"http://{host}:{port}"
    started.stop()


@pytest.fixture
def objects(server: str) -> S3Objects:
    urlopen(Request(f"{server}/files", method="PUT")).close()  # the bucket
    return S3Objects(f"s3://k:s@files/of/veilleur?region=us-east-1&endpoint={server}")


async def parts(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 1_000_000):
        yield data[start : start + 1_000_000]


@pytest.mark.parametrize("data", [b"png", LARGE], ids=["small", "large"])
async def test_what_is_put_is_read_in_ranges_and_deleted(objects: S3Objects, data: bytes) -> None:
    await objects.put(KEY, parts(data))
    assert await objects.read(KEY, 0, len(data)) == data
    assert await objects.read(KEY, len(data) - 2, len(data)) == data[-2:]
    await objects.delete(KEY)
    await objects.delete(KEY)
    with pytest.raises(FileNotFoundError):
        await objects.read(KEY, 0, 1)


async def test_errors_name_no_address_and_no_credential() -> None:
    nowhere = S3Objects(f"s3://secret-id:secret-word@files?region=r&endpoint=http://127.0.0.1:{free_port()}")
    with pytest.raises(ConnectionError) as refused:
        await nowhere.read(KEY, 0, 1)
    assert "secret" not in str(refused.value)
    assert "127.0.0.1" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "faulty"),
    [
        ("s3://bucket", False),
        ("s3://id:secret@bucket/a/b?region=eu-central-1&endpoint=https://minio.example", False),
        ("https://bucket", True),
        ("s3:///prefix", True),
        ("s3://bucket?zone=x", True),
    ],
)
def test_the_setting_is_checked_at_the_start_and_never_shown(url: str, faulty: bool) -> None:
    given = {
        "MEDIA_URL": url, "REPLICA_URL": "http://a", "DATABASE_URL": "postgresql://db/v", "POSTGRESQL_PREVIEW": "true",
        "BOT_API_KEY": API_KEY, "WATCHDOG_TOKEN": WATCHDOG_TOKEN,
    }  # fmt: skip
    if not faulty:
        assert url not in repr(load(BotSettings, given))
        return
    with pytest.raises(SettingsError, match="MEDIA_URL: accepted: s3://") as refused:
        load(BotSettings, given)
    assert url not in str(refused.value)
    assert "none without REPLICA_URL" in str(_refused({"MEDIA_URL": "s3://bucket"}))


def _refused(given: dict[str, str]) -> SettingsError:
    with pytest.raises(SettingsError) as refused:
        load(BotSettings, given)
    return refused.value
