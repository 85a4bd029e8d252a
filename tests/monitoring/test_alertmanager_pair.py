"""The channel alertmanager:// with a real pair of Alertmanagers: two watchdogs, one message to people."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import msgspec
import pytest

from shared.clock import SystemClock
from shared.settings import Secret
from tests.support.monitoring import Alertmanager, alertmanager_pair
from tests.support.receiver import Receiver
from tests.support.waiting import eventually
from watchdog.domain import notices
from watchdog.domain.states import Incident, IncidentKind
from watchdog.notifiers.alertmanager import AlertmanagerNotifier

pytestmark = [
    pytest.mark.prometheus,
    pytest.mark.skipif(
        shutil.which("prometheus-alertmanager") is None, reason="needs prometheus-alertmanager (.ci/run installs it)"
    ),
    pytest.mark.deep,
]


@pytest.fixture
async def pair(tmp_path: Path, receiver: Receiver) -> AsyncIterator[list[Alertmanager]]:
    servers = alertmanager_pair(tmp_path, receiver.url)
    try:
        for server in servers:
            server.start()
        for server in servers:
            await server.ready()
        for server in servers:
            await server.joined()
        yield servers
    finally:
        for server in servers:
            server.close()


def _told(receiver: Receiver) -> Counter[str]:
    return Counter(request.json["status"] for request in receiver.requests)


async def _said(pair: list[Alertmanager]) -> bool:
    return any([await one.metric("alertmanager_nflog_gossip_messages_propagated_total") > 0 for one in pair])


@pytest.mark.parametrize("killed", [False, True])
async def test_two_watchdogs_and_two_alertmanagers_send_one_begin_and_one_end(
    pair: list[Alertmanager], receiver: Receiver, killed: bool
) -> None:
    now_ms = time.time_ns() // 1_000_000
    hosts = ",".join(f"127.0.0.1:{one.port}" for one in pair)
    async with aiohttp.ClientSession() as http:
        watchdogs = [
            AlertmanagerNotifier(Secret(f"alertmanager://{hosts}"), http, SystemClock(), name=name, page="")
            for name in ("paris", "frankfurt")
        ]
        # Each has an id and a begin of its own for what both have seen.
        seen = [
            Incident(f"{number}", "bot", IncidentKind.DOWN, now_ms // 600_000 * 600_000 + number, now_ms, "timeout")
            for number in range(2)
        ]
        if killed:
            pair[0].kill()
        for watchdog, incident in zip(watchdogs, seen, strict=True):
            assert (await watchdog.send(notices.opened(incident))).ok
        await eventually(lambda: _told(receiver)["firing"] >= 1)
        if not killed:
            # What has sent must be able to say so to the other before it may die.
            await eventually(lambda: _said(pair))
            pair[1].kill()
        for watchdog, incident in zip(watchdogs, seen, strict=True):
            assert (await watchdog.repeat([notices.opened(incident)])).ok
        for watchdog, incident in zip(watchdogs, seen, strict=True):
            assert (await watchdog.send(notices.closed(_ended(incident, now_ms)))).ok
        await eventually(lambda: _told(receiver)["resolved"] >= 1)
        # The survivor would repeat itself after its group interval. The end of another incident takes that long too.
        other = Incident("other", "bot", IncidentKind.DOWN, seen[0].opened_at_ms - 3_600_000, now_ms, "timeout")
        assert (await watchdogs[0].send(notices.opened(other))).ok
        await eventually(lambda: _told(receiver)["firing"] >= 2)
        assert (await watchdogs[0].send(notices.closed(_ended(other, now_ms)))).ok
        await eventually(lambda: _told(receiver)["resolved"] >= 2)
    assert _told(receiver) == {"firing": 2, "resolved": 2}


def _ended(incident: Incident, now_ms: int) -> Incident:
    return msgspec.structs.replace(incident, closed_at_ms=now_ms + 10, close_reason="recovered")
