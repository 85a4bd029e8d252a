"""A session whose device store comes from a backup: what it sends and receives next is read, whatever it did after the backup."""

from __future__ import annotations

import io
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bot_service.domain.message import OutgoingMessage
from shared.tools.backup import restore, save
from tests.fake_whatsapp.remote import Remote
from tests.support.members import members
from tests.wire.conftest import StartWorker
from tests.wire.worker_driver import WorkerDriver

pytestmark = pytest.mark.wire
BOT, ANN, BEN = "15550001", "15550002", "15550003"
GROUP = "120363@g.us"


def senders(data_dir: Path) -> set[str]:
    """The users with whose keys groups are read and written. No program has the store open."""
    with closing(sqlite3.connect(data_dir / "devices" / "s.db")) as store:
        rows = store.execute("SELECT sender_id FROM whatsmeow_sender_keys").fetchall()
    return {row[0].partition("_")[0].partition(":")[0] for row in rows}


async def talk(worker: WorkerDriver, server: Remote, name: str, *, answers: bool) -> None:
    """Three messages to a person and to a group, each read by phones, with answers in between."""
    for number in range(3):
        text = f"{name} {number}"
        await worker.send("s", OutgoingMessage(id=f"{name}-{number}", to=ANN, type="text", text=text))
        await server.message_to(ANN, text=text)
        await worker.send("s", OutgoingMessage(id=f"{name}-{number}-all", to=GROUP, type="text", text=f"all {text}"))
        await server.message_to(ANN, text=f"all {text}")
        await server.message_to(BEN, text=f"all {text}")
        if answers:
            await server("send", sender=ANN, chat=BOT, body=f"re {text}")
            await server("send", sender=BEN, chat=GROUP, body=f"re all {text}")
            await worker.message(text=f"re {text}")
            await worker.message(text=f"re all {text}")


@pytest.mark.parametrize("answers", members([False, True], ids=["sent-only", "in-turns"]))
async def test_what_is_sent_after_a_restored_backup_is_read(
    start_worker: StartWorker, server: Remote, tmp_path: Path, answers: bool
) -> None:
    worker = await start_worker()
    jid = await worker.pair("s", BOT)
    await server("group", id="120363", subject="Friends", members=[ANN, BOT, BEN])
    await server("send", sender=ANN, chat=BOT, body="hello")
    await worker.message(text="hello")
    await talk(worker, server, "before", answers=True)
    archive = io.BytesIO()
    save(worker.data_dir, archive)
    await talk(worker, server, "forgotten", answers=answers)
    await worker.end(signal.SIGKILL)

    archive.seek(0)
    restore(archive, tmp_path / "restored")
    # The fake server names senders by hidden addresses: 9 and the number.
    assert senders(worker.data_dir) == {"9" + BOT, "9" + BEN}
    assert senders(tmp_path / "restored") == {"9" + BEN}
    again = WorkerDriver(tmp_path / "restored", server)
    await again.start()
    try:
        await again.begin("s", jid)
        await again.heard("s", "connected")
        await talk(again, server, "after", answers=True)
    finally:
        await again.end(signal.SIGKILL)
    for number in (ANN, BEN):
        assert (await server("phone", number=number))["unreadable"] == []
