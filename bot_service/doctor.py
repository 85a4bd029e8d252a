"""The bot service's part of ``veilleur doctor``."""

from __future__ import annotations

import importlib.util
import resource
import socket
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from urllib.parse import urlsplit

from bot_service import doctor_version
from bot_service.settings import BotSettings
from shared.doctor import Check, CheckStatus, Context, settings_checks, sqlite_check

GROUP, BEFORE = "Bot service", "Before deployment: bot service"
DESCRIPTORS = 4096
WHATSAPP, CONNECT_S = ("web.whatsapp.com", 443), 5.0


def checks(context: Context) -> Iterator[Check]:
    found, settings = settings_checks(GROUP, BotSettings, context.environ)
    yield from found
    if not isinstance(settings, BotSettings):
        return
    yield _engine(settings)
    if settings.engine != "simulator":
        yield reached(settings.whatsapp_proxy)
    yield from doctor_version.checks(GROUP, settings)
    yield _database(settings)
    yield _descriptors()
    if settings.replica_url is not None:
        from bot_service import doctor_replicas  # loads what only replicas need

        yield from doctor_replicas.checks(settings, context)
    yield from _before_deployment(settings, context)


def _engine(settings: BotSettings) -> Check:
    if settings.engine == "simulator":
        todo = "set ENGINE=neonize to reach WhatsApp"
        return Check(GROUP, "engine", CheckStatus.INFO, "simulator: no message leaves this machine", todo)
    if importlib.util.find_spec("neonize") is None:
        todo = "install the locked packages (make venv), or set ENGINE=simulator"
        return Check(GROUP, "engine", CheckStatus.FAILED, "neonize is not installed", todo)
    return Check(GROUP, "engine", CheckStatus.OK, f"neonize {metadata.version('neonize')} is installed")


def reached(proxy: str | None, server: tuple[str, int] = WHATSAPP) -> Check:
    """Whether a connection to WhatsApp can begin, or to the ``proxy`` through which the engine dials it."""
    (host, port), todo = server, "open outgoing connections to it: DNS and firewall, or set WHATSAPP_PROXY"
    if proxy is not None:
        parts = urlsplit(proxy)
        host, todo = parts.hostname or "", "correct WHATSAPP_PROXY, or start the proxy"
        port = parts.port or {"http": 80, "https": 443, "socks5": 1080}[parts.scheme]
    name = "WhatsApp" if proxy is None else "proxy to WhatsApp"
    try:
        socket.create_connection((host, port), timeout=CONNECT_S).close()
    except OSError as error:
        why = (
            "the name cannot be resolved"
            if isinstance(error, socket.gaierror)
            else error.strerror or "no answer in time"
        )
        return Check(GROUP, name, CheckStatus.FAILED, f"{host}:{port} cannot be reached: {why}", todo)
    return Check(GROUP, name, CheckStatus.OK, f"{host}:{port} can be reached")


def _database(settings: BotSettings) -> Check:
    url = settings.store_url
    if not url.startswith("sqlite:///"):
        return Check(GROUP, "database", CheckStatus.INFO, "PostgreSQL: looked at when the service starts")
    return sqlite_check(GROUP, Path(url.removeprefix("sqlite:///")))


def _descriptors() -> Check:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < DESCRIPTORS:
        todo = f"raise the limit to at least {DESCRIPTORS} (ulimit -n, or ulimits in compose)"
        return Check(GROUP, "open files", CheckStatus.WARNING, f"at most {soft} in one process", todo)
    return Check(GROUP, "open files", CheckStatus.OK, f"at most {soft} in one process")


def _before_deployment(settings: BotSettings, context: Context) -> Iterator[Check]:
    hours = settings.session_inactive_timeout_ms / 3_600_000
    if settings.session_inactive_timeout_ms > settings.session_max_age_ms:
        todo = "make SESSION_INACTIVE_TIMEOUT shorter than SESSION_MAX_AGE"
        yield Check(BEFORE, "session times", CheckStatus.WARNING, "a session is too old before it is unused", todo)
    elif hours < 1:
        todo = "SESSION_INACTIVE_TIMEOUT is in milliseconds: 86400000, or 24h"
        found = f"a session unused for {hours:.2g} h is closed"
        yield Check(BEFORE, "session times", CheckStatus.WARNING, found, todo)
    else:
        yield Check(BEFORE, "session times", CheckStatus.OK, f"a session unused for {hours:g} h is closed")
    if context.environ.get("RAILWAY_ENVIRONMENT") and not context.environ.get("RAILWAY_VOLUME_MOUNT_PATH"):
        todo = "attach a volume at DATA_DIR: without one every deployment unlinks all phones"
        yield Check(BEFORE, "volume", CheckStatus.FAILED, "Railway gives this service no volume", todo)
    if not settings.public_stats:
        return
    yield Check(BEFORE, "public statistics", CheckStatus.INFO, "GET /api/keepalive and /api/metrics need no key")
