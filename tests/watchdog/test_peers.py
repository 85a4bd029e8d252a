"""Watchdogs that read each other's verdicts: real programs on loopback, each with a bot of its own to fault."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.fake_bot import FakeBot
from tests.support.operator import signed_in
from tests.support.processes import free_port
from tests.support.receiver import Receiver
from tests.support.waiting import eventually
from tests.support.watchdog_app import RunningWatchdog, running_watchdog
from watchdog.flow import gap_fill, peers
from watchdog.ledger import gaps
from watchdog.parts import PARTS


@asynccontextmanager
async def pair(
    tmp_path: Path, paris_bot: str, frankfurt_bot: str, **env: str
) -> AsyncIterator[tuple[RunningWatchdog, RunningWatchdog]]:
    """Two watchdogs that know each other; both have the whole list, their own address included."""
    ports = free_port(), free_port()
    both = ",".join(f"http://127.0.0.1:{port}" for port in ports)
    env = {"WATCHDOG_PEERS": both, "PEER_GRACE": "6000", **env}
    async with (
        running_watchdog(tmp_path / "a", paris_bot, PORT=str(ports[0]), WATCHDOG_NAME="paris", **env) as paris,
        running_watchdog(
            tmp_path / "b", frankfurt_bot, PORT=str(ports[1]), WATCHDOG_NAME="frankfurt", **env
        ) as frankfurt,
    ):
        await eventually(lambda: all(not peer.absent for one in (paris, frankfurt) for peer in _others(one)))
        yield paris, frankfurt


def _others(watchdog: RunningWatchdog) -> list[peers.Peer]:
    return watchdog.app[PARTS].peers.others


async def _target(watchdog: RunningWatchdog) -> dict[str, Any]:
    target: dict[str, Any] = (await watchdog.get("/api/status"))["targets"][0]
    return target


async def _is(watchdog: RunningWatchdog, state: str) -> bool:
    return bool((await _target(watchdog))["state"] == state)


async def _all_are(watchdogs: tuple[RunningWatchdog, ...], state: str) -> None:
    for watchdog in watchdogs:
        await eventually(functools.partial(_is, watchdog, state))


async def test_down_from_here_is_no_down_and_both_say_so(tmp_path: Path, receiver: Receiver) -> None:
    async with FakeBot() as near, FakeBot() as far, pair(tmp_path, near.url, far.url, ALERT_URLS=receiver.url) as both:
        paris, frankfurt = both
        await _all_are(both, "UP")
        await near.stop()
        await _all_are(both, "PARTIAL")
        target = await _target(frankfurt)
        assert target["reason"] == "down from paris; up from frankfurt"
        assert [(seen["watchdog"], seen["view"], seen["counts"]) for seen in target["seen"]] == [
            ("frankfurt", "up", True),
            ("paris", "down", True),
        ]
        await far.stop()
        await _all_are(both, "DOWN")
        await eventually(lambda: len(receiver.requests) == 2)
        downs = [request.json["data"] for request in receiver.requests]
        assert [down["kind"] for down in downs] == ["down", "down"]
        assert downs[0]["openedAtMs"] == downs[1]["openedAtMs"], "the agreed begin"

        await near.start()
        await far.start()
        await _all_are(both, "UP")
        async with signed_in(paris.url) as operator:
            assert "frankfurt" in await operator.page()
        metrics = await (await paris.http.get(paris.url + "/metrics")).text()
        assert f'veilleur_watchdog_peer_up{{peer="{_others(paris)[0].host}"}} 1.0' in metrics


async def test_the_own_address_is_no_peer_in_the_metrics_however_early_they_are_read(tmp_path: Path) -> None:
    port = free_port()
    own = f'peer="127.0.0.1:{port}"'
    async with (
        FakeBot() as bot,
        running_watchdog(tmp_path, bot.url, PORT=str(port), WATCHDOG_PEERS=f"http://127.0.0.1:{port}") as paris,
    ):
        parts = paris.app[PARTS]
        parts.peers.all[0].itself = False  # as before the first reading
        assert own in (await paris.call("GET", "/metrics"))[1]
        await eventually(lambda: parts.peers.all[0].itself or parts.peers.all[0].last is not None)
        parts.peers.all[0].itself = True
        assert own not in (await paris.call("GET", "/metrics"))[1]


async def test_a_peer_that_is_gone_loses_its_vote_after_the_grace(tmp_path: Path) -> None:
    async with FakeBot() as near, FakeBot() as far:
        port = free_port()
        async with running_watchdog(
            tmp_path / "a", near.url, WATCHDOG_PEERS=f"http://127.0.0.1:{port}", PEER_GRACE="6000"
        ) as paris:
            async with running_watchdog(tmp_path / "b", far.url, PORT=str(port), WATCHDOG_NAME="b"):
                await eventually(lambda: not _others(paris)[0].absent)
                await near.stop()
                await eventually(lambda: _is(paris, "PARTIAL"))
            await eventually(lambda: _is(paris, "DOWN"))
            assert (await _target(paris))["seen"][1] == {
                "watchdog": "b",
                "view": "silent",
                "ageMs": (await _target(paris))["seen"][1]["ageMs"],
                "counts": False,
            }


async def test_a_silent_peer_is_an_incident_that_ends(
    tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "SILENT_AFTER_S", 0.1)
    monkeypatch.setattr(peers, "EVERY_S", 0.1)
    port = free_port()
    async with (
        FakeBot() as bot,
        running_watchdog(
            tmp_path / "a", bot.url, WATCHDOG_PEERS=f"http://127.0.0.1:{port}", ALERT_URLS=receiver.url
        ) as paris,
    ):
        silent = await receiver.wait_for(lambda body: body["data"]["kind"] == "silent")
        assert silent.json["data"]["target"] == f"watchdog 127.0.0.1:{port}"
        incidents = (await paris.get("/api/incidents"))["incidents"]
        assert [(one["kind"], one["closedAtMs"]) for one in incidents] == [("silent", None)]
        async with running_watchdog(tmp_path / "b", bot.url, PORT=str(port), WATCHDOG_NAME="b"):
            await receiver.wait_for(lambda body: body["data"]["kind"] == "silent_over")


async def test_verdicts_need_the_token_and_a_stranger_gets_none(tmp_path: Path, receiver: Receiver) -> None:
    async with (
        FakeBot() as bot,
        running_watchdog(tmp_path / "a", bot.url, WATCHDOG_PEERS=f"{receiver.url},{bot.url}") as paris,
    ):
        await eventually(lambda: _is(paris, "UP"))
        assert (await paris.call("GET", "/api/verdicts", token=None))[0] == 401
        assert (await paris.call("GET", "/api/verdicts", token="another-token-0123456789"))[0] == 403
        status, said = await paris.call("GET", "/api/verdicts")
        assert status == 200
        assert said["targets"]["bot"]["view"] == "up"
        await eventually(lambda: [peer.reason for peer in _others(paris)] == ["unproven", "unproven"])
        assert {"/health"} == {request.path for request in receiver.requests}
        assert not any("Authorization" in request.headers for request in receiver.requests)


async def test_what_a_watchdog_missed_comes_from_the_record_of_the_other_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gap_fill, "EVERY_S", 0.2)
    monkeypatch.setattr(gap_fill, "SETTLED_AFTER_S", 0.5)
    monkeypatch.setattr(gaps, "LEAST_MS", 200)
    ports = free_port(), free_port()
    env = {"WATCHDOG_PEERS": ",".join(f"http://127.0.0.1:{port}" for port in ports), "PEER_GRACE": "6000"}

    def paris_with(bot: FakeBot) -> AbstractAsyncContextManager[RunningWatchdog]:
        return running_watchdog(tmp_path / "a", bot.url, PORT=str(ports[0]), WATCHDOG_NAME="paris", **env)

    async with (
        FakeBot() as bot,
        running_watchdog(tmp_path / "b", bot.url, PORT=str(ports[1]), WATCHDOG_NAME="frankfurt", **env) as frankfurt,
    ):
        async with paris_with(bot) as paris:
            await _all_are((paris, frankfurt), "UP")
        await bot.stop()
        await eventually(lambda: _is(frankfurt, "DOWN"))
        await bot.start()
        await eventually(lambda: _is(frankfurt, "UP"))
        async with paris_with(bot) as paris:
            await eventually(lambda: _filled(paris))
            target = await _target(paris)
            assert list(target["days"][-1]["filled"]) == ["frankfurt"]
            seen, there = target["uptime"]["24h"], (await _target(frankfurt))["uptime"]["24h"]
            # The outage counts from the last sign, of which paris saw the first milliseconds itself as up.
            assert 0 < seen["downMs"] <= there["downMs"]
            assert seen["unknownMs"] < 200
            assert not await _filled(frankfurt), "it did not ask for what it knows"
            page = await (await paris.http.get(paris.url + "/")).text()
            assert "of the history is from the record of frankfurt." in page
            assert (await paris.call("GET", "/api/record?target=bot", token=None))[0] == 401
            assert (await paris.call("GET", "/api/record?target=other"))[0] == 404
            status, refused = await paris.call("GET", "/api/record?target=bot&from=soon")
            assert (status, "from" in str(refused)) == (422, True)


async def _filled(watchdog: RunningWatchdog) -> bool:
    return any(day["filled"] for day in (await _target(watchdog))["days"])
