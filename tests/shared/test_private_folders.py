"""Folders of data and secrets that others may write to are closed when they are ours, and refused otherwise."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from shared import private_folders
from shared.settings import CommonSettings, SettingsError, load


def settings(folder: Path, **more: str) -> CommonSettings:
    return load(CommonSettings, {"DATA_DIR": str(folder), **more})


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def another_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """The folders of the test belong to another user than the program, who is not root."""
    mine = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: mine + 1)
    monkeypatch.setattr(private_folders, "_CONTAINER_MARKS", ())


@pytest.mark.parametrize("given", [0o777, 0o1777, 0o775, 0o722])
def test_own_folders_are_closed(tmp_path: Path, given: int) -> None:
    data, secrets = tmp_path / "data", tmp_path / "secrets"
    for folder in (data, secrets, data / "run"):
        folder.mkdir()
        folder.chmod(given)
    (data / "bot.db").write_text("x")
    (data / "bot.db").chmod(0o666)
    private_folders.close(settings(data, SECRETS_DIR=str(secrets)))
    for path in (data, secrets, data / "run", data / "bot.db"):
        assert mode(path) & 0o022 == 0
        assert mode(path) & 0o700 == (given if path.is_dir() else 0o666) & 0o700


@pytest.mark.usefixtures("another_user")
@pytest.mark.parametrize("variable", ["DATA_DIR", "SECRETS_DIR"])
def test_a_folder_of_somebody_else_that_all_may_write_to_is_refused(tmp_path: Path, variable: str) -> None:
    for name in ("DATA_DIR", "SECRETS_DIR"):
        (tmp_path / name).mkdir(mode=0o755)
    (tmp_path / variable).chmod(0o777)
    with pytest.raises(SettingsError) as caught:
        private_folders.close(settings(tmp_path / "DATA_DIR", SECRETS_DIR=str(tmp_path / "SECRETS_DIR")))
    (fault,) = caught.value.faults
    assert fault.name == variable
    assert "others cannot write" in fault.accepts
    (tmp_path / variable).chmod(0o755)
    private_folders.close(settings(tmp_path / "DATA_DIR", SECRETS_DIR=str(tmp_path / "SECRETS_DIR")))


@pytest.mark.usefixtures("another_user")
def test_a_file_that_all_may_write_to_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "bot.db").write_text("x")
    (tmp_path / "bot.db").chmod(0o666)
    with pytest.raises(SettingsError, match=r"bot\.db can be written by all"):
        private_folders.close(settings(tmp_path))


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give files to others (.ci/run has it)")
def test_a_file_of_a_third_user_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    os.chown(tmp_path / "secrets", 12345, 12345)
    tmp_path.chmod(0o755)  # closed: only its owner or root can have put it there
    private_folders.close(settings(tmp_path))
    tmp_path.chmod(0o777)
    with pytest.raises(SettingsError, match="secrets is of uid 12345"):
        private_folders.close(settings(tmp_path))


def test_a_volume_that_a_container_engine_mounts_as_root_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = tmp_path / "mark"
    found = os.stat_result((0o40777, 0, 0, 1, 0, 0, 0, 0, 0, 0))  # a folder of root, open to all
    monkeypatch.setattr(os, "geteuid", lambda: 10001)
    monkeypatch.setattr(private_folders, "_CONTAINER_MARKS", (mark,))
    assert private_folders._others_may_write(tmp_path, found)
    mark.touch()
    assert not private_folders._others_may_write(tmp_path, found)


def test_folders_that_are_not_there_yet_are_no_fault(tmp_path: Path) -> None:
    private_folders.close(settings(tmp_path / "later"))
    assert not (tmp_path / "later").exists()
