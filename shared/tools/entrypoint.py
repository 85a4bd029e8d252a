"""Starts the command of a container as uid 10001; as root it takes over the data folders first.

Some platforms mount volumes that belong to root and start the image as root. Then the folders of
DATA_DIR, SECRETS_DIR and RAILWAY_VOLUME_MOUNT_PATH get the owner 10001, and every privilege is
dropped before the command replaces this process. Started as another user, it only replaces itself
with the command.

Usage: ``python -m shared.tools.entrypoint python -m bot_service``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from shared.settings import load_or_exit, path, setting

UID = GID = 10001


@dataclass(frozen=True, kw_only=True)
class Folders:
    """The folders that the programs write to."""

    data_dir: Path = setting("DATA_DIR", path(), default=Path("/data"), about="Data folder")
    secrets_dir: Path | None = setting("SECRETS_DIR", path(), default=None, about="Folder of shared secrets")
    volume: Path | None = setting("RAILWAY_VOLUME_MOUNT_PATH", path(), default=None, about="Where a volume is mounted")

    def all(self) -> list[Path]:
        given = (self.data_dir, self.secrets_dir, self.volume)
        return list(dict.fromkeys(folder.resolve() for folder in given if folder is not None))


def main(command: Sequence[str]) -> None:
    """Replace this process by ``command``; ends with exit code 1 and one line when it cannot."""
    if not command:
        _refuse("no command was given")
    folders = load_or_exit(Folders).all()
    if os.geteuid() == 0:
        for folder in folders:
            take_over(folder)
        drop_privileges()
    for folder in folders:
        if _is_closed(folder):
            _refuse(
                f"{folder} cannot be written by uid {os.geteuid()}: give the folder to that user, or start the image "
                f"as root (on Railway RAILWAY_RUN_UID=0) and it will be taken over"
            )
    try:
        os.execvp(command[0], list(command))  # noqa: S606
    except OSError as error:
        _refuse(f"{command[0]} cannot be started ({error.strerror})")


def _is_closed(folder: Path) -> bool:
    try:
        return folder.is_dir() and not os.access(folder, os.W_OK | os.X_OK)
    except PermissionError:
        return True


def take_over(folder: Path) -> None:
    """Make uid 10001 the owner of ``folder`` and everything in it; links are not followed."""
    if len(folder.parts) < 2 or folder.parts[1] in _SYSTEM:
        _refuse(f"{folder} is a system folder and will not be given away: set DATA_DIR to a folder of its own")
    folder.mkdir(parents=True, exist_ok=True)
    for entry in _tree(folder):
        found = entry.lstat()
        if (found.st_uid, found.st_gid) != (UID, GID):
            os.chown(entry, UID, GID, follow_symlinks=False)


_SYSTEM = frozenset({"app", "bin", "boot", "dev", "etc", "lib", "lib64", "opt", "proc", "root", "sbin", "sys", "usr"})


def _tree(folder: Path) -> Iterator[Path]:
    yield folder
    for parent, folders, files in os.walk(folder, followlinks=False):
        for name in (*folders, *files):
            yield Path(parent, name)


def drop_privileges() -> None:
    """Become uid and gid 10001 for good: supplementary groups first, then group and user."""
    os.setgroups([])
    os.setgid(GID)
    os.setuid(UID)
    if os.getresuid() != (UID, UID, UID) or os.getresgid() != (GID, GID, GID):
        _refuse("root privileges could not be dropped")


def _refuse(why: str) -> None:
    print(f"Cannot start: {why}", file=sys.stderr)  # noqa: T201
    raise SystemExit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
