"""What `make up` installs with: .ci/environment.py, on wheels that this test makes itself."""

from __future__ import annotations

import hashlib
import subprocess
import zipfile
from pathlib import Path

import pytest

from tests.support.ci_modules import ci_module

environment = ci_module("environment")


def _entry(name: str, version: str, wheel: Path) -> str:
    return f"{name}=={version} \\\n    --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n"


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a small wheel and Python's own pip, which is the pinned one here. No other place is asked."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    bundled = environment._bundled_pip()
    (folder / bundled.name).write_bytes(bundled.read_bytes())
    with zipfile.ZipFile(folder / "smallest-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("smallest.py", "WORD = 'here'\n")
        wheel.writestr(
            "smallest-1.0.dist-info/METADATA",
            "Metadata-Version: 2.1\nName: smallest\nVersion: 1.0\nRequires-Dist: lost\n",
        )
        wheel.writestr("smallest-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("smallest-1.0.dist-info/RECORD", "")
    pip_lock = tmp_path / "pip.lock"
    pip_lock.write_text(_entry("pip", bundled.name.split("-")[1], folder / bundled.name))
    monkeypatch.setattr(environment, "PIP_LOCK", pip_lock)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.mark.deep
def test_an_environment_is_made_and_what_the_lock_names_is_installed_uncompiled(
    tmp_path: Path, index: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    lock = tmp_path / "requirements.lock"
    windows = "colorama==0.4.6 ; sys_platform == 'win32' \\\n    --hash=sha256:" + "0" * 64 + "\n"
    lock.write_text(_entry("smallest", "1.0", index / "smallest-1.0-py3-none-any.whl") + windows)
    environment.main([str(tmp_path / "venv"), str(lock)])
    shown = capfd.readouterr().out
    assert "  1 of 1: smallest\n" in shown
    assert shown.endswith("1 packages are installed\n")
    python = tmp_path / "venv/bin/python"
    script = "import smallest; print(smallest.WORD, smallest.__cached__)"
    done = subprocess.run([python, "-B", "-c", script], capture_output=True, text=True, check=True)
    word, compiled = done.stdout.split()
    assert word == "here"
    assert not Path(compiled).exists()

    environment.main([str(tmp_path / "venv"), str(lock)])
    assert "Making" not in capfd.readouterr().out, "an environment that is there is kept"


@pytest.mark.deep
def test_a_package_with_another_hash_is_refused_with_the_words_of_pip(
    tmp_path: Path, index: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text("smallest==1.0 \\\n    --hash=sha256:" + "0" * 64 + "\n")
    with pytest.raises(SystemExit, match="pip ended with exit code 1"):
        environment.main([str(tmp_path / "venv"), str(lock)])
    assert "DO NOT MATCH THE HASHES" in capfd.readouterr().err


@pytest.mark.parametrize("line", [
    "Collecting aiohttp==3.14.5 (from -r bot_service/requirements.lock (line 5))",
    "Requirement already satisfied: aiohttp==3.14.5 in ./.venv/lib/python3.13/site-packages (from -r x (line 5))",
    "Processing /srv/wheels/aiohttp-3.14.5-cp313-cp313-manylinux_2_28_x86_64.whl (from -r x (line 5))",
    "Processing ./aiohttp-3.14.5-cp313-cp313-manylinux_2_28_x86_64.whl",
])  # fmt: skip
def test_each_package_is_shown_by_its_name(line: str) -> None:
    found = environment._PROGRESS.match(line)
    assert found is not None
    assert found[1] == "aiohttp"


def test_an_old_python_is_refused_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "MINIMUM", (9, 0))
    with pytest.raises(SystemExit, match="or newer is needed"):
        environment.main([str(tmp_path / "venv")])
    assert not (tmp_path / "venv").exists()
