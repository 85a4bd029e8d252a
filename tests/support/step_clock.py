"""Sets the wall clock of a real program: a small library that its processes load reads an offset from a file."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import pytest

_SOURCE = Path(__file__).with_name("step_clock.c")


class StepClock:
    """``env`` is for the program to start; :meth:`set` moves its wall clock, its monotonic clocks go on."""

    def __init__(self, folder: Path) -> None:
        compiler = shutil.which("cc")
        if compiler is None:
            pytest.skip("no C compiler for the clock of the program")
        folder.mkdir(parents=True, exist_ok=True)
        library, self._file = folder / "step_clock.so", folder / "step_clock.offset"
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, _SOURCE, "-ldl"], check=True, timeout=60)
        self.offset_s = 0.0
        self._file.write_bytes(struct.pack("<q", 0))
        self.env = {"LD_PRELOAD": str(library), "STEP_CLOCK_FILE": str(self._file)}

    def set(self, offset_s: float) -> None:
        """The wall clock is now the machine's plus ``offset_s`` seconds."""
        self.offset_s = offset_s
        with self._file.open("r+b") as file:
            file.write(struct.pack("<q", int(offset_s * 1e9)))
