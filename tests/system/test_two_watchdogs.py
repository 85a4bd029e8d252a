"""Two watchdogs, two Alertmanagers, one bot, each in a network of its own: people hear of an outage once, and of its end once."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import shutil
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support import namespaces, processes
from tests.support.monitoring import Alertmanager, alertmanager_pair
from tests.support.namespaces import Network
from tests.support.processes import QUICK, Program
from tests.support.receiver import Receiver
from tests.support.waiting import eventually

pytestmark = [
    pytest.mark.system,
    pytest.mark.prometheus,
    pytest.mark.deep,
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        shutil.which("prometheus-alertmanager") is None, reason="needs prometheus-alertmanager (.ci/run installs it)"
    ),
]

WATCHDOGS = ("paris", "frankfurt")
GRACE_S = 6.0


class Scene:
    """All programs, running and connected. ``people`` is what the Alertmanagers send to."""

    def __init__(self, folder: Path, network: Network, people: Receiver) -> None:
        addresses = {name: network.add(name) for name in ("bot", *WATCHDOGS, "am-0", "am-1")}
        self.network, self.people = network, people
        self.alertmanagers = alertmanager_pair(folder, people.url, (addresses["am-0"], addresses["am-1"]), wait="8s")
        self.bot = self._at(processes.bot(folder), "bot", addresses["bot"])
        ports = {name: processes.free_port() for name in WATCHDOGS}
        env: dict[str, Any] = {
            **QUICK,
            "WATCHDOG_PEERS": ",".join(f"http://{addresses[name]}:{ports[name]}" for name in WATCHDOGS),
            "PEER_GRACE": f"{GRACE_S * 1000:.0f}",
            "ALERT_URLS": "alertmanager://" + ",".join(f"{one.host}:{one.port}" for one in self.alertmanagers),
        }
        self.watchdogs = {
            name: self._at(
                processes.watchdog(folder, self.bot.url, port=ports[name], name=name, WATCHDOG_NAME=name, **env),
                name,
                addresses[name],
            )
            for name in WATCHDOGS
        }
        for number, one in enumerate(self.alertmanagers):
            one.prefix = network.prefix(f"am-{number}")

    def _at(self, program: Program, name: str, address: str) -> Program:
        program.prefix, program.address = self.network.prefix(name), address
        program.env["HOST"] = "0.0.0.0"
        return program

    async def start(self) -> None:
        self.bot.start()
        for one in self.alertmanagers:
            one.start()
        for one in self.alertmanagers:
            await one.ready()
            await one.joined()
        await self.bot.ready()
        for dog in self.watchdogs.values():
            dog.start()
        for dog in self.watchdogs.values():
            await dog.ready()
        await self.all_are("UP")
        for dog in self.watchdogs.values():
            await eventually(lambda dog=dog: _votes(dog), what=f"both votes at {dog.env['WATCHDOG_NAME']}")  # type: ignore[misc]

    def close(self) -> None:
        for dog in self.watchdogs.values():
            dog.close()
        self.bot.close()
        for one in self.alertmanagers:
            one.signal(signal.SIGCONT)
            one.close()

    async def all_are(self, state: str) -> None:
        for dog in self.watchdogs.values():
            await eventually(lambda dog=dog: _is(dog, state), what=f"{state} at {dog.env['WATCHDOG_NAME']}")  # type: ignore[misc]

    def heard(self) -> Counter[tuple[str, str]]:
        """How often people got each (kind, status) about an outage."""
        labels = [(got.json["commonLabels"].get("kind", ""), got.json["status"]) for got in self.people.requests]
        return Counter(each for each in labels if each[0] in ("down", "was_down", "partial"))


@contextlib.asynccontextmanager
async def scene(folder: Path) -> AsyncIterator[Scene]:
    if why := namespaces.why_not():
        pytest.skip(why)
    folder.mkdir(parents=True, exist_ok=True)
    network, people = Network(), Receiver()
    try:
        await people.start(host=network.host)
        running = Scene(folder, network, people)
        try:
            await running.start()
            yield running
        finally:
            running.close()
    finally:
        await people.stop()
        network.close()


async def _target(dog: Program) -> dict[str, Any]:
    timeout = aiohttp.ClientTimeout(total=1)
    async with aiohttp.ClientSession(timeout=timeout) as http, http.get(dog.url + "/api/status") as answer:
        target: dict[str, Any] = (await answer.json())["targets"][0]
        return target


async def _is(dog: Program, state: str) -> bool:
    try:
        return bool((await _target(dog))["state"] == state)
    except (aiohttp.ClientError, TimeoutError):
        return False  # killed or frozen


async def _votes(dog: Program) -> bool:
    return [seen["view"] for seen in (await _target(dog))["seen"]] == ["up", "up"]


async def test_down_from_one_of_two_is_partial_and_no_alert(tmp_path: Path) -> None:
    async with scene(tmp_path) as running:
        running.network.cut("paris", "bot")
        await running.all_are("PARTIAL")
        for dog in running.watchdogs.values():
            assert (await _target(dog))["reason"] == "down from paris; up from frankfurt"
        running.network.mend("paris", "bot")
        await running.all_are("UP")
        assert running.heard() == {}


async def test_watchdogs_that_lose_each_other_go_on_and_people_hear_of_an_outage_once(tmp_path: Path) -> None:
    async with scene(tmp_path) as running:
        running.network.cut("paris", "frankfurt")
        for dog in running.watchdogs.values():
            await eventually(lambda dog=dog: _has_lost_the_other(dog), what="a peer without a vote")  # type: ignore[misc]
        await running.all_are("UP")
        running.bot.kill()
        await running.all_are("DOWN")
        await eventually(lambda: running.heard()["down", "firing"] == 1, what="DOWN")
        running.bot.start()
        await running.all_are("UP")
        await eventually(lambda: running.heard()["down", "resolved"] == 1, what="UP")
        running.network.mend("paris", "frankfurt")
        for dog in running.watchdogs.values():
            await eventually(lambda dog=dog: _votes(dog), what="both votes")  # type: ignore[misc]
        assert running.heard() == {("down", "firing"): 1, ("down", "resolved"): 1}


async def _has_lost_the_other(dog: Program) -> bool:
    return not all(seen["counts"] for seen in (await _target(dog))["seen"])


async def _decided(running: Scene) -> bool:
    return any(await asyncio.gather(*(_is(dog, "DOWN") for dog in running.watchdogs.values())))


async def _handed_in(running: Scene) -> bool:
    return any(await asyncio.gather(*map(_alerts, running.alertmanagers)))


async def _alerts(alertmanager: Alertmanager) -> list[Any]:
    url = alertmanager.url + "/api/v2/alerts"
    with contextlib.suppress(aiohttp.ClientError, TimeoutError):
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=1)) as http, http.get(url) as answer:
            return list(await answer.json())
    return []


async def _sent(running: Scene) -> bool:
    """Sent, and the one that sent it has said so to the other: before that nothing can prevent a second message."""
    sent = "alertmanager_nflog_gossip_messages_propagated_total"
    return bool(running.heard()) and any([await one.metric(sent) > 0 for one in running.alertmanagers])


STEPS: dict[str, Callable[[Scene], Any]] = {"decided": _decided, "handed in": _handed_in, "sent": _sent}
VICTIMS = ("paris", "frankfurt", "am-0", "am-1")
ENDS = ("killed", "frozen")
EVERY = list(itertools.product(ENDS, ("before", *STEPS)))


@pytest.mark.parametrize(("end", "step"), EVERY, ids=[f"{end}-{step}" for end, step in EVERY])
async def test_whoever_ends_at_whatever_step_people_hear_of_one_outage_and_one_end(
    tmp_path: Path, end: str, step: str
) -> None:
    """All four victims at once, each in a scene of its own: most of the time is waiting."""
    async with asyncio.TaskGroup() as group:
        for victim in VICTIMS:
            group.create_task(_outage(tmp_path / victim, victim, end, step))


async def _outage(folder: Path, victim: str, end: str, step: str) -> None:
    async with scene(folder) as running:
        number = int(victim[-1]) if victim.startswith("am") else 0
        program = running.watchdogs.get(victim) or running.alertmanagers[number]

        strike = program.kill if end == "killed" else functools.partial(program.signal, signal.SIGSTOP)
        if step == "before":
            strike()
        running.bot.kill()
        if step != "before":
            await eventually(lambda: STEPS[step](running), every_s=0.01, what=step)
            strike()
        where = f"{victim} {end}, {step}"
        await eventually(lambda: running.heard()["down", "firing"] >= 1, what=f"DOWN with {where}")
        running.bot.start()
        if victim in WATCHDOGS:
            # It comes back, as a container does, and finds an incident that it may hold to be open. A frozen Alertmanager
            # that wakes has missed what the other said, and may repeat itself (docs/two-watchdogs.md).
            if end == "killed":
                program.start()
            else:
                program.signal(signal.SIGCONT)
            await program.ready()
        await eventually(lambda: running.heard()["down", "resolved"] >= 1, what=f"UP with {where}")
        await running.all_are("UP")
        for dog in running.watchdogs.values():
            await eventually(lambda dog=dog: _votes(dog), what=f"both votes with {where}")  # type: ignore[misc]
        assert running.heard() == {("down", "firing"): 1, ("down", "resolved"): 1}, where
