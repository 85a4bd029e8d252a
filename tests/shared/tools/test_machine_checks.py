"""What ``veilleur doctor`` finds of folders: also one that is not there yet and can never be made."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.doctor import CheckStatus, Context
from shared.tools.cli.machine_checks import checks


def fetch(url: str) -> tuple[int, object, str | None]:
    raise OSError(url)


def found_of(folder: str) -> dict[str, tuple[CheckStatus, str]]:
    context = Context({"DATA_DIR": folder}, "http://127.0.0.1:1", "http://127.0.0.1:1", fetch)
    return {each.name: (each.verdict, each.found) for each in checks(context)}


@pytest.mark.parametrize("folder", ["/proc/nope", "/proc/nope/deeper", "/etc/hostname/below-a-file"])
def test_a_folder_that_cannot_be_made_fails(folder: str) -> None:
    found = found_of(folder)
    assert found["data folder"] == (CheckStatus.FAILED, f"{folder} is not there and cannot be made")
    assert found["secrets folder"][0] is CheckStatus.FAILED


def test_a_folder_that_is_made_at_the_first_start_is_no_fault_and_the_look_leaves_nothing(tmp_path: Path) -> None:
    assert found_of(str(tmp_path / "data"))["data folder"][0] is CheckStatus.INFO
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "data").mkdir()
    assert found_of(str(tmp_path / "data"))["data folder"][0] is CheckStatus.OK
