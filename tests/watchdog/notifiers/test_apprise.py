"""The apprise channel: imported late, run beside the loop, given up when it hangs."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import aiohttp
import pytest

from shared.clock import SystemClock
from shared.settings import Secret
from tests.support.processes import ROOT
from tests.support.receiver import Receiver
from tests.support.waiting import eventually
from tests.watchdog.notifiers.test_webhook import NOTICE
from watchdog.notifiers import table
from watchdog.notifiers.apprise import AppriseNotifier, send_by_apprise

# A library below apprise imports a module that Python is about to drop; it is none of our code.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


def test_our_schemes_are_none_of_apprises() -> None:
    manager = pytest.importorskip("apprise.manager_plugins").NotificationManager()
    assert set(table.OURS).isdisjoint(manager.schemas())


@pytest.mark.parametrize(
    ("url", "served"),
    [
        ("webhook://example.org/a", "webhook"),
        ("webhooks://example.org/a", "webhook"),
        ("https://example.org/hook", "webhook"),
        ("https://discord.com/api/webhooks/1/x", "apprise"),
        ("https://hooks.slack.com/services/a/b/c", "apprise"),
        ("http://hooks.slack.com/services/a/b/c", "webhook"),
        ("https://nothooks.slack.com.example.org/a", "webhook"),
        ("tgram://1234:token/5678", "apprise"),
        ("json://example.org/a", "apprise"),
    ],
)
def test_the_table_says_who_serves_a_url(url: str, served: str) -> None:
    assert table.serves(url) == served


async def test_apprise_really_delivers(receiver: Receiver) -> None:
    pytest.importorskip("apprise")
    notifier = AppriseNotifier(Secret(receiver.url.replace("http://", "json://", 1) + "/in"))
    delivered = await notifier.send(NOTICE)
    assert (delivered.ok, delivered.reason) == (True, "ok")
    assert receiver.requests[0].json["title"] == "bot is DOWN"
    assert receiver.requests[0].json["type"] == "failure"


async def test_a_refusal_is_a_failure(receiver: Receiver) -> None:
    pytest.importorskip("apprise")
    receiver.answer = lambda _: (500, {}, {})
    notifier = AppriseNotifier(Secret(receiver.url.replace("http://", "json://", 1) + "/in"))
    assert (await notifier.send(NOTICE)).reason == "apprise_refused"
    unknown = AppriseNotifier(Secret("nosuchservice://x"))
    assert (await unknown.send(NOTICE)).reason == "apprise_unknown_url"


async def test_a_service_that_hangs_is_given_up_and_not_called_a_second_time_meanwhile() -> None:
    release, calls = threading.Event(), []

    def hang(*_: str) -> str:
        calls.append(1)
        release.wait(10)
        return "ok"

    notifier = AppriseNotifier(Secret("tgram://a/b"), send=hang, timeout_s=0.1)
    assert (await notifier.send(NOTICE)).reason == "timeout"
    assert (await notifier.send(NOTICE)).reason == "apprise_still_busy"
    assert len(calls) == 1
    release.set()

    async def again() -> bool:
        return (await notifier.send(NOTICE)).ok

    await eventually(again, what="the channel working again")


async def test_the_loop_turns_while_apprise_blocks() -> None:
    release = threading.Event()
    notifier = AppriseNotifier(Secret("tgram://a/b"), send=lambda *_: "ok" if release.wait(5) else "late")
    sending = asyncio.ensure_future(notifier.send(NOTICE))
    for _ in range(100):
        await asyncio.sleep(0)
    release.set()
    assert (await sending).ok


async def test_an_error_inside_a_service_is_a_named_failure() -> None:
    def breaks(*_: str) -> str:
        raise KeyError("token")

    assert (await AppriseNotifier(Secret("tgram://a/b"), send=breaks).send(NOTICE)).reason == "apprise_KeyError"


async def test_the_label_shows_no_token() -> None:
    async with aiohttp.ClientSession() as http:
        notifier = table.build(Secret("tgram://123456:verysecret/42"), http, SystemClock(), webhook_secret=None)
        assert notifier.label.startswith("tgram ")
        assert "secret" not in notifier.label + repr(notifier)


def test_apprise_is_not_imported_before_it_is_used() -> None:
    code = (
        "import sys, watchdog.notifiers.table, watchdog.notifiers.apprise as a\n"
        "from shared.settings import Secret\n"
        "a.AppriseNotifier(Secret('tgram://a/b'))\n"
        "assert 'apprise' not in sys.modules, 'imported'\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, timeout=120)
    assert ended.returncode == 0


@pytest.mark.parametrize(
    "url",
    [
        "slack://SECRET-TOKEN",
        "tgram://SECRET-TOKEN",
        "discord://SECRET-TOKEN",
        "mailto://?pass=SECRET-TOKEN",
        "json://:99999/SECRET-TOKEN",
        "https://hooks.slack.com/services/SECRET-TOKEN",
    ],
)
def test_an_address_that_apprise_cannot_use_is_found_and_never_printed(
    url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("apprise")
    (fault,) = table.faults(ALERT_URLS=[Secret("json://127.0.0.1:9/x"), Secret(url)])
    assert f"ALERT_URLS: entry 2 ({url.partition('://')[0]}://) cannot be used by apprise" in str(fault)
    assert send_by_apprise(url, "title", "text", "info") == "apprise_unknown_url"
    assert "SECRET" not in str(fault) + "".join(capfd.readouterr())


def test_addresses_that_apprise_can_use_are_no_fault() -> None:
    pytest.importorskip("apprise")
    good = ("mailto://u:p@example.org", "ntfy://topic", "https://discord.com/api/webhooks/1234567890/abcdefghijklmnop")
    assert table.faults(ALERT_URLS=[Secret(url) for url in good], ALERT_FALLBACK_URLS=[]) == []
