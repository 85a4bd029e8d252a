"""Backup and restore of a data folder: consistent while it is written, refused when harmful."""

from __future__ import annotations

import contextlib
import io
import socket
import sqlite3
import subprocess
import sys
import tarfile
import threading
from pathlib import Path

import pytest

from shared.tools.backup import BackupRefused, restore, save


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with databases, a journal, a secret, a socket and SQLite's side files."""
    folder = tmp_path / "data"
    for name in ("devices", "journal", "run", "secrets"):
        (folder / name).mkdir(parents=True)
    for name in ("bot.db", "devices/a.db"):
        with contextlib.closing(sqlite3.connect(folder / name)) as database:
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("CREATE TABLE t (n INTEGER)")
            database.execute("INSERT INTO t VALUES (1)")
            database.commit()
    (folder / "journal" / "w1.journal").write_bytes(b"one")
    secret = folder / "secrets" / "bot-api-key"
    secret.write_text("0123456789abcdef")
    secret.chmod(0o600)
    (folder / "run" / "worker.json").write_text("{}")
    return folder


def _saved(folder: Path) -> io.BytesIO:
    archive = io.BytesIO()
    save(folder, archive)
    archive.seek(0)
    return archive


def _rows(path: Path) -> list[int]:
    with contextlib.closing(sqlite3.connect(path)) as database:
        return [row[0] for row in database.execute("SELECT n FROM t ORDER BY n")]


def test_what_was_saved_comes_back_with_its_modes_and_without_what_belongs_to_processes(
    data: Path, tmp_path: Path
) -> None:
    restored = tmp_path / "restored"
    restore(_saved(data), restored)

    assert _rows(restored / "bot.db") == _rows(restored / "devices" / "a.db") == [1]
    assert (restored / "journal" / "w1.journal").read_bytes() == b"one"
    assert (restored / "secrets" / "bot-api-key").stat().st_mode & 0o777 == 0o600
    assert not (restored / "run").exists()
    assert sorted(path.name for path in restored.iterdir()) == ["bot.db", "devices", "journal", "secrets"]


def test_rows_that_stand_only_in_the_write_ahead_log_are_saved(data: Path, tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(data / "bot.db")) as live:
        live.execute("INSERT INTO t VALUES (2)")
        live.commit()
        assert (data / "bot.db-wal").stat().st_size > 0
        archive = _saved(data)

    restore(archive, tmp_path / "restored")
    assert _rows(tmp_path / "restored" / "bot.db") == [1, 2]


def test_a_database_that_is_being_written_to_is_saved_whole(data: Path, tmp_path: Path) -> None:
    stop = threading.Event()

    def write() -> None:
        with contextlib.closing(sqlite3.connect(data / "bot.db", timeout=30)) as database:
            number = 2
            while not stop.is_set():
                # Both rows or none.
                database.execute("INSERT INTO t VALUES (?)", (number,))
                database.execute("INSERT INTO t VALUES (?)", (-number,))
                database.commit()
                number += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        archives = [_saved(data) for _ in range(5)]
    finally:
        stop.set()
        writer.join(timeout=120)
    for number, archive in enumerate(archives):
        restored = tmp_path / f"restored-{number}"
        restore(archive, restored)
        rows = set(_rows(restored / "bot.db")) - {1}
        assert all(-row in rows for row in rows)


def test_a_folder_that_is_not_empty_is_never_overwritten(data: Path) -> None:
    with pytest.raises(BackupRefused, match="is not empty"):
        restore(_saved(data), data)
    assert _rows(data / "bot.db") == [1]


def test_a_damaged_database_in_the_archive_is_found_before_anything_is_put_in_place(data: Path, tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(data / "bot.db")) as database:
        database.executemany("INSERT INTO t VALUES (?)", [(n,) for n in range(2, 5000)])
        database.commit()
    original = _saved(data)
    broken = io.BytesIO()
    with tarfile.open(fileobj=original, mode="r:gz") as source, tarfile.open(fileobj=broken, mode="w:gz") as target:
        for member in source:
            content = bytearray(source.extractfile(member).read())  # type: ignore[union-attr]
            if member.name == "bot.db":
                content[4096 : 4096 * 3] = b"\xff" * 4096 * 2
            target.addfile(member, io.BytesIO(bytes(content)))
    broken.seek(0)

    restored = tmp_path / "restored"
    with pytest.raises(BackupRefused, match=r"bot\.db in the archive is damaged"):
        restore(broken, restored)
    assert list(restored.iterdir()) == []


def test_an_archive_that_points_outside_is_refused(tmp_path: Path) -> None:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        tar.addfile(tarfile.TarInfo("../outside"), io.BytesIO())
    archive.seek(0)

    with pytest.raises(BackupRefused, match="cannot be read"):
        restore(archive, tmp_path / "inner" / "restored")
    assert not (tmp_path / "inner" / "outside").exists()


def test_a_socket_and_a_link_are_left_out(data: Path, tmp_path: Path) -> None:
    (data / "link").symlink_to("/etc/passwd")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(data / "s"))
        restore(_saved(data), tmp_path / "restored")
    assert not (tmp_path / "restored" / "link").exists()
    assert not (tmp_path / "restored" / "s").exists()


def test_the_command_saves_to_a_private_file_and_restores_from_it(data: Path, tmp_path: Path) -> None:
    archive, restored = tmp_path / "backup.tar.gz", tmp_path / "restored"

    def backup(*arguments: str) -> int:
        return subprocess.run(
            [sys.executable, "-m", "shared.tools.backup", *arguments], capture_output=True, timeout=120, check=False
        ).returncode

    assert backup("save", str(data), str(archive)) == 0
    assert archive.stat().st_mode & 0o777 == 0o600
    assert backup("save", str(data), str(archive)) == 1, "an older backup is never overwritten"
    assert backup("restore", str(archive), str(restored)) == 0
    assert _rows(restored / "bot.db") == [1]
    assert backup("restore", str(archive)) == 2
