"""Signs webhook calls as Standard Webhooks defines it: secrets, keys and headers."""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

PREFIX = "whsec_"
# How the operator writes the address of a receiver in ALERT_URLS, and the scheme that is called.
SCHEMES = {"webhook": "http", "webhooks": "https", "http": "http", "https": "https"}

# What receivers answer to a signature with a time that is far from theirs.
REFUSALS = (400, 401, 403)


def new_secret() -> str:
    """A fresh signing secret of 32 random bytes, in the form that the receivers' libraries take."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def key_of(secret: str) -> bytes:
    """The key in ``whsec_…``. Raises ``ValueError`` when it is not base64 of 24 to 64 bytes."""
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("the secret is not base64") from None
    if not 24 <= len(key) <= 64:
        raise ValueError("the secret must hold 24 to 64 bytes")
    return key


def lenient_key(secret: str) -> bytes:
    """The key of an operator's secret: base64 where it is base64, its bytes otherwise."""
    try:
        return base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        return secret.encode()


def headers(key: bytes, event_id: str, at_s: int, body: bytes, *older: bytes) -> dict[str, str]:
    """The headers of one attempt. ``at_s``: seconds since the epoch, of this attempt.

    Keys in ``older`` sign too: a receiver accepts the request when one signature is right.
    """
    signed = f"{event_id}.{at_s}.".encode() + body
    signatures = ["v1," + base64.b64encode(hmac.digest(each, signed, "sha256")).decode() for each in (key, *older)]
    return {**unsigned(event_id, at_s), "webhook-signature": " ".join(signatures)}


def unsigned(event_id: str, at_s: int) -> dict[str, str]:
    """The headers of an attempt at a receiver without a secret."""
    return {"webhook-id": event_id, "webhook-timestamp": str(at_s)}


def split_url(url: str) -> tuple[str, str | None]:
    """The address to call and the secret of ``?secret=``; ``url`` has one of :data:`SCHEMES`."""
    parts = urlsplit(url)
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    secret = next((value.replace(" ", "+") for name, value in pairs if name == "secret"), None)
    rest = urlencode([pair for pair in pairs if pair[0] != "secret"]) if secret is not None else parts.query
    return urlunsplit((SCHEMES[parts.scheme.lower()], parts.netloc, parts.path, rest, "")), secret
