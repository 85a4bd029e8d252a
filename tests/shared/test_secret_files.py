"""A secret of the first start is made once and readable by its owner only."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from shared.secret_files import read_or_create


def test_the_second_reader_gets_the_first_one_s_secret(tmp_path: Path) -> None:
    first = read_or_create(tmp_path / "secrets", "watchdog-token")
    assert read_or_create(tmp_path / "secrets", "watchdog-token") == first
    assert len(first.reveal()) >= 32
    assert (tmp_path / "secrets" / "watchdog-token").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700


def test_processes_that_start_together_agree(tmp_path: Path) -> None:
    code = f"from pathlib import Path; from shared.secret_files import *; print(read_or_create(Path({str(tmp_path)!r}), 't').reveal())"
    started = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(6)]
    values = {process.communicate(timeout=120)[0] for process in started}
    assert len(values) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["t"]


def test_an_empty_file_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("")
    with pytest.raises(ValueError, match="delete it to have a new secret made"):
        read_or_create(tmp_path, "t")
