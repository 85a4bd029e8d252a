"""Backup and restore of a data folder: consistent while it is written, refused when harmful."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shared import backup_folders
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
    # In a process of its own, as the service is: to close a file ends all locks of its process on it.
    write = (
        "import sqlite3, sys\n"
        "database, number = sqlite3.connect(sys.argv[1], timeout=30), 2\n"
        "while True:\n"
        "    with database:  # both rows or none\n"
        "        database.executemany('INSERT INTO t VALUES (?)', [(number,), (-number,)])\n"
        "    number += 1\n"
    )
    writer = subprocess.Popen([sys.executable, "-c", write, str(data / "bot.db")])
    try:
        eventually_written = time.monotonic() + 60
        while len(_rows(data / "bot.db")) < 10:
            assert time.monotonic() < eventually_written
        archives = [_saved(data) for _ in range(5)]
        assert writer.poll() is None
    finally:
        writer.kill()
        writer.wait()
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


def _entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname, made.size = kind, link, 5 if kind == tarfile.REGTYPE else 0
    return made


@pytest.mark.parametrize(
    "entries",
    [
        [_entry("../outside")],
        [_entry("devices/../../outside")],
        [_entry("link", tarfile.SYMTYPE, ".."), _entry("link/outside")],
        [_entry("link", tarfile.SYMTYPE, "OTHER"), _entry("link/outside")],
        [_entry("bot.db", tarfile.SYMTYPE, "OTHER/kept")],
        [_entry("bot.db", tarfile.SYMTYPE, "../../other/kept")],
        [_entry("bot.db", tarfile.LNKTYPE, "../../other/kept"), _entry("bot.db")],
        [_entry("bot.db", tarfile.LNKTYPE, "OTHER/kept"), _entry("bot.db")],
        [_entry("bot.db", tarfile.CHRTYPE)],
        [_entry("bot.db", tarfile.FIFOTYPE)],
    ],
    ids=lambda entries: " ".join(f"{each.name}>{each.linkname}{each.type!r}" for each in entries),
)
def test_an_archive_that_points_outside_is_refused(tmp_path: Path, entries: list[tarfile.TarInfo]) -> None:
    other, restored = tmp_path / "other", tmp_path / "inner" / "restored"
    other.mkdir()
    (other / "kept").write_text("kept")
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        tar.addfile(_entry("journal/first"), io.BytesIO(b"first"))
        for each in entries:
            each.linkname = each.linkname.replace("OTHER", str(other))
            tar.addfile(each, io.BytesIO(b"wrong"))
    archive.seek(0)
    with pytest.raises(BackupRefused, match="cannot be read"):
        restore(archive, restored)
    assert [path.name for path in other.iterdir()] == ["kept"]
    assert (other / "kept").read_text() == "kept"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["inner", "kept", "other", "restored"]


def test_an_absolute_name_in_an_archive_stays_inside(tmp_path: Path) -> None:
    archive, outside = io.BytesIO(), tmp_path / "outside"
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        tar.addfile(_entry(str(outside)), io.BytesIO(b"wrong"))
    archive.seek(0)
    restore(archive, tmp_path / "restored")
    assert not outside.exists()


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


# --- more data than a temporary folder holds, full disks, and ends that come early ---


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MB where this machine lets us mount one; else the tests that need it are skipped."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m,mode=0700", "none", str(folder)]
    try:
        mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except OSError:
        mounted = False
    if not mounted:
        pytest.skip("needs root, to mount a tmpfs (.ci/run has it)")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], capture_output=True, check=False)


def grow(path: Path, megabytes: int) -> None:
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE IF NOT EXISTS big (b BLOB)")
        for _ in range(megabytes):
            database.execute("INSERT INTO big VALUES (?)", (os.urandom(2**20),))
        database.commit()


def command(*arguments: str, **changes: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "shared.tools.backup", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, **changes},
    )  # fmt: skip


def succeeds(*arguments: str, **changes: str) -> bool:
    process = command(*arguments, **changes)
    _, said = process.communicate(timeout=240)
    assert process.returncode == 0, said
    return True


def left_over(folder: Path) -> list[str]:
    """Temporary folders and unfinished archives."""
    return [
        path.name
        for path in folder.iterdir()
        if path.name.startswith((".backup-", ".restore-")) or path.suffix == ".part"
    ]


def test_a_database_larger_than_the_temporary_folder_is_saved_and_comes_back(
    data: Path, small_disk: Path, tmp_path: Path
) -> None:
    grow(data / "bot.db", 8)
    assert succeeds("save", str(data), str(tmp_path / "all.tar.gz"), TMPDIR=str(small_disk))
    assert not list(small_disk.iterdir())
    assert left_over(data) == left_over(tmp_path) == []
    assert succeeds("restore", str(tmp_path / "all.tar.gz"), str(tmp_path / "new"), TMPDIR=str(small_disk))
    assert not list(small_disk.iterdir())
    assert left_over(tmp_path / "new") == []
    with contextlib.closing(sqlite3.connect(tmp_path / "new" / "bot.db")) as database:
        assert database.execute("SELECT count(*), min(length(b)) FROM big").fetchone() == (8, 2**20)


def test_a_full_folder_is_named_whichever_it_is(data: Path, small_disk: Path, tmp_path: Path) -> None:
    grow(data / "bot.db", 4)
    archive = small_disk / "all.tar.gz"
    saving = command("save", str(data), str(archive))
    _, said = saving.communicate(timeout=120)
    assert saving.returncode == 1
    assert f"{small_disk} is full".encode() in said
    assert not list(small_disk.iterdir())
    assert left_over(data) == []

    small = small_disk / "data"
    small.mkdir()
    grow(small / "one.db", 1)  # a second copy of it does not fit
    saving = command("save", str(small), str(tmp_path / "small.tar.gz"))
    _, said = saving.communicate(timeout=120)
    assert saving.returncode == 1
    assert str(small).encode() in said
    assert b"full" in said
    assert left_over(small) == left_over(tmp_path) == []

    (small / "one.db").unlink()
    assert succeeds("save", str(data), str(tmp_path / "all.tar.gz"))
    restoring = command("restore", str(tmp_path / "all.tar.gz"), str(small))
    _, said = restoring.communicate(timeout=120)
    assert restoring.returncode == 1
    assert f"{small} is full".encode() in said
    assert list(small.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL])
def test_a_save_that_is_ended_early_leaves_no_copy_of_a_pairing(
    data: Path, tmp_path: Path, number: signal.Signals
) -> None:
    grow(data / "devices" / "a.db", 30)
    saving = command("save", str(data), "-")  # no one reads its output, so it waits in the middle
    wait_until(lambda: any((folder / "copy.db").exists() for folder in data.glob(".backup-*")))
    saving.send_signal(number)
    saving.communicate(timeout=120)
    if number is not signal.SIGKILL:
        assert saving.returncode == 128 + number
        assert left_over(data) == []
        return
    assert left_over(data) != []
    assert succeeds("save", str(data), str(tmp_path / "all.tar.gz"))
    assert left_over(data) == []
    with tarfile.open(tmp_path / "all.tar.gz") as tar:
        assert not [name for name in tar.getnames() if ".backup-" in name]


def test_a_program_removes_the_copy_of_a_killed_save_and_leaves_that_of_a_running_one(data: Path) -> None:
    grow(data / "bot.db", 30)
    killed, running = command("save", str(data), "-"), None
    try:
        wait_until(lambda: any(data.glob(".backup-*/copy.db")))
        [first] = data.glob(".backup-*")
        backup_folders.prepare(data)
        assert first.exists()
        killed.kill()
        killed.communicate(timeout=60)
        running = command("save", str(data), "-")
        wait_until(lambda: any(path != first for path in data.glob(".backup-*")))
        backup_folders.prepare(data)
        assert not first.exists()
        assert len(left_over(data)) == 1
    finally:
        for process in (killed, running):
            if process is not None:
                process.kill()
                process.communicate(timeout=60)


def test_a_killed_save_to_a_file_leaves_no_archive_that_looks_whole(data: Path, tmp_path: Path) -> None:
    grow(data / "bot.db", 25)
    archive = tmp_path / "all.tar.gz"
    saving = command("save", str(data), str(archive))
    part = tmp_path / "all.tar.gz.part"
    wait_until(lambda: part.exists() and part.stat().st_size > 100_000)
    assert part.stat().st_mode & 0o777 == 0o600
    saving.kill()
    saving.communicate(timeout=60)
    assert not archive.exists()
    assert succeeds("save", str(data), str(archive))
    assert not part.exists()
    with archive.open("rb") as saved:
        restore(saved, tmp_path / "new")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_half_a_restore_is_undone_and_no_program_starts_on_it(
    data: Path, tmp_path: Path, number: signal.Signals
) -> None:
    grow(data / "bot.db", 10)
    whole = _saved(data).getvalue()
    new = tmp_path / "new"
    restoring = subprocess.Popen(
        [sys.executable, "-m", "shared.tools.backup", "restore", "-", str(new)],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert restoring.stdin is not None
    restoring.stdin.write(whole[: len(whole) // 2])
    restoring.stdin.flush()
    wait_until(lambda: any(new.glob(".restore-*/data/*")))
    with pytest.raises(backup_folders.HalfRestored, match="run it again"):
        backup_folders.prepare(new)
    restoring.send_signal(number)
    restoring.communicate(timeout=60)
    if number is signal.SIGTERM:
        assert list(new.iterdir()) == []
    else:
        with pytest.raises(backup_folders.HalfRestored):
            backup_folders.prepare(new)
    restore(io.BytesIO(whole), new)
    backup_folders.prepare(new)
    assert _rows(new / "bot.db") == [1]


def test_a_restore_that_was_killed_while_it_put_files_in_place_is_undone_by_the_next(
    data: Path, tmp_path: Path
) -> None:
    archive, new = _saved(data), tmp_path / "new"
    half = new / ".restore-killed"
    half.mkdir(parents=True)
    (half / "moved").write_text("bot.db\nsecrets")
    (new / "bot.db").write_bytes(b"of the first archive")
    restore(archive, new)
    assert _rows(new / "bot.db") == [1]
    assert left_over(new) == []


def wait_until(look: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.005)
