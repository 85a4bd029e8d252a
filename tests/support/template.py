"""An empty store for a test, of the kind that this run tests: SQLite, or PostgreSQL with STORE=postgresql.

A store of the newest schema is made once by the migrations and copied for each test.
"""

from __future__ import annotations

import asyncio
import atexit
import hashlib
import os
import shutil
import tempfile
import threading
from functools import cache
from pathlib import Path

from bot_service.store.database import open_database
from tests.support import postgresql

ON_POSTGRESQL = os.environ.get("STORE") == "postgresql"
# Databases of the present test.
_databases: set[str] = set()


def store_url(data_dir: Path) -> str:
    """The DATABASE_URL of the service in ``data_dir``. A database of PostgreSQL is made when it is first asked for."""
    if not ON_POSTGRESQL:
        return f"sqlite:///{data_dir / 'bot.db'}"
    name = "t_" + hashlib.sha256(str(data_dir.resolve()).encode()).hexdigest()[:24]
    if name not in _databases:
        postgresql.create(name)
        _databases.add(name)
    return postgresql.server().url(name)


def store_environment(data_dir: Path) -> dict[str, str]:
    """The variables with which a service uses the store of ``data_dir``."""
    return {"DATABASE_URL": store_url(data_dir), "POSTGRESQL_PREVIEW": "true"} if ON_POSTGRESQL else {}


def drop_databases() -> None:
    """After a test."""
    while _databases:
        postgresql.drop(_databases.pop())


def empty_store(data_dir: Path) -> None:
    """Put it into ``data_dir`` as the service would make it, unless there is one already."""
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = data_dir / "bot.db"
    if not ON_POSTGRESQL and not file.exists():
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
