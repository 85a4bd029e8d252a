"""Builds the session supervision and holds its parts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from bot_service.domain.expiry import ExpiryAction, ExpiryPolicy
from bot_service.domain.ports import EnginePool
from bot_service.domain.readiness import DoubtPolicy
from bot_service.domain.reconnect import HerdLimit
from bot_service.domain.session_record import SessionPolicy
from bot_service.engines.registry import client_library
from bot_service.engines.version_page import VersionPage
from bot_service.sessions.cleanup import Cleanup
from bot_service.sessions.client_version import FOLDER, ClientVersion
from bot_service.sessions.client_version_recovery import ClientVersionRecovery
from bot_service.sessions.commands import SessionCommands
from bot_service.sessions.effects import StartLimits
from bot_service.sessions.lanes import Lanes
from bot_service.sessions.leases import FolderLease, Leases
from bot_service.sessions.notifications import EventBus, SessionNotifications
from bot_service.sessions.queries import SessionQueries
from bot_service.sessions.readiness_check import ReadinessCheck
from bot_service.sessions.receive_probe import ProbePolicy, ReceiveProbe
from bot_service.sessions.registry import SessionRegistry
from bot_service.sessions.restore import Restore
from bot_service.sessions.silence_patterns import SilencePatterns
from bot_service.sessions.supervisor import Supervisor
from bot_service.settings import BotSettings
from bot_service.store.database import Database
from bot_service.store.sessions import SessionStore, StoreUnavailable
from bot_service.store.write_check import StoreWriteCheck
from shared import logs
from shared.clock import Clock
from shared.tasks import Loop

log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class Sessions:
    """``commands`` and ``queries`` are the use cases, ``registry`` the state in memory."""

    bus: EventBus
    cleanup: Cleanup
    client_version: ClientVersion
    client_version_recovery: ClientVersionRecovery
    commands: SessionCommands
    lanes: Lanes
    pool: EnginePool
    queries: SessionQueries
    readiness_check: ReadinessCheck
    receive_probe: ReceiveProbe
    registry: SessionRegistry
    restore: Restore
    silence_patterns: SilencePatterns
    store: SessionStore
    supervisor: Supervisor
    write_check: StoreWriteCheck

    def loops(self) -> Iterator[Loop]:
        """The background loops by name."""
        yield "store", self.store.run
        yield "store-watch", self.write_check.run
        yield "timers", self.supervisor.timers.run
        yield "sweep", self.readiness_check.run
        yield "probe", self.receive_probe.run
        yield "cleanup", self.cleanup.run
        yield "patterns", self.silence_patterns.run
        yield "client-version", self.client_version_recovery.run


@asynccontextmanager
async def build(
    settings: BotSettings,
    clock: Clock,
    database: Database,
    pool: EnginePool,
    lease: Leases,
    *,
    round_trip: Callable[[float], None],
    version_checked: Callable[[str], None],
) -> AsyncIterator[Sessions]:
    """The parts, listening to ``pool``. At the end the last changes are stored.

    ``round_trip`` gets the seconds of each receive probe, ``version_checked`` the result of each
    read of the version page.
    """
    registry, bus = SessionRegistry(), EventBus()
    store = SessionStore(database, clock, transitions_kept=settings.session_transitions_kept)
    notifications = SessionNotifications(bus, clock)
    supervisor = Supervisor(
        registry,
        store,
        pool,
        notifications,
        lease,
        clock,
        _policy(settings),
        starts=StartLimits(
            settings.boot_concurrency, settings.session_start_timeout_ms / 1000, settings.whatsapp_proxy
        ),
        herd=HerdLimit(settings.reconnect_per_minute),
    )
    client_version = ClientVersion(
        settings.whatsapp_version,
        client_library(settings.engine),
        VersionPage(settings.whatsapp_version_url, settings.whatsapp_proxy),
        supervisor.refusals,
        pool,
        database,
        clock,
        folder=settings.data_dir / FOLDER,
        checked=version_checked,
    )
    expiry = ExpiryPolicy(
        settings.session_inactive_timeout_ms, settings.session_max_age_ms, ExpiryAction(settings.session_expiry_action)
    )
    probing = ProbePolicy(settings.receive_probe, settings.receive_probe_interval_ms, settings.receive_probe_timeout_ms)
    readiness_check = ReadinessCheck(supervisor, registry, pool, clock, DoubtPolicy())
    sessions = Sessions(
        bus=bus,
        cleanup=Cleanup(supervisor, registry, clock, expiry, interval_ms=settings.session_cleanup_interval_ms),
        client_version=client_version,
        client_version_recovery=ClientVersionRecovery(client_version, supervisor, notifications, clock),
        commands=SessionCommands(supervisor, registry, store, pool),
        lanes=Lanes(registry, None if isinstance(lease, FolderLease) else lease),
        pool=pool,
        queries=SessionQueries(supervisor, registry, readiness_check, store),
        readiness_check=readiness_check,
        receive_probe=ReceiveProbe(supervisor, registry, pool, clock, probing, round_trip=round_trip),
        registry=registry,
        restore=Restore(supervisor, registry, stagger_ms=settings.boot_stagger_ms),
        silence_patterns=SilencePatterns(supervisor, registry, database, clock),
        store=store,
        supervisor=supervisor,
        write_check=StoreWriteCheck(database, clock),
    )
    await client_version.load()
    pool.signals.subscribe(supervisor.on_signal)
    yield sessions
    await supervisor.effects.close()
    try:
        await store.flush()
        await sessions.silence_patterns.save(pause_s=0)
    except StoreUnavailable as error:
        log.error(f"The last changes could not be stored: {error}", event_name="store.lost_at_stop")


def _policy(settings: BotSettings) -> SessionPolicy:
    return SessionPolicy(
        start_timeout_ms=settings.session_start_timeout_ms,
        connect_timeout_ms=settings.session_start_timeout_ms,
        paired_timeout_ms=settings.session_start_timeout_ms,
        take_over_ms=settings.reconnect_take_over_ms,
        first_delay_ms=settings.reconnect_first_delay_ms,
        max_delay_ms=settings.reconnect_max_delay_ms,
        frame_fresh_ms=settings.frame_fresh_ms,
    )
