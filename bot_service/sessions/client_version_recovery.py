"""Follows the published client version; when it is refused, a canary tries others.

A build with which the canary is READY for some seconds brings all sessions back. When none is
accepted, a person is alerted, and reading the page goes on: a newer published build starts the
canary again.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Collection
from enum import Enum

from bot_service.domain.client_version import Mode
from bot_service.domain.session_record import ClientAccepted, SessionRecord
from bot_service.domain.states import FINAL, State, Wanted
from bot_service.sessions.client_version import JITTER, ClientVersion
from bot_service.sessions.client_version_refusals import NO_BUILD
from bot_service.sessions.notifications import SessionNotifications
from bot_service.sessions.supervisor import Supervisor
from shared import logs
from shared.clock import Clock, to_ms

log = logs.get(__name__)

READY_FOR_S = 10.0
POLL_S = 0.25
# WhatsApp may publish a build just after it refuses the old one, so the first reads follow quickly.
QUICK_READS_S = (3.0, 5.0, 7.0, 10.0)
WAIT_FIRST_S, WAIT_LONGEST_S = 300.0, 3600.0
# A page that could not be read is read again sooner than one that has nothing newer.
UNREAD_FIRST_S = 15.0
# A canary that is neither accepted nor refused in this time, because it cannot connect, is
# replaced.
RESULT_S, CANARIES = 90.0, 3
# Interval of tries after a copy of the library could not be made.
COPY_AGAIN_S = 3600.0
# A refused account causes a read of the page, at most so often.
READ_AT_MOST_EVERY_S = 60.0


class CanaryResult(Enum):
    """The result of one try of the canary."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNKNOWN = "unknown"  # the canary was stopped, deleted or unlinked, or cannot connect


class ClientVersionRecovery:
    """One loop. What it knows of a refusal is forgotten when that is over."""

    def __init__(
        self,
        client_version: ClientVersion,
        supervisor: Supervisor,
        notifications: SessionNotifications,
        clock: Clock,
        *,
        chance: random.Random | None = None,
    ) -> None:
        self._version, self._supervisor, self._refusals = client_version, supervisor, supervisor.refusals
        self._notifications, self._clock = notifications, clock
        self._chance = chance or random.Random()  # noqa: S311
        self._read_for: set[str] = set()
        self._tried: list[int] = []
        self._rounds = 0
        self._person_needed = False

    async def run(self) -> None:
        """The loop."""
        while True:
            self._refusals.changed.clear()
            if self._refusals.policy.client_outdated:
                await self._recover()
            else:
                self._tried, self._rounds, self._person_needed = [], 0, False
                await self._follow()
            await self._version.store_refused()

    # --- while the version is accepted ---

    async def _follow(self) -> None:
        """Reads the page when it is due or an account was refused; then waits for a change."""
        version, by = self._version, self._refusals.refused_by
        next_s, asks = version.next_read_s, set().union(*by.values()) - self._read_for
        if asks:
            next_s = min(next_s, version.read_s + READ_AT_MOST_EVERY_S)
        if self._clock.monotonic() >= next_s:
            await version.read_page()
            next_s = version.next_read_s
            self._read_for = set().union(*by.values())
        if version.best != version.announced and not await version.announce(version.best):
            next_s = min(next_s, self._clock.monotonic() + COPY_AGAIN_S)
        # When a better build is known, one that an account was refused with is left before others
        # are refused.
        for build in set(by) - {version.announced, NO_BUILD}:
            self._refusals.refuse(self._refusals.refused | {build})
            for session in by.pop(build):
                self._supervisor.apply(session, ClientAccepted())
        await version.store_refused()
        await self._pause(max(0.0, next_s - self._clock.monotonic()))

    # --- after a refusal ---

    async def _recover(self) -> None:
        """One round: read the page, let canaries try the builds, and wait for a better one."""
        if self._rounds == 0 or self._clock.monotonic() - self._version.read_s >= min(QUICK_READS_S):
            await self._version.read_page()
        passed: list[int] = []
        while self._refusals.policy.client_outdated and (build := self._next_build(passed)) is not None:
            passed.append(build)
            result = await self._try(build) if await self._version.announce(build) else CanaryResult.UNKNOWN
            if result is CanaryResult.ACCEPTED:
                await self._refusals.recovered()
                return
            if result is CanaryResult.REFUSED:
                self._tried.append(build)
            await self._version.store_refused()
        if self._refusals.policy.client_outdated:
            # The canary goes on trying at intervals, with the first choice.
            await self._version.announce(self._version.best)
            await self._wait(passed)

    def _next_build(self, passed: Collection[int]) -> int | None:
        """The next build for the canary that is neither tried nor known to be refused."""
        for build in self._version.usable:
            canary = self._refusals.next_canary(build)
            if canary is None or build in self._tried or build in passed:
                continue
            by = self._refusals.refused_by.get(build, set())
            # Refused for one account only: another one finds out whether it is the build or the
            # account.
            if build not in self._refusals.refused or (len(by) == 1 and canary.id not in by):
                return build
        return None

    async def _try(self, build: int) -> CanaryResult:
        result, undecided = CanaryResult.UNKNOWN, set[str]()
        while result is CanaryResult.UNKNOWN and len(undecided) < CANARIES:
            canary = self._refusals.next_canary(build, but=undecided)
            if canary is None:
                break
            log.info(
                "A session tries whether the client version is accepted",
                event_name="fleet.try",
                session=canary.id,
                build=build,
            )
            begun_ms = self._now_ms()
            self._refusals.try_with(canary, begun_ms)
            undecided.add(canary.id)
            result = await self._result(canary.id, begun_ms)
        return result

    async def _result(self, canary: str, begun_ms: int) -> CanaryResult:
        until = self._clock.monotonic() + RESULT_S
        while self._clock.monotonic() < until:
            await self._clock.sleep(POLL_S)
            record = self._supervisor.record(canary)
            if record is None or record.wanted is Wanted.STOP or record.state in FINAL:
                return CanaryResult.UNKNOWN
            if record.state is State.OUTDATED and (record.due is None or record.due.at_ms > begun_ms):
                return CanaryResult.REFUSED
            if self._is_stable(record):
                return CanaryResult.ACCEPTED
        return CanaryResult.UNKNOWN

    def _is_stable(self, record: SessionRecord) -> bool:
        return record.state is State.READY and self._now_ms() - record.since_ms >= READY_FOR_S * 1000

    async def _wait(self, passed: Collection[int]) -> None:
        """Waits for the next read, or for a build to try that is not in ``passed``.

        A canary that logged in by one of its late tries ends the refusal.
        """
        quick = self._version.follows_page and self._rounds < len(QUICK_READS_S)
        if not quick:
            self._alert_person()
        until = self._clock.monotonic() + (QUICK_READS_S[self._rounds] if quick else self._wait_s())
        self._rounds += 1
        while self._refusals.policy.client_outdated and self._clock.monotonic() < until:
            await self._clock.sleep(POLL_S)
            canary = self._refusals.canary()
            if canary is not None and self._is_stable(canary):
                await self._refusals.recovered()
            elif self._next_build(passed) is not None:
                return

    def _wait_s(self) -> float:
        doubled = 2.0 ** min(max(0, self._rounds - len(QUICK_READS_S)), 20)
        wait_s = min(WAIT_FIRST_S * doubled, WAIT_LONGEST_S)
        if self._version.failed_reads:
            wait_s = min(wait_s, UNREAD_FIRST_S * doubled)
        return wait_s * self._chance.uniform(1.0, 1.0 + JITTER)

    def _alert_person(self) -> None:
        canary = self._refusals.canary()
        # After a restart people were alerted before, unless something else was refused since.
        known = self._refusals.restored and not self._tried
        if canary is not None and not self._person_needed and not known:
            self._person_needed = True
            refused = sorted({*self._tried, *self._refusals.refused} - {NO_BUILD})
            self._notifications.person_needed(canary, refused, self._advice())

    def _advice(self) -> str:
        if self._version.setting.mode is not Mode.AUTO:
            return "Set WHATSAPP_VERSION=auto to follow the published version, or to a newer 2.3000.N."
        if not self._version.follows_page:
            return "Upgrade the engine."
        return (
            "Veilleur goes on looking for a newer published version. Upgrade Veilleur, or set WHATSAPP_VERSION=2.3000.N "
            "to a version that WhatsApp accepts."
        )

    async def _pause(self, seconds: float) -> None:
        """Until the refusals change, at most ``seconds``."""
        waits = [
            asyncio.ensure_future(self._clock.sleep(seconds)),
            asyncio.ensure_future(self._refusals.changed.wait()),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    def _now_ms(self) -> int:
        return to_ms(self._clock.now())
