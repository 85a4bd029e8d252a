"""The operator's page over the whole watchdog: who may see it, what its forms do, and what they refuse."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from shared.contract.heartbeat import ComponentShares
from tests.support.fake_bot import FakeBot
from tests.support.operator import OperatorBrowser, signed_in, stranger
from tests.support.processes import WATCHDOG_TOKEN, free_port
from tests.support.receiver import Receiver
from tests.support.waiting import eventually
from tests.support.watchdog_app import RunningWatchdog, running_watchdog
from watchdog.domain.remediation import Refusal
from watchdog.status import wording
from watchdog.status.operator_pages import COMMANDS, DONE

READER = "reader-token-of-tests"


@pytest.fixture
async def bot() -> AsyncIterator[FakeBot]:
    async with FakeBot() as running:
        yield running


@pytest.fixture
async def watchdog(tmp_path: Path, bot: FakeBot, receiver: Receiver) -> AsyncIterator[RunningWatchdog]:
    async with running_watchdog(
        tmp_path,
        bot.url,
        ALERT_URLS=f"{receiver.url}/a, {receiver.url}/b",
        STATUS_PAGE_TOKEN=READER,
        INSTALLATION_NAME="Shop Lyon",
        STATUS_PAGE_URL="https://watch.example",
    ) as running:
        await state(running, "UP")
        yield running


@pytest.fixture
async def operator(watchdog: RunningWatchdog) -> AsyncIterator[OperatorBrowser]:
    async with signed_in(watchdog.url) as browser:
        yield browser


async def state(watchdog: RunningWatchdog, wanted: str) -> dict[str, Any]:
    async def look() -> Any:
        seen = (await watchdog.call("GET", "/api/status"))[1]
        return seen if seen["targets"][0]["state"] == wanted else None

    return dict(await eventually(look, every_s=0.1, what=f"the state {wanted}"))


def kinds(receiver: Receiver, path: str = "/a") -> list[str]:
    return [got.json["data"]["kind"] for got in receiver.requests if got.path == path]


# --- who may see it ---


async def test_without_a_sign_in_the_page_is_a_form_for_the_token(watchdog: RunningWatchdog) -> None:
    async with stranger(watchdog.url) as browser:
        async with browser.http.get(watchdog.url + "/operator?incident=bot-down-1") as answer:
            page = await answer.text()
            assert answer.status == 401
        assert 'value="/operator?incident=bot-down-1"' in page
        assert "noindex" in page
        assert await browser.sign_in(token="wrong") == 403
        assert await browser.sign_in(token=READER) == 403, "STATUS_PAGE_TOKEN reads the status only"


async def test_a_reader_who_is_signed_in_is_no_operator(watchdog: RunningWatchdog) -> None:
    async with stranger(watchdog.url) as browser:
        assert await browser.sign_in(token=READER, following="/") == 303
        async with browser.http.get(watchdog.url + "/operator") as answer:
            assert answer.status == 403
            assert "WATCHDOG_TOKEN" in await answer.text()
        assert (await browser.post("ping"))[0] == 401


@pytest.mark.parametrize(
    "following",
    ["https://evil.example/", "//evil.example", "/operator/../x", "/api/status", "/operator?incident=a%0d\n"],
)
async def test_a_sign_in_leads_to_no_other_site(watchdog: RunningWatchdog, following: str) -> None:
    async with stranger(watchdog.url) as browser:
        data = {"token": WATCHDOG_TOKEN, "next": following}
        async with browser.http.post(
            watchdog.url + "/login", data=data, headers={"Origin": watchdog.url}, allow_redirects=False
        ) as answer:
            assert (answer.status, answer.headers["Location"]) == (303, "/")


async def test_every_form_needs_the_token_of_its_login_and_a_page_of_this_program(
    watchdog: RunningWatchdog, operator: OperatorBrowser, bot: FakeBot
) -> None:
    good, pings = operator.token, bot.pings
    for command in COMMANDS:
        operator.token = ""
        assert (await operator.post(command, minutes="30"))[0] == 403, command
        operator.token = good
        assert (await operator.post(command, minutes="30", origin="http://evil.example"))[0] == 403, command
        async with stranger(watchdog.url) as other:
            other.token = good
            assert (await other.post(command, minutes="30"))[0] == 401, command
    assert (await watchdog.call("GET", "/api/status"))[1]["pauses"] == []
    assert bot.pings - pings < 3


async def test_signing_out_ends_the_page_and_its_forms(watchdog: RunningWatchdog, operator: OperatorBrowser) -> None:
    async with operator.http.post(
        watchdog.url + "/logout", headers={"Origin": watchdog.url}, allow_redirects=False
    ) as answer:
        assert answer.status == 303
    async with operator.http.get(watchdog.url + "/operator") as answer:
        assert answer.status == 401
    assert (await operator.post("ping"))[0] == 401


async def test_the_page_keeps_the_strict_policy_and_has_no_style_or_script_inside(operator: OperatorBrowser) -> None:
    async with operator.http.get(operator.url + "/operator") as answer:
        page, policy = await answer.text(), answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert not re.search(r"\sstyle=|\son\w+=|<style|<script(?![^>]*\ssrc=)", page)
    assert WATCHDOG_TOKEN not in page


# --- what only operators see ---


async def test_customers_see_no_channel_no_notice_no_repair_and_no_name(
    watchdog: RunningWatchdog, operator: OperatorBrowser, bot: FakeBot, receiver: Receiver
) -> None:
    await bot.stop()
    await eventually(lambda: "down" in kinds(receiver), what="the alert")
    seen = await state(watchdog, "DOWN")
    incident = seen["incidents"][0]["id"]
    assert (await operator.post("acknowledge", id=incident))[1] == "/operator?done=acknowledged"
    await operator.post("pause", minutes="30", text="We move to a new server.", reason="secret-reason")
    whole = (await watchdog.call("GET", "/api/status"))[1]
    assert (whole["incidents"][0]["acknowledgedBy"], whole["pauses"][0]["author"]) == ("Ann", "Ann")
    assert len(whole["channels"]) == 3
    public = await watchdog.get("/api/status")
    assert (public["channels"], public["notices"], public["repairs"]) == ([], [], [])
    pages = {
        "/": await watchdog.get("/"),
        "/embed": await watchdog.get("/embed"),
        "/feed.atom": await watchdog.get("/feed.atom"),
        "/api/status": str(public),
        "/api/pause": str(await watchdog.get("/api/pause")),
        "/api/incidents": str(await watchdog.get("/api/incidents")),
        "incident": str(await watchdog.get(f"/api/incidents/{incident}")),
    }
    for where, text in pages.items():
        for private in ("Ann", "secret-reason", "delivered", "Alert sent"):
            assert private not in text, (where, private)
    assert "We move to a new server." in pages["/"]
    assert "People are working on it" in pages["/"]
    page = await operator.page()
    for private in ("Acknowledged by Ann", "secret-reason", "Alert sent by", "We move to a new server."):
        assert private in page


async def test_a_link_of_an_alert_opens_its_incident(
    operator: OperatorBrowser, bot: FakeBot, receiver: Receiver
) -> None:
    await bot.stop()
    sent = (await receiver.wait_for(lambda body: body["data"]["kind"] == "down")).json
    assert sent["text"].startswith("Shop Lyon: bot is DOWN")
    assert sent["data"]["installation"] == "Shop Lyon"
    link = sent["data"]["link"]
    assert link in sent["text"]
    assert link.startswith("https://watch.example/operator?incident=")
    page = await operator.page(link.removeprefix("https://watch.example"))
    assert sent["data"]["incidentId"] in page
    assert await operator.page("/operator?incident=of-another-watchdog")


# --- what the forms do ---


async def test_a_ping_and_a_test_of_one_channel_can_be_asked_for(
    operator: OperatorBrowser, bot: FakeBot, receiver: Receiver
) -> None:
    before = bot.pings
    assert await operator.post("ping") == (303, "/operator?done=ping")
    await eventually(lambda: bot.pings > before, what="one more ping")
    channels = re.findall(r'name="channel" value="(\w+)"', await operator.page())
    assert channels[0] == "log"
    assert await operator.post("test", channel=channels[2]) == (303, "/operator?done=test")
    await eventually(lambda: receiver.requests, what="the test alert")
    assert await operator.post("test") == (303, "/operator?done=test")
    await eventually(lambda: len(receiver.requests) == 3, what="the test alert on both channels")
    assert sorted(got.path for got in receiver.requests) == ["/a", "/b", "/b"]
    assert "asked for by Ann" in receiver.requests[0].json["text"]
    assert (await operator.post("test", channel="none"))[0] == 404


async def test_channels_show_the_last_success_the_last_failure_and_what_waits(
    watchdog: RunningWatchdog, operator: OperatorBrowser, receiver: Receiver
) -> None:
    def refuse(got: Any) -> tuple[int, Any, dict[str, str]]:
        return (500, None, {}) if got.path == "/a" else (200, None, {})

    await operator.post("test")
    await eventually(lambda: len(receiver.requests) == 2, what="a first test")
    receiver.answer = refuse
    await operator.post("test")

    async def failing() -> Any:
        found = (await watchdog.call("GET", "/api/status"))[1]["channels"]
        return found if found[1]["lastFailedAtMs"] and found[2]["lastOkAtMs"] and not found[2]["waiting"] else None

    _, first, second = await eventually(failing, every_s=0.1, what="a failure")
    assert (first["lastFailure"], first["waiting"]) == ("http_500", 1)
    assert first["lastOkAtMs"] is not None
    assert (first["first"][0]["kind"], first["first"][0]["target"]) == ("test", "watchdog")
    assert (second["lastFailedAtMs"], second["waiting"], second["first"]) == (None, 0, [])
    page = unescape(await operator.page())
    assert "answered with status 500" in page
    assert "watchdog: test (answered with status 500)" in page


async def test_pause_now_stops_alerts_at_once_and_what_is_down_at_its_end_is_alerted_then(
    watchdog: RunningWatchdog, operator: OperatorBrowser, bot: FakeBot, receiver: Receiver
) -> None:
    assert await operator.post("pause", minutes="60", text="Back soon") == (303, "/operator?done=paused")
    await state(watchdog, "PAUSED")
    await bot.stop()
    before = (await watchdog.call("GET", "/api/status"))[1]["targets"][0]["curve"][-1]["failed"]

    async def measured() -> bool:
        return bool((await watchdog.call("GET", "/api/status"))[1]["targets"][0]["curve"][-1]["failed"] >= before + 3)

    await operator.post("ping")
    await eventually(measured, every_s=0.1, what="measuring during maintenance")
    assert kinds(receiver) == []
    (window,) = (await watchdog.call("GET", "/api/pause"))[1]["pauses"]
    assert await operator.post("end-pause", id=window["id"]) == (303, "/operator?done=ended")
    await eventually(lambda: kinds(receiver) == ["down"], what="the alert at the end")
    assert (await operator.post("end-pause", id=window["id"]))[0] == 404


async def test_maintenance_is_planned_in_utc_shown_and_cancelled(
    watchdog: RunningWatchdog, operator: OperatorBrowser
) -> None:
    begin = datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(days=3)
    fields = {"from": f"{begin:%Y-%m-%dT%H:%M}", "until": f"{begin + timedelta(hours=2):%Y-%m-%dT%H:%M}"}
    assert await operator.post("plan", **fields, text="<b>New</b> disk\nand memory") == (303, "/operator?done=planned")
    (window,) = (await watchdog.get("/api/pause"))["pauses"]
    assert (window["open"], window["fromMs"]) == (False, int(begin.timestamp() * 1000))
    assert window["untilMs"] - window["fromMs"] == 7_200_000
    await state(watchdog, "UP")
    page = await watchdog.get("/")
    assert "Planned maintenance" in page
    assert "&lt;b&gt;New&lt;/b&gt; disk\nand memory" in page
    assert f'datetime="{begin:%Y-%m-%dT%H:%M}:00.000Z" data-local="when"' in page
    assert await operator.post("end-pause", id=window["id"]) == (303, "/operator?done=ended")
    assert "Planned maintenance" not in await watchdog.get("/")


async def test_what_the_script_says_of_the_readers_time_zone_wins(
    watchdog: RunningWatchdog, operator: OperatorBrowser
) -> None:
    begin = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    at = {"from_at": begin.isoformat(), "until_at": (begin + timedelta(hours=1)).isoformat()}
    typed = {"from": "2001-01-01T00:00", "until": "2001-01-01T01:00"}
    assert (await operator.post("plan", **typed, **at))[0] == 303
    assert (await watchdog.get("/api/pause"))["pauses"][0]["fromMs"] == int(begin.timestamp() * 1000)


@pytest.mark.parametrize(
    ("command", "fields", "field"),
    [
        ("pause", {"minutes": "7"}, "minutes"),
        ("pause", {"minutes": "30", "target": "bot-9"}, "target"),
        ("pause", {"minutes": "30", "reason": "a\nb"}, "reason"),
        ("pause", {"minutes": "30", "text": "x" * 2001}, "text"),
        ("plan", {"from": "", "until": "2099-01-01T00:00"}, "from"),
        ("plan", {"from": "2098-01-01T00:00", "until": ""}, "until"),
        ("plan", {"from": "yesterday", "until": "2099-01-01T00:00"}, "from"),
        ("plan", {"from": "2098-01-01T00:00", "until": "2098-01-01T01:00"}, "from"),
        ("plan", {"from": "2020-01-01T00:00", "until": "2020-01-01T01:00"}, "until"),
        ("announce", {"title": " "}, "title"),
        ("announce", {"title": "x" * 121}, "title"),
        ("announce", {"title": "a\u202eb"}, "title"),
        ("announce", {"title": "a", "text": "b\x00c"}, "text"),
        ("announce", {"title": "a", "severity": "grave"}, "severity"),
        ("announce", {"title": "a", "until": "2020-01-01T00:00"}, "until"),
    ],
)
async def test_a_form_that_is_refused_says_why_beside_the_field_and_keeps_what_was_typed(
    watchdog: RunningWatchdog, operator: OperatorBrowser, command: str, fields: dict[str, str], field: str
) -> None:
    status, page = await operator.post(command, **fields)
    assert status == 422
    assert f"{field}: " in unescape(page)
    if field not in ("minutes", "target", "severity"):
        assert f'id="{command}-{field}-wrong"' in page
    if fields.get("title", "").isprintable() and fields.get("title", "").strip():
        assert fields["title"] in page
    assert (await watchdog.get("/api/pause"))["pauses"] == []
    assert (await watchdog.get("/api/announcements"))["announcements"] == []


async def test_an_announcement_is_on_the_page_until_it_is_withdrawn_and_survives_a_restart(
    tmp_path: Path, bot: FakeBot
) -> None:
    async with running_watchdog(tmp_path, bot.url) as watchdog, signed_in(watchdog.url) as operator:
        fields = {"title": "Slow <deliveries>", "text": "We look into it.", "severity": "problem"}
        assert await operator.post("announce", **fields) == (303, "/operator?done=announced")
        assert "Slow &lt;deliveries&gt;" in await watchdog.get("/")
    async with running_watchdog(tmp_path, bot.url) as watchdog, signed_in(watchdog.url) as operator:
        (made,) = (await watchdog.get("/api/announcements"))["announcements"]
        assert (made["title"], made["severity"], made["author"]) == ("Slow <deliveries>", "problem", "")
        assert "Slow &lt;deliveries&gt;" in await watchdog.get("/embed")
        assert "Slow &lt;deliveries&gt;" in await watchdog.get("/feed.atom")
        assert await operator.post("withdraw", id=made["id"]) == (303, "/operator?done=withdrawn")
        assert "Slow" not in await watchdog.get("/")
        assert "Slow &lt;deliveries&gt; (over)" in await watchdog.get("/feed.atom")
        assert (await operator.post("withdraw", id=made["id"]))[0] == 404


async def test_repairs_show_their_budget_and_why_nothing_is_repaired(tmp_path: Path) -> None:
    address = f"http://127.0.0.1:{free_port()}"
    async with (
        running_watchdog(tmp_path, address, REMEDIATION="docker", REMEDIATION_DRY_RUN="true") as watchdog,
        signed_in(watchdog.url) as operator,
    ):
        await state(watchdog, "DOWN")

        async def waits() -> bool:
            return "waiting before the next try" in await operator.page()

        await eventually(waits, every_s=0.2, what="why nothing is repaired yet")
        page = await operator.page()
        assert "3 repairs left" in page
        assert "only decided and recorded" in page
        await operator.post("pause", minutes="15")
        await eventually(lambda: _has(operator, ": maintenance."), every_s=0.2, what="maintenance as the reason")
        assert await operator.post("restore-budget") == (303, "/operator?done=budget")
        public = (await watchdog.get("/api/status"))["targets"][0]
        assert (public["repairBudget"], public["repairRefusal"]) == (None, None)


async def _has(operator: OperatorBrowser, text: str) -> bool:
    return text in await operator.page()


async def test_groups_of_sessions_are_components_of_the_status_page(watchdog: RunningWatchdog, bot: FakeBot) -> None:
    assert "Components" not in await watchdog.get("/")
    bot.components = (
        ComponentShares("Boutique <Lyon>", 2, 2),
        ComponentShares("Support", 3, 1),
        ComponentShares("x" * 90, 1, 0),
    )

    async def shown() -> list[tuple[str, str]]:
        target = (await watchdog.get("/api/status"))["targets"][0]
        return [(each["name"], each["state"]) for each in target["components"]]

    wanted = [("Boutique <Lyon>", "up"), ("Support", "partly"), ("x" * 60, "down")]
    await eventually(lambda: _is_shown(shown, wanted), every_s=0.2, what="the components")
    page = await watchdog.get("/")
    assert "Boutique &lt;Lyon&gt;" in page
    assert "partly disturbed" in page
    bot.beats = "silent"
    await bot.stop()
    await state(watchdog, "DOWN")
    assert {each for _, each in await shown()} == {"down"}


async def _is_shown(shown: Callable[[], Awaitable[list[tuple[str, str]]]], wanted: list[tuple[str, str]]) -> bool:
    return await shown() == wanted


async def test_without_repairs_the_page_says_so_and_gives_no_budget_back(operator: OperatorBrowser) -> None:
    assert "REMEDIATION is not set" in await operator.page()
    assert (await operator.post("restore-budget"))[0] == 409


async def test_the_page_answers_in_french(operator: OperatorBrowser) -> None:
    async with operator.http.get(operator.url + "/operator", headers={"Accept-Language": "fr"}) as answer:
        page = await answer.text()
    assert "Incidents en cours" in page
    assert "Suspendre les alertes" in page


async def test_a_refused_form_says_why_in_the_readers_language(operator: OperatorBrowser) -> None:
    operator.http.headers["Accept-Language"] = "es"
    past = {"from": "2020-01-01T10:00", "until": "2020-01-01T11:00"}
    for command, fields, expected in (
        ("plan", {"from": "2020-01-01T10:00"}, "until: es obligatorio"),
        ("plan", past, "until: debe terminar en el futuro"),
        ("announce", {"title": ""}, "title: no debe estar vacío"),
        ("acknowledge", {"id": "none"}, "este incidente no existe"),
        ("restore-budget", {}, "REMEDIATION no está definida: no hay cupo"),
    ):
        status, page = await operator.post(command, **fields)
        assert status in (404, 409, 422), command
        assert f'role="alert">{expected}</p>' in page, (command, fields)


def test_every_refusal_to_repair_and_every_result_has_words() -> None:
    assert set(wording.REFUSAL) == set(Refusal)
    assert len(DONE) == len(COMMANDS)
