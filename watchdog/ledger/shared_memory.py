"""Whether SQLite's shared memory may be touched: in a file made immutable that ends the process (SIGBUS)."""

from __future__ import annotations

import array
import contextlib
import errno
import fcntl
import os
from pathlib import Path

_GET_FLAGS = 0x80086601  # FS_IOC_GETFLAGS
_IMMUTABLE = 0x00000010  # FS_IMMUTABLE_FL: chattr +i


class SharedMemory:
    """The ``-shm`` file of one database, while its connections are open; None before there are any.

    The descriptor must be closed after them only: POSIX drops the locks of all descriptors of a file
    when one is closed.
    """

    def __init__(self, database: Path | None) -> None:
        self._descriptor = -1
        if database is None:
            return
        with contextlib.suppress(OSError):
            self._descriptor = os.open(database.with_name(database.name + "-shm"), os.O_RDONLY | os.O_CLOEXEC)

    def check(self) -> None:
        """Raises ``PermissionError`` when the file is immutable."""
        if self._descriptor < 0:
            return
        flags = array.array("l", [0])
        try:
            fcntl.ioctl(self._descriptor, _GET_FLAGS, flags, True)
        except OSError:  # a file system without such flags
            return
        if flags[0] & _IMMUTABLE:
            raise PermissionError(errno.EPERM, "the ledger's files are immutable")

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
