"""Closes the folders of data and secrets to other users, or refuses them.

Whoever may write to such a folder can put a secret, a database or a socket of their own there.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from shared.settings import CommonSettings, Fault, SettingsError

# Container engines mount some volumes as root, open to every user. A container has no others.
_CONTAINER_MARKS = (Path("/.dockerenv"), Path("/run/.containerenv"), Path("/var/run/secrets/kubernetes.io"))


def close(settings: CommonSettings) -> None:
    """Take the right to write from others in DATA_DIR and SECRETS_DIR. Raises :class:`SettingsError`."""
    faults = [
        Fault(name, str(folder), why)
        for name, folder in (("DATA_DIR", settings.data_dir), ("SECRETS_DIR", settings.secrets_path))
        if (why := _closed(folder)) is not None
    ]
    if faults:
        raise SettingsError(faults)


def _closed(folder: Path) -> str | None:
    """What is wrong with ``folder`` and cannot be mended, as what would be accepted."""
    try:
        found = folder.stat()
    except OSError:
        return None  # made later, or refused by what needs it
    if not stat.S_ISDIR(found.st_mode):
        return "a folder; this is not one"
    was_open = bool(found.st_mode & (stat.S_IWGRP | stat.S_IWOTH))
    if _others_may_write(folder, found):
        return (
            f"a folder that others cannot write to; this one is of uid {found.st_uid}: chmod go-w, or take another one"
        )
    trusted = {os.geteuid(), 0, found.st_uid}
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return None
    for entry in entries:
        status = entry.stat(follow_symlinks=False)
        if was_open and status.st_uid not in trusted:
            return f"a folder without files of other users; {entry.name} is of uid {status.st_uid}: remove it"
        if not stat.S_ISLNK(status.st_mode) and _others_may_write(Path(entry.path), status):
            return f"a folder with files that others cannot write to; {entry.name} can be written by all: chmod go-w"
    return None


def _others_may_write(path: Path, found: os.stat_result) -> bool:
    """False also when that could be ended here."""
    if not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return False
    if found.st_uid == os.geteuid():
        try:
            path.chmod(stat.S_IMODE(found.st_mode) & ~(stat.S_IWGRP | stat.S_IWOTH))
        except OSError as error:
            return error.errno != errno.EROFS  # no one writes to a read-only file system
        return False
    if not found.st_mode & stat.S_IWOTH:
        return False  # a group that its owner chose
    return not (found.st_uid == 0 and any(mark.exists() for mark in _CONTAINER_MARKS))
