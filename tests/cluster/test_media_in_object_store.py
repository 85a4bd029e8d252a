"""Files of messages of two replicas with a real S3-compatible server: moved there, fetched from there, deleted there."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from moto.server import ThreadedMotoServer

from tests.cluster.replicas import Cluster, cluster, postgresql_server
from tests.cluster.test_media import ANN, file
from tests.support import postgresql
from tests.support.postgresql import PostgreSQL
from tests.support.waiting import eventually

pytestmark = [pytest.mark.system, pytest.mark.long, *postgresql.needed()]


@pytest.fixture
def server() -> Iterator[PostgreSQL]:
    with postgresql_server() as started:
        yield started


@pytest.fixture
def objects() -> Iterator[str]:
    started = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    started.start()
    host, port = started.get_host_and_port()
    urlopen(Request(f"http://{host}:{port}/files", method="PUT")).close()
    yield f"http://{host}:{port}"
    started.stop()


@pytest.fixture
async def two(tmp_path: Path, server: PostgreSQL, objects: str) -> AsyncIterator[Cluster]:
    url = f"s3://key-id:secret-word@files/veilleur?region=us-east-1&endpoint={objects}"
    async with cluster(tmp_path, server, 2, MEDIA_URL=url) as made:
        await made.pair("first", "second")
        yield made


async def test_files_move_to_the_object_store_and_are_read_and_deleted_there(two: Cluster, objects: str) -> None:
    for number, session in enumerate(("first", "second")):
        args = {"action": "message", "from": ANN, "type": "video", "id": "FILM"}
        await two.clients[number].post(f"/api/sessions/{session}/simulate", args)
    moved = "SELECT count(*) FROM media_files WHERE place = 'moved'"
    await eventually(lambda: two.rows(moved) == [["2"]], what="both files in the object store")
    assert two.rows("SELECT count(*) FROM media_parts") == [["0"]]
    answers = {await file(client, "first", "FILM") for client in two.clients}
    [(status, content)] = answers
    assert (status, len(content) > 0) == (200, True)
    assert len(_names(objects)) == 2

    assert (await two.clients[0].call("DELETE", "/api/sessions/first"))[0] == 204
    await eventually(lambda: [name.split("/")[1] for name in _names(objects)] == ["second"], what="the deletion")
    await eventually(lambda: two.rows("SELECT count(*) FROM media_files") == [["1"]], what="the row's deletion")
    # The credentials are in no log, and not with the workers.
    assert not any("secret-word" in program.output() for program in two.programs)
    for program in two.programs:
        for pid in program.worker_pids():
            for part in ("environ", "cmdline"):
                assert b"secret-word" not in Path(f"/proc/{pid}/{part}").read_bytes()


def _names(objects: str) -> list[str]:
    with urlopen(f"{objects}/files?list-type=2") as answer:
        return re.findall(r"<Key>([^<]+)</Key>", answer.read().decode())
