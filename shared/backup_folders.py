"""What a backup and a restore leave in a data folder when they are killed, for the programs that use it."""

from __future__ import annotations

from pathlib import Path

from shared.temporary_folders import remove_left

COPYING = ".backup-"
RESTORING = ".restore-"
# The names that a restore puts in place, in its folder.
MOVED = "moved"


class HalfRestored(OSError):
    """The data folder holds a part of a backup; the text says what to do."""


def prepare(folder: Path) -> None:
    """Before a program uses ``folder``: removes copies that a killed backup left.

    Raises :class:`HalfRestored` while a restore runs and after one that was killed.
    """
    if next(folder.glob(f"{RESTORING}*"), None) is not None:
        raise HalfRestored(f"a restore into {folder} was not finished: run it again, or empty the folder")
    remove_left(folder, COPYING)
