"""Signatures of webhooks as Standard Webhooks 1.0 asks: HMAC-SHA256 over ``id.timestamp.body``, base64."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets

PREFIX = "whsec_"


def new_secret() -> str:
    """A fresh signing secret of 32 random bytes, in the form that the receivers' libraries take."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def key_of(secret: str) -> bytes:
    """The key inside ``whsec_…``. Raises ``ValueError`` when it is not base64 or not 24 to 64 bytes."""
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("the secret is not base64") from None
    if not 24 <= len(key) <= 64:
        raise ValueError("the secret must hold 24 to 64 bytes")
    return key


def lenient_key(secret: str) -> bytes:
    """The key of an operator's secret: base64 where it is base64, its bytes otherwise; as the watchdog reads it."""
    try:
        return base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        return secret.encode()


def headers(key: bytes, event_id: str, at_s: int, body: bytes) -> dict[str, str]:
    """The three headers of one attempt. ``at_s``: seconds since the epoch, of this attempt, not of the event."""
    signed = hmac.new(key, f"{event_id}.{at_s}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(at_s),
        "webhook-signature": "v1," + base64.b64encode(signed).decode(),
    }
