"""``veilleur doctor``: which client version is announced, and whether the library can be copied.

Needs no network and changes nothing: the store is read, and the copy is made in a temporary folder.
"""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from bot_service.domain import version_problems
from bot_service.domain.client_version import Mode, Source, Versions, age_days, version
from bot_service.engines import registry
from bot_service.engines.port import ClientLibrary, CopyError
from bot_service.sessions.client_version import FOLDER
from bot_service.settings import BotSettings
from shared.clock import SystemClock, days_old
from shared.doctor import Check, CheckStatus
from shared.sqlite_readonly import open_readonly
from shared.temporary_folders import temporary_folder

NAME, COPY = "client version", "client version copy"
OLD_DAYS = 45
_SQLITE = "sqlite:///"
_SOURCE = {Source.PUBLISHED: "the published one", Source.BUILTIN: "the engine's own", Source.MANUAL: "set by hand"}


def checks(group: str, settings: BotSettings, *, now: datetime | None = None) -> Iterator[Check]:
    """Nothing for an engine that announces no client version."""
    library = registry.client_library(settings.engine)
    if library is None:
        return
    try:
        builtin = library.builtin_build()
    except CopyError as error:
        found = f"the engine's own is not known, and no other can be announced: {error.detail}"
        yield Check(group, NAME, CheckStatus.WARNING, found, _todo(error))
        return
    known = _known(settings, builtin)
    yield _announced(group, settings, known, now or SystemClock().now())
    # The engine's own version needs no copy.
    if settings.whatsapp_version.mode is not Mode.BUILTIN and settings.data_dir.is_dir():
        yield _copy(group, library, known.best, settings.data_dir)


def _known(settings: BotSettings, builtin: int) -> Versions:
    """What the service would know after its start."""
    nothing = Versions(settings.whatsapp_version, builtin)
    if not settings.store_url.startswith(_SQLITE):
        return nothing
    file = Path(settings.store_url.removeprefix(_SQLITE))
    if not file.exists():
        return nothing
    try:
        with open_readonly(file, timeout_s=2) as connection:
            published = connection.execute(
                "SELECT build FROM client_builds WHERE published_ms IS NOT NULL ORDER BY published_ms DESC LIMIT 1"
            ).fetchone()
            refused = connection.execute("SELECT build FROM client_builds WHERE refused_ms IS NOT NULL").fetchall()
    except sqlite3.Error:
        # A store from before this table; one that is damaged is a check of its own.
        return nothing
    newest = published[0] if published is not None and published[0] > builtin else None
    return Versions(settings.whatsapp_version, builtin, newest, frozenset(build for (build,) in refused))


def _announced(group: str, settings: BotSettings, known: Versions, now: datetime) -> Check:
    build, mode = known.best, settings.whatsapp_version.mode
    days = age_days(build, now)
    shown = f"{version(build)}, {_SOURCE[known.source(build)]}, {days_old(days)}"
    if build in known.refused:
        found = f"{shown}: WhatsApp has refused it"
        return Check(group, NAME, CheckStatus.FAILED, found, f"{_newer(mode)}, or upgrade")
    if mode is Mode.AUTO and not settings.store_url.startswith(_SQLITE):
        # The age alone would be a guess.
        found = f"{shown}; what is published and refused is in PostgreSQL, which is looked at when the service starts"
        return Check(group, NAME, CheckStatus.INFO, found)
    if days > OLD_DAYS:
        todo = f"WhatsApp refuses versions after about two months: {_newer(mode)}, or upgrade"
        return Check(group, NAME, CheckStatus.WARNING, shown, todo)
    return Check(group, NAME, CheckStatus.OK, shown)


def _newer(mode: Mode) -> str:
    if mode is Mode.AUTO:
        return "let the service reach WHATSAPP_VERSION_URL"
    return "set WHATSAPP_VERSION=auto" + (" or to a newer version" if mode is Mode.MANUAL else "")


def _copy(group: str, library: ClientLibrary, build: int, data_dir: Path) -> Check:
    """Made where the service makes it, so that a mount without write or exec shows."""
    folder = data_dir / FOLDER
    beside = folder if folder.is_dir() else data_dir
    try:
        with temporary_folder(beside, ".doctor-") as own:
            library.make(build, own)
    except CopyError as error:
        return Check(group, COPY, CheckStatus.WARNING, _failed(error), _todo(error))
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        problem = CopyError("no_space" if full else "not_writable", f"{beside}: {error.strerror}")
        return Check(group, COPY, CheckStatus.WARNING, _failed(problem), _todo(problem))
    found = f"a copy of the engine's library can be made and loaded below {data_dir}"
    return Check(group, COPY, CheckStatus.OK, found)


def _failed(error: CopyError) -> str:
    return f"{version_problems.sentence(error.reason)} ({error.detail})"


def _todo(error: CopyError) -> str:
    known = version_problems.PROBLEMS.get(error.reason)
    return "" if known is None else known.todo
