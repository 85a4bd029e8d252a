"""How earlier runs ended, from a real file: in order, by a crash, damaged, on a folder that cannot be written."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot_service.operations.run_history import FILE, KEPT, RunHistory


def run(folder: Path, boot: str, *, ends: bool) -> RunHistory:
    history = RunHistory(folder, boot)
    history.begin()
    if ends:
        history.end()
    return history


@pytest.mark.parametrize(
    ("ends", "stops"),
    [
        ([], ()),
        ([True], ("b0",)),
        ([False], ()),
        ([True, True], ("b1", "b0")),
        ([True, False], ()),
        ([False, True], ("b1",)),
        ([True, False, True, True], ("b3", "b2")),
    ],
)
def test_what_the_next_run_knows(tmp_path: Path, ends: list[bool], stops: tuple[str, ...]) -> None:
    for number, orderly in enumerate(ends):
        run(tmp_path, f"b{number}", ends=orderly)
    assert run(tmp_path, "now", ends=False).orderly_stops == stops


def test_only_the_last_runs_are_kept(tmp_path: Path) -> None:
    for number in range(30):
        run(tmp_path, f"b{number}", ends=True)
    assert len(run(tmp_path, "now", ends=False).orderly_stops) == KEPT
    assert (tmp_path / FILE).stat().st_size < 1000


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\xfe", b"[1, 2]", b"[" * 70_000, b'[{"bootId": 5}]'])
def test_a_damaged_file_is_as_none_and_the_next_is_whole(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    assert run(tmp_path, "b1", ends=True).orderly_stops == ()
    assert run(tmp_path, "b2", ends=False).orderly_stops == ("b1",)


def test_a_folder_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    history = run(tmp_path / "missing", "b1", ends=True)
    assert history.orderly_stops == ()
