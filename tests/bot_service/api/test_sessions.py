"""The session API over the real application and an engine pool in memory."""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bot_service.domain.signals import SignalKind
from bot_service.engines.port import EngineError
from tests.support.bot_app import Bot, paired, running
from tests.support.processes import API_KEY, WATCHDOG_TOKEN
from tests.support.waiting import eventually


@pytest.fixture
async def bot(tmp_path: Path) -> AsyncIterator[Bot]:
    async with running(tmp_path) as bot:
        yield bot


async def made(bot: Bot, session: str = "one", **body: Any) -> dict[str, Any]:
    status, view = await bot.call("POST", "/api/sessions", {"id": session, **body})
    assert status == 201, view
    return dict(view)


async def in_state(bot: Bot, state: str, session: str = "one") -> dict[str, Any]:
    async def look() -> Any:
        _, view = await bot.call("GET", f"/api/sessions/{session}")
        return view if view["state"] == state else None

    return dict(await eventually(look, what=f"{session} being {state}"))


async def test_a_new_session_shows_a_code_and_becomes_ready_after_the_scan(bot: Bot) -> None:
    view = await made(bot, name="Shop", metadata={"team": "sales"})
    assert view["state"] == "STARTING"
    assert view["owner"] == "main"
    await in_state(bot, "PAIRING")
    status, shown = await bot.call("GET", "/api/sessions/one/qr")
    assert status == 200
    assert shown["qr"] == "2@one,key"
    assert shown["expiresAt"].endswith("Z")
    bot.pool.pair("one")
    ready = await in_state(bot, "READY")
    assert ready["paired"] is True
    assert ready["metadata"] == {"team": "sales"}
    assert ready["acts"] == "nobody"


async def test_the_code_comes_as_a_picture_or_text_when_asked(bot: Bot) -> None:
    await made(bot)
    await in_state(bot, "PAIRING")
    for asked, kind, begins in [
        ("?format=png", "image/png", b"\x89PNG"),
        ("?format=svg", "image/svg+xml", b"<svg"),
        ("?format=text", "text/plain", b""),
    ]:
        async with bot.client.get(
            f"/api/sessions/one/qr{asked}", headers={"Authorization": "Bearer test-api-key-0123456789abcdef"}
        ) as response:
            assert response.status == 200
            assert response.content_type == kind
            assert (await response.read()).startswith(begins)
            assert response.headers["X-Expires-At"].endswith("Z")
    status, _ = await bot.call("GET", "/api/sessions/one/qr", headers={"Accept": "image/svg+xml,*/*"})
    assert status == 200
    status, problem = await bot.call("GET", "/api/sessions/one/qr", headers={"Accept": "audio/mpeg"})
    assert (status, problem["code"]) == (406, "not_acceptable")


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        ("IMAGE/PNG", "image/png"),
        ("image/*", "image/png"),
        ("text/*", "text/plain"),
        ("application/json;q=0.1, image/png", "image/png"),
        ("*/*, image/svg+xml", "image/svg+xml"),
        ("application/json;q=0, text/plain;q=0.2", "text/plain"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,image/png,*/*;q=0.8", "image/png"),
    ],
)
async def test_the_form_of_the_code_is_the_most_wanted_one(bot: Bot, accept: str, kind: str) -> None:
    await made(bot)
    await in_state(bot, "PAIRING")
    headers = {"Authorization": f"Bearer {API_KEY}", "Accept": accept}
    async with bot.client.get("/api/sessions/one/qr", headers=headers) as response:
        assert (response.status, response.content_type) == (200, kind)
    status, problem = await bot.call("GET", "/api/sessions/one/qr?format=gif")
    assert (status, problem["errors"][0]["field"]) == (422, "format")


async def test_a_session_without_a_code_answers_409_with_its_state(bot: Bot) -> None:
    await made(bot, start=False)
    status, problem = await bot.call("GET", "/api/sessions/one/qr")
    assert (status, problem["code"], problem["state"]) == (409, "no_qr", "STOPPED")


async def test_stop_keeps_the_pairing_and_start_needs_no_code(bot: Bot) -> None:
    await paired(bot, "one")
    status, view = await bot.call("POST", "/api/sessions/one/stop")
    assert (status, view["state"], view["wanted"], view["paired"]) == (200, "STOPPED", "stop", True)
    status, again = await bot.call("POST", "/api/sessions/one/stop")
    assert (status, again["state"]) == (200, "STOPPED")
    status, view = await bot.call("POST", "/api/sessions/one/start")
    assert (status, view["state"]) == (200, "STARTING")
    await in_state(bot, "READY")
    status, view = await bot.call("POST", "/api/sessions/one/start")
    assert (status, view["state"]) == (200, "READY")


async def test_restart_gives_a_new_connection(bot: Bot) -> None:
    await paired(bot, "one")
    before = bot.pool.calls.count(("start", "one"))
    status, view = await bot.call("POST", "/api/sessions/one/restart")
    assert (status, view["state"]) == (200, "STARTING")
    await in_state(bot, "READY")
    assert bot.pool.calls.count(("start", "one")) == before + 1


async def test_logout_unlinks_the_phone_and_keeps_the_row(bot: Bot) -> None:
    await paired(bot, "one")
    status, view = await bot.call("POST", "/api/sessions/one/logout")
    assert (status, view["state"], view["paired"], view["wanted"]) == (200, "LOGGED_OUT", False, "stop")
    assert ("logout", "one") in bot.pool.calls
    status, _ = await bot.call("POST", "/api/sessions/one/logout")
    assert status == 200


async def test_logout_of_a_stopped_session_is_refused_with_its_state(bot: Bot) -> None:
    await paired(bot, "one")
    await bot.call("POST", "/api/sessions/one/stop")
    status, problem = await bot.call("POST", "/api/sessions/one/logout")
    assert (status, problem["code"], problem["state"]) == (409, "wrong_state", "STOPPED")


async def test_a_logout_that_the_engine_cannot_do_is_not_claimed(bot: Bot) -> None:
    await paired(bot, "one")
    bot.pool.fail["logout"] = EngineError("timeout", "no answer", retryable=True)
    status, problem = await bot.call("POST", "/api/sessions/one/logout")
    assert (status, problem["code"]) == (504, "timeout")
    assert (await in_state(bot, "READY"))["paired"] is True


async def test_delete_removes_everything(bot: Bot) -> None:
    await paired(bot, "one")
    status, _ = await bot.call("DELETE", "/api/sessions/one")
    assert status == 204
    assert ("forget", "one") in bot.pool.calls
    status, problem = await bot.call("GET", "/api/sessions/one")
    assert (status, problem["code"]) == (404, "not_found")


async def test_a_session_during_a_temporary_ban_cannot_be_started(bot: Bot) -> None:
    await paired(bot, "one")
    bot.pool.emit("one", SignalKind.TEMP_BANNED, code=101, expiresInMs=3_600_000)
    view = await in_state(bot, "TEMP_BANNED")
    assert view["bannedUntil"] is not None
    status, problem = await bot.call("POST", "/api/sessions/one/start")
    assert (status, problem["code"], problem["state"]) == (409, "temporarily_banned", "TEMP_BANNED")


async def test_a_pairing_code_is_given_for_a_session_without_a_phone(bot: Bot) -> None:
    await made(bot)
    await in_state(bot, "PAIRING")
    status, shown = await bot.call("POST", "/api/sessions/one/pairing-code", {"phone": "+491701234567"})
    assert (status, shown["code"]) == (200, "ABCD-EFGH")
    bot.pool.pair("one")
    await in_state(bot, "READY")
    status, problem = await bot.call("POST", "/api/sessions/one/pairing-code", {"phone": "491701234567"})
    assert (status, problem["code"], problem["state"]) == (409, "not_pairing", "READY")


async def test_the_list_is_paged_searched_and_narrowed(bot: Bot) -> None:
    for number in range(7):
        await made(bot, f"s{number}", name=f"Shop {number}", owner="anna" if number % 2 else "ben", start=False)
    status, page = await bot.call("GET", "/api/sessions?limit=3")
    assert (status, page["total"], [s["id"] for s in page["sessions"]]) == (200, 7, ["s0", "s1", "s2"])
    _, page = await bot.call("GET", f"/api/sessions?limit=3&after={page['next']}")
    assert [s["id"] for s in page["sessions"]] == ["s3", "s4", "s5"]
    _, page = await bot.call("GET", f"/api/sessions?limit=3&after={page['next']}")
    assert ([s["id"] for s in page["sessions"]], page["next"]) == (["s6"], None)
    _, page = await bot.call("GET", "/api/sessions?owner=anna")
    assert [s["id"] for s in page["sessions"]] == ["s1", "s3", "s5"]
    _, page = await bot.call("GET", "/api/sessions?q=shop%206")
    assert [s["id"] for s in page["sessions"]] == ["s6"]
    _, page = await bot.call("GET", "/api/sessions?state=ready")
    assert page["total"] == 0


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=501", "limit=x", "limit=-1", f"limit={10**11}9", f"limit={'9' * 5000}", "state=ASLEEP"]
)
async def test_a_wrong_parameter_of_the_list_is_named(bot: Bot, query: str) -> None:
    status, problem = await bot.call("GET", f"/api/sessions?{query}")
    assert (status, problem["errors"][0]["field"]) == (422, query.split("=")[0])


async def test_name_owner_and_metadata_can_be_changed(bot: Bot) -> None:
    await made(bot, start=False)
    status, view = await bot.call("PATCH", "/api/sessions/one", {"name": "New", "metadata": {"a": "b"}})
    assert (status, view["name"], view["metadata"]) == (200, "New", {"a": "b"})
    status, problem = await bot.call("PATCH", "/api/sessions/one", {"state": "READY"})
    assert (status, problem["errors"][0]["field"]) == (422, "state")


async def test_a_session_without_an_id_gets_one_that_reads_like_its_name(bot: Bot) -> None:
    ids = [(await bot.call("POST", "/api/sessions", {"name": "Café Lyon 2"}))[1]["id"] for _ in range(3)]
    assert ids == ["cafe-lyon-2", "cafe-lyon-2-2", "cafe-lyon-2-3"]
    _, made = await bot.call("POST", "/api/keys", {"name": "shop", "owner": "shop", "scopes": ["session"]})
    # What others use stays unknown to a key of one owner.
    _, own = await bot.call("POST", "/api/sessions", {"name": "Café Lyon 2"}, key=made["key"])
    assert own["id"] == "cafe-lyon-2"


@pytest.mark.parametrize("name", ["+33 6 12 34 56 78", "日本", None])
async def test_a_name_that_makes_no_id_or_may_be_a_telephone_number_gives_a_random_one(
    bot: Bot, name: str | None
) -> None:
    status, made = await bot.call("POST", "/api/sessions", {} if name is None else {"name": name})
    assert status == 201
    assert re.fullmatch("s-[0-9a-f]{12}", made["id"])


async def test_an_id_that_is_taken_answers_409(bot: Bot) -> None:
    await made(bot, start=False)
    status, problem = await bot.call("POST", "/api/sessions", {"id": "one"})
    assert (status, problem["code"]) == (409, "exists")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"id": "../etc"}, "id"),
        ({"id": ""}, "id"),
        ({"id": "one\n"}, "id"),
        ({"owner": "one\n"}, "owner"),
        ({"id": "x" * 65}, "id"),
        ({"id": 7}, "id"),
        ({"name": ""}, "name"),
        ({"start": "yes"}, "start"),
        ({"metadata": {"a": 1}}, "metadata[...]"),
        ({"unknown": 1}, "unknown"),
    ],
)
async def test_a_body_of_wrong_type_answers_422_with_the_field(bot: Bot, body: Any, field: str) -> None:
    status, problem = await bot.call("POST", "/api/sessions", body)
    assert (status, problem["code"]) == (422, "invalid")
    assert problem["errors"][0]["field"] == field


async def test_a_body_that_is_not_json_answers_400_and_one_too_large_413(bot: Bot) -> None:
    status, problem = await bot.call(
        "POST", "/api/sessions", data=b"{not json", headers={"Content-Type": "application/json"}
    )
    assert (status, problem["code"]) == (400, "bad_request")
    status, problem = await bot.call(
        "POST",
        "/api/sessions",
        data=io.BytesIO(b" " * (33 * 1024 * 1024)),
        headers={"Content-Type": "application/json"},
    )
    assert (status, problem["code"]) == (413, "too_large")
    status, problem = await bot.call("POST", "/api/sessions", data=b"a=b", headers={"Content-Type": "text/csv"})
    assert (status, problem["code"]) == (400, "bad_request")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/sessions/none"),
        ("PATCH", "/api/sessions/none"),
        ("DELETE", "/api/sessions/none"),
        ("POST", "/api/sessions/none/start"),
        ("POST", "/api/sessions/none/stop"),
        ("POST", "/api/sessions/none/restart"),
        ("POST", "/api/sessions/none/logout"),
        ("GET", "/api/sessions/none/qr"),
        ("POST", "/api/sessions/none/pairing-code"),
        ("GET", "/api/sessions/none/health"),
        ("GET", "/api/sessions/none/transitions"),
        ("POST", "/api/sessions/none/simulate"),
    ],
)
async def test_an_unknown_session_answers_404_everywhere(bot: Bot, method: str, path: str) -> None:
    status, problem = await bot.call(method, path, {} if method != "GET" else None)
    assert (status, problem["code"]) == (404, "not_found")


async def test_no_key_answers_401_and_a_wrong_one_403(bot: Bot) -> None:
    status, problem = await bot.call("GET", "/api/sessions", key=None)
    assert (status, problem["code"]) == (401, "unauthorized")
    status, problem = await bot.call("GET", "/api/sessions", key="a-wrong-key-of-good-length")
    assert (status, problem["code"]) == (403, "forbidden")
    status, problem = await bot.call("POST", "/api/repair", {"action": "reconnect_session"})
    assert (status, problem["code"]) == (403, "forbidden")


async def test_an_unknown_path_and_a_wrong_method_are_problem_documents(bot: Bot) -> None:
    status, problem = await bot.call("GET", "/api/nothing")
    assert (status, problem["code"]) == (404, "not_found")
    status, problem = await bot.call("PUT", "/api/sessions")
    assert (status, problem["code"]) == (405, "method_not_allowed")


async def test_transitions_tell_what_happened_and_who_must_act(bot: Bot) -> None:
    await paired(bot, "one")
    bot.pool.emit("one", SignalKind.LOGGED_OUT, code=401, onConnect=False)
    await in_state(bot, "LOGGED_OUT")

    async def recorded() -> Any:
        _, answer = await bot.call("GET", "/api/sessions/one/transitions")
        return answer["transitions"] if answer["transitions"][0]["to"] == "LOGGED_OUT" else None

    transitions = await eventually(recorded)
    assert (transitions[0]["from"], transitions[0]["reason"], transitions[0]["acts"]) == ("READY", "logged_out", "user")
    assert [t["to"] for t in reversed(transitions)] == [
        "STARTING",
        "CONNECTING",
        "PAIRING",
        "CONNECTING",
        "SYNCING",
        "READY",
        "LOGGED_OUT",
    ]


async def test_health_of_a_session_shows_each_part_with_its_age(bot: Bot) -> None:
    await paired(bot, "one")
    status, health = await bot.call("GET", "/api/sessions/one/health")
    assert (status, health["ready"], health["state"]) == (200, True, "READY")
    assert set(health["parts"]) == {"connected", "authenticated", "frames", "receiving"}
    assert all(part["ok"] for part in health["parts"].values())
    assert health["parts"]["frames"]["ageMs"] == 0


async def test_a_command_for_a_session_that_is_deleted_meanwhile_answers_404(bot: Bot) -> None:
    await paired(bot, "one")
    bot.pool.hang.add("logout")
    logout = asyncio.create_task(bot.call("POST", "/api/sessions/one/logout"))
    await eventually(lambda: ("logout", "one") in bot.pool.calls, what="the logout at the engine")
    assert (await bot.call("DELETE", "/api/sessions/one"))[0] == 204
    bot.pool.release()
    status, problem = await logout
    assert (status, problem["code"]) == (404, "not_found")


async def test_simulate_reaches_the_engine_and_is_unknown_with_any_other(bot: Bot, tmp_path: Path) -> None:
    await made(bot)
    await in_state(bot, "PAIRING")
    status, answer = await bot.call("POST", "/api/sessions/one/simulate", {"action": "scan", "n": 1})
    assert (status, answer["result"]) == (200, {"action": "scan", "n": 1})
    await in_state(bot, "READY")
    status, problem = await bot.call("POST", "/api/sessions/one/simulate", {"n": 1})
    assert (status, problem["errors"][0]["field"]) == (422, "action")
    bot.pool.fail["simulate"] = EngineError("invalid", "scan: n must be a text", field="n")
    status, problem = await bot.call("POST", "/api/sessions/one/simulate", {"action": "scan", "n": 1})
    assert (status, problem["errors"]) == (422, [{"field": "n", "message": "scan: n must be a text"}])
    bot.pool.fail["simulate"] = EngineError("not_connected", "no link", retryable=True)
    status, problem = await bot.call("POST", "/api/sessions/one/simulate", {"action": "scan"})
    assert (status, problem["state"], problem["retryable"]) == (409, "READY", True)
    async with running(tmp_path / "other", ENGINE="neonize") as other:
        await made(other, start=False)
        status, problem = await other.call("POST", "/api/sessions/one/simulate", {"action": "scan"})
        assert (status, problem["code"]) == (404, "not_found")


async def test_the_watchdog_asks_for_a_repair_with_its_own_token(bot: Bot) -> None:
    await paired(bot, "one")
    status, answer = await bot.call(
        "POST", "/api/repair", {"action": "reconnect_session", "session": "one"}, key=WATCHDOG_TOKEN
    )
    assert (status, answer) == (202, {"action": "reconnect_session", "sessions": 1})
    await in_state(bot, "READY")
    status, answer = await bot.call(
        "POST", "/api/repair", {"action": "recycle_worker", "session": "one"}, key=WATCHDOG_TOKEN
    )
    assert (status, answer["sessions"]) == (202, 1)
    assert ("recycle", "one") in bot.pool.calls
    status, problem = await bot.call("POST", "/api/repair", {"action": "reboot"}, key=WATCHDOG_TOKEN)
    assert (status, problem["errors"][0]["field"]) == (422, "action")
    status, answer = await bot.call("POST", "/api/repair", {"action": "reconnect_session"}, key=WATCHDOG_TOKEN)
    assert (status, answer["sessions"]) == (202, 0)


async def test_a_repair_never_undoes_a_stop(bot: Bot) -> None:
    await paired(bot, "one")
    await bot.call("POST", "/api/sessions/one/stop")
    for action in ("reconnect_session", "recycle_worker"):
        status, problem = await bot.call(
            "POST", "/api/repair", {"action": action, "session": "one"}, key=WATCHDOG_TOKEN
        )
        assert (status, problem["state"]) == (409, "STOPPED")


async def test_a_restart_brings_sessions_back_without_a_new_code(tmp_path: Path) -> None:
    async with running(tmp_path) as bot:
        await paired(bot, "kept")
        await paired(bot, "stopped")
        await bot.call("POST", "/api/sessions/stopped/stop")
    async with running(tmp_path) as bot:
        await in_state(bot, "READY", "kept")
        view = await in_state(bot, "STOPPED", "stopped")
        assert view["paired"] is True
        assert ("start", "stopped") not in bot.pool.calls

        async def restored() -> bool:
            _, answer = await bot.call("GET", "/api/sessions/kept/transitions")
            return "restored" in [change["reason"] for change in answer["transitions"]]

        await eventually(restored, what="the restore among the transitions")
