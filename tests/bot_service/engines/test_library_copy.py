"""Copies of the real native library that announce another build: whole or not at all, and never a crash."""

from __future__ import annotations

import errno
import importlib.util
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bot_service.engines.neonize import library_copy
from bot_service.engines.port import CopyError
from tests.support.processes import ROOT

BUILD = 1_052_000_000


@pytest.fixture(scope="module")
def original() -> bytes:
    return library_copy.installed().read_bytes()


def test_a_copy_differs_in_the_four_bytes_of_the_build_only(tmp_path: Path, original: bytes) -> None:
    copy = library_copy.make(BUILD, tmp_path / "engine")
    changed = copy.read_bytes()
    builtin, offset = library_copy.find_build(original)
    assert builtin == library_copy.builtin_build()
    assert library_copy.find_build(changed) == (BUILD, offset)
    assert len(changed) == len(original)
    assert changed[:offset] + original[offset : offset + 4] + changed[offset + 4 :] == original
    assert copy.stat().st_mode & 0o077 == 0
    assert [file.name for file in copy.parent.iterdir()] == [copy.name]


def test_a_whole_copy_is_used_again_and_a_damaged_one_is_made_again(tmp_path: Path) -> None:
    copy = library_copy.make(BUILD, tmp_path)
    whole, made = copy.read_bytes(), copy.stat().st_ino
    assert library_copy.make(BUILD, tmp_path).stat().st_ino == made
    for damaged in (whole[: len(whole) // 2], b"", whole[:-1] + bytes([whole[-1] ^ 1]), whole + b"x"):
        copy.write_bytes(damaged)
        assert library_copy.make(BUILD, tmp_path).read_bytes() == whole


def test_other_copies_and_what_a_kill_left_are_removed(tmp_path: Path) -> None:
    kept = library_copy.make(BUILD, tmp_path)
    older, in_use = library_copy.make(BUILD - 2, tmp_path), library_copy.make(BUILD - 1, tmp_path)
    left = tmp_path / (kept.name + ".part")
    left.write_bytes(b"half")
    stranger = tmp_path / "notes.txt"
    stranger.write_text("not ours")
    library_copy.remove_others(tmp_path, {BUILD, BUILD - 1})
    assert not older.exists()
    assert not left.exists()
    assert kept.exists()
    assert in_use.exists()
    assert stranger.exists()
    library_copy.remove_others(tmp_path / "gone", set())


@pytest.mark.parametrize("places", [0, 2])
def test_a_library_that_holds_the_version_more_or_less_than_once_is_refused(places: int) -> None:
    one = struct.pack("<III", 2, 3000, BUILD)
    # Something that looks like it and is not: another number behind it, or not where a number can be.
    decoy = struct.pack("<III", 2, 3000, 7) + b"\0" + one + b"\0" * 3
    with pytest.raises(CopyError) as caught:
        library_copy.find_build(b"\0" * 64 + one * places + decoy)
    assert caught.value.reason == "not_unique"


@pytest.mark.parametrize(
    ("number", "reason"),
    [(errno.ENOSPC, "no_space"), (errno.EDQUOT, "no_space"), (errno.EACCES, "not_writable"), (errno.EROFS, "not_writable"),
     (errno.EIO, "not_writable")],
)  # fmt: skip
def test_a_disk_that_refuses_is_named_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, reason: str
) -> None:
    def fsync(file: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(CopyError) as caught:
        library_copy.make(BUILD, tmp_path)
    assert caught.value.reason == reason
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "block",
    [
        lambda folder: folder.write_text("a file where the folder should be"),
        lambda folder: folder.symlink_to("/proc/nowhere"),
    ],
)
def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path, block: Callable[[Path], Any]) -> None:
    block(tmp_path / "engine")
    with pytest.raises(CopyError) as caught:
        library_copy.make(BUILD, tmp_path / "engine")
    assert caught.value.reason == "not_writable"


def test_a_missing_engine_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(CopyError) as caught:
        library_copy.builtin_build()
    assert caught.value.reason == "not_installed"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount a tmpfs (.ci/run has it)")
def test_a_folder_without_programs_is_named(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from bot_service.engines.neonize import library_copy;"
        "from bot_service.engines.port import CopyError\n"
        f"try: library_copy.make({BUILD}, Path(sys.argv[1]))\n"
        "except CopyError as error: print(error.reason)"
    )
    command = f'mount -t tmpfs -o noexec,size=64m none "{tmp_path}" && "{sys.executable}" -c "$0" "{tmp_path}"'
    ran = subprocess.run(
        ["unshare", "--mount", "sh", "-c", command, script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if "unshare" in ran.stderr or "mount:" in ran.stderr:
        pytest.skip(f"needs the right to mount (.ci/run has it): {ran.stderr.strip()}")
    assert ran.stdout.strip() == "not_executable", ran.stderr


def test_a_kill_at_any_moment_leaves_no_copy_or_a_whole_one(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from bot_service.engines.neonize import library_copy;"
        f"print('begin', flush=True); library_copy.make({BUILD}, Path(sys.argv[1]))"
    )
    whole = library_copy.make(BUILD, tmp_path / "whole").read_bytes()
    for round_ in range(12):
        folder = tmp_path / str(round_)
        with subprocess.Popen([sys.executable, "-c", script, str(folder)], cwd=ROOT, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            try:
                process.wait(timeout=0.02 * round_)
            except subprocess.TimeoutExpired:
                process.kill()
        for file in folder.glob("*.so"):
            assert file.read_bytes() == whole
        assert library_copy.make(BUILD, folder).read_bytes() == whole
        library_copy.remove_others(folder, {BUILD})
        assert len(list(folder.iterdir())) == 1
