"""Builds what decides who a caller is, and holds its parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bot_service.access.keyring import KeyRing
from bot_service.access.login_links import LoginLinks
from bot_service.store.database import Database
from shared.clock import Clock
from shared.settings import Secret


@dataclass(frozen=True, slots=True)
class Access:
    """``keyring`` finds and manages API keys; ``login_links`` sign the administrator in once."""

    keyring: KeyRing
    login_links: LoginLinks


def build(clock: Clock, database: Callable[[], Database], administrator: Secret) -> Access:
    """``database`` is called when a key is looked up: the store opens later than this is built."""
    return Access(KeyRing(clock, database, administrator), LoginLinks(clock))
