"""Pipes with another end that takes nothing, and a program that writes its output into one."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator

from tests.support.processes import ROOT, Program
from tests.support.start_server import inherited


@contextlib.contextmanager
def full_pipe() -> Iterator[tuple[int, int]]:
    """(read end, write end) of a pipe without room for one more byte."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writing, b"." * 4096)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writing, b".")
    os.set_blocking(writing, True)
    try:
        yield reading, writing
    finally:
        os.close(reading)
        os.close(writing)


class PipedProgram(Program):
    """Writes standard output and standard error into the descriptor ``into``."""

    into: int

    @classmethod
    def of(cls, program: Program, into: int) -> PipedProgram:
        piped = cls(program.module, program.env, log=program.log)
        piped.into = into
        return piped

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", self.module],
            cwd=ROOT,
            env={**inherited(), "PYTHONPATH": str(ROOT), **self.env},
            stdout=self.into,
            stderr=self.into,
            stdin=subprocess.DEVNULL,
        )
