"""Refusals of the dialects: their own shape, and the same defence against guessed keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.bot_app import running


async def test_a_wrong_key_is_counted_and_slowed_like_everywhere_else(tmp_path: Path) -> None:
    async with running(tmp_path) as bot:
        status, answer = await bot.call("GET", "/waha/api/sessions", key="wrong")
        assert (status, answer["statusCode"]) == (403, 403)
        _, metrics = await bot.call("GET", "/metrics")
    assert "veilleur_bot_wrong_keys_total 1.0" in metrics


async def test_unknown_paths_and_methods_have_the_shape_too(tmp_path: Path) -> None:
    async with running(tmp_path) as bot:
        assert (await bot.call("GET", "/waha/api/nothing"))[1]["statusCode"] == 501
        assert (await bot.call("PATCH", "/waha/api/sessions"))[1]["statusCode"] == 501


@pytest.mark.parametrize(
    ("path", "broken", "status"),
    [
        ("/waha/api/version", "waha.views.environment", "statusCode"),
        ("/evolution/instance/fetchInstances", "evolution.views.instance", "status"),
    ],
)
async def test_an_internal_error_and_an_encoded_body_have_the_shape_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, broken: str, status: str
) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(f"bot_service.dialects.{broken}", fails)
    async with running(tmp_path) as bot:
        await bot.call("POST", "/api/sessions", {"id": "shop", "start": False})
        for headers, expected in (
            ({}, (500, "internal")),
            ({"Content-Encoding": "gzip"}, (415, "unsupported_encoding")),
        ):
            found, answer = await bot.call("GET", path, headers=headers)
            assert (found, answer["code"], answer[status]) == (*expected, expected[0]), answer
            assert "type" not in answer, "a document of this service"


async def test_a_repeated_idempotency_key_sends_once(tmp_path: Path) -> None:
    async with running(tmp_path, SEND_PER_MINUTE="0", SEND_NEW_CHATS_PER_HOUR="0") as bot:
        await bot.call("POST", "/api/sessions", {"id": "shop"})
        bot.pool.pair("shop")
        sent = {"session": "shop", "chatId": "33612345678@c.us", "text": "hi"}
        answers = [
            (await bot.call("POST", "/waha/api/sendText", sent, headers={"Idempotency-Key": "order-1"}))[1]["id"]
            for _ in range(2)
        ]
        assert answers[0] == answers[1]
        assert len(bot.pool.sent) == 1
