"""How the last runs of this service ended, kept in ``DATA_DIR/runs.json``.

A watchdog that was away itself learns from it that a new boot follows a stop that was asked for.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from shared import logs

log = logs.get(__name__)

FILE = "runs.json"
KEPT = 8
_LARGEST_BYTES = 65_536


class _Run(msgspec.Struct, frozen=True, rename="camel"):
    boot_id: str
    orderly: bool = False


class RunHistory:
    """The runs of ``folder``; that of ``boot_id`` begins with :meth:`begin`.

    ``orderly_stops`` are boot ids of earlier runs, newest first, up to the first one that was not
    stopped in order. A folder that cannot be read or written is logged and stops nothing.
    """

    def __init__(self, folder: Path, boot_id: str) -> None:
        self._path, self._boot_id = folder / FILE, boot_id
        self._earlier: list[_Run] = []
        self.orderly_stops: tuple[str, ...] = ()

    def begin(self) -> None:
        """Read the earlier runs and record that this one runs."""
        self._earlier = self._read()
        stops: list[str] = []
        for run in reversed(self._earlier):
            if not run.orderly:
                break
            stops.append(run.boot_id)
        self.orderly_stops = tuple(stops)
        self._write(orderly=False)

    def end(self) -> None:
        """Record that this run was asked to stop."""
        self._write(orderly=True)

    def _read(self) -> list[_Run]:
        try:
            with self._path.open("rb") as file:
                runs = msgspec.json.decode(file.read(_LARGEST_BYTES), type=list[_Run])
        except FileNotFoundError:
            return []
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            log.warning(f"{FILE} cannot be read: {type(error).__name__}", event_name="runs.unreadable")
            return []
        return runs[-KEPT:]

    def _write(self, *, orderly: bool) -> None:
        runs = [*self._earlier, _Run(self._boot_id, orderly)][-KEPT:]
        draft = self._path.with_name(f".{FILE}.{os.getpid()}")
        try:
            draft.write_bytes(msgspec.json.encode(runs))
            draft.replace(self._path)
        except OSError as error:
            log.warning(f"{FILE} cannot be written: {error.strerror}", event_name="runs.unwritable")
            draft.unlink(missing_ok=True)
