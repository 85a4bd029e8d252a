"""Sets the wall clock of a real program: a small library that its processes load reads an offset from a file."""

from __future__ import annotations

import shlex
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest

from bot_service.engines.pool.policy import DEFAULT_COMMAND

_SOURCE = Path(__file__).with_name("step_clock.c")


class StepClock:
    """``env`` is for the program to start, with ``worker_env`` for a bot service.

    :meth:`set` moves their wall clock; their monotonic clocks go on.
    """

    def __init__(self, folder: Path) -> None:
        compiler = shutil.which("cc")
        if compiler is None:
            pytest.skip("needs cc, for the clock of the program (.ci/run installs gcc)")
        folder.mkdir(parents=True, exist_ok=True)
        library, self._file = folder / "step_clock.so", folder / "step_clock.offset"
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, _SOURCE, "-ldl"], check=True, timeout=60)
        self.offset_s = 0.0
        self._file.write_bytes(struct.pack("<q", 0))
        self.env: dict[str, Any] = {"LD_PRELOAD": str(library), "STEP_CLOCK_FILE": str(self._file)}
        # Workers get only the variables they need: theirs are named in the command.
        given = ["env", *(f"{name}={value}" for name, value in self.env.items())]
        self.worker_env: dict[str, Any] = {"ENGINE_WORKER_COMMAND": shlex.join([*given, *DEFAULT_COMMAND])}

    def set(self, offset_s: float) -> None:
        """The wall clock is now the machine's plus ``offset_s`` seconds."""
        self.offset_s = offset_s
        with self._file.open("r+b") as file:
            file.write(struct.pack("<q", int(offset_s * 1e9)))
