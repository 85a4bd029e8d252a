"""Nothing that names a person or opens a door gets through."""

from __future__ import annotations

import pytest

from shared import redact
from shared.redact import MASK, redact_text, redact_value


@pytest.mark.parametrize(
    "secret",
    [
        "+33612345678",
        "33612345678",
        "15550001234@s.whatsapp.net",
        "15550001234:12@s.whatsapp.net",
        "987654321012345@lid",
        "120363025246125486@g.us",
        "2@ZmFrZXJlZg==,abcdefghijklmnop,qrstuvwxyz0123456789,ABCD",
        "FVN7-CLYJ",
        "Bearer abcdef.ghijkl-mnop",
    ],
)
def test_a_secret_inside_a_sentence_is_masked(secret: str) -> None:
    text = redact_text(f"sending to {secret} failed")
    assert secret not in text
    assert MASK in text
    assert text.startswith("sending to")


def test_credentials_in_a_url_are_masked_and_the_host_stays() -> None:
    text = redact_text("proxy http://user:pass@proxy.local:8080/?token=abc&x=1 refused")
    assert "user" not in text
    assert "abc" not in text
    assert "proxy.local:8080" in text
    assert "x=1" in text


@pytest.mark.parametrize(
    "harmless",
    [
        "2026-11-23T09:14:55.123Z",
        "ping #3 failed: timeout after 10000 ms",
        "listening on 127.0.0.1:3000",
        "version 0.1.0",
        "b0f8c9f2-7f3e-4e0c-9d1a-1c2d3e4f5a6b",
        "1234567",
        "port 65535",
    ],
)
def test_what_a_person_needs_to_read_stays(harmless: str) -> None:
    assert redact_text(harmless) == harmless


@pytest.mark.parametrize(
    "key", ["token", "watchdog_token", "apiKey", "api_key", "password", "qr", "phone", "jid", "pairingCode"]
)
def test_a_value_under_a_secret_name_is_masked_whole(key: str) -> None:
    assert redact_value(key, "anything") == MASK


def test_numbers_and_containers_are_walked() -> None:
    value = redact_value("fields", {"uptime": 123456789012, "to": ["33612345678"], "token": "x", "ok": True})
    assert value == {"uptime": 123456789012, "to": [MASK], "token": MASK, "ok": True}


@pytest.mark.parametrize(
    "text",
    [
        "Bearer\tabc.def", "basic\nQWxhZGRpbg==", "x?token=abc", "a&key=1", "/waha/ws?x-api-key=s3cret&session=a", "https://u:p@host/x", "2@" + "A" * 30,
        "49151000@lid", "ABCD-1234", "12345678", "+4915112345678", "READY", "user_start", "",
    ],
)  # fmt: skip
def test_what_is_tried_only_where_it_can_match_masks_the_same_as_every_pattern_on_every_text(text: str) -> None:
    every = text
    every = redact._URL_SECRET.sub(redact.MASK, every)
    every = redact._QUERY_SECRET.sub(rf"\1{redact.MASK}", every)
    every = redact._BEARER.sub(rf"\1 {redact.MASK}", every)
    for pattern in (redact._QR, redact._JID, redact._PAIRING_CODE, redact._PHONE):
        every = pattern.sub(redact.MASK, every)
    assert redact_text(text) == every
