"""Reads the files that an engine keeps for one session, and puts them in place in another data folder.

Files are named by their path below DATA_DIR, with ``{session}`` instead of the session's own name.
Everything here blocks. No client of the session runs at that time.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from bot_service.engines.registry import ENGINES, files_of, safe_name
from shared import signal_sessions, sqlite_copy
from shared.temporary_folders import left, remove_left, temporary_folder

READING, PLACING = ".export-", ".import-"
_SESSION = "session"


class UnfitFiles(Exception):
    """The files cannot be those of a session of this engine; the text says why."""


def read(engine: str, data_dir: Path, session: str) -> dict[str, bytes]:
    """Every file by its name. Databases are copied whole, whoever has them open. Raises ``OSError``, ``sqlite3.Error``."""
    found: dict[str, bytes] = {}
    with temporary_folder(data_dir, READING) as made:
        for path in sorted(files_of(engine, data_dir, session)):
            if path.name.endswith((*sqlite_copy.SIDE_FILES, ".part")):
                continue
            source = path
            if sqlite_copy.is_database(path):
                source = made / "copy.db"
                source.unlink(missing_ok=True)
                sqlite_copy.copy(path, source)
            name = str(path.relative_to(data_dir)).replace(safe_name(session), "{session}", 1)
            found[name] = source.read_bytes()
    return found


class Placement:
    """Puts ``files`` in place for ``session``; a folder says so until :meth:`close`, also after a kill.

    Raises :class:`UnfitFiles` before anything changes, ``OSError`` with nothing left behind.
    """

    def __init__(self, engine: str, data_dir: Path, session: str, files: Mapping[str, bytes], *, forget: bool) -> None:
        self._engine, self._data_dir, self._session = engine, data_dir, session
        self._targets = {_target(engine, data_dir, session, name): data for name, data in files.items()}
        self._forget = forget
        self._folder = temporary_folder(data_dir, PLACING)

    def put(self) -> None:
        """``forget``: device stores lose their Signal sessions, which may have gone on elsewhere."""
        made = self._folder.__enter__()
        try:
            (made / _SESSION).write_text(self._session, encoding="utf-8")
            whole = [self._written(made / str(number), data) for number, data in enumerate(self._targets.values())]
            for part, target in zip(whole, self._targets, strict=True):
                target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                part.rename(target)
            for folder in {target.parent for target in self._targets}:
                _sync(folder)
        except BaseException:
            self.undo()
            raise

    def undo(self) -> None:
        """Remove the files again."""
        remove(self._engine, self._data_dir, self._session)
        self.close()

    def close(self) -> None:
        """The session is stored: the files stay."""
        self._folder.__exit__(None, None, None)

    def _written(self, path: Path, data: bytes) -> Path:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
        if sqlite_copy.is_database(path):
            why = sqlite_copy.damage(path)
            if why is not None:
                raise UnfitFiles(f"its device store is damaged: {why}")
            if self._forget:
                signal_sessions.forget(path)
        _sync(path)
        return path


def remove(engine: str, data_dir: Path, session: str) -> None:
    """Delete the files of ``session``."""
    for path in list(files_of(engine, data_dir, session)):
        path.unlink(missing_ok=True)


def forget_signal_sessions(engine: str, data_dir: Path, session: str) -> None:
    """What was sent and received elsewhere since the files were read is not in them."""
    for path in files_of(engine, data_dir, session):
        if sqlite_copy.is_database(path):
            signal_sessions.forget(path)


def left_by_kills(data_dir: Path) -> list[str]:
    """The sessions of placements that were killed."""
    return [
        name.read_text(encoding="utf-8") for folder in left(data_dir, PLACING) if (name := folder / _SESSION).exists()
    ]


def remove_left_folders(data_dir: Path) -> None:
    """Delete what readings and placements that were killed left, but for files that are in place."""
    for prefix in (READING, PLACING):
        remove_left(data_dir, prefix)


def _target(engine: str, data_dir: Path, session: str, name: str) -> Path:
    for pattern in ENGINES[engine].files:
        begin = pattern.rstrip("*")
        rest = name.removeprefix(begin) if name.startswith(begin) else None
        if rest is not None and (rest == "" or (pattern.endswith("*") and re.fullmatch(r"\.[a-z]+", rest))):
            return data_dir / name.replace("{session}", safe_name(session), 1)
    raise UnfitFiles("it names files that no session has")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
