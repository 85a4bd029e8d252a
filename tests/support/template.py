"""A store of the newest schema, made once by the migrations and copied for each test."""

from __future__ import annotations

import asyncio
import atexit
import shutil
import tempfile
import threading
from functools import cache
from pathlib import Path

from bot_service.store.database import open_database


def empty_store(data_dir: Path) -> None:
    """Put it into ``data_dir`` as the service would make it, unless there is one already."""
    file = data_dir / "bot.db"
    if not file.exists():
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.copyfile(_made(), file)
        file.chmod(0o600)


@cache
def _made() -> Path:
    file = Path(tempfile.mkdtemp(prefix="veilleur-template-")) / "bot.db"
    atexit.register(shutil.rmtree, file.parent, ignore_errors=True)

    async def make() -> None:
        await (await open_database(f"sqlite:///{file}")).close()

    # Tests ask for it inside and outside a running loop: a thread has none.
    thread = threading.Thread(target=asyncio.run, args=(make(),))
    thread.start()
    thread.join()
    return file
