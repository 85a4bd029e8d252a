"""Alerts for programs: a JSON POST, signed as Standard Webhooks, the same ``webhook-id`` on every try.

URLs begin with ``webhook://`` (plain HTTP), ``webhooks://`` (HTTPS), ``http://`` or ``https://``. ``?secret=whsec_…``
signs this URL's requests and is not sent; ALERT_WEBHOOK_SECRET signs those without one.
"""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import msgspec

from shared import webhook_signing
from shared.clock import Clock, iso
from shared.settings import Secret
from watchdog.domain.ports import Delivered
from watchdog.domain.states import Notice
from watchdog.net import reason_of
from watchdog.notifiers.channel import digest

_ANSWER_LIMIT = 64 * 1024


class WebhookNotifier:
    """One receiver. Redirects are not followed: a POST that becomes a GET would be lost without a word."""

    def __init__(
        self,
        url: Secret,
        http: aiohttp.ClientSession,
        clock: Clock,
        *,
        secret: Secret | None = None,
        timeout_s: float = 10.0,
    ) -> None:
        self._target, own_secret = webhook_signing.split_url(url.reveal())
        signing = own_secret or (secret.reveal() if secret is not None else None)
        self._key = webhook_signing.lenient_key(signing) if signing else None
        self._http, self._clock = http, clock
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self.channel = digest(url)
        parts = urlsplit(self._target)
        self.label = f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")

    async def send(self, notice: Notice) -> Delivered:
        body = payload(notice)
        headers = {"Content-Type": "application/json", "User-Agent": "veilleur-watchdog"}
        at_s = int(self._clock.now().timestamp())
        if self._key is None:
            headers |= webhook_signing.unsigned(notice.id, at_s)
        else:
            headers |= webhook_signing.headers(self._key, notice.id, at_s, body)
        try:
            async with self._http.post(
                self._target, data=body, headers=headers, timeout=self._timeout, allow_redirects=False
            ) as answer:
                await answer.content.read(_ANSWER_LIMIT)
                if 200 <= answer.status < 300:
                    return Delivered(True, "ok")
                after = retry_after_s(answer.headers.get("Retry-After"), self._clock.now())
                return Delivered(False, f"http_{answer.status}", after)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            return Delivered(False, reason_of(error))


def payload(notice: Notice) -> bytes:
    """The body: ``type``, ``timestamp`` and ``data`` as Standard Webhooks wants, and ``text`` for chat receivers.

    The bytes are the same on every try, so that a receiver can compare them.
    """
    created = datetime.fromtimestamp(notice.created_at_ms / 1000, UTC)
    body: dict[str, Any] = {
        "type": f"watchdog.{notice.kind}",
        "timestamp": iso(created),
        "text": notice.text,
        "data": {
            "id": notice.id,
            "kind": str(notice.kind),
            "target": notice.target,
            "incidentId": notice.incident_id,
            "title": notice.title,
            "text": notice.text,
            "createdAt": iso(created),
            **notice.fields,
        },
    }
    return msgspec.json.encode(body)


def retry_after_s(value: str | None, now: datetime) -> float | None:
    """``Retry-After`` in seconds, whether it came as a number or as a date; None when there is none or it is wrong."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (moment.astimezone(UTC) - now).total_seconds())
