"""The watchdog's checks of ``veilleur doctor``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from shared.doctor import Check, CheckStatus, Context, settings_checks, sqlite_check
from watchdog.notifiers import table
from watchdog.settings import WatchdogSettings

GROUP, BEFORE = "Watchdog", "Before deployment: watchdog"
LONG_INTERVAL_MS = 900_000


def checks(context: Context) -> Iterator[Check]:
    found, settings = settings_checks(GROUP, WatchdogSettings, context.environ)
    yield from found
    if not isinstance(settings, WatchdogSettings):
        return
    yield sqlite_check(GROUP, Path(settings.data_dir) / "watchdog.db")
    yield _enabled(settings)
    yield _interval(settings)
    yield _alert_channels(settings)
    yield _watched(settings, context)
    yield _repairs(settings)
    yield _deadman(settings)


def _enabled(settings: WatchdogSettings) -> Check:
    if settings.enabled:
        return Check(BEFORE, "KEEP_ALIVE_ENABLED", CheckStatus.OK, "the bot service is watched")
    return Check(BEFORE, "KEEP_ALIVE_ENABLED", CheckStatus.WARNING, "nothing is pinged", "set KEEP_ALIVE_ENABLED=true")


def _interval(settings: WatchdogSettings) -> Check:
    minutes = settings.interval_ms / 60_000
    shown = f"a ping every {minutes:g} min, alert after {settings.failure_threshold} failures in a row"
    if settings.interval_ms > LONG_INTERVAL_MS:
        todo = "KEEP_ALIVE_INTERVAL is in milliseconds: 600000, or 10m"
        return Check(BEFORE, "KEEP_ALIVE_INTERVAL", CheckStatus.WARNING, shown, todo)
    return Check(BEFORE, "KEEP_ALIVE_INTERVAL", CheckStatus.OK, shown)


def _alert_channels(settings: WatchdogSettings) -> Check:
    faults = table.faults(ALERT_URLS=settings.alert_urls, ALERT_FALLBACK_URLS=settings.alert_fallback_urls)
    if faults:
        todo = f"correct {faults[0].name} and start again"
        return Check(BEFORE, faults[0].name, CheckStatus.FAILED, faults[0].why, todo)
    if settings.alert_urls:
        more = "with a fallback" if settings.alert_fallback_urls else "and no fallback"
        shown = f"{len(settings.alert_urls)} channel(s), {more}: prove them with veilleur test-alert"
        return Check(BEFORE, "ALERT_URLS", CheckStatus.OK, shown)
    todo = "set ALERT_URLS to a webhook, a mail address or any service that apprise knows"
    return Check(BEFORE, "ALERT_URLS", CheckStatus.WARNING, "no alert channel: alerts go to the log only", todo)


def _watched(settings: WatchdogSettings, context: Context) -> Check:
    if settings.bot_url or settings.bot_urls or settings.railway_public_domain:
        return Check(BEFORE, "BOT_URL", CheckStatus.OK, "the address to watch is set")
    if urlsplit(context.bot_url).hostname in ("127.0.0.1", "localhost", "::1"):
        todo = "set BOT_URL unless both programs run on this machine"
        return Check(BEFORE, "BOT_URL", CheckStatus.INFO, "not set: http://127.0.0.1:3000 is watched", todo)
    return Check(BEFORE, "BOT_URL", CheckStatus.OK, "the address to watch is set")


def _repairs(settings: WatchdogSettings) -> Check:
    if not settings.repairs_by:
        todo = "set REMEDIATION=bot, docker or railway to have it repaired by itself"
        return Check(BEFORE, "REMEDIATION", CheckStatus.INFO, "people get alerts and nothing is repaired", todo)
    return Check(BEFORE, "REMEDIATION", CheckStatus.OK, f"repairs by {', '.join(settings.repairs_by)}")


def _deadman(settings: WatchdogSettings) -> Check:
    if settings.deadman_url is not None:
        return Check(BEFORE, "DEADMAN_URL", CheckStatus.OK, "somebody notices when the watchdog itself is dead")
    todo = "set DEADMAN_URL to a healthchecks-compatible address"
    return Check(BEFORE, "DEADMAN_URL", CheckStatus.INFO, "only the bot service notices a dead watchdog", todo)
