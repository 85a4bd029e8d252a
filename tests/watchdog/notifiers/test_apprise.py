"""The apprise channel: a process of its own with limits of time and memory, which holds no secret and ends with the watchdog."""

from __future__ import annotations

import asyncio
import contextlib
import html
import json
import os
import signal
import subprocess
import sys
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs

import aiohttp
import psutil
import pytest

from shared.clock import SystemClock
from shared.settings import Secret
from shared.webhook_signing import SCHEMES
from tests.support.members import members
from tests.support.processes import ROOT
from tests.support.receiver import Receiver
from tests.support.waiting import PATIENCE_S, eventually
from tests.watchdog.notifiers.test_webhook import NOTICE
from watchdog.notifiers import table
from watchdog.notifiers.apprise import AppriseNotifier, AppriseProcess
from watchdog.notifiers.apprise_process import CHILD_BYTES

# A library below apprise imports a module that Python is about to drop; it is none of our code.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


def test_our_schemes_are_none_of_apprises() -> None:
    manager = pytest.importorskip("apprise.manager_plugins").NotificationManager()
    assert set(SCHEMES).isdisjoint(manager.schemas())


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


@pytest.fixture(scope="module")
def process() -> Iterator[AppriseProcess]:
    pytest.importorskip("apprise")
    started = AppriseProcess(limit_s=PATIENCE_S)
    started.start()
    yield started
    started.close()


def address(receiver: Receiver | Raw, scheme: str = "json") -> Secret:
    return Secret(receiver.url.replace("http://", f"{scheme}://", 1) + "/in")


async def test_apprise_really_delivers(receiver: Receiver, process: AppriseProcess) -> None:
    delivered = await AppriseNotifier(address(receiver), process).send(NOTICE)
    assert (delivered.ok, delivered.reason) == (True, "ok")
    assert receiver.requests[0].json["title"] == "bot is DOWN"
    assert receiver.requests[0].json["type"] == "failure"


async def test_a_refusal_is_a_failure(receiver: Receiver, process: AppriseProcess) -> None:
    receiver.answer = lambda _: (500, {}, {})
    assert (await AppriseNotifier(address(receiver), process).send(NOTICE)).reason == "apprise_refused"
    unknown = AppriseNotifier(Secret("nosuchservice://x"), process)
    assert (await unknown.send(NOTICE)).reason == "apprise_unknown_url"


LITERAL = "<b>*bold*</b> _x_ `y` [a](http://b) &amp; \\n :smile: %s {0} \u202e é"


@pytest.mark.parametrize("scheme", ["json", "form", "xml", "ntfy", "gotify"])
async def test_a_text_with_markup_arrives_literally(scheme: str, receiver: Receiver, process: AppriseProcess) -> None:
    url = address(receiver, scheme).reveal()
    assert await process.send(url, "title", LITERAL, "info") == "ok"
    raw = receiver.requests[0].raw.decode()
    if scheme == "form":
        found = parse_qs(raw)["message"][0]
    elif scheme == "xml":
        found = html.unescape(raw.partition("<Message>")[2].partition("</Message>")[0])
    else:
        found = json.loads(raw)["message"]
    assert found == LITERAL


@dataclass
class Raw:
    """A receiver that writes bytes as it likes."""

    url: str = ""


@asynccontextmanager
async def raw(behave: Callable[[asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[Raw]:
    found = Raw()

    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(OSError):
                await reader.readuntil(b"\r\n\r\n")
                await behave(writer)
                await reader.read()
        finally:
            writer.close()

    server = await asyncio.start_server(lambda r, w: serving.add(asyncio.create_task(serve(r, w))), "127.0.0.1", 0)
    async with server:
        found.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield found
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)


HEAD = b"HTTP/1.1 200 OK\r\n"


async def endless_headers(writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD)
    while True:
        writer.write(b"X-%d: y\r\n" % 1 * 1000)
        await writer.drain()


async def endless_continue(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)
        await writer.drain()


async def endless_body(writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD + b"Content-Type: text/plain\r\n\r\n")
    while True:
        writer.write(bytes(65536))
        await writer.drain()


async def a_byte_a_moment(writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD + b"Content-Length: 100000\r\n\r\n")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.05)


async def a_bomb(writer: asyncio.StreamWriter) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    packed = b"".join(packer.compress(bytes(2**20)) for _ in range(1000)) + packer.flush()
    writer.write(HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed) + packed)
    await writer.drain()


async def silence(writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


HOSTILE = [endless_headers, endless_continue, endless_body, a_byte_a_moment, a_bomb, silence]


@pytest.mark.parametrize("scheme", members(["json", "form", "ntfy"]))
async def test_hostile_receivers_cost_neither_memory_nor_the_loop(
    scheme: str, process: AppriseProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        receivers = [await stack.enter_async_context(raw(behave)) for behave in HOSTILE]
        good = await stack.enter_async_context(Receiver())
        assert (await AppriseNotifier(address(good, scheme), process).send(NOTICE)).ok
        memory = Memory(process)
        watch = asyncio.create_task(memory.watch())
        monkeypatch.setattr(process, "_limit_s", 3.0)
        sent = await asyncio.gather(*(AppriseNotifier(address(one, scheme), process).send(NOTICE) for one in receivers))
        for each in sent:
            # A plugin that reads the status first may have delivered the alert, and says so.
            assert each.reason in ("ok", "timeout", "apprise_refused", "apprise_died", "apprise_MemoryError")
        assert sent[-1].reason == "timeout"
        await eventually(lambda: not memory.children(), what="no process of an alert being left")
        watch.cancel()
        assert memory.most_of_one < memory.before + CHILD_BYTES
        monkeypatch.undo()
        assert (await AppriseNotifier(address(good, scheme), process).send(NOTICE)).ok, "the next one is sent"


class Memory:
    """The memory of the process for apprise and of its children, in bytes."""

    def __init__(self, process: AppriseProcess) -> None:
        assert process._process is not None
        self._root = psutil.Process(process._process.pid)
        self.before, self.most_of_one = self._root.memory_info().rss, 0

    def children(self) -> list[psutil.Process]:
        return [each for each in self._root.children() if each.status() != psutil.STATUS_ZOMBIE]

    async def watch(self) -> None:
        while True:
            for each in self._root.children():
                with contextlib.suppress(psutil.NoSuchProcess):
                    self.most_of_one = max(self.most_of_one, each.memory_info().rss)
            await asyncio.sleep(0.05)


async def test_a_process_that_was_killed_is_started_again(receiver: Receiver, process: AppriseProcess) -> None:
    notifier = AppriseNotifier(address(receiver), process)
    assert process._process is not None
    process._process.kill()
    process._process.wait()
    assert (await notifier.send(NOTICE)).ok


async def test_a_process_that_hangs_is_a_timeout_and_a_late_request_is_not_sent(
    receiver: Receiver, process: AppriseProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    notifier = AppriseNotifier(address(receiver), process)
    process.start()
    assert process._process is not None
    process._process.send_signal(signal.SIGSTOP)
    try:
        monkeypatch.setattr(process, "_limit_s", 0.1)
        assert (await notifier.send(NOTICE)).reason == "timeout"
    finally:
        process._process.send_signal(signal.SIGCONT)
        monkeypatch.undo()
    assert (await notifier.send(NOTICE)).ok
    assert len(receiver.requests) == 1, "the first one was given up, and is sent again by the outbox"


async def test_the_loop_turns_while_apprise_waits(process: AppriseProcess) -> None:
    async with raw(silence) as receiver:
        sending = asyncio.ensure_future(AppriseNotifier(address(receiver), process).send(NOTICE))
        for _ in range(100):
            await asyncio.sleep(0)
        assert not sending.done()
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)


async def test_no_secret_is_in_the_arguments_or_the_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_TOKEN", "SECRET-TOKEN")
    monkeypatch.setenv("ALERT_URLS", "tgram://SECRET-TOKEN/1")
    process = AppriseProcess()
    process.start()
    assert process._process is not None
    found = psutil.Process(process._process.pid)
    try:
        assert "SECRET" not in str(found.environ()) + str(found.cmdline())
    finally:
        process.close()


async def test_a_child_has_no_way_to_the_addresses_of_others(process: AppriseProcess) -> None:
    """Each alert is sent by a child of its own, which has neither the socket of requests nor its input."""
    process.start()
    assert process._process is not None
    root, arrived = psutil.Process(process._process.pid), asyncio.Event()

    async def hang(_writer: asyncio.StreamWriter) -> None:
        arrived.set()
        await asyncio.Event().wait()

    async with raw(hang) as receiver:
        sending = asyncio.ensure_future(AppriseNotifier(address(receiver), process).send(NOTICE))
        async with asyncio.timeout(PATIENCE_S):
            await arrived.wait()
        # For a moment there may be one more, which begins or ends.
        await eventually(lambda: len(root.children()) == 1, what="the child of the alert alone")
        [child] = root.children()
        try:
            own = {os.readlink(each) for each in Path(f"/proc/{child.pid}/fd").iterdir()}
            of_parent = {os.readlink(each) for each in Path(f"/proc/{root.pid}/fd").iterdir()}
            assert not {each for each in own & of_parent if each.startswith("socket:")}
            assert os.readlink(f"/proc/{child.pid}/fd/0") == "/dev/null"
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            child.kill()


async def test_it_ends_with_the_watchdog() -> None:
    code = (
        "from watchdog.notifiers.apprise import AppriseProcess\n"
        "process = AppriseProcess()\n"
        "process.start()\n"
        "print(process._process.pid, flush=True)\n"
        "import os, signal\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False, timeout=120)
    pid = int(ended.stdout)
    await eventually(lambda: not psutil.pid_exists(pid), what="the end of the process")


async def test_the_label_shows_no_token() -> None:
    async with aiohttp.ClientSession() as http:
        with table.builder(http, SystemClock(), webhook_secret=None) as build:
            notifier = build(Secret("tgram://123456:verysecret/42"))
        assert notifier.label.startswith("tgram ")
        assert "secret" not in notifier.label + repr(notifier)


def test_the_watchdog_itself_never_imports_apprise() -> None:
    code = (
        "import asyncio, sys, watchdog.__main__, watchdog.notifiers.apprise as a\n"
        "from shared.settings import Secret\n"
        "from watchdog.notifiers import table\n"
        "assert table.faults(ALERT_URLS=[Secret('json://127.0.0.1:9/x')]) == []\n"
        "asyncio.run(a.AppriseProcess().send('json://127.0.0.1:9/x', 'title', 'text', 'info'))\n"
        "assert 'apprise' not in sys.modules, 'imported'\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, timeout=120)
    assert ended.returncode == 0


UNUSABLE = (
    "slack://SECRET-TOKEN",
    "tgram://SECRET-TOKEN",
    "discord://SECRET-TOKEN",
    "mailto://?pass=SECRET-TOKEN",
    "json://:99999/SECRET-TOKEN",
    "https://hooks.slack.com/services/SECRET-TOKEN",
)
USABLE = ("mailto://u:p@example.org", "ntfy://topic", "https://discord.com/api/webhooks/1234567890/abcdefghijklmnop")


async def test_an_address_that_apprise_cannot_use_is_found_and_never_printed(
    capfd: pytest.CaptureFixture[str], process: AppriseProcess
) -> None:
    faults = table.faults(ALERT_URLS=[Secret(url) for url in USABLE], ALERT_FALLBACK_URLS=[Secret(u) for u in UNUSABLE])
    assert len(faults) == len(UNUSABLE)
    for number, (fault, url) in enumerate(zip(faults, UNUSABLE, strict=True), 1):
        scheme = url.partition("://")[0]
        assert f"ALERT_FALLBACK_URLS: entry {number} ({scheme}://) cannot be used by apprise" in str(fault)
        assert await process.send(url, "title", "text", "info") == "apprise_unknown_url"
    assert "SECRET" not in str([str(fault) for fault in faults]) + "".join(capfd.readouterr())
