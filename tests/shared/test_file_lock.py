"""A lock that holds when its file is deleted, and temporary files that killed processes left."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest

from shared.clock import SystemClock
from shared.file_lock import FolderLock, is_locked, lock_file
from shared.stop_signals import stop_signals
from shared.temporary_folders import left, remove_left, remove_old_parts, temporary_folder
from tests.support.processes import API_KEY, WATCHDOG_TOKEN, Program, free_port
from tests.support.waiting import eventually


def lock(folder: Path) -> FolderLock:
    return FolderLock(folder / "x.lock", folder / "run")


def delete_file(folder: Path) -> None:
    (folder / "x.lock").unlink()


def replace_file(folder: Path) -> None:
    (folder / "x.lock").rename(folder / "moved")
    (folder / "x.lock").touch()


def delete_folder(folder: Path) -> None:
    shutil.rmtree(folder / "run")


@pytest.mark.parametrize("harm", [delete_file, replace_file, delete_folder])
def test_a_second_process_is_refused_also_without_the_file(tmp_path: Path, harm: Callable[[Path], None]) -> None:
    first, second = lock(tmp_path), lock(tmp_path)
    first.take()
    harm(tmp_path)
    with pytest.raises(BlockingIOError):
        second.take()
    assert not second.held
    assert len(first.renew()) == 1
    assert first.renew() == []
    first.release()
    second.take()
    second.release()


def test_one_that_lost_everything_to_another_learns_of_it(tmp_path: Path) -> None:
    first, second = lock(tmp_path), lock(tmp_path)
    first.take()
    delete_file(tmp_path)
    delete_folder(tmp_path)
    second.take()
    with pytest.raises(BlockingIOError):
        first.renew()
    second.release()
    first.release()


def test_whether_a_file_is_locked_is_asked_without_taking_it(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    assert not is_locked(path)
    held = lock_file(path)
    assert is_locked(path)
    os.close(held)
    assert not is_locked(path)


def test_temporary_folders_of_killed_processes_are_removed_and_others_stay(tmp_path: Path) -> None:
    (tmp_path / ".copy-killed").mkdir()
    (tmp_path / ".copy-killed" / "pairing").write_text("x")
    with temporary_folder(tmp_path, ".copy-") as used:
        assert used.stat().st_mode & 0o777 == 0o700
        assert left(tmp_path, ".copy-") == [tmp_path / ".copy-killed"]
        remove_left(tmp_path, ".copy-")
        assert list(tmp_path.iterdir()) == [used]
    assert list(tmp_path.iterdir()) == []


def test_old_unfinished_files_are_removed_and_new_ones_stay(tmp_path: Path) -> None:
    (tmp_path / "media").mkdir()
    old, new, whole = tmp_path / "media" / "a.part", tmp_path / "b.part", tmp_path / "media" / "c.jpg"
    for path in (old, new, whole):
        path.touch()
    for path in (old, whole):
        os.utime(path, (time.time() - 7200,) * 2)
    remove_old_parts(tmp_path, SystemClock().now())
    assert not old.exists()
    assert new.exists()
    assert whole.exists()


def test_a_program_that_ignores_hangups_is_not_ended_by_one() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert signal.SIGHUP not in stop_signals()
    finally:
        signal.signal(signal.SIGHUP, before)
    assert signal.SIGHUP in stop_signals()


# --- the programs ---


def bot_service(folder: Path, log: str = "bot.log") -> Program:
    env = {
        "PORT": str(free_port()), "DATA_DIR": str(folder / "data"), "ENGINE": "simulator", "BOT_API_KEY": API_KEY,
        "WATCHDOG_TOKEN": WATCHDOG_TOKEN, "LOG_FORMAT": "json",
    }  # fmt: skip
    return Program("bot_service", env, log=folder / log)


def watchdog(folder: Path, log: str = "watchdog.log") -> Program:
    env = {
        "PORT": str(free_port()), "DATA_DIR": str(folder / "data"), "BOT_URL": f"http://127.0.0.1:{free_port()}",
        "WATCHDOG_TOKEN": WATCHDOG_TOKEN, "LOG_FORMAT": "json", "KEEP_ALIVE_ENABLED": "false",
    }  # fmt: skip
    return Program("watchdog", env, log=folder / log)


@pytest.mark.parametrize("make", [bot_service, watchdog])
async def test_two_programs_on_one_folder_are_refused_also_when_the_lock_file_was_deleted(
    tmp_path: Path, make: Callable[..., Program]
) -> None:
    first = make(tmp_path)
    name = "bot.lock" if make is bot_service else "watchdog.db.lock"
    async with first.running():
        for times in (1, 2):
            (tmp_path / "data" / name).unlink()
            second = make(tmp_path, "second.log")
            second.start()
            assert second.process is not None
            await eventually(second.process.poll, what="the second one ending with an error")
            assert second.process.returncode == 1
            said = second.output()
            assert "another" in said
            assert "Traceback" not in said

            def made_again(times: int = times) -> bool:
                return first.output().count("lock.replaced") == times

            await eventually(made_again, what="the lock being made again")
            assert is_locked(tmp_path / "data" / name)
        await first.ready()


open_streams: Counter[int] = Counter()


async def heartbeat(program: Program) -> str:
    """All of the stream until its end."""
    headers = {"Authorization": f"Bearer {WATCHDOG_TOKEN}"}
    heard = ""
    async with (
        aiohttp.ClientSession(headers=headers) as http,
        http.get(program.url + "/api/heartbeat", timeout=aiohttp.ClientTimeout(total=120)) as stream,
    ):
        assert stream.status == 200
        with contextlib.suppress(aiohttp.ClientError):
            async for data in stream.content.iter_any():
                open_streams[program.port] += 1
                heard += data.decode()
    return heard


@pytest.mark.parametrize("make", [bot_service, watchdog])
async def test_sighup_is_an_orderly_stop(tmp_path: Path, make: Callable[..., Program]) -> None:
    program = make(tmp_path)
    async with program.running():
        heard = asyncio.create_task(heartbeat(program)) if make is bot_service else None
        if heard is not None:
            await eventually(lambda: open_streams[program.port], what="the heartbeat being heard")
        program.signal(signal.SIGHUP)
        assert program.process is not None
        assert await asyncio.to_thread(program.process.wait, 60) == 0
        assert "server.stopped" in program.output()
        assert heard is None or "event: stopping" in await heard
