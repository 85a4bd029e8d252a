"""The client version of new workers: by the setting, WhatsApp's page and the store."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_service.domain.client_version import (
    Mode,
    Rejection,
    Setting,
    Source,
    Versions,
    age_days,
    published_build,
    version,
)
from bot_service.domain.ports import ClientVersionPool
from bot_service.engines.port import ClientLibrary, CopyError
from bot_service.engines.version_page import PageError
from bot_service.sessions.client_version_refusals import NO_BUILD, ClientVersionRefusals
from bot_service.store import client_builds
from bot_service.store.database import Database
from shared import logs
from shared.clock import Clock, iso, to_ms

log = logs.get(__name__)

FOLDER = "engine"
DAY_S, JITTER = 86_400.0, 0.15
# A failed read of the page is repeated after this time, doubled each time up to a day.
FAILED_FIRST_S = 300.0


class Page(Protocol):
    """Where WhatsApp publishes its version. Raises :class:`PageError`."""

    async def read(self) -> str: ...


@dataclass(frozen=True, slots=True)
class VersionFacts:
    """What is announced now; ``version`` is None when the engine announces none that is known.

    ``problem`` is why the chosen version is not announced; ``problem_reason`` is its stable code.
    """

    version: str | None
    source: Source | None
    age_days: float | None
    outdated: bool
    refused: tuple[str, ...] = ()
    published: str | None = None
    checked_at: str | None = None
    check_result: str | None = None
    problem: str | None = None
    problem_reason: str | None = None

    @property
    def announces(self) -> bool:
        """False of an engine that announces no client version, such as the simulator."""
        return self.version is not None or self.problem is not None


class ClientVersion:
    """``checked(result)`` is called after every read of the page.

    Results: ``newer``, ``unchanged``, ``rejected``, ``unreachable``, ``timeout``, ``bad_answer``.
    """

    def __init__(
        self,
        setting: Setting,
        library: ClientLibrary | None,
        page: Page,
        refusals: ClientVersionRefusals,
        pool: ClientVersionPool,
        database: Database,
        clock: Clock,
        *,
        folder: Path,
        checked: Callable[[str], None],
        chance: random.Random | None = None,
    ) -> None:
        self.setting = setting
        self._library, self._page, self._refusals, self._pool = library, page, refusals, pool
        self._database, self._clock, self._folder, self._checked = database, clock, folder, checked
        self._chance = chance or random.Random()  # noqa: S311
        self._versions: Versions | None = None
        self._stored_refused: frozenset[int] = frozenset()
        self._problem: CopyError | None = None
        self._checked_at: str | None = None
        self._check_result: str | None = None
        self.read_s = float("-inf")
        """When the page was last read, and when it is to be next: monotonic seconds."""
        self.next_read_s = float("-inf")
        self.failed_reads = 0

    # --- reading ---

    @property
    def follows_page(self) -> bool:
        return self.setting.mode is Mode.AUTO and self._versions is not None

    @property
    def announced(self) -> int:
        """The build that new workers announce."""
        return self._refusals.announced

    @property
    def usable(self) -> tuple[int, ...]:
        """Every build that may be announced, the first choice first."""
        return (NO_BUILD,) if self._versions is None else self._versions.usable

    @property
    def best(self) -> int:
        """The first choice that is not refused."""
        if self._versions is None:
            return NO_BUILD
        return replace(self._versions, refused=self._refusals.refused).best

    def facts(self) -> VersionFacts:
        """From memory only."""
        outdated, versions = self._refusals.policy.client_outdated, self._versions
        problem, reason = (self._problem.detail, self._problem.reason) if self._problem else (None, None)
        if problem is None and self._pool.copies_failed():
            problem, reason = "a worker could not load its copy of the native library", "not_loadable"
        if versions is None:
            return VersionFacts(None, None, None, outdated, problem=problem, problem_reason=reason)
        return VersionFacts(
            version=version(self._refusals.announced),
            source=versions.source(self._refusals.announced),
            age_days=round(age_days(self._refusals.announced, self._clock.now()), 1),
            outdated=outdated,
            refused=tuple(version(build) for build in sorted(self._refusals.refused - {NO_BUILD})),
            published=None if versions.published is None else version(versions.published),
            checked_at=self._checked_at,
            check_result=self._check_result,
            problem=problem,
            problem_reason=reason,
        )

    # --- known and announced builds ---

    async def load(self) -> None:
        """Before the first worker starts: what was known before, without the network."""
        if self._library is None:
            return
        try:
            builtin = await asyncio.to_thread(self._library.builtin_build)
        except CopyError as error:
            self._report(error)
            return
        async with self._database.read() as connection:
            known = await client_builds.load(connection)
        # A published build that is older than the built-in one is from before an upgrade.
        published = known.published if known.published is not None and known.published > builtin else None
        self._versions = Versions(self.setting, builtin, published)
        self._stored_refused = known.refused
        # A version chosen by a person is tried, even if it was refused before.
        chosen = () if self.follows_page else self._versions.usable
        self._refusals.refuse(known.refused - {*chosen}, restored=True)
        await self.announce(self.best)

    async def announce(self, build: int) -> bool:
        """New workers announce ``build``; running ones go on with theirs.

        False when that is impossible: then new ones announce the built-in build, and :meth:`facts`
        has the reason.
        """
        if self._versions is None or self._library is None:
            return True
        copy, problem = None, None
        if build != self._versions.builtin:
            try:
                copy = await asyncio.to_thread(self._library.make, build, self._folder)
            except CopyError as error:
                build, problem = self._versions.builtin, error
        self._report(problem)
        self._pool.announce(build, copy)
        if build != self._refusals.announced:
            self._refusals.announced = build
            log.info(
                f"New engine workers announce client version {version(build)}", event_name="client_version.announced"
            )
        await asyncio.to_thread(self._library.remove_others, self._folder, {build, *self._pool.builds_in_use()})
        return problem is None

    def _report(self, problem: CopyError | None) -> None:
        if problem is not None and (self._problem is None or self._problem.reason != problem.reason):
            log.error(
                f"The built-in client version is announced, another one cannot be: {problem.detail}",
                event_name="client_version.builtin_used",
                reason=problem.reason,
            )
        self._problem = problem

    async def read_page(self) -> None:
        """Reads the page, when the setting follows it, and stores the published version."""
        self.read_s = self._clock.monotonic()
        self.next_read_s = self.read_s + DAY_S * self._chance.uniform(1 - JITTER, 1 + JITTER)
        versions = self._versions
        if not self.follows_page or versions is None:
            return
        try:
            found = published_build(await self._page.read(), builtin=versions.builtin, now=self._clock.now())
        except PageError as error:
            self._checked_page(error.result)
            self.failed_reads += 1
            self.next_read_s = self.read_s + min(FAILED_FIRST_S * 2 ** (self.failed_reads - 1), DAY_S)
            log.warning(
                f"WhatsApp's version page could not be read: {error}",
                event_name="client_version.page",
                result=error.result,
            )
            return
        self.failed_reads = 0
        if isinstance(found, Rejection):
            self._checked_page("rejected")
            log.warning(
                f"The published client version is not used: {found.value}", event_name="client_version.rejected"
            )
            return
        self._checked_page("newer" if found > self._refusals.announced else "unchanged")
        if found != versions.published:
            self._versions = replace(versions, published=found)
            log.info(f"WhatsApp publishes client version {version(found)}", event_name="client_version.published")
        await self._store(lambda connection: client_builds.save_published(connection, found, to_ms(self._clock.now())))

    def _checked_page(self, result: str) -> None:
        self._checked_at, self._check_result = iso(self._clock.now()), result
        self._checked(result)

    async def store_refused(self) -> None:
        """Stores the refused builds, if they have changed."""
        refused = self._refusals.refused - {NO_BUILD}
        if self._versions is None or refused == self._stored_refused:
            return
        now_ms = to_ms(self._clock.now())
        if await self._store(lambda connection: client_builds.save_refused(connection, refused, now_ms)):
            self._stored_refused = refused

    async def _store(self, write: Callable[[AsyncConnection], Awaitable[None]]) -> bool:
        try:
            async with self._database.write() as connection:
                await write(connection)
        except (SQLAlchemyError, OSError) as error:
            # It stays in memory and is stored with the next change; /health reports the store.
            log.warning(
                "The client version could not be stored", event_name="client_version.store", why=str(error)[:200]
            )
            return False
        return True
