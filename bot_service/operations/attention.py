"""Notices about sessions that need a person: by the watchdog, or by this program on ALERT_URLS.

Exactly one program sends the notices about a need. A watchdog that has channels takes it over with
its next report. When there is none, or it does not take it over in time, this program does.
"""

from __future__ import annotations

from collections.abc import Iterable

from bot_service.domain import attention
from bot_service.domain.need import NeedCode, Voice
from bot_service.domain.session_record import SessionRecord
from bot_service.events.publisher import Draft, EventPublisher
from bot_service.events.subscriptions import Subscriptions
from bot_service.sessions.registry import SessionRegistry
from bot_service.store.batch_writer import every
from bot_service.store.sessions import SessionStore
from shared import logs
from shared.boot import Boot
from shared.clock import Clock
from shared.contract import attention as contract
from shared.contract.attention import Attention, NeedAdvice, NeedEntry, NoticeWords
from shared.contract.installation import UNNAMED, Installation
from shared.contract.keepalive import Push
from shared.gathering import PATIENCE_S, Gathering

log = logs.get(__name__)

KIND = "sessions_need_person"
CHECK_EVERY_S = 1.0
GRACE_S = 15.0  # for a watchdog that has just started, or comes back
TAKEN_WITHIN_S = 60.0  # by a watchdog that is there
HERE_S = 10.0  # a watchdog that just reported is there, heartbeat or not

ADVICE = {code.value: NeedAdvice(each.severity.value, each.what, each.todo) for code, each in attention.ADVICE.items()}


class AttentionNotices:
    """``page`` is the address of the dashboard. Both programs use the same grouping."""

    def __init__(
        self,
        clock: Clock,
        boot: Boot,
        registry: SessionRegistry,
        store: SessionStore,
        publisher: EventPublisher,
        subscriptions: Subscriptions,
        *,
        page: str,
        installation: Installation = UNNAMED,
    ) -> None:
        self._clock, self._boot, self._registry, self._store = clock, boot, registry, store
        self._publisher, self._subscriptions, self._page = publisher, subscriptions, page.rstrip("/") + "/"
        self._installation = installation
        self._channels = 0
        self._heard_s = float("-inf")
        self._silent_after_s = 0.0
        self._listeners = 0
        # Since when this run knows a need, or its end; not by the wall clock, which may be set.
        self._known_s: dict[tuple[str, int, bool], float] = {}
        self._opening, self._ending = Gathering(), Gathering()

    # --- the watchdog ---

    @property
    def revision(self) -> str:
        """Changes with every change of what :meth:`view` returns; unique over restarts."""
        return f"{self._boot.boot_id}-{self._registry.needs_revision}"

    def view(self) -> Attention:
        """Everything the watchdog needs for its notices."""
        entries = [entry_of(record) for record, _ in self._needs()]
        return Attention(self.revision, self._page, ADVICE, entries)

    def of_owner(self, owner: str | None) -> list[tuple[SessionRecord, str]]:
        """Sessions of ``owner``, of all for None, with a need that lasts, and the addresses of their pages."""
        return [
            (record, contract.session_page(self._page, record.id))
            for record, _ in self._registry.needs()
            if attention.open_need(record) is not None and owner in (None, record.owner)
        ]

    def exchange(self, report: Push) -> Attention | None:
        """Note what ``report`` says. Returns the sessions unless the watchdog knows this state."""
        self._channels, self._heard_s = report.channels, self._clock.monotonic()
        self._silent_after_s = 3 * report.push_interval / 1000
        if report.channels:
            self._taken(report.attention_taken)
        return None if report.attention_known in (None, self.revision) else self.view()

    def listening(self, change: int) -> None:
        """One heartbeat stream more (1) or less (-1)."""
        self._listeners += change

    def watchdog_speaks(self) -> bool:
        """Whether a watchdog with channels is there now."""
        age_s = self._clock.monotonic() - self._heard_s
        here = age_s < HERE_S or (self._listeners > 0 and age_s < self._silent_after_s)
        return self._channels > 0 and here

    def _taken(self, revision: str) -> None:
        """The watchdog stored what it was given as ``revision``, and sends the notices."""
        boot_id, _, number = revision.rpartition("-")
        if boot_id != self._boot.boot_id or not number.isdecimal():
            return
        for record, changed in self._needs():
            need = record.need
            if need is None or changed > int(number) or need.voice is Voice.BOT:
                continue
            if not need.lasts:
                self._put(attention.settled(record))
            elif need.voice is Voice.NOT_YET:
                self._put(attention.spoken(record, Voice.WATCHDOG))

    # --- the own voice ---

    async def run(self) -> None:
        """The loop."""
        failed = "A notice about sessions could not be stored yet"
        await every(self._clock, CHECK_EVERY_S, self.check, failed=failed, event_name="attention.store")

    async def check(self) -> None:
        """Send what is due on ALERT_URLS."""
        now_s, records = self._clock.monotonic(), [record for record, _ in self._needs()]
        keys = {_key(record) for record in records}
        self._known_s = {key: self._known_s.get(key, now_s) for key in keys}
        speaks, reaches = self.watchdog_speaks(), bool(self._subscriptions.fixed())
        fresh, ended = [], []
        for record in records:
            need = record.need
            if need is None:
                continue
            if need.code is NeedCode.OUTDATED and need.voice is not Voice.WATCHDOG and reaches:
                # The alert about the client version covers all of these sessions, and so does its end.
                if not need.lasts:
                    self._put(attention.settled(record))
                elif need.voice is Voice.NOT_YET:
                    self._put(attention.spoken(record, Voice.BOT))
            elif need.lasts and need.voice is Voice.NOT_YET:
                fresh.append(record)
            elif not need.lasts and need.voice is Voice.BOT:
                ended.append(record)
            elif not need.lasts and need.voice is Voice.NOT_YET and not speaks:
                self._put(attention.settled(record))  # its begin was not reported
        if not reaches:
            for record in ended:
                self._put(attention.settled(record))
            return
        await self._tell_opened(fresh, now_s, wait_s=TAKEN_WITHIN_S if speaks else GRACE_S)
        await self._tell_over(ended, now_s)

    async def _tell_opened(self, records: list[SessionRecord], now_s: float, *, wait_s: float) -> None:
        ages_s = self._ages_s(records, now_s)
        if not ages_s or max(ages_s) < wait_s or not self._opening.due(ages_s, now_s, patience_s=wait_s + PATIENCE_S):
            return
        words = contract.opened([entry_of(record) for record in records], ADVICE, self._page)
        await self._publish("service.alert", words, records)
        self._opening.sent(now_s)
        log.error(f"ALERT: {words.title}", event_name="attention.alert", sessions=len(records))
        for record in records:
            self._replace(record, attention.spoken(record, Voice.BOT))

    async def _tell_over(self, records: list[SessionRecord], now_s: float) -> None:
        ages_s = self._ages_s(records, now_s)
        if not ages_s or not self._ending.due(ages_s, now_s):
            return
        words = contract.over([entry_of(record) for record in records], self._page)
        await self._publish("service.recovered", words, records)
        self._ending.sent(now_s)
        log.info(words.title, event_name="attention.over", sessions=len(records))
        for record in records:
            self._replace(record, attention.settled(record))

    async def _publish(self, event_type: str, words: NoticeWords, records: list[SessionRecord]) -> None:
        one = {"session": records[0].id} if len(records) == 1 else {}
        data = {"kind": KIND, "title": words.title, "text": words.text} | one | words.fields
        # The text has the links to the sessions.
        data = self._installation.signed(data)
        await self._publisher.publish([Draft(event_type, None, None, self._clock.now(), data)])

    def _needs(self) -> list[tuple[SessionRecord, int]]:
        # Each replica speaks for the sessions that it runs.
        return [each for each in self._registry.needs() if self._registry.runs_here(each[0].id)]

    def _ages_s(self, records: Iterable[SessionRecord], now_s: float) -> list[float]:
        return [now_s - self._known_s.get(_key(record), now_s) for record in records]

    def _replace(self, reported: SessionRecord, after: SessionRecord) -> None:
        """Keep ``after`` unless the need changed while its notice was stored."""
        record = self._registry.get(reported.id)
        if record is not None and record.need is reported.need:
            self._put(attention.with_need(record, after.need))

    def _put(self, record: SessionRecord) -> None:
        self._registry.put(record)
        self._store.mark(record)


def entry_of(record: SessionRecord) -> NeedEntry:
    """What people and the watchdog learn of a session that has a need."""
    need = record.need
    if need is None:
        raise ValueError(f"session {record.id} has no need")
    return NeedEntry(record.id, record.name, need.code, need.since_ms, need.voice, not need.lasts)


def _key(record: SessionRecord) -> tuple[str, int, bool]:
    need = record.need
    return (record.id, 0, False) if need is None else (record.id, need.since_ms, not need.lasts)
