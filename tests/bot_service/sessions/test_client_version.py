"""The client version is followed and a refusal healed: the whole application, real copies of the library, a page on loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bot_service import keys
from bot_service.domain.signals import SignalKind
from bot_service.domain.states import State
from bot_service.engines.neonize import library_copy
from bot_service.engines.port import EngineError
from bot_service.sessions import client_version, client_version_recovery
from bot_service.sessions.client_version import VersionFacts
from tests.support.bot_app import Bot, running
from tests.support.fake_pool import FakePool
from tests.support.fast_clock import FastClock
from tests.support.receiver import Receiver
from tests.support.waiting import eventually

BUILTIN = library_copy.builtin_build()
NEW, NEWER = BUILTIN + 1000, BUILTIN + 2000


@pytest.fixture(autouse=True)
def patient_with_canaries(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a clock that is so fast, making a copy takes minutes."""
    monkeypatch.setattr(client_version_recovery, "RESULT_S", 3600.0)


class Page:
    """The version page; ``build`` None is one that cannot be read."""

    def __init__(self) -> None:
        self.build: int | None = BUILTIN
        self.looks = 0

    async def answer(self, request: web.Request) -> web.Response:
        self.looks += 1
        if self.build is None:
            return web.Response(status=503)
        return web.Response(text=rf"x={{\"client_revision\":{self.build},\"y\":1}}")


class Scene:
    def __init__(self, bot: Bot, page: Page, clock: FastClock, alerts: Receiver) -> None:
        self.bot, self.page, self.clock, self._alerts = bot, page, clock, alerts
        self.pool = bot.pool

    async def all_are(self, state: State, *sessions: str) -> None:
        registry = self.bot.app[keys.SESSIONS].registry

        def look() -> bool:
            return all((r := registry.get(session)) is not None and r.state is state for session in sessions)

        await eventually(look, what=f"{sessions} being {state}, are {self.states()}")

    def states(self) -> list[tuple[str, str, str]]:
        return [(record.id, record.state.value, record.reason) for record in self.bot.app[keys.SESSIONS].registry]

    def facts(self) -> VersionFacts:
        return self.bot.app[keys.SESSIONS].client_version.facts()

    def notices(self) -> list[tuple[str, str]]:
        """(type, text) of every alert that has arrived."""
        bodies = [request.json for request in self._alerts.requests]
        return [(body["type"], body["data"]["text"]) for body in bodies if body["data"]["kind"] == "client_outdated"]

    async def noticed(self, *types: str) -> None:
        await eventually(
            lambda: [type_ for type_, _ in self.notices()] == list(types),
            what=f"the notices {types}",
        )

    def logins_with(self, build: int) -> list[str]:
        return [session for session, announced in self.pool.logins if announced == build]


@asynccontextmanager
async def scene(
    folder: Path, *sessions: str, page: Page | None = None, factor: float = 60, **env: str
) -> AsyncIterator[Scene]:
    page, clock = page or Page(), FastClock(factor)
    served = web.Application()
    served.router.add_get("/sw.js", page.answer)
    async with Receiver() as alerts, TestServer(served) as server:
        given = {
            "ENGINE": "neonize",
            "WHATSAPP_VERSION": "auto",
            "WHATSAPP_VERSION_URL": str(server.make_url("/sw.js")),
            "ALERT_URLS": alerts.url,
            "RECONNECT_FIRST_DELAY": "20",
            "RECONNECT_MAX_DELAY": "20",
            **env,
        }
        async with running(folder, pool=FakePool(online=True), clock=clock, **given) as bot:
            made = Scene(bot, page, clock, alerts)
            for session in sessions:
                await bot.call("POST", "/api/sessions", {"id": session})
                await made.all_are(State.PAIRING, session)
                bot.pool.pair(session)
                await made.all_are(State.READY, session)
            yield made


async def test_a_newer_published_build_is_announced_by_new_workers_and_disconnects_nobody(tmp_path: Path) -> None:
    page = Page()
    page.build = NEW
    async with scene(tmp_path, "one", page=page) as here:
        await eventually(lambda: here.facts().version == f"2.3000.{NEW}", what="the published version")
        facts = here.facts()
        assert (facts.source, facts.outdated, facts.check_result, facts.problem) == ("published", False, "newer", None)
        assert here.pool.calls.count(("stop", "one")) <= 1  # the one before its first start
        assert [file.name for file in (tmp_path / "engine").iterdir()] == [
            library_copy.make(NEW, tmp_path / "engine").name
        ]
    # The last good value is known at the next start, before any look.
    page.build = None
    async with scene(tmp_path, page=page) as here:
        assert here.pool.announced[0] == NEW
        await eventually(lambda: here.facts().check_result == "bad_answer", what="a look that failed")
        assert here.facts().version == f"2.3000.{NEW}"


async def test_a_refused_fleet_returns_with_the_published_build(tmp_path: Path) -> None:
    sessions = [f"s{number}" for number in range(6)]
    async with scene(tmp_path, *sessions) as here:
        here.pool.outdated, here.page.build, before = {BUILTIN}, NEW, len(here.pool.logins)
        here.pool.drop(*sessions)
        await here.all_are(State.READY, *sessions)
        await here.noticed("service.alert", "service.recovered")
        assert [build for _, build in here.pool.logins[before:]].count(BUILTIN) == 1
        assert len(here.logins_with(NEW)) == 6
        assert here.pool.refused == {BUILTIN}
        assert here.facts().refused == (f"2.3000.{BUILTIN}",)
        paired = [record.jid for record in here.bot.app[keys.SESSIONS].registry]
        assert all(paired)
    # What was refused is known after a restart, and not announced though the page is away.
    here.page.build = None
    async with scene(tmp_path, page=here.page) as here:
        assert here.pool.refused == {BUILTIN}
        assert here.pool.announced[0] == NEW


async def test_a_page_that_is_away_at_first_is_asked_again(tmp_path: Path) -> None:
    async with scene(tmp_path, "a", "b", "c") as here:
        here.pool.outdated, here.page.build, before = {BUILTIN}, None, len(here.pool.logins)
        here.pool.drop("a", "b", "c")
        await here.noticed("service.alert", "service.alert")
        # Another account finds out whether it is the build; after that nothing logs in any more.
        assert len(here.pool.logins) - before == 2
        looks = here.page.looks
        await eventually(lambda: here.page.looks > looks, what="another look")
        assert len(here.pool.logins) - before == 2
        here.page.build = NEW
        await here.all_are(State.READY, "a", "b", "c")
        await here.noticed("service.alert", "service.alert", "service.recovered")


@pytest.mark.deep
async def test_a_published_build_that_is_refused_too_needs_a_person_who_is_given_the_facts(tmp_path: Path) -> None:
    async with scene(tmp_path, "a", "b", "c", factor=120) as here:
        here.pool.outdated, here.page.build, before = {BUILTIN, NEW}, NEW, len(here.pool.logins)
        here.pool.drop("a", "b", "c")
        await here.noticed("service.alert", "service.alert")
        text = here.notices()[1][1]
        assert f"2.3000.{BUILTIN}" in text
        assert f"2.3000.{NEW}" in text
        assert "WHATSAPP_VERSION=2.3000.N" in text
        tried = here.pool.logins[before:]
        # Which build a second account tries once more depends on who redials first.
        assert [build for _, build in tried[:2]] == [BUILTIN, NEW]
        assert len(tried) == len(set(tried)) == 3
        looks = here.page.looks
        await eventually(lambda: here.page.looks > looks, what="another look")
        assert here.pool.logins[before:] == tried
        assert here.facts().outdated
        here.page.build = NEWER
        await here.all_are(State.READY, "a", "b", "c")
        assert set(here.logins_with(NEWER)) == {"a", "b", "c"}
        await here.noticed("service.alert", "service.alert", "service.recovered")


@pytest.mark.parametrize(
    ("setting", "build", "advice"),
    [("builtin", BUILTIN, "WHATSAPP_VERSION=auto"), (f"2.3000.{NEW}", NEW, "WHATSAPP_VERSION=auto")],
)
async def test_a_version_chosen_by_hand_is_the_only_one_and_never_looked_up(
    tmp_path: Path, setting: str, build: int, advice: str
) -> None:
    async with scene(tmp_path, "a", "b", WHATSAPP_VERSION=setting) as here:
        here.page.build = NEWER
        assert here.facts().version == f"2.3000.{build}"
        assert here.facts().source == ("builtin" if setting == "builtin" else "manual")
        here.pool.outdated, before = {build}, len(here.pool.logins)
        here.pool.drop("a", "b")
        await here.noticed("service.alert", "service.alert")
        assert advice in here.notices()[1][1]
        assert [announced for _, announced in here.pool.logins[before:]] == [build, build]
        assert here.page.looks == 0
    # The person sets another version: the sessions are back without a wait, and the alert ends.
    async with scene(tmp_path, WHATSAPP_VERSION=f"2.3000.{NEWER}") as here:
        assert here.facts().outdated
        await here.all_are(State.READY, "a", "b")
        await here.noticed("service.recovered")


async def test_a_refusal_of_one_account_is_its_own_trouble(tmp_path: Path) -> None:
    async with scene(tmp_path, "bad", "good", "well") as here:
        here.pool.outdated_accounts = {"bad"}
        here.pool.drop("bad")
        await here.all_are(State.RECONNECTING, "bad")
        record = here.bot.app[keys.SESSIONS].registry.get("bad")
        assert record is not None
        assert record.reason == "client_refused"
        here.pool.drop("good")
        await here.all_are(State.READY, "good", "well")
        assert not here.facts().outdated
        assert here.notices() == []
        assert here.pool.refused == frozenset()


async def test_the_one_account_of_many_that_returns_first_does_not_stop_the_others_for_long(tmp_path: Path) -> None:
    sessions = ["bad", "b", "c", "d"]
    async with scene(tmp_path, *sessions) as here:
        here.pool.outdated_accounts = {"bad"}
        here.pool.drop(*sessions)  # none is connected, so it may be the version: another account finds out
        await here.all_are(State.READY, "b", "c", "d")
        await here.noticed("service.alert", "service.recovered")
        await here.all_are(State.RECONNECTING, "bad")
        assert here.pool.refused == frozenset()


async def test_one_refusal_while_others_are_connected_moves_all_to_the_newer_build_in_their_turn(
    tmp_path: Path,
) -> None:
    async with scene(tmp_path, "a", "b", "c") as here:
        await eventually(lambda: here.page.looks == 1, what="the look at the start")
        here.pool.outdated, here.page.build, before = {BUILTIN}, NEW, len(here.pool.logins)
        await here.clock.sleep(61)
        here.pool.drop("a")
        await here.all_are(State.READY, "a")
        assert [build for _, build in here.pool.logins[before:]] == [BUILTIN, NEW]
        # The others stay connected until they lose their link, and are not refused then.
        assert here.pool.refused == {BUILTIN}
        here.pool.drop("b", "c")
        await here.all_are(State.READY, "b", "c")
        assert [build for _, build in here.pool.logins[before + 2 :]] == [NEW, NEW]
        assert here.notices() == []


@pytest.mark.parametrize("loss", [SignalKind.DISCONNECTED, SignalKind.SERVER_UNAVAILABLE])
async def test_a_connection_that_is_lost_with_a_refused_build_is_made_with_another_one(
    tmp_path: Path, loss: SignalKind
) -> None:
    async with scene(tmp_path, "a", "b") as here:
        await eventually(lambda: here.page.looks == 1, what="the look at the start")
        here.pool.outdated, here.page.build = {BUILTIN}, NEW
        await here.clock.sleep(61)
        here.pool.drop("a")
        await here.all_are(State.READY, "a")
        assert here.pool.refused == {BUILTIN}
        logins = len(here.pool.logins)
        here.pool.emit("b", loss, code=503)  # the engine, held at the gate, does not dial
        await eventually(lambda: here.pool.logins[logins:] == [("b", NEW)], what="a login with the new build")
        await here.all_are(State.READY, "a", "b")


async def test_a_second_account_that_is_refused_makes_it_the_fleets_trouble(tmp_path: Path) -> None:
    async with scene(tmp_path, "a", "b", "c") as here:
        here.pool.outdated, before = {BUILTIN}, len(here.pool.logins)
        here.pool.drop("a")
        await here.all_are(State.RECONNECTING, "a")
        here.pool.drop("b")
        await here.all_are(State.OUTDATED, "a", "b")
        await here.all_are(State.READY, "c")
        assert len(here.pool.logins) - before == 2
        here.page.build = NEW
        await here.all_are(State.READY, "a", "b", "c")
        await here.noticed("service.alert", "service.recovered")


@pytest.mark.parametrize("end", ["stop", "delete", "logged out"])
async def test_a_canary_that_goes_away_is_replaced(tmp_path: Path, end: str) -> None:
    async with scene(tmp_path, "a", "b", "c") as here:
        here.pool.outdated, here.page.build = {BUILTIN}, None
        here.pool.drop("a", "b", "c")
        await here.noticed("service.alert", "service.alert")
        canary = here.bot.app[keys.SESSIONS].supervisor.policy.canary
        assert canary is not None
        if end == "stop":
            await here.bot.call("POST", f"/api/sessions/{canary}/stop")
        elif end == "delete":
            await here.bot.call("DELETE", f"/api/sessions/{canary}")
        else:
            here.pool.emit(canary, SignalKind.LOGGED_OUT, code=401)
        here.page.build = NEW
        await here.all_are(State.READY, *({"a", "b", "c"} - {canary}))


async def test_a_canary_that_cannot_connect_makes_way_for_another_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_version_recovery, "RESULT_S", 200.0)
    async with scene(tmp_path, "a", "b", "c") as here:
        here.pool.outdated, here.page.build = {BUILTIN}, None
        here.pool.drop("a", "b", "c")
        await here.noticed("service.alert", "service.alert")
        # Whoever tries the new build next is cut off before the server answers.
        here.pool.unreachable = {"a", "b"}
        here.page.build = NEW
        await here.all_are(State.READY, "c")
        here.pool.unreachable = set()
        await here.all_are(State.READY, "a", "b", "c")
        await here.noticed("service.alert", "service.alert", "service.recovered")


async def test_a_copy_that_fails_during_a_refusal_is_tried_again(tmp_path: Path) -> None:
    async with scene(tmp_path, "a", "b") as here:
        (tmp_path / "engine").write_text("a file where the folder should be")
        here.pool.outdated, here.page.build = {BUILTIN}, NEW
        here.pool.drop("a", "b")
        await here.noticed("service.alert", "service.alert")
        assert f"2.3000.{NEW}" not in here.notices()[1][1]
        assert here.facts().problem_reason == "not_writable"
        (tmp_path / "engine").unlink()
        await here.all_are(State.READY, "a", "b")
        assert here.facts().problem is None


@pytest.mark.deep
async def test_a_refused_account_that_was_given_up_is_tried_with_a_newer_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_version, "DAY_S", 7200.0)
    async with scene(tmp_path, "a", "b", factor=600) as here:
        here.pool.outdated_accounts = {"a"}
        here.pool.drop("a")
        await here.all_are(State.FAILED, "a")  # after 5, 15 and 60 minutes
        here.pool.outdated_accounts, here.page.build = set(), NEW
        await here.all_are(State.READY, "a", "b")  # by the next regular look


async def test_a_start_with_a_version_that_is_known_to_be_refused_is_held_without_a_login(tmp_path: Path) -> None:
    async with scene(tmp_path, "a", "b") as here:
        here.pool.outdated, here.page.build = {BUILTIN}, None
        here.pool.drop("a", "b")
        await here.noticed("service.alert", "service.alert")
        logins, calls = len(here.pool.logins), len(here.pool.calls)
        here.pool.fail["start"] = EngineError("outdated", "held at the gate", retryable=True)
        await here.bot.call("POST", "/api/sessions/a/start")
        await eventually(lambda: ("start", "a") in here.pool.calls[calls:], what="the start")
        await here.all_are(State.OUTDATED, "a", "b")
        assert len(here.pool.logins) == logins


async def test_an_alert_ends_when_no_session_waits_any_more(tmp_path: Path) -> None:
    async with scene(tmp_path, "a") as here:
        here.pool.outdated, here.page.build = {BUILTIN}, None
        here.pool.drop("a")
        await here.all_are(State.OUTDATED, "a")
        await here.noticed("service.alert", "service.alert")
        await here.bot.call("POST", "/api/sessions/a/stop")
        await here.noticed("service.alert", "service.alert", "service.recovered")
        assert not here.facts().outdated


async def test_a_restart_during_a_refusal_goes_on_where_it_was_and_alerts_nobody_again(tmp_path: Path) -> None:
    async with scene(tmp_path, "a", "b") as here:
        here.pool.outdated, here.page.build = {BUILTIN}, None
        here.pool.drop("a", "b")
        await here.noticed("service.alert", "service.alert")
    async with scene(tmp_path, page=here.page) as here:
        here.pool.outdated = {BUILTIN}
        await here.all_are(State.OUTDATED, "a", "b")
        await eventually(lambda: here.page.looks >= 2, what="a look")
        assert here.pool.logins == []
        here.page.build = NEW
        await here.all_are(State.READY, "a", "b")
        await here.noticed("service.recovered")


@pytest.mark.parametrize("trouble", ["folder", "not_unique"])
async def test_a_copy_that_cannot_be_made_leaves_the_builtin_version_and_says_why(
    tmp_path: Path, trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = Page()
    page.build = NEW
    if trouble == "folder":
        (tmp_path / "engine").write_text("a file where the folder should be")
        reason = "not_writable"
    else:
        monkeypatch.setattr(library_copy, "_MARK", b"\x00" * 8)
        reason = "not_unique"
    async with scene(tmp_path, "one", page=page) as here:
        await eventually(lambda: here.facts().problem_reason == reason, what="the reason")
        assert here.facts().problem
        async with here.bot.client.get("/metrics") as response:
            assert f'veilleur_bot_client_version_builtin_used{{reason="{reason}"}} 1.0' in await response.text()
        assert (await here.bot.call("GET", "/health", key=None))[0] == 200
        if trouble == "folder":
            assert here.facts().version == f"2.3000.{BUILTIN}"
        await here.all_are(State.READY, "one")


async def test_the_figures_are_there_for_prometheus(tmp_path: Path) -> None:
    async with scene(tmp_path, "a", "b") as here:

        async def shown() -> dict[str, str]:
            async with here.bot.client.get("/metrics") as response:
                lines = [line for line in (await response.text()).splitlines() if "client_version" in line]
            return dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))

        async def checked() -> bool:
            return (await shown()).get('veilleur_bot_client_version_checks_total{result="unchanged"}') == "1.0"

        await eventually(checked, what="the look at the start")
        figures = await shown()
        assert figures[f'veilleur_bot_client_version_info{{source="builtin",version="2.3000.{BUILTIN}"}}'] == "1.0"
        assert float(figures["veilleur_bot_client_version_age_days"]) > 0
        assert figures["veilleur_bot_client_version_outdated"] == "0.0"
        here.pool.outdated, here.page.build = {BUILTIN}, None
        here.pool.drop("a", "b")
        await here.noticed("service.alert", "service.alert")
        figures = await shown()
        assert figures["veilleur_bot_client_version_outdated"] == "1.0"
        assert figures["veilleur_bot_client_version_refused_total"] == "2.0"


@pytest.mark.deep
async def test_an_engine_without_a_version_is_healed_by_asking_again(tmp_path: Path) -> None:
    async with scene(tmp_path, "a", "b", factor=300, ENGINE="simulator") as here:
        assert here.facts().version is None
        here.pool.outdated = {0}
        here.pool.drop("a", "b")
        await here.noticed("service.alert", "service.alert")
        here.pool.outdated = set()
        # The canary asks by itself every half an hour.
        await here.all_are(State.READY, "a", "b")
        await here.noticed("service.alert", "service.alert", "service.recovered")


def test_the_builtin_build_is_the_one_of_the_locked_engine() -> None:
    assert BUILTIN == 1_047_769_893
