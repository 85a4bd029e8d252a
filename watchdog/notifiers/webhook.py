"""Alerts for programs: a signed JSON POST (Standard Webhooks), one ``webhook-id`` for all tries.

URLs begin with ``webhook://`` (plain HTTP), ``webhooks://`` (HTTPS), ``http://`` or ``https://``.
``?secret=whsec_…`` signs this URL's requests and is not sent; ALERT_WEBHOOK_SECRET signs the
others.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import aiohttp
import msgspec

from shared.clock import Clock, from_ms, iso
from shared.network_errors import reason_of
from shared.retry import retry_after_s
from shared.settings import Secret
from watchdog.domain.ports import Delivered
from watchdog.domain.states import Notice
from watchdog.notifiers.channel import digest

SCHEMES = {"webhook": "http", "webhooks": "https", "http": "http", "https": "https"}
_ANSWER_LIMIT = 64 * 1024


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
        self._target, own_secret = _split(url.reveal())
        self._key = _key(own_secret or (secret.reveal() if secret is not None else None))
        self._http, self._clock = http, clock
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self.channel = digest(url)
        parts = urlsplit(self._target)
        self.label = f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")

    async def send(self, notice: Notice) -> Delivered:
        body = payload(notice)
        headers = {"Content-Type": "application/json", "User-Agent": "veilleur-watchdog"}
        headers |= signed_headers(notice.id, int(self._clock.now().timestamp()), body, self._key)
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


def signed_headers(notice_id: str, timestamp_s: int, body: bytes, key: bytes | None) -> dict[str, str]:
    """The three headers of Standard Webhooks; without a key there is no signature."""
    headers = {"webhook-id": notice_id, "webhook-timestamp": str(timestamp_s)}
    if key is not None:
        signed = hmac.new(key, f"{notice_id}.{timestamp_s}.".encode() + body, hashlib.sha256).digest()
        headers["webhook-signature"] = "v1," + base64.b64encode(signed).decode()
    return headers


def _split(url: str) -> tuple[str, str | None]:
    """The address without the secret, and the secret."""
    parts = urlsplit(url)
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    secret = next((value.replace(" ", "+") for name, value in pairs if name == "secret"), None)
    rest = urlencode([pair for pair in pairs if pair[0] != "secret"]) if secret is not None else parts.query
    return urlunsplit((SCHEMES[parts.scheme.lower()], parts.netloc, parts.path, rest, "")), secret


def _key(secret: str | None) -> bytes | None:
    """Base64 after ``whsec_`` as the standard has it; any other text is taken byte by byte."""
    if not secret:
        return None
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        return secret.encode()
