"""What ``veilleur doctor`` finds of the client version, by the setting, the store and the folder; without a network."""

from __future__ import annotations

import errno
import os
from collections.abc import Collection
from datetime import timedelta
from pathlib import Path

import pytest

from bot_service.doctor_version import COPY, NAME, checks
from bot_service.domain import version_problems
from bot_service.domain.client_version import BUILDS_PER_DAY, age_days, estimated_build, version
from bot_service.engines import registry
from bot_service.engines.port import CopyError
from bot_service.store import client_builds
from bot_service.store.database import open_database
from shared import clock
from shared.clock import SystemClock
from shared.doctor import Check, CheckStatus
from tests.support.bot_app import settings

NOW = SystemClock().now()
BUILTIN = estimated_build(NOW - timedelta(days=68))


def days_old(days: int) -> int:
    return estimated_build(NOW) - days * BUILDS_PER_DAY


class Library:
    """Makes empty copies, or fails as a test asks."""

    def __init__(self) -> None:
        self.made: list[tuple[int, Path]] = []
        self.fails: str = ""
        self.unknown = False

    def builtin_build(self) -> int:
        if self.unknown:
            raise CopyError("not_unique", "2 places of the native library look like the client version")
        return BUILTIN

    def make(self, build: int, folder: Path) -> Path:
        self.made.append((build, folder))
        assert folder.is_dir()
        (folder / "copy.so").touch()
        if self.fails:
            raise CopyError(self.fails, f"{folder}: for a test")
        return folder / "copy.so"

    def remove_others(self, folder: Path, keep: Collection[int]) -> None:
        raise AssertionError("the copies of the service are not ours")


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Library:
    made = Library()
    monkeypatch.setattr(registry, "client_library", lambda name: made if name == "neonize" else None)
    return made


async def stored(folder: Path, published: int | None = None, refused: Collection[int] = ()) -> None:
    database = await open_database(f"sqlite:///{folder / 'bot.db'}")
    try:
        async with database.write() as connection:
            if published is not None:
                await client_builds.save_published(connection, published, 1)
            await client_builds.save_refused(connection, refused, 1)
    finally:
        await database.close()


def look(folder: Path, wanted: str = "auto", **env: str) -> dict[str, Check]:
    given = settings(folder, **{"ENGINE": "neonize", "WHATSAPP_VERSION": wanted, **env})
    return {check.name: check for check in checks("Bot service", given, now=NOW)}


def test_an_engine_that_announces_no_version_has_no_check(tmp_path: Path, library: Library) -> None:
    assert look(tmp_path, ENGINE="simulator") == {}


def test_without_a_store_the_own_version_of_the_engine_is_looked_at(tmp_path: Path, library: Library) -> None:
    found = look(tmp_path)[NAME]
    assert found.verdict is CheckStatus.WARNING
    assert found.found == f"{version(BUILTIN)}, the engine's own, 68 days old"
    assert "let the service reach WHATSAPP_VERSION_URL, or upgrade" in found.todo


@pytest.mark.parametrize(
    ("days", "verdict"),
    [(0, CheckStatus.OK), (44, CheckStatus.OK), (46, CheckStatus.WARNING), (90, CheckStatus.WARNING)],
)
def test_an_old_version_is_a_warning(tmp_path: Path, library: Library, days: int, verdict: CheckStatus) -> None:
    found = look(tmp_path, version(days_old(days)))[NAME]
    assert (found.verdict, f"set by hand, {clock.days_old(days)}" in found.found) == (verdict, True)
    assert ("set WHATSAPP_VERSION=auto or to a newer version" in found.todo) is (verdict is CheckStatus.WARNING)


async def test_the_published_version_of_the_store_is_looked_at(tmp_path: Path, library: Library) -> None:
    await stored(tmp_path, published=days_old(3))
    before = sorted(tmp_path.iterdir())
    found = look(tmp_path)[NAME]
    assert (found.verdict, found.found) == (
        CheckStatus.OK,
        f"{version(days_old(3))}, the published one, 3 days old",
    )
    assert sorted(tmp_path.iterdir()) == before
    assert look(tmp_path, "builtin")[NAME].found.startswith(f"{version(BUILTIN)}, the engine's own")


async def test_a_published_version_from_before_an_upgrade_does_not_count(tmp_path: Path, library: Library) -> None:
    await stored(tmp_path, published=BUILTIN - 1)
    assert look(tmp_path)[NAME].found.startswith(f"{version(BUILTIN)}, the engine's own")


async def test_a_refused_version_fails(tmp_path: Path, library: Library) -> None:
    published = days_old(3)
    await stored(tmp_path, published=published, refused=[published])
    # The engine's own is the way back.
    assert look(tmp_path)[NAME].verdict is CheckStatus.WARNING
    await stored(tmp_path, refused=[published, BUILTIN])
    found = look(tmp_path)[NAME]
    assert (found.verdict, "WhatsApp has refused it" in found.found) == (CheckStatus.FAILED, True)
    assert look(tmp_path, "builtin")[NAME].todo == "set WHATSAPP_VERSION=auto, or upgrade"
    assert look(tmp_path, version(published))[NAME].verdict is CheckStatus.FAILED


@pytest.mark.parametrize("content", [b"", b"no database at all" * 100])
def test_a_store_without_the_table_or_that_cannot_be_read_is_no_fault_here(
    tmp_path: Path, library: Library, content: bytes
) -> None:
    (tmp_path / "bot.db").write_bytes(content)
    assert look(tmp_path)[NAME].found.startswith(version(BUILTIN))


def test_with_postgresql_the_age_of_a_followed_version_is_no_verdict(tmp_path: Path, library: Library) -> None:
    url = "postgresql://veilleur@127.0.0.1/veilleur"
    found = look(tmp_path, DATABASE_URL=url, POSTGRESQL_PREVIEW="true")[NAME]
    assert (found.verdict, "PostgreSQL" in found.found) == (CheckStatus.INFO, True)
    assert look(tmp_path, "builtin", DATABASE_URL=url, POSTGRESQL_PREVIEW="true")[NAME].verdict is CheckStatus.WARNING


def test_a_copy_is_made_below_the_data_and_goes_away(tmp_path: Path, library: Library) -> None:
    assert look(tmp_path, version(days_old(1)))[COPY].verdict is CheckStatus.OK
    (tmp_path / "engine").mkdir()
    assert look(tmp_path, version(days_old(1)))[COPY].verdict is CheckStatus.OK
    (first, beside), (second, inside) = library.made
    assert (first, second) == (days_old(1), days_old(1))
    assert (beside.parent, inside.parent) == (tmp_path, tmp_path / "engine")
    assert [each.name for each in tmp_path.rglob("*")] == ["engine"]


def test_no_copy_is_made_without_a_folder_or_a_need(tmp_path: Path, library: Library) -> None:
    assert COPY not in look(tmp_path / "not-there")
    assert COPY not in look(tmp_path, "builtin")
    assert library.made == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("reason", version_problems.PROBLEMS)
def test_a_copy_that_cannot_be_made_says_why_and_what_to_do(tmp_path: Path, library: Library, reason: str) -> None:
    library.fails = reason
    found = look(tmp_path)[COPY]
    assert (found.verdict, found.todo) == (CheckStatus.WARNING, version_problems.PROBLEMS[reason].todo)
    assert version_problems.says(reason) in found.found
    assert "for a test" in found.found
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "reason"), [(errno.ENOSPC, "no_space"), (errno.EROFS, "not_writable"), (errno.EACCES, "not_writable")]
)
def test_a_folder_in_which_none_can_be_made_is_named(
    tmp_path: Path, library: Library, monkeypatch: pytest.MonkeyPatch, number: int, reason: str
) -> None:
    def refused(*_args: object, **_kwargs: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("tempfile.mkdtemp", refused)
    found = look(tmp_path)[COPY]
    assert (found.verdict, found.todo) == (CheckStatus.WARNING, version_problems.PROBLEMS[reason].todo)
    assert str(tmp_path) in found.found


def test_a_library_without_a_known_version_is_a_warning(tmp_path: Path, library: Library) -> None:
    library.unknown = True
    found = look(tmp_path)
    assert list(found) == [NAME]
    assert (found[NAME].verdict, "2 places" in found[NAME].found) == (CheckStatus.WARNING, True)
    assert found[NAME].todo == version_problems.PROBLEMS["not_unique"].todo


def test_the_installed_engine_can_be_copied(tmp_path: Path) -> None:
    found = look(tmp_path, version(days_old(1)))
    assert (found[NAME].verdict, found[COPY].verdict) == (CheckStatus.OK, CheckStatus.OK)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("hundredths", range(6840, 6860))
def test_doctor_and_status_name_the_same_age(tmp_path: Path, library: Library, hundredths: int) -> None:
    build = estimated_build(NOW) - hundredths * BUILDS_PER_DAY // 100
    in_health = round(age_days(build, NOW), 1)  # from which `veilleur status` makes its words
    assert f", {clock.days_old(in_health)}" in look(tmp_path, version(build))[NAME].found
