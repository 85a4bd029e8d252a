"""Installs locked packages into a virtual environment, which it makes when it is not there.

Usage: ``python .ci/environment.py FOLDER LOCK...``. Needs Python's standard library only. docs/decisions/0057 says why it is
faster than ``python -m venv`` and ``pip install``.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path

MINIMUM = (3, 11)
PIP_LOCK = Path(__file__).with_name("pip.lock")
# Only wheels, always with hashes: every machine installs exactly what the lock files say. They are
# complete, so pip resolves nothing. Python compiles a module at its first import; most are never imported.
INSTALL = ("install", "--no-deps", "--no-compile", "--require-hashes", "--only-binary", ":all:")
_PIN = re.compile(r"^([a-z0-9][a-z0-9._-]*)==(\S+) (?!; sys_platform == 'win32')", re.M)
# One line per package; a file of a local index is "processed" by its path.
_PROGRESS = re.compile(
    r"(?:Collecting|Requirement already satisfied:|Processing (?:\S*/)?)\s*([A-Za-z0-9._]+(?:-[A-Za-z][A-Za-z0-9._]*)*)"
)


def pins(lock: Path) -> dict[str, str]:
    """Version by name of every package in a lock file."""
    return dict(_PIN.findall(lock.read_text(encoding="utf-8")))


def make(folder: Path) -> Path:
    """Returns the environment's interpreter. Python's own pip installs the pinned pip."""
    python = folder / "bin" / "python"
    if not python.exists():
        _say(f"Making {folder} with Python {sys.version.split()[0]}")
        venv.EnvBuilder(symlinks=True).create(folder)
    version = pins(PIP_LOCK)["pip"]
    if not list(folder.glob(f"lib/python3*/site-packages/pip-{version}.dist-info")):
        install(python, [PIP_LOCK], environ={**os.environ, "PYTHONPATH": str(_bundled_pip())})
    return python


def install(python: Path, locks: Sequence[Path], environ: Mapping[str, str] = os.environ) -> None:
    """Installs the packages of the lock files and shows each one. Raises ``SystemExit`` with pip's output."""
    names = {name for lock in locks for name in pins(lock)}
    command = [str(python), "-m", "pip", "--disable-pip-version-check", *INSTALL, "--progress-bar", "off"]
    for lock in locks:
        command += ["-r", str(lock)]
    said: list[str] = []
    count = 0
    with subprocess.Popen(command, env=dict(environ), stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or ():
            said.append(line)
            if found := _PROGRESS.match(line):
                count += 1
                _show(f"{count} of {len(names)}: {found[1]}")
            elif line.startswith("Installing collected packages"):
                _show("Unpacking")
    if process.returncode:
        raise SystemExit("".join([*said[-20:], f"pip ended with exit code {process.returncode}"]))
    _say(f"{count} packages are installed")


def _bundled_pip() -> Path:
    """Finds Python's own wheel of pip, which can be run as it is. Debian keeps it elsewhere."""
    try:
        import ensurepip
    except ImportError:
        raise SystemExit("This Python lacks venv (Debian: apt-get install python3-venv)") from None
    folders = [
        Path(ensurepip.__file__).parent / "_bundled",
        Path(sysconfig.get_config_var("WHEEL_PKG_DIR") or "/nowhere"),
    ]
    wheels = [wheel for folder in folders for wheel in folder.glob("pip-*.whl")]
    if not wheels:
        raise SystemExit("This Python lacks its pip (Debian: apt-get install python3-venv)")
    return wheels[0]


def _show(text: str) -> None:
    """A line that the next one replaces on a terminal."""
    end = "\033[K\r" if sys.stdout.isatty() else "\n"
    sys.stdout.write(f"  {text}{end}")
    sys.stdout.flush()


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main(arguments: Sequence[str]) -> None:
    if sys.version_info < MINIMUM:
        raise SystemExit(
            f"Python 3.11 or newer is needed, {sys.executable} is {sys.version.split()[0]}: make PYTHON=python3.11 ..."
        )
    folder, *locks = map(Path, arguments)
    install(make(folder), locks)


if __name__ == "__main__":
    main(sys.argv[1:])
