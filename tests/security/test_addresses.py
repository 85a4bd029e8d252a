"""Requests on behalf of users reach public addresses only, whatever name, form or redirect leads elsewhere."""

from __future__ import annotations

import ipaddress
import socket
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from hypothesis import given
from hypothesis import strategies as st

from bot_service.access.public_addresses import connector, is_public, is_reachable_url, refusal_of_url, shown_receiver
from tests.support.bot_app import paired, running
from tests.support.receiver import Receiver
from tests.support.waiting import eventually

PRIVATE = [
    "127.0.0.1",
    "127.1.2.3",
    "0.0.0.0",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "192.0.0.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "fe80::1",
    "fc00::1",
    "fd12:3456::1",
    "fec0::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::",
]
PUBLIC = ["1.1.1.1", "8.8.8.8", "93.184.216.34", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_everybodys_is_refused(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_allowed(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "url", ["http://localhost/", "http://a.localhost/", "http://[::1]/", "http://169.254.169.254/latest"]
)
def test_what_can_be_seen_from_the_url_alone_is_said_early(url: str) -> None:
    assert refusal_of_url(url) is not None


@pytest.mark.parametrize(
    "url",
    [
        "http://xn--/", "http://xn--a.xn--/", "https://a.xn--/x", "http://[::1", "http://a:0/", "http://a:99999/",
        "http:///x", "http://\ud800/", "ftp://a/", "http://:80/", "http://[::1]x/",
    ],
)  # fmt: skip
def test_an_address_that_nobody_can_call_is_not_reachable(url: str) -> None:
    assert not is_reachable_url(url)


@given(st.text(max_size=60))
def test_any_text_is_an_address_or_not(text: str) -> None:
    for url in (text, "http://" + text, "https://xn--" + text + "/"):
        if is_reachable_url(url):
            assert refusal_of_url(url) != ""
        assert shown_receiver(url)


@pytest.mark.parametrize(
    ("url", "shown"),
    [("https://me:word@a.example:8443/p?token=x", "a.example:8443/p"), ("http://[::1/", "?"), ("https://b.example", "b.example")],
)  # fmt: skip
def test_a_page_shows_no_password_of_a_webhooks_address(url: str, shown: str) -> None:
    assert shown_receiver(url) == shown


class Rebinding(AbstractResolver):
    """A name that was public when it was checked and is private when it is dialled."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host="127.0.0.1",
                port=self._port,
                family=socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
        ]

    async def close(self) -> None:
        return None


async def test_a_name_that_resolves_to_a_private_address_is_never_connected_to(receiver: Receiver) -> None:
    port = int(receiver.url.rpartition(":")[2])
    guarded = connector(allow_private=False, limit=10)
    guarded._resolver = Rebinding(port)
    async with aiohttp.ClientSession(connector=guarded) as http:
        for host in ("webhook.example", "127.0.0.1", "[::ffff:127.0.0.1]", "0x7f000001", "2130706433", "127.1"):
            with pytest.raises(aiohttp.ClientError):
                await http.post(f"http://{host}:{port}/", json={})
    assert receiver.requests == []


@pytest.fixture
def rebinding(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names below ``rebind.example`` are this machine. The names, as asked for."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def look_up(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        if not str(host).endswith(".rebind.example"):
            return real(host, port, *args, **kwargs)
        asked.append(str(host))
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port or 0))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return asked


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/api/sessions/one/messages", {"to": "33612345678", "type": "document", "media": {"url": "URL"}}, 422),
        ("/waha/api/sendFile", {"session": "one", "chatId": "33612345678@c.us", "file": {"url": "URL"}}, 422),
        ("/evolution/message/sendMedia/one", {"number": "33612345678", "mediatype": "document", "media": "URL"}, 400),
        ("/api/webhooks/ID/test", None, 200),
        ("an event", None, 0),
    ],
)
async def test_no_name_leads_the_running_service_to_a_private_address(
    tmp_path: Path, receiver: Receiver, rebinding: list[str], path: str, body: Any, status: int
) -> None:
    url = f"http://a.rebind.example:{receiver.url.rpartition(':')[2]}/x"
    async with running(tmp_path / "data") as bot:
        await paired(bot, "one")
        _, hook = await bot.call("POST", "/api/webhooks", {"url": url, "events": ["session.state"]})
        if path == "an event":
            await bot.call("POST", "/api/sessions/one/stop")

            async def refused() -> Any:
                _, found = await bot.call("GET", f"/api/deliveries?state=pending&webhook={hook['id']}")
                return [each for each in found["deliveries"] if each["lastError"] == "private_address"]

            await eventually(refused, what="a refused delivery")
        else:
            filled = msgspec.json.decode(msgspec.json.encode(body).replace(b"URL", url.encode()))
            found, answer = await bot.call("POST", path.replace("ID", hook["id"]), filled)
            assert found == status, answer
            assert "private" in str(answer) or "public" in str(answer), answer
        assert rebinding
        assert receiver.requests == []


async def test_the_same_request_passes_where_the_operator_allows_private_addresses(receiver: Receiver) -> None:
    async with aiohttp.ClientSession(connector=connector(allow_private=True, limit=10)) as http:
        await http.post(receiver.url, json={})
    assert len(receiver.requests) == 1
