"""Masks telephone numbers, tokens, QR and pairing codes in texts and fields of the log."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

MASK = "[redacted]"

_SECRET_KEYS = re.compile(
    r"(token|secret|password|authorization|cookie|api_?key|qr|pairing_?code|phone|number|jid|signature)$", re.I
)
# A WhatsApp address, whole: user, device and server.
# A match begins at the begin of a word or right after another address: trying every character of
# a long word would take a time that grows with the square of its length.
_JID = re.compile(
    r"(?:(?<![\w.+-])|(?<=@lid)|(?<=@[gc]\.us)|(?<=@broadcast)|(?<=@newsletter)|(?<=@s\.whatsapp\.net))"
    r"[\w.+-]++(?::\d+)?@(?:s\.whatsapp\.net|lid|[gc]\.us|broadcast|newsletter)"
)
# 8 to 15 digits, with an optional plus; no part of a word, a decimal or hexadecimal number.
_PHONE = re.compile(r"(?<![\w.\-:])\+?\d{8,15}(?![\w.\-:]\w|\w)")
_QR = re.compile(r"\b[12]@[A-Za-z0-9+/=,]{20,}")
_BEARER = re.compile(r"\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]+", re.I)
_PAIRING_CODE = re.compile(r"\b[A-Z0-9]{4}-[A-Z0-9]{4}\b(?!-)")
_URL_SECRET = re.compile(r"(?<=://)[^/\s:@]+:[^/\s@]+(?=@)")
_QUERY_SECRET = re.compile(r"([?&](?:[\w-]{0,30}(?:token|key|secret|password)|sig|signature)=)[^&\s]+", re.I)


def redact_text(text: str) -> str:
    """``text`` with every secret-looking part masked."""
    # Most texts are short words: each pattern is tried only where its character occurs.
    if "://" in text:
        text = _URL_SECRET.sub(MASK, text)
    if "?" in text or "&" in text:
        text = _QUERY_SECRET.sub(rf"\1{MASK}", text)
    if len(text.split(None, 1)) > 1:
        text = _BEARER.sub(rf"\1 {MASK}", text)
    if "@" in text:
        text = _QR.sub(MASK, text)
        text = _JID.sub(MASK, text)
    if "-" in text:
        text = _PAIRING_CODE.sub(MASK, text)
    return _PHONE.sub(MASK, text) if len(text) >= 8 else text


@lru_cache(maxsize=1024)
def _is_secret(key: str) -> bool:
    return _SECRET_KEYS.search(key) is not None


def redact_value(key: str, value: Any) -> Any:
    """``value`` as it may be logged under ``key``; walks containers, keeps numbers."""
    if isinstance(value, bool | int | float) or value is None:
        return value
    if _is_secret(key):
        return MASK
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, dict):
        return {name: redact_value(str(name), item) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [redact_value(key, item) for item in value]
    return redact_text(str(value))
