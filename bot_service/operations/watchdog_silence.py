"""Alerts the operator when the watchdog stops pushing, because nothing else would notice it."""

from __future__ import annotations

from collections.abc import Callable

from bot_service.events.service_alerts import WATCHDOG_SILENT, ServiceAlerts
from bot_service.operations.watchdog_reports import WatchdogReports
from bot_service.store.batch_writer import every
from shared import logs
from shared.clock import Clock

log = logs.get(__name__)

_CHECK_EVERY_S = 1.0


class WatchdogSilence:
    """Raises an alert after three push intervals without a push, at the replica that ``leads``."""

    def __init__(
        self,
        clock: Clock,
        reports: WatchdogReports,
        alerts: ServiceAlerts,
        *,
        leads: Callable[[], bool] = lambda: True,
    ) -> None:
        self._clock, self._reports, self._alerts, self._leads = clock, reports, alerts, leads

    async def run(self) -> None:
        """The loop."""
        await every(
            self._clock,
            _CHECK_EVERY_S,
            self.check,
            failed="The alert could not be stored yet",
            event_name="alerts.store",
        )

    async def check(self) -> None:
        """Raise or resolve the alert, or do nothing."""
        if not self._leads():
            return
        if self._reports.silent():
            age = self._reports.age_s()
            heard = "has never pushed" if age is None else f"has not pushed for {age:.0f} s"
            await self._alerts.raise_(WATCHDOG_SILENT, f"Watchdog silent: it {heard}, the bot service is not watched")
        elif not self._reports.stale():
            await self._alerts.resolve(WATCHDOG_SILENT, "The watchdog pushes again")
