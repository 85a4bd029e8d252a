"""Secrets and people: neither keys nor numbers nor codes in logs, metrics, errors and public reads."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from tests.security.conftest import ALERT_SECRET
from tests.support.processes import API_KEY, WATCHDOG_TOKEN, Client, Program, bot, watchdog
from tests.support.waiting import eventually

pytestmark = pytest.mark.system

PHONE = "33612345678"
TEXT = "a private sentence nobody else reads"
METRICS_TOKEN = "metrics-token-0123456789"
WEBHOOK_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
async def used_programs(tmp_path: Path) -> AsyncIterator[tuple[Program, Program, list[str]]]:
    """Both programs after a session was paired, used, refused and lost; with all QR and pairing codes that were shown."""
    service = bot(tmp_path, LOG_LEVEL="debug", METRICS_TOKEN=METRICS_TOKEN)
    guard = watchdog(
        tmp_path,
        service.url,
        LOG_LEVEL="debug",
        METRICS_TOKEN=METRICS_TOKEN,
        ALERT_URLS=f"json://127.0.0.1:9/{ALERT_SECRET}?token={ALERT_SECRET}",
        ALERT_WEBHOOK_SECRET=WEBHOOK_SECRET,
        DEADMAN_URL=f"http://127.0.0.1:9/{ALERT_SECRET}",
        KEEP_ALIVE_RETRY_INTERVAL="100",
        KEEP_ALIVE_TIMEOUT="500",
    )
    try:
        for program in (service, guard):
            program.start()
            await program.ready()
        codes = await _use(service)
        service.kill()
        await eventually(lambda: "ALERT" in guard.output(), what="the alert")
        service.start()
        await service.ready()
        yield service, guard, codes
    finally:
        guard.close()
        service.close()


async def _use(service: Program) -> list[str]:
    async with Client(service.url) as client:
        await client.post("/api/sessions", {"id": "alice"})

        async def code() -> str | None:
            status, answer = await client.call("GET", "/api/sessions/alice/qr")
            return str(answer["qr"]) if status == 200 else None

        codes = [await eventually(code, what="a QR code")]
        status, answer = await client.call("POST", "/api/sessions/alice/pairing-code", {"phone": PHONE})
        codes += [str(answer["code"])] if status == 200 else []
        await client.post("/api/sessions/alice/simulate", {"action": "scan"})

        async def ready() -> bool:
            return bool((await client.get("/api/sessions/alice"))["state"] == "READY")

        await eventually(ready, what="READY")
        await client.call("POST", "/api/sessions/alice/simulate", {"action": "message", "from": PHONE, "text": TEXT})
        await client.call("POST", "/api/sessions/alice/messages", {"to": PHONE, "text": TEXT})
        await client.call("POST", "/api/sessions/alice/messages", {"to": f"+{PHONE}", "text": 7})
        await client.call("GET", f"/api/sessions/{PHONE}")
        await client.call("POST", "/api/sessions/alice/simulate", {"action": "drop"})
    async with Client(service.url, key="wrong-key-that-must-not-show-0123") as stranger:
        await stranger.call("GET", "/api/sessions")
    return codes


async def test_no_secret_and_nobodys_number_or_words_leave_by_logs_metrics_or_public_reads(
    used_programs: tuple[Program, Program, list[str]],
) -> None:
    service, guard, codes = used_programs
    shown = {"log of the bot": service.output(), "log of the watchdog": guard.output()}
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {METRICS_TOKEN}"}) as http:
        for program, path in (
            (service, "/metrics"),
            (guard, "/metrics"),
            (service, "/health"),
            (guard, "/health"),
            (service, "/api/keepalive"),
            (service, "/api/metrics"),
            (guard, "/api/status"),
        ):
            async with http.get(program.url + path) as response:
                shown[f"{program.module} {path}"] = await response.text()

    private = {
        "the administrator's key": API_KEY,
        "the watchdog's token": WATCHDOG_TOKEN,
        "the token of metrics": METRICS_TOKEN,
        "the secret of an alert's address": ALERT_SECRET,
        "the secret of a webhook": WEBHOOK_SECRET.removeprefix("whsec_"),
        "a wrong key": "wrong-key-that-must-not-show",
        "a number": PHONE,
        "the words of a message": TEXT,
        **{f"pairing code {number}": code for number, code in enumerate(codes)},
    }
    found = [f"{what} in {where}" for where, text in shown.items() for what, value in private.items() if value in text]
    assert found == []
    assert len(service.output()) > 500
    assert codes


async def test_no_label_of_a_metric_names_a_session_or_a_person(
    used_programs: tuple[Program, Program, list[str]],
) -> None:
    service, guard, _ = used_programs
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {METRICS_TOKEN}"}) as http:
        for program in (service, guard):
            async with http.get(f"{program.url}/metrics") as response:
                text = await response.text()
            labels = set(re.findall(r'[{,](\w+)="([^"]*)"', text))
            assert not [pair for pair in labels if "alice" in pair[1] or re.search(r"\d{7,}", pair[1])]
            assert {name for name, _ in labels} & {"session", "phone", "jid", "owner", "url"} == set()
