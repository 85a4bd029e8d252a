"""Builds what decides who a caller is, and holds its parts."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from bot_service.access.ended_logins import EndedLogins
from bot_service.access.keyring import KeyRing
from bot_service.access.login_links import LoginLinks
from bot_service.access.open_requests import OpenRequests
from bot_service.access.shared_once import SharedOnce
from bot_service.store.batch_writer import STORE_ERRORS
from bot_service.store.database import Database
from shared.clock import Clock
from shared.settings import Secret


@dataclass(frozen=True, slots=True)
class Access:
    """``keyring`` finds and manages API keys; what came from one of them ends with it."""

    keyring: KeyRing
    login_links: LoginLinks
    ended_logins: EndedLogins
    requests: OpenRequests
    once: SharedOnce | None
    """Only with replicas."""

    async def refresh(self) -> None:
        """What other replicas ended ends here too. While the store is away nothing ends, and the lease says why."""
        with contextlib.suppress(*STORE_ERRORS):
            await self.ended_logins.refresh()
            await self.keyring.refresh()


def build(clock: Clock, database: Callable[[], Database], administrator: Secret, *, replicated: bool = False) -> Access:
    """``database`` is called when a key is looked up: the store opens later than this is built."""
    once = SharedOnce(database) if replicated else None
    keyring, login_links, requests = (
        KeyRing(clock, database, administrator),
        LoginLinks(clock, once),
        OpenRequests(clock),
    )
    ended_logins = EndedLogins(clock, database)
    keyring.revoked.subscribe(login_links.forget)
    keyring.revoked.subscribe(requests.end)
    ended_logins.ended.subscribe(requests.end)
    return Access(keyring, login_links, ended_logins, requests, once)
