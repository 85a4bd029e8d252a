"""Alerts to Alertmanager (API v2): one alert for each incident, sent again until it is over.

Two watchdogs name an incident alike, so a pair of Alertmanagers sends people one message.
``alertmanager://`` (HTTP) or ``alertmanagers://`` (HTTPS), ``user:password@`` for basic auth, then
the instances with commas and the path that they have in common. Each instance gets every alert;
one that accepts it is enough.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import aiohttp
import msgspec

from shared import http_client
from shared.alert_addresses import alertmanagers
from shared.clock import Clock, from_ms, iso
from shared.network_errors import reason_of
from shared.retry import retry_after_s
from shared.settings import Secret
from watchdog.domain.incidents import common_name
from watchdog.domain.notices import CLOSES, OPENS
from watchdog.domain.ports import Delivered
from watchdog.domain.states import IncidentKind, Notice, NoticeKind
from watchdog.notifiers.channel import digest

# An alert that is not repeated any more ends after this time. The end is repeated as long, so
# that no instance which missed it keeps the alert (ledger/lasting.py).
KEEP_FOR = timedelta(minutes=15)
EVENT_FOR = timedelta(minutes=10)  # of notices without an end
_LASTING = {*OPENS.values(), *CLOSES.values(), NoticeKind.REMINDER}
_PAGES = {
    NoticeKind.DOWN,
    NoticeKind.WAS_DOWN,
    NoticeKind.FLAPPING,
    NoticeKind.BLIND,
    NoticeKind.ATTENTION,
    NoticeKind.REPAIR_BUDGET_SPENT,
}
_PAGES_INCIDENT = {str(kind) for kind, opens in OPENS.items() if opens in _PAGES}
_OPERATIONS, _WATCHDOG = "docs/operations.md#", "docs/watchdog.md#alerts"
_RUNBOOKS = {
    "down": f"{_OPERATIONS}veilleurbotdown",
    "was_down": f"{_OPERATIONS}veilleurbotdown",
    "flapping": f"{_OPERATIONS}veilleurflapping",
    "partial": "docs/two-watchdogs.md",
    "silent": "docs/two-watchdogs.md",
    "blind": f"{_OPERATIONS}veilleurblind",
    "degraded": f"{_OPERATIONS}veilleurmostsessionsnotready",
    "attention": f"{_OPERATIONS}veilleursessionsneedperson",
    "channel_failing": f"{_OPERATIONS}veilleurnotificationsfailing",
    "repair_budget_spent": f"{_OPERATIONS}veilleurrepairbudgetspent",
}


class AlertmanagerNotifier:
    """One channel with all instances of ``url``. Redirects are not followed.

    ``name`` names this watchdog in alerts about itself; ``page`` is its status page or "".
    """

    def __init__(
        self,
        url: Secret,
        http: aiohttp.ClientSession,
        clock: Clock,
        *,
        name: str,
        page: str,
        timeout_s: float = 5.0,
    ) -> None:
        self._bases, user, password = alertmanagers(url.reveal())
        self._headers = {"Content-Type": "application/json", "User-Agent": "veilleur-watchdog"}
        if user:
            self._headers["Authorization"] = aiohttp.encode_basic_auth(user, password, "utf-8")
        self._http, self._clock, self._name, self._page = http, clock, name, page
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self.channel = digest(url)
        hosts = ",".join(base.partition("://")[2].partition("/")[0] for base in self._bases)
        self.label = f"{url.reveal().partition('://')[0].lower()}://{hosts}"

    async def send(self, notice: Notice) -> Delivered:
        return await self._post([self._alert(notice)])

    async def repeat(self, notices: Sequence[Notice]) -> Delivered:
        """Send the alerts of ``notices`` again; of several with the same labels only the last."""
        alerts = {tuple(alert["labels"].items()): alert for alert in map(self._alert, notices)}
        return await self._post(list(alerts.values()))

    def _alert(self, notice: Notice) -> dict[str, Any]:
        now = self._clock.now()
        labels = _labels(notice, self._name)
        annotations = {
            "summary": notice.title,
            "description": notice.text,
            "runbook_url": _RUNBOOKS.get(labels["kind"], _WATCHDOG),
        }
        alert: dict[str, Any] = {"labels": labels, "annotations": annotations}
        if link := notice.fields.get("link") or self._page:
            annotations["link"] = alert["generatorURL"] = link
        begin = from_ms(notice.created_at_ms)
        if notice.kind not in _LASTING:
            end = max(begin, now) + EVENT_FOR
        else:
            begin = from_ms(notice.fields["openedAtMs"])
            end = from_ms(notice.created_at_ms) if notice.kind in CLOSES.values() else now + KEEP_FOR
        # Alertmanager refuses an alert that ends before it begins.
        return alert | {"startsAt": iso(min(begin, end)), "endsAt": iso(end)}

    async def _post(self, alerts: list[dict[str, Any]]) -> Delivered:
        body, now = msgspec.json.encode(alerts), self._clock.now()
        answers = await asyncio.gather(*(self._post_to(base, body, now) for base in self._bases))
        return next((answer for answer in answers if answer.ok), answers[0])

    async def _post_to(self, base: str, body: bytes, now: datetime) -> Delivered:
        try:
            async with self._http.post(
                f"{base}/api/v2/alerts",
                data=body,
                headers=self._headers,
                timeout=self._timeout,
                allow_redirects=False,
            ) as answer:
                if 200 <= answer.status < 300:
                    with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError, ValueError):
                        await http_client.read(answer)
                    return Delivered(True, "ok")
                after = retry_after_s(answer.headers.get("Retry-After"), now)
                return Delivered(False, f"http_{answer.status}", after)
        except http_client.UnfinishedHead as error:
            return Delivered(False, f"http_{error.status}")
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            return Delivered(False, reason_of(error))


def _labels(notice: Notice, watchdog: str) -> dict[str, str]:
    """Equal for the beginning and the end of an incident, and on both watchdogs."""
    if notice.kind in _LASTING:
        kind = IncidentKind(notice.fields["incidentKind"])
        labels = {
            "alertname": "VeilleurIncident",
            "target": notice.target,
            "kind": str(kind),
            "incident": common_name(notice.target, kind, notice.fields["openedAtMs"]),
            "severity": "page" if kind in _PAGES_INCIDENT else "ticket",
        }
    else:
        kind_of = notice.fields.get("incidentKind")
        labels = {
            "alertname": "VeilleurEvent",
            "target": notice.target,
            "kind": str(notice.kind),
            "incident": common_name(notice.target, IncidentKind(kind_of), notice.fields["openedAtMs"])
            if kind_of
            else notice.id,
            "severity": "page" if notice.kind in _PAGES else "ticket",
        }
    if name := notice.fields.get("installation"):
        labels["installation"] = name  # else two installations would have one incident
    if labels["kind"] == IncidentKind.BLIND or notice.target == "watchdog":
        labels["watchdog"] = watchdog  # about itself: that is no voice in common
    return labels
