"""Repairs a session's store after a kill, before the library opens it."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

from bot_service.engines.neonize import ratchet_rollback
from bot_service.engines.neonize.decrypt_marks import DecryptMark, DecryptMarks
from bot_service.engines.neonize.files import DeviceFiles
from bot_service.engines.neonize.lost_messages import DOUBTFUL, STORE, LostMessage
from shared import logs

log = logs.get(__name__)
APART_S = 20.0


class StoreRecovery:
    """Knows which files the library opened in this process: it never closes one."""

    def __init__(self) -> None:
        self._opened: set[Path] = set()
        self._lock = threading.Lock()

    def prepare(self, session: str, files: DeviceFiles, marks: DecryptMarks) -> list[LostMessage]:
        """Rolls back what an earlier process did not finish. Returns messages that may be lost."""
        unfinished, doubtful = marks.unfinished(), marks.doubtful()
        lost = self._undo(session, files, unfinished)
        if unfinished is not None:
            marks.done(unfinished)
        if doubtful is not None:
            if unfinished is None or doubtful.message_id != unfinished.message_id:
                lost.append(LostMessage(doubtful.message_id, DOUBTFUL))
            marks.doubt(None)
        return lost

    def _undo(self, session: str, files: DeviceFiles, unfinished: DecryptMark | None) -> list[LostMessage]:
        with self._lock:
            first = files.store not in self._opened
            self._opened.add(files.store)
        try:
            if first:
                outcome = ratchet_rollback.prepare(files.store, unfinished)
            elif unfinished is not None:
                outcome = self._in_subprocess(files.store, unfinished)
            else:
                return []
        except (sqlite3.Error, OSError, subprocess.SubprocessError, ValueError) as error:
            log.error("The store of a session cannot be prepared", event_name="engine.store", reason=str(error))
            return [LostMessage(unfinished.message_id, STORE)] if unfinished else []
        if unfinished is None:
            return []
        if outcome in (ratchet_rollback.RollbackResult.SENT_BETWEEN, ratchet_rollback.RollbackResult.TOO_MUCH):
            return [LostMessage(unfinished.message_id, outcome.value)]
        log.info(
            "An unfinished message will be read again",
            event_name="message.again",
            session=session,
            message_id=unfinished.message_id,
            outcome=outcome.value,
        )
        return []

    @staticmethod
    def _in_subprocess(store: Path, unfinished: DecryptMark) -> ratchet_rollback.RollbackResult:
        command = [sys.executable, "-m", "bot_service.engines.neonize.ratchet_rollback", str(store)]
        done = subprocess.run(
            [*command, unfinished.message_id, str(unfinished.at_ms)],
            capture_output=True,
            text=True,
            timeout=APART_S,
            check=True,
        )
        return ratchet_rollback.RollbackResult(done.stdout.strip())
