"""The watchdog's API against the whole app: what people read, what they may change, and who may."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.support.fake_bot import FakeBot
from tests.support.processes import ROOT
from tests.support.receiver import Receiver
from tests.support.waiting import eventually
from tests.support.watchdog_app import RunningWatchdog, running_watchdog


@pytest.fixture
async def bot() -> AsyncIterator[FakeBot]:
    async with FakeBot() as running:
        yield running


@pytest.fixture
async def watchdog(tmp_path: Path, bot: FakeBot) -> AsyncIterator[RunningWatchdog]:
    async with running_watchdog(tmp_path, bot.url) as running:
        await _state(running, "UP")
        yield running


async def _state(watchdog: RunningWatchdog, state: str) -> dict[str, Any]:
    async def look() -> Any:
        seen = await watchdog.get("/api/status")
        return seen if seen["targets"][0]["state"] == state else None

    return dict(await eventually(look, every_s=0.1, what=f"the state {state}"))


async def _open_incident(watchdog: RunningWatchdog) -> dict[str, Any]:
    async def look() -> Any:
        found = (await watchdog.get("/api/incidents"))["incidents"]
        return next((one for one in found if one["closedAtMs"] is None), None)

    return dict(await eventually(look, what="an open incident"))


async def test_the_status_of_a_bot_that_is_up_is_whole(watchdog: RunningWatchdog) -> None:
    seen = (await watchdog.call("GET", "/api/status"))[1]
    target = seen["targets"][0]
    assert (seen["state"], target["name"], target["state"]) == ("UP", "bot", "UP")
    assert list(target["uptime"]) == ["24h", "7d", "30d", "90d"]
    assert target["lastPing"]["outcome"] == "ok"
    assert target["latency"]["24h"]["pings"] >= 1
    assert target["latency"]["24h"]["p50Ms"] > 0
    assert len(target["days"]) == 90
    assert [day["gap"] for day in target["days"][:-2]] == [True] * 88
    assert len(target["curve"]) == 96
    assert sum(slot["answered"] for slot in target["curve"]) >= 1
    assert seen["watchdog"]["ledgerOk"] is True
    assert [channel["name"] for channel in seen["channels"]] == ["log"]
    assert target["repairBudget"] is None


async def test_a_target_without_a_known_second_has_no_uptime_ratio(tmp_path: Path, bot: FakeBot) -> None:
    async with running_watchdog(tmp_path, bot.url, KEEP_ALIVE_ENABLED="false") as watchdog:
        target = (await watchdog.get("/api/status"))["targets"][0]
        assert target["uptime"]["24h"]["ratio"] is None
        assert target["state"] == "UNKNOWN"
        status, problem = await watchdog.call("POST", "/api/ping")
        assert (status, problem["code"]) == (409, "disabled")


async def test_an_incident_has_a_timeline_from_the_first_failed_ping_to_its_end(
    watchdog: RunningWatchdog, bot: FakeBot
) -> None:
    await bot.stop()
    incident = await _open_incident(watchdog)
    await bot.start()
    await _state(watchdog, "UP")
    status, whole = await watchdog.call("GET", f"/api/incidents/{incident['id']}")
    assert status == 200
    kinds = [line["kind"] for line in whole["timeline"]]
    assert kinds[0] == "began"
    assert kinds.index("ping_failed") < kinds.index("decided") < kinds.index("over")
    assert {"delivered", "state"} <= set(kinds)
    assert [line["atMs"] for line in whole["timeline"]] == sorted(line["atMs"] for line in whole["timeline"])
    assert whole["closeReason"] == "recovered"
    notices = (await watchdog.call("GET", "/api/status"))[1]["notices"]
    assert [one["kind"] for one in notices][-2:] == ["up", "down"]
    assert notices[-1]["receipts"][0]["channel"] == "log"
    listed = (await watchdog.get("/api/incidents?limit=1&target=bot"))["incidents"]
    assert [one["id"] for one in listed] == [incident["id"]]
    before = whole["openedAtMs"]
    assert (await watchdog.get(f"/api/incidents?before={before}"))["incidents"] == []


async def test_an_incident_is_acknowledged_once_and_by_name(watchdog: RunningWatchdog, bot: FakeBot) -> None:
    await bot.stop()
    incident = await _open_incident(watchdog)
    path = f"/api/incidents/{incident['id']}/ack"
    status, acknowledged = await watchdog.call("POST", path, {"author": "ann"})
    assert (status, acknowledged["acknowledgedBy"]) == (200, "ann")
    status, again = await watchdog.call("POST", path, {"author": "bob"})
    assert (status, again["acknowledgedBy"]) == (200, "ann")
    assert (await watchdog.call("POST", "/api/incidents/none/ack"))[0] == 404
    await bot.start()
    await _state(watchdog, "UP")
    status, problem = await watchdog.call("POST", path)
    assert (status, problem["code"]) == (409, "incident_over")


async def test_a_maintenance_window_pauses_until_it_is_ended(watchdog: RunningWatchdog, bot: FakeBot) -> None:
    status, made = await watchdog.call("POST", "/api/pause", {"minutes": 5, "author": "ann", "reason": "upgrade"})
    assert status == 201
    assert made["untilMs"] - made["fromMs"] == 300_000
    await _state(watchdog, "PAUSED")
    assert (await watchdog.call("GET", "/api/pause"))[1]["pauses"][0]["author"] == "ann"
    await bot.stop()
    await bot.start()
    listed = (await watchdog.get("/api/pause"))["pauses"]
    assert [one["id"] for one in listed] == [made["id"]]
    assert (await watchdog.call("DELETE", f"/api/pause/{made['id']}"))[0] == 200
    await _state(watchdog, "UP")
    assert (await watchdog.call("DELETE", f"/api/pause/{made['id']}"))[0] == 404
    assert (await watchdog.get("/api/incidents"))["incidents"] == []


async def test_all_windows_end_together_when_asked(watchdog: RunningWatchdog) -> None:
    until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    for body in ({"until": until}, {"durationMs": 60_000, "target": "bot"}):
        assert (await watchdog.call("POST", "/api/pause", body))[0] == 201
    status, ended = await watchdog.call("DELETE", "/api/pause")
    assert (status, len(ended["ended"])) == (200, 2)
    await _state(watchdog, "UP")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "until"),
        ({"minutes": 5, "durationMs": 5}, "until"),
        ({"until": "2026-01-01T00:00:00"}, "until"),
        ({"until": "never"}, "until"),
        ({"until": "2020-01-01T00:00:00Z"}, "until"),
        ({"minutes": 0}, "minutes"),
        ({"durationMs": -5}, "durationMs"),
        ({"minutes": 60 * 24 * 8}, "minutes"),
        ({"minutes": 1e300}, "minutes"),
        ({"minutes": 5, "target": "bot-9"}, "target"),
        ({"minutes": 5, "author": "x" * 101}, "author"),
        ({"minutes": 5, "reason": "a\nb"}, "reason"),
        ({"minutes": 5, "forever": True}, "forever"),
        ({"minutes": 5, "from": "soon"}, "from"),
        ({"minutes": 5, "from": "2999-01-01T00:00:00Z"}, "from"),
        ({"minutes": 5, "from": "2020-01-01T00:00:00Z", "text": "a\tb"}, "text"),
    ],
)
async def test_a_window_without_a_proper_end_is_refused(
    watchdog: RunningWatchdog, body: dict[str, Any], field: str
) -> None:
    status, problem = await watchdog.call("POST", "/api/pause", body)
    assert (status, problem["code"]) == (422, "invalid")
    assert problem["errors"][0]["field"] == field
    assert (await watchdog.get("/api/pause"))["pauses"] == []


async def test_a_test_alert_reaches_every_channel_and_its_receipt_can_be_read(
    tmp_path: Path, bot: FakeBot, receiver: Receiver
) -> None:
    async with running_watchdog(
        tmp_path, bot.url, ALERT_URLS=receiver.url + "/a", ALERT_FALLBACK_URLS=receiver.url + "/b"
    ) as watchdog:
        status, made = await watchdog.call("POST", "/api/test-alert", {"author": "ann"})
        assert status == 202
        await eventually(lambda: {r.path for r in receiver.requests} == {"/a", "/b"}, what="both test alerts")

        async def done() -> bool:
            _, notices = await watchdog.call("GET", f"/api/notices/{made['id']}")
            return [one["state"] for one in notices["receipts"]] == ["done", "done", "done"]

        await eventually(done, what="the receipts")
        assert "ann" in receiver.requests[0].json["text"]
        assert (await watchdog.call("GET", "/api/notices/none"))[0] == 404


async def test_a_ping_can_be_asked_for(watchdog: RunningWatchdog, bot: FakeBot) -> None:
    before = bot.pings
    assert (await watchdog.call("POST", "/api/ping"))[0] == 202
    await eventually(lambda: bot.pings > before, what="one more ping")


async def test_the_repair_budget_can_be_given_back(tmp_path: Path, bot: FakeBot) -> None:
    async with running_watchdog(tmp_path, bot.url, REMEDIATION="docker", REMEDIATION_DRY_RUN="true") as watchdog:
        assert await watchdog.call("DELETE", "/api/repairs/budget") == (200, {"budget": {"bot": 3}})


async def test_without_repairs_there_is_no_budget_to_give_back(watchdog: RunningWatchdog) -> None:
    status, problem = await watchdog.call("DELETE", "/api/repairs/budget")
    assert (status, problem["code"]) == (409, "repairs_off")


_WRITES = [
    ("GET", "/api/notices/x"),
    ("POST", "/api/announcements"),
    ("DELETE", "/api/announcements/x"),
    ("POST", "/api/pause"),
    ("DELETE", "/api/pause"),
    ("DELETE", "/api/pause/x"),
    ("POST", "/api/incidents/x/ack"),
    ("POST", "/api/test-alert"),
    ("POST", "/api/ping"),
    ("DELETE", "/api/repairs/budget"),
]
_READS = [
    "/api/status",
    "/api/incidents",
    "/api/incidents/x",
    "/api/pause",
    "/api/announcements",
    "/badge.svg",
    "/embed",
    "/feed.atom",
]


async def test_only_the_watchdogs_token_changes_anything(tmp_path: Path, bot: FakeBot) -> None:
    async with running_watchdog(tmp_path, bot.url, STATUS_PAGE_TOKEN="reader-token-of-tests") as watchdog:
        for method, path in _WRITES:
            assert (await watchdog.call(method, path, {"minutes": 1}, token=None))[0] == 401, path
            for wrong in ("reader-token-of-tests", "other"):
                assert (await watchdog.call(method, path, {"minutes": 1}, token=wrong))[0] == 403, path


async def test_a_private_status_needs_a_token_for_every_read(tmp_path: Path, bot: FakeBot) -> None:
    async with running_watchdog(
        tmp_path, bot.url, STATUS_PAGE_PUBLIC="false", STATUS_PAGE_TOKEN="reader-token-of-tests"
    ) as watchdog:
        for path in _READS:
            assert (await watchdog.call("GET", path, token=None))[0] == 401, path
            assert (await watchdog.call("GET", path, token="other"))[0] == 403, path
            allowed = 404 if path.endswith("/x") else 200
            assert (await watchdog.call("GET", path, token="reader-token-of-tests"))[0] == allowed, path
            assert (await watchdog.call("GET", path))[0] == allowed, path
        cookie = "veilleur_status=reader-token-of-tests"
        assert (await watchdog.call("GET", "/api/status", token=None, Cookie=cookie))[0] == 401, "a token is no cookie"


@pytest.mark.parametrize("query", ["", "?show=30d", "?show=24h&target=bot", "?label=%3Cscript%3E%26"])
async def test_the_badge_is_a_well_formed_picture(watchdog: RunningWatchdog, query: str) -> None:
    picture = await watchdog.get("/badge.svg" + query)
    assert ElementTree.fromstring(picture).tag == "{http://www.w3.org/2000/svg}svg"
    assert "<script" not in picture


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/badge.svg?show=1h", 422),
        ("/badge.svg?target=bot-9", 404),
        ("/badge.svg?label=" + "x" * 41, 422),
        ("/api/incidents?limit=0", 422),
        ("/api/incidents?limit=101", 422),
        ("/api/incidents?limit=%D9%A3", 422),
        ("/api/incidents?before=-1", 422),
        ("/api/incidents/none", 404),
    ],
)
async def test_odd_questions_get_a_problem_and_no_crash(watchdog: RunningWatchdog, path: str, status: int) -> None:
    got, problem = await watchdog.call("GET", path, token=None)
    assert got == status
    assert problem["status"] == status


async def test_no_address_and_no_token_is_in_the_status(tmp_path: Path, bot: FakeBot, receiver: Receiver) -> None:
    async with running_watchdog(
        tmp_path, bot.url, ALERT_URLS=f"{receiver.url}/hidden?secret=whsec_aGlkZGVu,tgram://123:hidden/1"
    ) as watchdog:
        await watchdog.call("POST", "/api/test-alert")
        shown = str(await watchdog.call("GET", "/api/status"))
        for secret in ("127.0.0.1", "hidden", "whsec", "123:"):
            assert secret not in shown


async def test_every_route_is_in_the_guide(watchdog: RunningWatchdog) -> None:
    guide = (ROOT / "docs" / "watchdog.md").read_text(encoding="utf-8")
    of_the_api = {
        route.resource.canonical
        for route in watchdog.app.router.routes()
        if route.resource is not None and route.resource.canonical.startswith(("/api/", "/badge"))
    }
    assert {path for path in of_the_api if path not in guide} == set()
