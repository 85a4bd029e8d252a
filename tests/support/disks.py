"""Small disks, full disks, and disks that let no file grow."""

from __future__ import annotations

import contextlib
import resource
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.support.processes import Program


@contextlib.contextmanager
def small_disk(folder: Path, size: int) -> Iterator[bool]:
    """``folder`` as a disk of ``size`` bytes, where the system lets us mount one; False where it does not."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "none", str(folder)]
    try:
        mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except OSError:
        mounted = False
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], capture_output=True, check=False)


def fill(folder: Path) -> Callable[[], None]:
    """Takes all the space that is left; the answer gives it back."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        for block in (b"\0" * 2**20, b"\0" * 4096):
            with contextlib.suppress(OSError):
                while file.write(block) == len(block):
                    pass
    return filler.unlink


def forbid_growth(*programs: Program) -> Callable[[], None]:
    """The kernel refuses every write of the programs' processes that makes a file longer; the answer allows them again."""
    pids = [pid for program in programs for pid in (program.pid, *program.worker_pids())]
    before = {pid: resource.prlimit(pid, resource.RLIMIT_FSIZE) for pid in pids}
    for pid, (_, hard) in before.items():
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, hard))

    def allow() -> None:
        for pid, limits in before.items():
            with contextlib.suppress(ProcessLookupError):
                resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)

    return allow
