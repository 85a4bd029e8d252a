"""Wrong keys are slowed, counted and logged within a budget; a right key always passes at once."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from shared.web import wrong_keys
from shared.web.wrong_keys import WrongKeys
from tests.support.fake_clock import FakeClock
from tests.support.processes import API_KEY, WATCHDOG_TOKEN, Client, bot, free_port, watchdog

HERE = {"Sec-Fetch-Site": "same-origin"}


def slowed(clock: FakeClock) -> WrongKeys:
    return WrongKeys(clock, CollectorRegistry(), "test")


async def waits(keys: WrongKeys, address: str, count: int) -> list[float]:
    return [keys._wait_s(address) for _ in range(count)]


async def test_the_first_wrong_keys_are_answered_at_once_and_more_of_them_wait() -> None:
    clock = FakeClock()
    keys = slowed(clock)
    found = await waits(keys, "192.0.2.1", wrong_keys.BURST + 8)
    assert found[: wrong_keys.BURST] == [0.0] * wrong_keys.BURST
    assert found[-1] == pytest.approx(8 / wrong_keys.RATE)
    assert (await waits(keys, "192.0.2.2", 1))[0] == 0.0, "another address has a burst of its own"
    await clock.advance(60)
    assert (await waits(keys, "192.0.2.1", 1))[0] == 0.0


async def test_many_addresses_are_slowed_together_and_no_wait_is_longer_than_the_limit() -> None:
    keys = slowed(FakeClock())
    found = [(await waits(keys, f"198.51.{number // 250}.{number % 250}", 1))[0] for number in range(1000)]
    assert found[: wrong_keys.BURST_OF_ALL] == [0.0] * wrong_keys.BURST_OF_ALL
    assert found[-1] == wrong_keys.LONGEST_WAIT_S
    assert max(await waits(keys, "192.0.2.1", 1000)) == wrong_keys.LONGEST_WAIT_S


async def test_what_is_remembered_of_addresses_is_bounded_and_a_network_of_ipv6_is_one_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(wrong_keys, "_ADDRESSES", 100)
    keys = slowed(FakeClock())
    for number in range(1000):
        keys._wait_s(f"192.0.2.{number}")
    assert len(keys._free_at) <= 100
    assert wrong_keys._network("2001:db8::1") == wrong_keys._network("2001:db8::ffff:1")
    assert wrong_keys._network("2001:db8:0:1::1") != wrong_keys._network("2001:db8:0:2::1")


@pytest.mark.system
async def test_guesses_are_slow_and_the_owner_is_never_locked_out(tmp_path: Path) -> None:
    service = bot(tmp_path)
    guard = watchdog(tmp_path, f"http://127.0.0.1:{free_port()}", STATUS_PAGE_PUBLIC="false", METRICS_TOKEN="m" * 20)
    async with service.running(), guard.running(), aiohttp.ClientSession() as http:

        async def guess(number: int) -> None:
            wrong = {"Authorization": f"Bearer wrong-key-number-{number:09}"}
            for method, url, headers, data in (
                ("GET", f"{service.url}/api/sessions", wrong, None),
                ("GET", f"{service.url}/api/heartbeat", wrong, None),
                ("POST", f"{service.url}/login", HERE, {"key": f"wrong-key-number-{number:09}"}),
                ("POST", f"{service.url}/login", HERE, {"code": f"wrong-code-{number:09}"}),
                ("POST", f"{guard.url}/login", HERE, {"token": f"wrong-{number:09}"}),
                ("GET", f"{guard.url}/metrics", wrong, None),
                ("POST", f"{guard.url}/api/ping", wrong, None),
            ):
                async with http.request(method, url, headers=headers, data=data) as answer:
                    assert answer.status == 403, url
                    guesses.append(url)

        guesses: list[str] = []
        strangers = [asyncio.create_task(guess(number)) for number in range(20)]
        longest, until = 0.0, time.monotonic() + 6
        async with Client(service.url) as owner:
            while time.monotonic() < until:
                began = time.monotonic()
                assert (await owner.call("GET", "/api/sessions"))[0] == 200
                headers = {"Authorization": f"Bearer {WATCHDOG_TOKEN}"}
                async with http.get(f"{guard.url}/api/status", headers=headers) as answer:
                    assert answer.status == 200
                async with http.post(
                    f"{service.url}/login", headers=HERE, data={"key": API_KEY}, allow_redirects=False
                ) as answer:
                    assert answer.status == 303
                longest = max(longest, time.monotonic() - began)
                await asyncio.sleep(0.1)
        made = len(guesses)
        for task in strangers:
            task.cancel()
        await asyncio.gather(*strangers, return_exceptions=True)
        assert longest < 3, "a right key waits for no stranger"
        most = 2 * (wrong_keys.BURST + 10 * wrong_keys.RATE)
        assert made <= most, "both programs together"
        metrics = await (await http.get(f"{service.url}/metrics")).text()
        counted = next(line for line in metrics.splitlines() if line.startswith("veilleur_bot_wrong_keys_total "))
        assert float(counted.split()[1]) >= wrong_keys.BURST
        lines = [event for event in service.events() if event.get("event") == "keys.wrong"]
        assert 1 <= len(lines) <= 5
        assert "wrong-key-number" not in service.output() + guard.output()
