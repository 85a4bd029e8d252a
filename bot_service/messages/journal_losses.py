"""What damaged journals lost: named in the log, kept aside, and announced by an alert."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bot_service.events.service_alerts import JOURNAL_DAMAGED, ServiceAlerts
from bot_service.store.batch_writer import STORE_ERRORS
from shared import logs
from shared.clock import Clock
from shared.wake import Wake

log = logs.get(__name__)

ASIDE = "damaged"
ASIDE_FILES = 5
TELL_EVERY_S = 5.0
CALM_S = 600.0
NAMED = 20
# What happened to a whole record that the database refuses.
UNFIT = "refused by the database"
# And to one that cannot be read.
DAMAGED = "damaged"


@dataclass(frozen=True, slots=True)
class JournalLoss:
    """``what`` happened to bytes ``start`` to ``end`` of ``file``, and how many ``records`` it cost.

    ``records`` is 0 when nothing was lost. ``named`` are sessions and message ids, as far as
    legible.
    """

    file: str
    what: str
    start: int
    end: int
    records: int
    named: tuple[tuple[str, str], ...] = ()


def keep_aside(folder: Path, file: str) -> None:
    """Keeps the journal ``file`` in ``damaged/`` as it is, and the newest few there only.

    Raises ``OSError``.
    """
    aside = folder / ASIDE
    aside.mkdir(mode=0o700, exist_ok=True)
    kept = aside / file
    if not kept.exists():
        try:
            os.link(folder / file, kept)
        except FileNotFoundError:
            return
        except OSError:  # a file system without hard links
            shutil.copyfile(folder / file, kept)
    _keep_newest(aside)


def keep_row_aside(folder: Path, seq: int, body: bytes) -> None:
    """The same for a row of a journal in PostgreSQL, which is deleted next."""
    aside = folder / ASIDE
    aside.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = aside / f"row-{seq}"
    path.write_bytes(body)
    path.chmod(0o600)
    _keep_newest(aside)


def _keep_newest(aside: Path) -> None:
    oldest_first = sorted(aside.iterdir(), key=lambda path: path.stat().st_mtime)
    for path in oldest_first[:-ASIDE_FILES]:
        path.unlink(missing_ok=True)


def write_to_log(loss: JournalLoss) -> None:
    """One line for the place, and one for each message that was lost, with its id if legible."""
    log.error(
        "The database cannot hold a record of a journal" if loss.what == UNFIT else "A journal was damaged",
        event_name="journal.damaged",
        file=loss.file,
        what=loss.what,
        from_byte=loss.start,
        to_byte=loss.end,
        lost=loss.records,
    )
    names: Sequence[tuple[str | None, str | None]] = [*loss.named, *[(None, None)] * loss.records]
    for session, message_id in names[: min(loss.records, NAMED)]:
        log.error(
            "A message is lost: the database cannot hold it"
            if loss.what == UNFIT
            else "A message is lost: its record in the journal is damaged",
            event_name="message.lost",
            session=session,
            message_id=message_id,
            outcome="journal",
            file=loss.file,
            from_byte=loss.start,
        )


class JournalAlerts:
    """Raises one alert for all damage of a few seconds; resolves it after ten minutes without."""

    def __init__(self, clock: Clock, alerts: ServiceAlerts) -> None:
        self._clock, self._alerts = clock, alerts
        self._wake = Wake(clock)
        self._new: list[JournalLoss] = []

    def add(self, loss: JournalLoss) -> None:
        self._new.append(loss)
        self._wake.set()

    async def run(self) -> None:
        """The loop."""
        open_alert = False
        while True:
            await self._wake.wait(CALM_S if open_alert and not self._new else None)
            with contextlib.suppress(*STORE_ERRORS):
                if self._new:
                    await self._clock.sleep(TELL_EVERY_S)
                    count = len(self._new)
                    await self._alerts.raise_(JOURNAL_DAMAGED, _text(self._new[:count]), again=True)
                    del self._new[:count]
                    open_alert = True
                elif open_alert:
                    await self._alerts.resolve(JOURNAL_DAMAGED, "No journal was damaged for ten minutes")
                    open_alert = False
                continue
            # Not stored: said again when the store accepts it.
            await self._clock.sleep(TELL_EVERY_S)
            self._wake.set()


def _text(losses: Sequence[JournalLoss]) -> str:
    lost = sum(loss.records for loss in losses)
    files = sorted({loss.file for loss in losses})
    how = ", ".join(sorted({loss.what for loss in losses}))
    more = f" and {len(files) - 3} more" if len(files) > 3 else ""
    cost = (
        "no message is known to be lost"
        if lost == 0
        else f"{lost} received message{'s are' if lost > 1 else ' is'} lost"
    )
    return (
        f"A journal was damaged ({how}): {cost}. Files: {', '.join(files[:3])}{more}, kept in journal/{ASIDE}. "
        "Check the disk; the log names each message that is still legible (event message.lost)"
    )
