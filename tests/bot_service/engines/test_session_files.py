"""The files of one session: read while another process has them open, placed elsewhere, or not at all."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from bot_service.engines import session_files
from bot_service.engines.session_files import Placement, UnfitFiles

NAMES = {"devices/{session}.db", "devices/{session}.db.marks", "devices/{session}.db.sent"}
# Writes a row into the write-ahead log and stays, with the file open, until its input ends.
HOLDER = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("PRAGMA journal_mode=WAL")
db.execute("CREATE TABLE t (x)")
db.execute("INSERT INTO t VALUES (42)")
print("open", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A session ``shop.1`` whose store is open elsewhere, and another one."""
    devices = tmp_path / "a" / "devices"
    devices.mkdir(parents=True)
    for name in ("shop%2E1.db.marks", "shop%2E1.db.sent", "shop.db"):
        (devices / name).write_text(name)
    return tmp_path / "a"


def read_open(data_dir: Path) -> dict[str, bytes]:
    store = data_dir / "devices" / "shop%2E1.db"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(store)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"open\n"
        assert store.with_name(f"{store.name}-wal").stat().st_size > 0
        return session_files.read("neonize", data_dir, "shop.1")


def test_they_are_read_whole_and_placed_under_another_name(data_dir: Path, tmp_path: Path) -> None:
    files = read_open(data_dir)
    assert set(files) == NAMES
    there = tmp_path / "b"
    there.mkdir()
    placement = Placement("neonize", there, "Lyon", files, forget=True)
    placement.put()
    assert session_files.left_by_kills(there) == []  # in use
    placement.close()
    with closing(sqlite3.connect(there / "devices" / "Lyon.db")) as store:
        assert store.execute("SELECT x FROM t").fetchone() == (42,)
    assert (there / "devices" / "Lyon.db.sent").read_text() == "shop%2E1.db.sent"
    assert {path.stat().st_mode & 0o777 for path in (there / "devices").glob("Lyon.db*")} == {0o600}
    assert [path.name for path in there.iterdir()] == ["devices"]


@pytest.mark.parametrize(
    "name",
    [
        "../bot.db",
        "devices/{session}.db/../x",
        "devices/other.db",
        "devices/{session}.db.x/y",
        "/etc/passwd",
        "devices/{session}.dbx",
    ],
)
def test_no_name_leads_elsewhere(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnfitFiles):
        Placement("neonize", tmp_path, "shop", {name: b"x"}, forget=False)
    assert os.listdir(tmp_path) == []


def test_a_damaged_store_is_refused_and_leaves_nothing(data_dir: Path, tmp_path: Path) -> None:
    files = read_open(data_dir)
    store = files["devices/{session}.db"]
    files["devices/{session}.db"] = store[:4096] + b"\xff" * (len(store) - 4096)
    there = tmp_path / "b"
    there.mkdir()
    with pytest.raises(UnfitFiles, match="damaged"):
        Placement("neonize", there, "Lyon", files, forget=False).put()
    assert not list(there.rglob("Lyon*"))
    assert not list(there.glob(f"{session_files.PLACING}*"))


def test_a_kill_leaves_a_folder_that_names_the_session(data_dir: Path, tmp_path: Path) -> None:
    there = tmp_path / "b"
    there.mkdir()
    code = (
        "import os, sys; from pathlib import Path; from bot_service.engines.session_files import Placement; "
        "placed = Placement('simulator', Path(sys.argv[1]), 'shop', {'simulator/{session}.phone': b'{}'}, forget=False); placed.put(); "
        "os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, str(there)], check=False)
    assert session_files.left_by_kills(there) == ["shop"]
    session_files.remove("simulator", there, "shop")
    session_files.remove_left_folders(there)
    assert [path for path in there.rglob("*") if path.is_file()] == []
