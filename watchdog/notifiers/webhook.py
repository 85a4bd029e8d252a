"""Alerts for programs: a signed JSON POST (Standard Webhooks), one ``webhook-id`` for all tries.

URLs begin with ``webhook://`` (plain HTTP), ``webhooks://`` (HTTPS), ``http://`` or ``https://``.
``?secret=whsec_…`` signs this URL's requests and is not sent; ALERT_WEBHOOK_SECRET signs the
others.
"""

from __future__ import annotations

import contextlib
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import msgspec

from shared import http_client, webhook_signing
from shared.clock import Clock, from_ms, iso
from shared.network_errors import reason_of
from shared.retry import retry_after_s
from shared.service_clock import other_time
from shared.settings import Secret
from watchdog.domain.ports import Delivered
from watchdog.domain.states import Notice
from watchdog.notifiers.channel import digest

_REFUSALS = tuple(f"http_{status}" for status in webhook_signing.REFUSALS)


class WebhookNotifier:
    """One receiver. Redirects are not followed: the POST would become a GET."""

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
        sent = await self._try(notice, self._clock.now())
        # After a step of the wall clock either time may be right: the receiver decides.
        if self._key is not None and sent.reason in _REFUSALS and (wall := other_time(self._clock)) is not None:
            sent = await self._try(notice, wall)
        return sent

    async def _try(self, notice: Notice, now: datetime) -> Delivered:
        body = payload(notice)
        headers = {"Content-Type": "application/json", "User-Agent": "veilleur-watchdog"}
        at_s = int(now.timestamp())
        if self._key is None:
            headers |= webhook_signing.unsigned(notice.id, at_s)
        else:
            headers |= webhook_signing.headers(self._key, notice.id, at_s, body)
        try:
            async with self._http.post(
                self._target, data=body, headers=headers, timeout=self._timeout, allow_redirects=False
            ) as answer:
                if 200 <= answer.status < 300:
                    # Read, so that the connection can be used again; what it says does not matter.
                    with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError, ValueError):
                        await http_client.read(answer)
                    return Delivered(True, "ok")
                after = retry_after_s(answer.headers.get("Retry-After"), now)
                return Delivered(False, f"http_{answer.status}", after)
        except http_client.UnfinishedHead as error:
            accepted = 200 <= error.status < 300
            return Delivered(accepted, "ok" if accepted else f"http_{error.status}")
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            return Delivered(False, reason_of(error))


def payload(notice: Notice) -> bytes:
    """The body: ``type``, ``timestamp``, ``data`` (Standard Webhooks) and ``text`` for chat
    receivers.

    The bytes are equal on every try, so that a receiver can compare them.
    """
    created = from_ms(notice.created_at_ms)
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
