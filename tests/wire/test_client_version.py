"""The client version with the real engine and the whole bot service: WhatsApp refuses a build, and the fleet comes back by itself."""

from __future__ import annotations

import asyncio
import itertools
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestServer

from bot_service.app import build_app
from bot_service.engines.pool.policy import PoolPolicy
from bot_service.engines.pool.pool import WorkerPool
from bot_service.sessions import client_version_recovery
from shared.clock import SystemClock
from tests.fake_whatsapp.remote import Remote
from tests.support import bot_app
from tests.support.fast_clock import FastClock
from tests.support.processes import ROOT, Client, Program
from tests.support.receiver import Receiver
from tests.support.waiting import eventually
from tests.wire import programs

pytestmark = [pytest.mark.wire, pytest.mark.system, pytest.mark.timeout(300), pytest.mark.deep]
BUILTIN = 1_047_769_893
NEW = 1_052_000_000
_numbers = itertools.count(15_558_000)


class Fleet:
    """A bot service with paired sessions; ``numbers`` maps their ids to telephone numbers."""

    def __init__(self, program: Any, server: Remote, alerts: Receiver, client: Client) -> None:
        self.program, self.server, self.alerts, self.client = program, server, alerts, client
        self.numbers: dict[str, str] = {}

    async def pair(self, count: int) -> None:
        turns = asyncio.Semaphore(4)

        async def pair(number: str) -> None:
            async with turns:
                await programs.pair(self.client, self.server, f"s{number}", number)
            self.numbers[f"s{number}"] = number

        await asyncio.gather(*(pair(str(next(_numbers))) for _ in range(count)))

    async def states(self) -> dict[str, str]:
        found = await self.client.get("/api/sessions?limit=200")
        return {session["id"]: session["state"] for session in found["sessions"]}

    async def all_ready(self, *, within_s: float = 60.0) -> None:
        async def ready() -> bool:
            return set((await self.states()).values()) == {"READY"}

        await eventually(ready, within_s=within_s, every_s=0.1, what="all sessions READY")

    async def some_outdated(self) -> None:
        async def outdated() -> bool:
            return "OUTDATED" in (await self.states()).values()

        await eventually(outdated, every_s=0.05, what="OUTDATED")

    async def refuse_all(self, minimum: int) -> None:
        """WhatsApp wants a newer build from now on, and every connection is lost."""
        await self.server("versions", minimum=minimum)
        await self.server("drop")

        async def refused() -> bool:
            return bool(await self.refusals())

        await eventually(refused, what="a refused login")

    async def refusals(self) -> dict[str, int]:
        counted: dict[str, int] = (await self.server("versions"))["refusals"]
        return counted

    async def builds(self) -> set[int]:
        """What the accounts announced at their last login."""
        return {(await self.server("account", number=number))["build"] for number in self.numbers.values()}

    def notices(self) -> list[tuple[str, str]]:
        bodies = [request.json for request in self.alerts.requests]
        return [
            (body["type"], body["data"]["text"]) for body in bodies if body["data"].get("kind") == "client_outdated"
        ]

    async def noticed(self, *types: str) -> None:
        await eventually(lambda: [type_ for type_, _ in self.notices()] == list(types), what=f"the notices {types}")

    async def qr_codes(self) -> int:
        """Sessions that ask for a phone."""
        return sum(state == "PAIRING" for state in (await self.states()).values())


class FastFleet(Fleet):
    """The service runs in this process, on a clock that is faster; its workers and the server live in real time."""

    clock: FastClock


@asynccontextmanager
async def fast_fleet(tmp_path: Path, server: Remote, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FastFleet]:
    monkeypatch.setenv("SSL_CERT_FILE", server.ca_file)  # what the look at the version page trusts
    monkeypatch.setattr(client_version_recovery, "RESULT_S", 3600.0)  # a worker starts in real time
    clock = FastClock(30)
    async with Receiver() as alerts:
        settings = bot_app.settings(
            tmp_path / "data",
            ENGINE="neonize",
            WHATSAPP_VERSION="auto",
            WHATSAPP_PROXY=server.proxy,
            ALERT_URLS=alerts.url,
            # Frames and connects take real time.
            FRAME_FRESH_FOR="1h",
            SESSION_START_TIMEOUT="30m",
            RECONNECT_TAKE_OVER="1h",
        )
        policy = PoolPolicy(
            engine="neonize",
            data_dir=settings.data_dir,
            command=(sys.executable, "-m", "tests.fake_whatsapp.worker"),
            environment={**server.environment(), "PYTHONPATH": str(ROOT)},
            log_level="error",
        )
        app = build_app(settings, pool=WorkerPool(policy, SystemClock()), clock=clock)
        async with TestServer(app) as running, Client(str(running.make_url("")).rstrip("/")) as client:
            made = FastFleet(None, server, alerts, client)
            made.clock = clock
            yield made


@asynccontextmanager
async def fleet(tmp_path: Path, server: Remote, **env: str) -> AsyncIterator[Fleet]:
    async with Receiver() as alerts:
        program = programs.bot(tmp_path, server, ALERT_URLS=alerts.url, **env)
        async with program.running(), Client(program.url) as client:
            yield Fleet(program, server, alerts, client)


@pytest.mark.deep
@pytest.mark.parametrize("per_worker", ["50", "4"])
async def test_a_refused_fleet_of_twenty_is_back_within_a_minute(
    tmp_path: Path, server: Remote, per_worker: str
) -> None:
    async with fleet(tmp_path, server, ENGINE_SESSIONS_PER_WORKER=per_worker) as here:
        await here.pair(20)
        begun = time.monotonic()
        await here.refuse_all(NEW)
        await here.some_outdated()
        await server("versions", published=NEW)
        await here.all_ready()
        took_s = time.monotonic() - begun
        assert await here.qr_codes() == 0
        assert await here.builds() == {NEW}
        await here.noticed("service.alert", "service.recovered")
        refused = sum((await here.refusals()).values())
        print(f"20 sessions, {per_worker} a worker: back after {took_s:.1f} s, {refused} refused logins")
        assert refused <= 3
        assert took_s < 60
        # Messages arrive with the new build.
        session, number = next(iter(here.numbers.items()))
        await server("send", sender="15550002", chat=number, body="still there?")

        async def received() -> Any:
            return (await here.client.get(f"/api/sessions/{session}/messages"))["messages"]

        await eventually(received, what="a message with the new build")


async def test_a_page_that_publishes_in_time_needs_one_refused_login(tmp_path: Path, server: Remote) -> None:
    async with fleet(tmp_path, server) as here:
        await here.pair(5)
        await server("versions", published=NEW)
        await here.refuse_all(NEW)
        await here.all_ready()
        assert await here.refusals() == {str(BUILTIN): 1}
        await here.noticed("service.alert", "service.recovered")


@pytest.mark.deep
async def test_a_fleet_whose_page_is_away_for_minutes_waits_without_logging_in(
    tmp_path: Path, server: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with fast_fleet(tmp_path, server, monkeypatch) as here:
        await here.pair(5)
        await server("versions", page="down")
        begun = here.clock.monotonic()
        await here.refuse_all(NEW)
        await here.noticed("service.alert", "service.alert")
        refusals = await here.refusals()
        assert refusals == {str(BUILTIN): 2}  # the first, and another account to be sure
        await here.clock.sleep(180 - (here.clock.monotonic() - begun))
        assert await here.refusals() == refusals
        await server("versions", page="ok", published=NEW)
        await here.all_ready()
        assert await here.refusals() == refusals
        assert await here.builds() == {NEW}
        await here.noticed("service.alert", "service.alert", "service.recovered")


@pytest.mark.deep
async def test_a_published_build_that_is_refused_too_ends_with_a_person(
    tmp_path: Path, server: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with fast_fleet(tmp_path, server, monkeypatch) as here:
        await here.pair(5)
        await server("versions", published=NEW)
        await here.refuse_all(NEW + 1)
        await here.noticed("service.alert", "service.alert")
        text = here.notices()[1][1]
        assert f"2.3000.{BUILTIN}, 2.3000.{NEW}" in text
        assert "WHATSAPP_VERSION=2.3000.N" in text
        # One login of the first session, the canary with the published build, and with the built-in one.
        refusals = {str(BUILTIN): 2, str(NEW): 1}
        assert await here.refusals() == refusals
        looks = int((await server("versions"))["looks"])

        async def looked() -> bool:
            return int((await server("versions"))["looks"]) > looks

        await eventually(looked, what="the next look")
        assert await here.refusals() == refusals
        await server("versions", published=NEW + 1)
        await here.all_ready()
        assert await here.builds() == {NEW + 1}


@pytest.mark.deep
@pytest.mark.parametrize("setting", ["builtin", f"2.3000.{NEW}"])
async def test_a_version_set_by_hand_is_announced_and_no_page_is_read(
    tmp_path: Path, server: Remote, setting: str
) -> None:
    build = BUILTIN if setting == "builtin" else NEW
    async with fleet(tmp_path, server, WHATSAPP_VERSION=setting) as here:
        await here.pair(3)
        await server("versions", published=NEW + 5)
        await server("drop")
        await here.all_ready()
        assert await here.builds() == {build}
        assert await here.refusals() == {}
        await here.refuse_all(build + 1)
        await here.noticed("service.alert", "service.alert")
        assert "WHATSAPP_VERSION=auto" in here.notices()[1][1]
        assert await here.refusals() == {str(build): 2}
        assert (await server("versions"))["looks"] == 0
        # The person sets another version and starts again: back without a QR code and without a wait.
        here.program.signal(signal.SIGTERM)
        assert await here.program.exit_code() == 0
        here.program.env["WHATSAPP_VERSION"] = f"2.3000.{NEW + 1}"
        here.program.start()
        await here.program.ready()
        await here.all_ready()
        assert await here.builds() == {NEW + 1}
        await here.noticed("service.alert", "service.alert", "service.recovered")


@pytest.mark.deep
async def test_connections_that_are_lost_one_after_another_cost_few_refused_logins(
    tmp_path: Path, server: Remote
) -> None:
    async with fleet(tmp_path, server, ENGINE_SESSIONS_PER_WORKER="5") as here:
        await here.pair(12)
        await server("versions", minimum=NEW, published=NEW)
        for number in here.numbers.values():
            await server("drop", number=number)
        await eventually(_announces(here, NEW), every_s=0.1, what="all sessions with the new build")
        await here.all_ready()
        assert sum((await here.refusals()).values()) <= 3


def _announces(here: Fleet, build: int) -> Any:
    async def look() -> bool:
        return await here.builds() == {build}

    return look


@pytest.mark.deep
async def test_a_restarted_service_announces_what_was_published_and_is_refused_at_most_once(
    tmp_path: Path, server: Remote
) -> None:
    async with fleet(tmp_path, server) as here:
        await here.pair(8)
        here.program.kill()
        here.program.kill_workers()
        await server("versions", minimum=NEW, published=NEW)
        here.program.start()
        await here.program.ready()
        await here.all_ready()
        assert sum((await here.refusals()).values()) <= 3
        here.program.kill()
        here.program.kill_workers()
        await server("versions", page="down")
        before = await here.refusals()
        here.program.start()
        await here.program.ready()
        await here.all_ready()
        assert await here.refusals() == before


@pytest.mark.deep
async def test_a_refusal_of_one_account_leaves_the_others_alone(tmp_path: Path, server: Remote) -> None:
    async with fleet(tmp_path, server) as here:
        await here.pair(4)
        bad, *others = here.numbers
        before = len((await server("account", number=here.numbers[bad]))["attempts"])
        await server("faults", login_failures={here.numbers[bad]: [{"reason": "405"}]}, forever=[here.numbers[bad]])
        await server("drop", number=here.numbers[bad])

        async def careful() -> bool:
            found = await here.client.get(f"/api/sessions/{bad}")
            return (found["state"], found["reason"]) == ("RECONNECTING", "client_refused")

        await eventually(careful, what="a careful retry of the one account")
        for session in others:
            await server("drop", number=here.numbers[session])
        await eventually(_all_ready_but(here, bad), every_s=0.1, what="the others READY")
        assert here.notices() == []
        assert len((await server("account", number=here.numbers[bad]))["attempts"]) == before + 1


def _all_ready_but(here: Fleet, session: str) -> Any:
    async def look() -> bool:
        states = await here.states()
        return all(state == "READY" for each, state in states.items() if each != session)

    return look


async def test_a_new_phone_is_paired_with_the_published_build(tmp_path: Path, server: Remote) -> None:
    await server("versions", minimum=NEW, published=NEW)
    async with fleet(tmp_path, server) as here:

        async def announced() -> bool:
            return bool(await here.client.get("/api/metrics")) and f"2.3000.{NEW}" in str(await metrics(here))

        await eventually(announced, what="the published version")
        await here.pair(1)
        assert await here.builds() == {NEW}
        stats = await server("stats")
        assert "wrong build hashes" not in stats
        assert await here.refusals() == {}


async def metrics(here: Fleet) -> str:
    status, text = await here.client.call("GET", "/metrics")
    assert status == 200
    return str(text)


@pytest.mark.parametrize(
    "trouble",
    [
        "truncated copy",
        "full disk",
        pytest.param("file instead of the folder", marks=pytest.mark.deep),
        pytest.param("read-only folder", marks=pytest.mark.deep),
    ],
)
async def test_a_copy_that_cannot_be_used_never_stops_the_start(tmp_path: Path, server: Remote, trouble: str) -> None:
    engine = tmp_path / "bot-data" / "engine"
    engine.parent.mkdir()
    reason = {"truncated copy": None, "full disk": "no_space"}.get(trouble, "not_writable")
    mounted = False
    if trouble == "truncated copy":
        engine.mkdir()
        (engine / f"neonize-linux-amd64-{BUILTIN}-as-{NEW}.so").write_bytes(b"\x7fELF half a copy")
    elif trouble == "file instead of the folder":
        engine.write_text("not a folder")
    else:
        engine.mkdir()
        options = "ro,size=64m" if trouble == "read-only folder" else "size=4m"
        command = ["mount", "-t", "tmpfs", "-o", options, "none", str(engine)]
        mounted = subprocess.run(command, check=False, capture_output=True).returncode == 0
        if not mounted:
            pytest.skip("needs root, to mount a tmpfs (.ci/run has it)")
    try:
        await server("versions", published=NEW)
        async with fleet(tmp_path, server) as here:
            expected = BUILTIN if reason else NEW

            async def decided() -> bool:
                shown = await metrics(here)
                if reason is not None:
                    return f'veilleur_bot_client_version_builtin_used{{reason="{reason}"}} 1.0' in shown
                return f'version="2.3000.{NEW}"' in shown

            await eventually(decided, what="the decision")
            await here.pair(1)
            assert await here.builds() == {expected}
            if reason is not None:
                lines = [line for line in here.program.events() if line.get("event") == "client_version.builtin_used"]
                assert lines[0]["reason"] == reason
    finally:
        if mounted:
            subprocess.run(["umount", str(engine)], check=True)


@pytest.mark.deep
async def test_a_kill_while_the_copy_is_made_leaves_a_service_that_starts(tmp_path: Path, server: Remote) -> None:
    await server("versions", published=NEW)
    for delay_s in (0.0, 0.1, 0.3, 0.6):
        program = programs.bot(tmp_path, server)
        program.start()

        def begun(program: Program = program) -> bool:
            return any(line.get("event") == "client_version.published" for line in program.events()) or bool(
                list((tmp_path / "bot-data").glob("engine/*"))
            )

        await eventually(begun, every_s=0.005, what="the published version")
        await asyncio.sleep(delay_s)
        program.kill()
        program.kill_workers()
        program.log.unlink()
    async with fleet(tmp_path, server) as here:
        await here.pair(1)

        async def copied() -> bool:
            return f'version="2.3000.{NEW}"' in await metrics(here)

        await eventually(copied, what="the published version")
        files = [file.name for file in (tmp_path / "bot-data" / "engine").iterdir()]
        assert files == [f"neonize-linux-amd64-{BUILTIN}-as-{NEW}.so"]
