"""Saves and restores a data folder as one archive, also while its program runs.

Usage: ``python -m shared.tools.backup save /data backup.tar.gz`` (``-`` for standard output) and
``python -m shared.tools.backup restore backup.tar.gz /data`` (``-`` for standard input). The
archive holds keys and the pairing of every session: its reader can use those accounts. Two copies
must never run at once.

One database after the other is copied beside the data and written to the archive, so the volume of
the data needs free space for its largest database. An archive has its name only when it is whole.
A save or a restore that ends early leaves nothing behind; what a killed one had to leave, the next
run removes, and the programs do not start on half a restore.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import sqlite3
import sys
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import BinaryIO, Never

from shared import signal_sessions, sqlite_copy
from shared.backup_folders import COPYING, MOVED, RESTORING
from shared.stop_signals import STOP_SIGNALS, stop_signals
from shared.temporary_folders import left, remove_left, temporary_folder

# Sockets and records of processes, and copies of the engine's library, are made again.
_LEFT_OUT = {"run", "engine", "lost+found"}
_JOURNALS = "journal"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class BackupRefused(Exception):
    """Nothing was changed; the text says why."""


def save(folder: Path, archive: BinaryIO, *, where: Path | None = None) -> int:
    """Write ``folder`` to ``archive`` (gzip), return the number of files. May refuse.

    ``where``: the file that is written, if it has a name; it is not part of the archive.
    """
    folder = folder.absolute()
    if not folder.is_dir():
        raise BackupRefused(f"{folder} is not a folder")
    remove_left(folder, COPYING)
    saved: dict[str, int] = {}
    databases = [path for path in _files(folder, where) if sqlite_copy.is_database(path)]
    target = str(where.parent) if where is not None else "the place of standard output"
    with _full_named(target), tarfile.open(fileobj=archive, mode="w:gz", dereference=False) as tar:
        # Journals before and after the databases: the first copy has a journal that is read and
        # deleted while the databases are copied, the second is never behind the position that a
        # database has stored.
        _add_files(tar, folder, where, saved, only=_JOURNALS)
        for source in databases:
            _add_database(tar, folder, source, saved)
        _add_files(tar, folder, where, saved, only=None)
    return len(saved)


def restore(archive: BinaryIO, folder: Path) -> int:
    """Unpack ``archive`` into an empty or new ``folder``, check it, return the number of files.

    Device stores forget their Signal sessions, which went on after the backup.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _remove_half_restores(folder)
    found = [path.name for path in folder.iterdir() if path.name not in _LEFT_OUT]
    if found:
        raise BackupRefused(f"{folder} is not empty ({', '.join(sorted(found)[:5])}): move it away first")
    with temporary_folder(folder, RESTORING) as made:
        unpacked = made / "data"
        unpacked.mkdir(mode=0o700)
        try:
            with _full_named(str(folder)), tarfile.open(fileobj=archive, mode="r:gz") as tar:
                tar.extractall(unpacked, filter="data")
        except (tarfile.TarError, EOFError, OSError) as error:
            raise BackupRefused(f"the archive cannot be read: {error}") from error
        files = list(_files(unpacked))
        for path in files:
            if sqlite_copy.is_database(path):
                _check(path, unpacked)
                signal_sessions.forget(path)
        names = sorted(entry.name for entry in unpacked.iterdir())
        (made / MOVED).write_text("\n".join(names))
        try:
            for name in names:
                (unpacked / name).rename(folder / name)
        except BaseException:
            _remove_entries(folder, names)
            raise
    return len(files)


def _remove_half_restores(folder: Path) -> None:
    # The folder was empty when that restore began, and no program starts on half a restore.
    for half in left(folder, RESTORING):
        with contextlib.suppress(FileNotFoundError):
            _remove_entries(folder, (half / MOVED).read_text().splitlines())
        shutil.rmtree(half)


def _remove_entries(folder: Path, names: Sequence[str]) -> None:
    for name in names:
        path = folder / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _files(folder: Path, leave_out: Path | None = None) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        if Path(parent) == folder:
            folders[:] = [
                name for name in folders if name not in _LEFT_OUT and not name.startswith((COPYING, RESTORING))
            ]
        for name in sorted(names):
            path = Path(parent, name)
            if (
                path.is_file()
                and not path.is_symlink()
                and not name.endswith(sqlite_copy.SIDE_FILES)
                and path != leave_out
            ):
                yield path


def _add_files(
    tar: tarfile.TarFile, folder: Path, leave_out: Path | None, saved: dict[str, int], *, only: str | None
) -> None:
    for source in _files(folder, leave_out):
        name = str(source.relative_to(folder))
        if (only is None or source.relative_to(folder).parts[0] == only) and not sqlite_copy.is_database(source):
            # A journal may have been read and removed since it was listed.
            with contextlib.suppress(FileNotFoundError), source.open("rb") as file:
                member = tar.gettarinfo(arcname=name, fileobj=file)
                if saved.get(name) != member.size or (only is None and name.partition("/")[0] != _JOURNALS):
                    member.type = tarfile.REGTYPE  # also a file with a second name
                    tar.addfile(member, file)
                    saved[name] = member.size


def _add_database(tar: tarfile.TarFile, folder: Path, source: Path, saved: dict[str, int]) -> None:
    name = str(source.relative_to(folder))
    _refuse_without_room(folder, source)
    try:
        with temporary_folder(folder, COPYING) as temporary, _full_named(str(folder)):
            copy = temporary / "copy.db"
            sqlite_copy.copy(source, copy)
            tar.add(copy, arcname=name, recursive=False)
            saved[name] = copy.stat().st_size
    except sqlite3.Error as error:
        if not source.exists():
            return  # of a session that was deleted since the files were listed
        full = getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_FULL
        raise BackupRefused(_full(str(folder)) if full else f"{name} cannot be copied: {error}") from error


def _refuse_without_room(folder: Path, source: Path) -> None:
    try:
        needed, free = source.stat().st_size, shutil.disk_usage(folder).free
    except FileNotFoundError:
        return
    if free < needed:
        raise BackupRefused(
            f"{folder} is too full: the copy of {source.name} needs {needed // 2**20 + 1} MB there, "
            f"{free // 2**20} MB are free"
        )


def _check(path: Path, root: Path) -> None:
    why = sqlite_copy.damage(path)
    if why is not None:
        raise BackupRefused(f"{path.relative_to(root)} in the archive is damaged: {why}")


@contextlib.contextmanager
def _full_named(place: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise BackupRefused(_full(place)) from error
        raise


def _full(place: str) -> str:
    return f"{place} is full"


def _save_to_file(folder: Path, file: Path) -> int:
    """Writes ``file`` beside its name and gives it the name when it is whole."""
    file = file.absolute()
    if file.exists():
        raise BackupRefused(f"{file} exists: an archive is never overwritten")
    part = file.with_name(f"{file.name}.part")
    part.unlink(missing_ok=True)  # of a run that was killed
    try:
        with (
            _full_named(str(file.parent)),
            open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out,
        ):
            count = save(folder, out, where=part)
            out.flush()
            os.fsync(out.fileno())
        part.rename(file)
    finally:
        part.unlink(missing_ok=True)
    return count


class _Ended(BaseException):
    """A signal asks this program to end; everything temporary is removed on the way out."""


def _end(number: int, _frame: FrameType | None) -> Never:
    for each in STOP_SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise _Ended(number)


def main(arguments: Sequence[str]) -> int:
    """Exit codes: 0 done, 1 refused, 2 wrong use, 128 and its number after a signal."""
    for number in stop_signals():
        signal.signal(number, _end)
    try:
        match list(arguments):
            case ["save", folder, "-"]:
                count = save(Path(folder), sys.stdout.buffer)
                sys.stdout.buffer.flush()
            case ["save", folder, file]:
                count = _save_to_file(Path(folder), Path(file))
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
    except _Ended as ended:
        sys.stderr.write("Ended by a signal: nothing was changed\n")
        return 128 + int(ended.args[0])
    sys.stderr.write(f"{count} files\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
