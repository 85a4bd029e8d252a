"""From a damaged journal to the store: the rest is stored, and what is lost is counted, named, kept aside and announced."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bot_service.engines.wire.journal_file import JournalWriter
from bot_service.events.service_alerts import ServiceAlerts
from bot_service.messages import journal_losses, journal_reader
from bot_service.messages.journal_losses import JournalAlerts, JournalLoss
from bot_service.operations.metrics import BotMetrics
from bot_service.store import events
from shared.clock import SystemClock
from shared.tasks import TaskGroupOfLoops
from shared.web.metrics import new_registry
from tests.bot_service.messages.test_journal_reader import Road, inbound, road
from tests.support.waiting import eventually

RECORDS = 120


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_reader, "LOOK_EVERY_S", 0.2)
    monkeypatch.setattr(journal_reader, "ORPHAN_S", 1.0)


def written(folder: Path, count: int = RECORDS, worker: str = "dead") -> tuple[Path, list[int]]:
    """The journal of a worker that has ended, and where its records end."""
    folder.mkdir(exist_ok=True)
    ends = [8]
    writer = JournalWriter(folder, worker, SystemClock(), grew=lambda _file, end: ends.append(end))
    writer.open()
    for number in range(count):
        writer.append(inbound(number))
    name, _ = writer.position
    writer.close()
    return folder / name, ends


def losses_of(at: Road) -> list[JournalLoss]:
    found: list[JournalLoss] = []
    at.reader.lost.subscribe(found.append)
    return found


def lost_records(found: list[JournalLoss]) -> int:
    return sum(loss.records for loss in found)


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 0x10
    path.write_bytes(data)


def flip_length(path: Path, ends: list[int]) -> int:
    flip(path, ends[70] + 8)
    return 1


def flip_checksum(path: Path, ends: list[int]) -> int:
    flip(path, ends[70] + 12)
    return 1


def flip_last(path: Path, ends: list[int]) -> int:
    flip(path, ends[-2] + 9)
    return 1


def zero_pages(path: Path, ends: list[int]) -> int:
    data = bytearray(path.read_bytes())
    data[4096:8192] = bytes(4096)
    path.write_bytes(data)
    return sum(begin < 8192 and end > 4096 for begin, end in itertools.pairwise(ends))


def zero_the_end(path: Path, ends: list[int]) -> int:
    data = bytearray(path.read_bytes())
    data[ends[-2] :] = bytes(len(data) - ends[-2])
    path.write_bytes(data)
    return 1


def nothing_but_a_torn_end(path: Path, ends: list[int]) -> int:
    with path.open("ab") as file:
        file.write(path.read_bytes()[ends[3] : ends[4] - 5])
    return 0


@pytest.mark.parametrize(
    "harm", [flip_length, flip_checksum, flip_last, zero_pages, zero_the_end, nothing_but_a_torn_end]
)
async def test_a_damaged_file_of_a_dead_worker_gives_all_that_is_readable_and_is_kept(
    tmp_path: Path, harm: Callable[[Path, list[int]], int], capfd: pytest.CaptureFixture[str]
) -> None:
    path, ends = written(tmp_path / "journal")
    expected = harm(path, ends)
    damaged = path.read_bytes()
    async with road(tmp_path) as at:
        found = losses_of(at)
        await at.holds(RECORDS - expected)
        await eventually(lambda: not path.exists(), what="the journal being removed")
        assert lost_records(found) == expected
        aside = tmp_path / "journal" / "damaged" / path.name
        assert aside.exists() == (expected > 0)
        assert not expected or aside.read_bytes() == damaged
        metrics = BotMetrics(new_registry(), "1")
        for loss in found:
            metrics.message_lost("journal", loss.records)
        assert metrics.registry.get_sample_value("veilleur_bot_messages_lost_total", {"reason": "journal"}) == expected
    del capfd


def cut(path: Path) -> None:
    os.truncate(path, 4000)


def cut_to_nothing(path: Path) -> None:
    os.truncate(path, 0)


def remove(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("harm", [cut, cut_to_nothing, remove])
async def test_announced_records_that_are_gone_are_lost_by_name(tmp_path: Path, harm: Callable[[Path], None]) -> None:
    """The worker is dead, and its file is harmed before it was read."""
    path, ends = written(tmp_path / "journal")
    harm(path)
    readable = sum(end <= 4000 for end in ends[1:]) if harm is cut else 0
    async with road(tmp_path) as at:
        found = losses_of(at)
        at.reader.notice(path.name, ends[-1])
        await eventually(lambda: found, what="the loss")
        assert lost_records(found) >= 1
        await at.holds(readable)


async def test_a_file_cut_behind_what_is_stored_is_reported_once_by_the_next_run(tmp_path: Path) -> None:
    path, ends = written(tmp_path / "journal", 40)
    async with road(tmp_path) as at:
        at.in_use.add(path.name)
        await at.holds(40)
    os.truncate(path, ends[30])
    async with road(tmp_path) as at:
        found = losses_of(at)
        await eventually(lambda: not path.exists(), what="the journal being removed")
        assert [(loss.what, loss.start, loss.end, loss.records) for loss in found] == [
            ("truncated", ends[30], ends[40], 0)
        ]
        assert (tmp_path / "journal" / "damaged" / path.name).exists()


async def test_a_file_removed_from_a_living_worker_loses_nothing(tmp_path: Path) -> None:
    async with road(tmp_path) as at:
        found = losses_of(at)
        writer = at.writer("w1")
        name, _ = writer.position
        for number in range(50):
            writer.append(inbound(number))
        (at.folder / name).unlink()
        for number in range(50, 100):
            writer.append(inbound(number))
        at.in_use.add(writer.position[0])
        await at.holds(100)
        await eventually(lambda: found, what="the removal being reported")
        assert {(loss.what, loss.records) for loss in found} == {("removed", 0)}
        writer.close()


async def test_a_file_cut_under_a_living_worker_loses_exactly_what_was_not_read(tmp_path: Path) -> None:
    path, ends = written(tmp_path / "journal", 60, worker="w1")  # read by no one yet
    path.unlink()
    writer = JournalWriter(tmp_path / "journal", "w1", SystemClock(), grew=lambda _file, _end: None)
    writer.open()
    for number in range(60):
        writer.append(inbound(number))
    name, end = writer.position
    os.truncate(tmp_path / "journal" / name, ends[40])
    writer.append(inbound(60))
    async with road(tmp_path) as at:
        found = losses_of(at)
        at.in_use.add(writer.position[0])
        at.reader.notice(name, end)
        at.reader.notice(*writer.position)
        await at.holds(41)
        await eventually(lambda: lost_records(found) >= 20, what="the loss")
        assert lost_records(found) == 20
        writer.append(inbound(61))
        at.reader.notice(*writer.position)
        await at.holds(42)
    writer.close()


async def test_damage_is_announced_once_for_many_and_files_kept_aside_are_few(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_losses, "TELL_EVERY_S", 0.3)
    monkeypatch.setattr(journal_losses, "CALM_S", 0.5)
    paths = []
    for number in range(8):
        path, ends = written(tmp_path / "journal", 3, worker=f"w{number}")
        flip(path, ends[1] + 30)
        paths.append(path)
    async with road(tmp_path) as at:
        alerts = JournalAlerts(SystemClock(), ServiceAlerts(SystemClock(), at.reader._publisher))
        at.reader.lost.subscribe(alerts.add)
        found = losses_of(at)
        loops = TaskGroupOfLoops(SystemClock())
        loops.start("alerts", alerts.run)

        async def published() -> list[str]:
            async with at.database.read() as connection:
                return [e.type for e in await events.after(connection, "", 100) if e.type.startswith("service.")]

        async def both() -> bool:
            return await published() == ["service.alert", "service.recovered"]

        await eventually(both, what="one alert, and its end")
        await loops.stop()
        assert lost_records(found) == 8
        assert len(list((tmp_path / "journal" / "damaged").iterdir())) == journal_losses.ASIDE_FILES


async def test_a_disk_that_does_not_give_a_journal_makes_the_service_unhealthy(tmp_path: Path) -> None:
    async with road(tmp_path) as at:
        wrong = at.folder / "w9-5.journal"
        wrong.mkdir()  # read() of it fails with an OSError, also for root
        await eventually(lambda: at.reader.unreadable == {wrong.name}, what="the journal being unreadable")
        wrong.rmdir()
        path, _ = written(at.folder, 3, worker="w9")
        path.rename(wrong)
        await at.holds(3)
        assert at.reader.unreadable == set()
