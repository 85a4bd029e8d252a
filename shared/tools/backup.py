"""Saves and restores a data folder as one archive, also while its program runs.

Usage: ``python -m shared.tools.backup save /data backup.tar.gz`` (``-`` for standard output) and
``python -m shared.tools.backup restore backup.tar.gz /data`` (``-`` for standard input). The
archive holds keys and the pairing of every session: its reader can use those accounts. Two copies
must never run at once.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

# Sockets and records of processes, and copies of the engine's library, are made again.
_LEFT_OUT = {"run", "engine", "lost+found"}
_SIDE_FILES = ("-wal", "-shm", "-journal")
_JOURNALS = "journal"


class BackupRefused(Exception):
    """Nothing was changed; the text says why."""


def save(folder: Path, archive: BinaryIO) -> int:
    """Write ``folder`` to ``archive`` (gzip), return the number of files. May refuse."""
    if not folder.is_dir():
        raise BackupRefused(f"{folder} is not a folder")
    with tempfile.TemporaryDirectory(prefix="veilleur-backup-") as made:
        copy = Path(made) / "data"
        copy.mkdir(mode=0o700)
        # Journals before and after the databases: the first copy has a journal that is read and
        # deleted while the databases are copied, the second is never behind the position that a
        # database has stored.
        _copy_files(folder, copy, only=_JOURNALS)
        for source in _files(folder):
            if _is_database(source):
                _copy_database(source, _made(copy / source.relative_to(folder)))
        _copy_files(folder, copy, only=None)
        files = list(_files(copy))
        with tarfile.open(fileobj=archive, mode="w:gz", dereference=False) as tar:
            for path in files:
                tar.add(path, arcname=str(path.relative_to(copy)), recursive=False)
    return len(files)


def restore(archive: BinaryIO, folder: Path) -> int:
    """Unpack ``archive`` into an empty or new ``folder``, check it, return the number of files."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = [path.name for path in folder.iterdir() if path.name not in _LEFT_OUT]
    if found:
        raise BackupRefused(f"{folder} is not empty ({', '.join(sorted(found)[:5])}): move it away first")
    with tempfile.TemporaryDirectory(prefix=".restore-", dir=folder) as made:
        unpacked = Path(made)
        try:
            with tarfile.open(fileobj=archive, mode="r:gz") as tar:
                tar.extractall(unpacked, filter="data")
        except (tarfile.TarError, EOFError, OSError) as error:
            raise BackupRefused(f"the archive cannot be read: {error}") from error
        files = list(_files(unpacked))
        for path in files:
            if _is_database(path):
                _check(path, unpacked)
        for entry in list(unpacked.iterdir()):
            entry.rename(folder / entry.name)
    return len(files)


def _files(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        if Path(parent) == folder:
            folders[:] = [name for name in folders if name not in _LEFT_OUT]
        for name in sorted(names):
            path = Path(parent, name)
            if path.is_file() and not path.is_symlink() and not name.endswith(_SIDE_FILES):
                yield path


def _is_database(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(16) == b"SQLite format 3\0"
    except OSError:
        return False


def _copy_files(folder: Path, copy: Path, *, only: str | None) -> None:
    for source in _files(folder):
        inside = source.relative_to(folder)
        if (only is None or inside.parts[0] == only) and not _is_database(source):
            # A journal may have been read and removed since it was listed.
            with contextlib.suppress(FileNotFoundError):
                shutil.copy2(source, _made(copy / inside))


def _copy_database(source: Path, target: Path) -> None:
    with (
        contextlib.closing(sqlite3.connect(source, timeout=30)) as live,
        contextlib.closing(sqlite3.connect(target)) as copied,
    ):
        live.backup(copied)
        copied.execute("PRAGMA journal_mode=DELETE")
    target.chmod(0o600)


def _check(path: Path, root: Path) -> None:
    try:
        with contextlib.closing(sqlite3.connect(path)) as database:
            said = database.execute("PRAGMA quick_check").fetchone()[0]
    except sqlite3.DatabaseError as error:
        said = str(error)
    if said != "ok":
        raise BackupRefused(f"{path.relative_to(root)} in the archive is damaged: {said}")


def _made(path: Path) -> Path:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def main(arguments: Sequence[str]) -> int:
    """Exit codes: 0 done, 1 refused, 2 wrong use."""
    try:
        match list(arguments):
            case ["save", folder, "-"]:
                count = save(Path(folder), sys.stdout.buffer)
            case ["save", folder, file]:
                with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
                    count = save(Path(folder), out)
            case ["restore", "-", folder]:
                count = restore(sys.stdin.buffer, Path(folder))
            case ["restore", file, folder]:
                with Path(file).open("rb") as archive:
                    count = restore(archive, Path(folder))
            case _:
                sys.stderr.write("usage: python -m shared.tools.backup save FOLDER FILE|- | restore FILE|- FOLDER\n")
                return 2
    except (BackupRefused, OSError, sqlite3.Error) as error:
        sys.stderr.write(f"Nothing was changed: {error}\n")
        return 1
    sys.stderr.write(f"{count} files\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
