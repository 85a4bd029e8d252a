"""Follows which functions of the three packages are called, in this process and in traced engine workers."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
_PACKAGES = tuple(f"{ROOT / package}/" for package in ("bot_service", "watchdog", "shared"))
_START = len(str(ROOT)) + 1


class Call(NamedTuple):
    """One call. ``at_ns`` is CLOCK_MONOTONIC, the same in all processes; ``caller`` is the nearest function of ours."""

    at_ns: int
    name: str
    caller: str


class Tracer:
    """``calls`` in the order in which they began. Functions without a name of their own (lambdas) are passed over."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self._names: dict[Any, str] = {}

    def start(self) -> None:
        """Trace this thread and those that start from now on."""
        threading.setprofile(self._on_event)
        sys.setprofile(self._on_event)

    def stop(self) -> None:
        """End the tracing of this thread."""
        sys.setprofile(None)
        threading.setprofile(None)

    def _on_event(self, frame: FrameType, event: str, _argument: Any) -> None:
        if event != "call":
            return
        name = self._name(frame)
        if not name:
            return
        caller = frame.f_back
        while caller is not None and not self._name(caller):
            caller = caller.f_back
        self.calls.append(Call(time.monotonic_ns(), name, self._name(caller) if caller is not None else ""))

    def _name(self, frame: FrameType) -> str:
        code = frame.f_code
        name = self._names.get(code)
        if name is None:
            ours = code.co_filename.startswith(_PACKAGES) and not code.co_name.startswith("<")
            name = self._names[code] = f"{code.co_filename[_START:]} {code.co_qualname}" if ours else ""
        return name


@contextmanager
def tracing() -> Iterator[Tracer]:
    """Calls of this thread, and of threads that start inside."""
    tracer = Tracer()
    tracer.start()
    try:
        yield tracer
    finally:
        tracer.stop()


def read(file: Path) -> list[Call]:
    """The calls that :mod:`tests.support.traced_worker` wrote so far."""
    if not file.exists():
        return []
    lines = (line.split("\t") for line in file.read_text().splitlines(keepends=True) if line.endswith("\n"))
    return [Call(int(at_ns), name, caller.rstrip("\n")) for at_ns, name, caller in lines]
