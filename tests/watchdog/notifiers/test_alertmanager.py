"""The channel alertmanager:// against real HTTP servers on loopback, and its addresses."""

from __future__ import annotations

import base64
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from shared import alert_addresses
from shared.clock import from_ms, iso
from shared.settings import Secret
from tests.support.fake_clock import FakeClock
from tests.support.fold import EPOCH_MS
from tests.support.memory_ledger import open_in_memory
from tests.support.receiver import Receiver
from watchdog.domain import notices
from watchdog.domain.incidents import common_name
from watchdog.domain.states import Incident, IncidentKind, Notice
from watchdog.flow.repeater import ENDS_FOR_MS, Repeater
from watchdog.ledger import incidents, outbox
from watchdog.ledger.outbox import Channels
from watchdog.notifiers.alertmanager import KEEP_FOR, AlertmanagerNotifier, _labels

INCIDENT = Incident("bot-down-x-1", "bot", IncidentKind.DOWN, EPOCH_MS, EPOCH_MS + 4000, "connect_refused")
OVER = Incident(
    "bot-down-x-1", "bot", IncidentKind.DOWN, EPOCH_MS, EPOCH_MS + 4000, "timeout", EPOCH_MS + 60_000, "recovered"
)
PASSWORD = "p@ss,wörd/1"


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def second() -> AsyncIterator[Receiver]:
    async with Receiver() as started:
        yield started


def _notifier(
    http: aiohttp.ClientSession, *receivers: Receiver, user: str = "", path: str = ""
) -> AlertmanagerNotifier:
    hosts = ",".join(one.url.removeprefix("http://") for one in receivers)
    return AlertmanagerNotifier(
        Secret(f"alertmanager://{user}{hosts}{path}"),
        http,
        FakeClock(from_ms(EPOCH_MS + 60_000)),
        name="paris",
        page="https://watch.example",
    )


def _first_alert(receiver: Receiver) -> dict[str, Any]:
    found: dict[str, Any] = receiver.requests[-1].json[0]
    return found


async def test_begin_and_end_have_the_same_labels_and_go_to_every_instance(
    receiver: Receiver, second: Receiver, http: aiohttp.ClientSession
) -> None:
    notifier = _notifier(http, receiver, second, path="/am/")
    assert (await notifier.send(notices.opened(INCIDENT))).ok
    begin = _first_alert(receiver)
    assert (await notifier.send(notices.closed(OVER))).ok
    end = _first_alert(receiver)
    assert begin["labels"] == end["labels"]
    assert begin["labels"] == {
        "alertname": "VeilleurIncident",
        "target": "bot",
        "kind": "down",
        "incident": common_name("bot", IncidentKind.DOWN, EPOCH_MS),
        "severity": "page",
    }
    assert begin["startsAt"] == end["startsAt"]
    assert end["endsAt"] == iso(from_ms(EPOCH_MS + 60_000))
    assert begin["annotations"] == {
        "summary": "bot is DOWN",
        "description": notices.opened(INCIDENT).text,
        "runbook_url": "docs/operations.md#veilleurbotdown",
        "link": "https://watch.example",
    }
    assert [one.path for one in second.requests] == ["/am/api/v2/alerts"] * 2


async def test_one_instance_is_enough_and_the_reason_is_named_when_all_refuse(
    receiver: Receiver, second: Receiver, http: aiohttp.ClientSession
) -> None:
    notifier = _notifier(http, receiver, second)
    receiver.answer = lambda _request: (503, None, {})
    assert (await notifier.send(notices.opened(INCIDENT))).ok
    second.answer = lambda _request: (401, None, {})
    assert (await notifier.send(notices.opened(INCIDENT))).reason == "http_503"
    await receiver.stop()
    await second.stop()
    assert (await notifier.send(notices.opened(INCIDENT))).reason == "connect_failed"


async def test_basic_auth_is_sent_and_no_label_shows_it(receiver: Receiver, http: aiohttp.ClientSession) -> None:
    notifier = _notifier(http, receiver, user="ann:p%40ss%2Cw%C3%B6rd%2F1@")
    assert (await notifier.send(notices.test("t:1", EPOCH_MS, "me"))).ok
    wanted = base64.b64encode(f"ann:{PASSWORD}".encode()).decode()
    assert receiver.requests[0].headers["Authorization"] == f"Basic {wanted}"
    assert "ann" not in notifier.label
    assert _first_alert(receiver)["labels"]["watchdog"] == "paris"


@pytest.mark.parametrize("minutes", [1, 9, 61])
def test_two_watchdogs_name_an_incident_alike(minutes: int) -> None:
    begin = EPOCH_MS // 600_000 * 600_000 + minutes * 60_000
    assert common_name("bot", IncidentKind.DOWN, begin) == common_name("bot", IncidentKind.DOWN, begin + 59_000)
    assert common_name("bot", IncidentKind.DOWN, begin) != common_name("bot", IncidentKind.DOWN, begin + 600_000)


async def test_open_incidents_are_repeated_and_ends_for_as_long_as_an_instance_may_keep_the_alert(
    tmp_path: Path, receiver: Receiver, http: aiohttp.ClientSession
) -> None:
    notifier, clock = _notifier(http, receiver), FakeClock()
    begin_ms = int(clock.now().timestamp() * 1000)
    ledger, channels = open_in_memory(), Channels((notifier.channel,))
    opened = Incident("a", "bot", IncidentKind.DOWN, begin_ms, begin_ms, "timeout")
    begin = notices.opened(opened)
    await ledger.write(lambda c: incidents.open_incident(c, opened))
    await ledger.write(lambda c: outbox.enqueue(c, begin, channels))
    repeater = Repeater(notifier, ledger, clock)

    await repeater.once()
    assert receiver.requests == [], "what the outbox did not deliver yet is not repeated"

    await ledger.write(lambda c: c.execute("UPDATE outbox SET state = 'done'"))
    await repeater.once()
    assert receiver.requests[-1].json[0]["labels"]["kind"] == "down"

    def close(c: sqlite3.Connection) -> None:
        ended = incidents.close_incident(c, "a", begin_ms + 1000, "recovered")
        assert ended is not None
        outbox.enqueue(c, notices.closed(ended), channels)

    await ledger.write(close)
    await ledger.write(lambda c: c.execute("UPDATE outbox SET state = 'done'"))
    await repeater.once()
    assert receiver.requests[-1].json[0]["endsAt"].endswith("00:00:01.000Z")
    count = len(receiver.requests)

    await clock.advance(ENDS_FOR_MS / 1000 + 2)
    await repeater.once()
    assert len(receiver.requests) == count
    assert KEEP_FOR.total_seconds() * 1000 < ENDS_FOR_MS
    ledger.close()


@pytest.mark.parametrize(
    "raw",
    [
        "alertmanager://a:9093,b:9093",
        "alertmanagers://ann:pw%2C@a:9093, [::1]:9093/am",
        "https://x.example/y,alertmanager://a,b",
    ],
)
def test_hosts_after_the_first_belong_to_the_address(raw: str) -> None:
    assert alert_addresses.problem(raw) is None
    last = alert_addresses.entries(raw)[-1]
    assert len(alert_addresses.alertmanagers(last)[0]) == 2
    assert alert_addresses.entries(f"{raw},https://z.example")[-1] == "https://z.example"


@pytest.mark.parametrize(
    "entry",
    [
        "alertmanager://",
        "alertmanager://a:9093,a:9093",
        "alertmanager://a:port",
        "alertmanagers://user@a:9093",
        "alertmanager://:pw@a:9093",
        "alertmanager://a..b",
        "alertmanager://a?x=1",
    ],
)
def test_a_wrong_address_is_refused_without_being_printed(entry: str) -> None:
    said = alert_addresses.problem(entry)
    assert said is not None
    assert "no valid hosts" in said
    assert "pw" not in said.replace("password", "")


def test_a_notice_of_any_kind_has_labels() -> None:
    made: list[Notice] = [
        notices.restarted("bot", EPOCH_MS, boot_id="b", old_boot_id="a"),
        notices.was_down(OVER, EPOCH_MS),
        notices.reminder(INCIDENT, EPOCH_MS),
        notices.ledger_failing(EPOCH_MS, "full", EPOCH_MS),
        notices.repair_budget_spent(INCIDENT, EPOCH_MS, per_30_min=3, per_day=6),
    ]
    kinds = [_labels(one, "paris")["kind"] for one in made]
    assert kinds == ["restarted", "was_down", "down", "ledger_failing", "repair_budget_spent"]
