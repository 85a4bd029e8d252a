"""The wheel: built with the pinned backend, it holds every file that the programs read, and the command works from it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.processes import ROOT

PACKAGES = ("bot_service", "watchdog", "shared")


@pytest.mark.deep
def test_the_wheel_holds_every_file_and_its_command_works(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    for package in PACKAGES:
        shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    built = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "--no-index", "-w", str(tmp_path), "."],
        cwd=source, capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stdout + built.stderr
    [wheel] = tmp_path.glob("veilleur-*.whl")

    wanted = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(wheel) as archive:
        assert wanted - set(archive.namelist()) == set()
        archive.extractall(tmp_path / "installed")

    helped = subprocess.run(
        [sys.executable, "-c", "from shared.tools.cli.main import main; main()", "--help"],
        cwd=tmp_path, env={"PYTHONPATH": str(tmp_path / "installed"), "PATH": ""},
        capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip
    assert helped.returncode == 0, helped.stderr
    assert "doctor" in helped.stdout
