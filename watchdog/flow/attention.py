"""Sessions of one target that need a person: DEGRADED while there are any, and one notice for each wave.

The bot sends the sessions in its answer to a report. The next report confirms the state that is
covered by notices in the outbox; until then the bot may send its own.
"""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
from collections.abc import Callable, Sequence

import msgspec

from shared import logs
from shared.clock import Clock, epoch_ms
from shared.contract import attention as contract
from shared.contract.attention import Attention, NeedEntry, NoticeWords
from shared.gathering import Gathering
from shared.timing import either
from watchdog.domain import notices
from watchdog.domain.facts import PersonNeeded
from watchdog.domain.states import Notice, NoticeKind
from watchdog.flow.pipeline import Pipeline
from watchdog.ledger import attention
from watchdog.ledger.attention import Unreported
from watchdog.ledger.outbox import Channels
from watchdog.ledger.sqlite import Ledger

log = logs.get(__name__)

LOOK_EVERY_S = 1.0  # while something waits for its notice
IDLE_S = 60.0
ASK_AGAIN_S = 5.0
UNSET_PAGE = "http://localhost:"


class SessionAttention:
    """``known`` is the newest state received, ``taken`` the newest one covered by notices.

    Without a channel beside the log nothing is reported or confirmed: the bot does it. ``on_notice``
    delivers at once, ``confirm`` sends the next report at once. ``url`` is the target's base address;
    ``several`` names the target in the notices.
    """

    def __init__(
        self,
        target: str,
        *,
        ledger: Ledger,
        pipeline: Pipeline,
        clock: Clock,
        channels: Channels,
        log_channel: str,
        several: bool = False,
        url: str,
        on_notice: Callable[[], None],
        confirm: Callable[[], None],
    ) -> None:
        self._target, self._ledger, self._pipeline, self._clock = target, ledger, pipeline, clock
        self._to, self._url, self._on_notice, self._confirm = channels, url, on_notice, confirm
        self.channels = sum(channel != log_channel for channel in channels.all)
        self._prefix = f"{target}: " if several else ""
        self.known = self.taken = ""
        self._found: Attention | None = None
        self._news = asyncio.Event()
        self._asked, self._ask_again_s = "", 0.0
        self._first_seen_s: dict[tuple[str, int, bool], float] = {}
        self._opening, self._ending = Gathering(), Gathering()

    @property
    def dashboard(self) -> str:
        """Address of the bot's dashboard, as the bot gives it; empty before it has."""
        return self._found.page if self._found is not None else ""

    def beat(self, revision: str) -> None:
        """The heartbeat names the state ``revision``: ask for the sessions when it is another one."""
        if not revision and self.known:
            # Another version of the bot, which knows no needs.
            self._found, self.known = Attention("", "", {}, []), ""
            self._news.set()
        elif revision != self.known and (revision != self._asked or self._clock.monotonic() >= self._ask_again_s):
            self._asked, self._ask_again_s = revision, self._clock.monotonic() + ASK_AGAIN_S
            self._confirm()

    def answered(self, found: Attention | None) -> None:
        """What a report was answered with; None when the state is known, or the bot knows no needs."""
        if found is not None:
            if found.page.startswith(UNSET_PAGE) and self._url.startswith("https://"):
                # The bot does not know its address for people, and this one is public.
                found = msgspec.structs.replace(found, page=f"{self._url}/")
            self._found, self.known = found, found.revision
            self._news.set()

    async def run(self) -> None:
        """The loop."""
        waiting = False
        while True:
            await either(self._clock, self._news, LOOK_EVERY_S if waiting else IDLE_S)
            try:
                waiting = await self.once()
            except sqlite3.Error as error:
                # Nothing was reported or confirmed: the next look tries again, or the bot reports.
                log.error(
                    "Sessions that need a person could not be reported",
                    event_name="attention.failed",
                    target=self._target,
                    error=str(error),
                )
                waiting = True

    async def once(self) -> bool:
        """Report what is due. Returns whether something still waits for its notice."""
        found = self._found
        if found is None:
            return False
        count = sum(not entry.over for entry in found.sessions)
        if self._pipeline.state(self._target).needs_person != count:
            await self._pipeline.process(self._target, PersonNeeded(count))
        if not self.channels or self.taken == found.revision:
            return False
        unreported = await self._ledger.write(lambda c: attention.compare(c, self._target, found))
        now_s = self._clock.monotonic()
        ages_s = self._ages_s(unreported, now_s)
        opened, over = ages_s[: len(unreported.opened)], ages_s[len(unreported.opened) :]
        if opened and self._opening.due(opened, now_s):
            await self._report_opened(found, unreported.opened)
            self._opening.sent(now_s)
            opened = []
        if over and self._ending.due(over, now_s):
            await self._report_over(found, unreported.over)
            self._ending.sent(now_s)
            over = []
        if opened or over:
            return True
        if self._found is found:
            self.taken = found.revision
            self._confirm()
        return self._found is not found

    async def _report_opened(self, found: Attention, entries: Sequence[NeedEntry]) -> None:
        notice = self._notice(NoticeKind.ATTENTION, contract.opened(entries, found.advice, found.page))
        await self._ledger.write(lambda c: attention.report_opened(c, self._target, entries, notice, self._to))
        self._on_notice()

    async def _report_over(self, found: Attention, entries: Sequence[NeedEntry]) -> None:
        notice = self._notice(NoticeKind.ATTENTION_OVER, contract.over(entries, found.page))
        await self._ledger.write(lambda c: attention.report_over(c, self._target, entries, notice, self._to))
        self._on_notice()

    def _notice(self, kind: NoticeKind, words: NoticeWords) -> Notice:
        named = msgspec.structs.replace(words, title=self._prefix + words.title, text=self._prefix + words.text)
        return notices.attention(kind, self._target, named, epoch_ms(self._clock), secrets.token_hex(4))

    def _ages_s(self, unreported: Unreported, now_s: float) -> list[float]:
        keys = [(entry.session, entry.since_ms, entry.over) for entry in (*unreported.opened, *unreported.over)]
        self._first_seen_s = {key: self._first_seen_s.get(key, now_s) for key in keys}
        return [now_s - self._first_seen_s[key] for key in keys]
