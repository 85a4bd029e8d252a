"""Files: what the programs write is readable by their own user only, and ids never lead out of the data folder."""

from __future__ import annotations

import stat
from base64 import b64encode
from pathlib import Path

import pytest

from tests.security.conftest import Running
from tests.support.processes import Client
from tests.support.sessions import paired

pytestmark = pytest.mark.system


async def test_nobody_else_can_read_what_the_programs_write(running: Running) -> None:
    async with Client(running.bot.url) as client:
        await paired(client, "files")
        await client.post("/api/sessions/files/simulate", {"action": "message", "text": "received"})
        media = {"data": b64encode(b"secret").decode(), "mimeType": "text/plain", "fileName": "a.txt"}
        sent = {"to": "33612345678", "type": "document", "media": media}
        await client.post("/api/sessions/files/messages", sent)
        data = running.folder / "bot-data"
        written = ("*.db", "journal/*", "media/files/*", "simulator/files*", "run/*", "secrets/*")
        missing = [kind for kind in written if not list(data.glob(kind))]
        assert missing == ["secrets/*"], "nothing of these kinds was written; the secrets were given"
    open_to_others = {}
    for folder in ("bot-data", "watchdog-data"):
        for path in [running.folder / folder, *(running.folder / folder).rglob("*")]:
            mode = stat.S_IMODE(path.lstat().st_mode)
            if mode & 0o077 and not path.is_symlink():
                open_to_others[str(path.relative_to(running.folder))] = oct(mode)
    assert open_to_others == {}
    assert list((running.folder / "watchdog-data").glob("*.db")), "nothing was written"


def test_the_made_secrets_are_private_and_differ(tmp_path: Path) -> None:
    from shared.secret_files import read_or_create

    one, two = read_or_create(tmp_path / "s", "one"), read_or_create(tmp_path / "s", "two")
    assert one != two
    assert len(one.reveal()) >= 40
    assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "s").iterdir()} == {0o600}
