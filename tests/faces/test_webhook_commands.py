"""``veilleur webhooks`` and ``veilleur deliveries`` against one running bot service."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from standardwebhooks import Webhook as Verifier

from shared.clock import parse_iso
from tests.support import processes
from tests.support.processes import Client
from tests.support.receiver import Received, Receiver
from tests.support.sessions import paired
from tests.support.terminal import Terminal
from tests.support.waiting import eventually

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]


def lowered(got: Received) -> dict[str, str]:
    return {name.lower(): value for name, value in got.headers.items()}


def names(out: str) -> dict[str, str]:
    """What ``show`` prints, by name."""
    return dict(re.findall(r"^(\w+) +(.+)$", out, re.M))


async def test_a_webhook_from_its_creation_to_its_end_by_the_command_line(tmp_path: Path, receiver: Receiver) -> None:
    async with processes.bot(tmp_path, WEBHOOK_ALLOW_PRIVATE="true").running() as bot:
        terminal = Terminal(tmp_path, bot.url)
        says, json = terminal.says, terminal.json

        async def prints(*command: str, code: int = 0) -> str:
            # The receiver answers in this loop.
            return await asyncio.to_thread(says, *command, code=code)

        assert "There are no webhooks." in says("webhooks list")
        made = json("webhooks create", f"{receiver.url}/hook", "--event", "message", "--event", "session.*")
        hook = made["id"]
        assert made["events"] == ["message", "session.*"]
        assert made["secret"].startswith("whsec_")
        assert f"{hook} answered 200 after" in await prints("webhooks test", hook)
        got = receiver.requests[0]
        Verifier(made["secret"]).verify(got.raw.decode(), lowered(got))

        changed = ["--header", "Authorization: Bearer abc", "--event", "message"]
        shown = names(says("webhooks change", hook, *changed))
        assert (shown["headers"], shown["events"], shown["active"]) == ("Authorization", "message", "yes")
        assert "abc" not in says("webhooks show", hook)
        rotated = json("webhooks rotate-secret", hook, "--overlap", "1h")
        await prints("webhooks test", hook)
        got = receiver.requests[1]
        assert lowered(got)["authorization"] == "Bearer abc"
        for secret in (made["secret"], rotated["secret"]):
            Verifier(secret).verify(got.raw.decode(), lowered(got))
        assert json("webhooks change", hook, "--no-headers")["headers"] == {}

        receiver.answer = lambda _got: (500, {"why": "closed"}, {})
        assert f"{hook} answered 500" in await prints("webhooks test", hook, code=1)
        assert "is paused" in says("webhooks pause", hook)
        assert names(says("webhooks show", hook))["health"] == "paused"
        assert "is active" in says("webhooks resume", hook)

        async with Client(bot.url) as api:
            await paired(api, "shop")
            assert json("webhooks change", hook, "--session", "shop")["session"] == "shop"
            assert json("webhooks change", hook, "--session", "")["session"] is None
            await api.post("/api/sessions/shop/simulate", {"action": "message", "from": "33612345678", "text": "Hello"})
            await receiver.wait_for(lambda event: event["type"] == "message")

        async def tried() -> bool:
            rows = (await asyncio.to_thread(json, "deliveries list", "--state", "pending"))["deliveries"]
            return bool(rows) and rows[0]["attempts"] > 0

        await eventually(tried, every_s=0.2, what="a delivery that was tried")
        (row,) = json("deliveries list", "--state", "all", "--type", "message", "--session", "shop", "--webhook", hook,
                      "--since", "1h")["deliveries"]  # fmt: skip
        assert "answered 500" in says("deliveries list", "--state", "pending")
        text = says("deliveries show", hook, row["event"])
        assert "answered 500 after" in text
        assert '{"why": "closed"}' in text
        assert "webhook-signature: v1,*** v1,***" in text
        assert '"text": "Hello"' in text
        assert str(parse_iso(row["nextAttemptAt"]).year) in text
        health = names(says("webhooks show", hook))
        assert (health["health"], health["waiting"], health["failed"]) == ("failing", "1", "0")
        assert re.search(rf"{hook} .* message .* failing", says("webhooks list"))

        receiver.answer = None
        assert "1 sent again." in await prints("deliveries resend", hook, row["event"])

        async def arrived() -> bool:
            return bool((await asyncio.to_thread(json, "deliveries list", "--state", "delivered"))["deliveries"])

        await eventually(arrived, every_s=0.2, what="the delivery")
        assert "0 sent again." in says("deliveries resend", "--since", "2h")
        assert "There are no such deliveries." in says("deliveries list")

        assert f"{hook} is deleted." in says("webhooks delete", hook, "--yes")
        assert "not_found" in says("webhooks show", hook, code=1)


async def test_wrong_use_names_the_option(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, "http://127.0.0.1:9")
    for command, more, wanted in (
        ("webhooks change wh-1", [], "--url, --event, --session, --header or --no-headers is needed"),
        ("webhooks create https://shop.example.com", ["--header", "no colon"], "--header: write NAME: VALUE"),
        ("webhooks rotate-secret wh-1", ["--overlap", "soon"], "--overlap: 'soon' is not"),
        ("deliveries list", ["--since", "yesterday"], "--since: use a time such as"),
    ):
        assert wanted in terminal.says(command, *more, code=2)
