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
# Method, path, headers, form.
Guesses = tuple[tuple[str, str, dict[str, str], dict[str, str] | None], ...]


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

        async def guess(number: int, at: str) -> None:
            wrong = {"Authorization": f"Bearer wrong-key-number-{number:09}"}
            of_bot: Guesses = (
                ("GET", "/api/sessions", wrong, None),
                ("GET", "/api/heartbeat", wrong, None),
                ("GET", f"/waha/api/sessions?x-api-key=wrong-key-number-{number:09}", {}, None),
                ("GET", "/evolution/instance/fetchInstances", {"apikey": wrong["Authorization"]}, None),
                ("POST", "/mcp", wrong, None),
                ("POST", "/login", HERE, {"key": f"wrong-key-number-{number:09}"}),
                ("POST", "/login", HERE, {"code": f"wrong-code-{number:09}"}),
            )
            of_watchdog: Guesses = (
                ("POST", "/login", HERE, {"token": f"wrong-{number:09}"}),
                ("GET", "/metrics", wrong, None),
                ("POST", "/api/ping", wrong, None),
            )
            # Each begins with another one, so that all of them are tried in the burst.
            kinds = of_bot if at == service.url else of_watchdog
            for method, path, headers, data in (*kinds[number % len(kinds) :], *kinds[: number % len(kinds)]):
                async with http.request(method, at + path, headers=headers, data=data) as answer:
                    assert answer.status == (401 if "/evolution/" in path else 403), path
                    guesses.append(at + path.partition("?")[0])

        guesses: list[str] = []
        strangers = [asyncio.create_task(guess(number, one.url)) for number in range(20) for one in (service, guard)]
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
        assert made <= 2 * (wrong_keys.BURST + 10 * wrong_keys.RATE), "both programs together"
        assert len(set(guesses)) == 9, "a kind of guess was not tried"
        for program, prefix in ((service, "veilleur_bot"), (guard, "veilleur_watchdog")):
            key = {"Authorization": f"Bearer {'m' * 20}"}
            metrics = await (await http.get(f"{program.url}/metrics", headers=key)).text()
            counted = next(line for line in metrics.splitlines() if line.startswith(f"{prefix}_wrong_keys_total "))
            of_program = [url for url in guesses if url.startswith(program.url)]
            assert float(counted.split()[1]) >= len(of_program) >= wrong_keys.BURST, prefix
            lines = [event for event in program.events() if event.get("event") == "keys.wrong"]
            assert 1 <= len(lines) <= 5
        assert "wrong-key-number" not in service.output() + guard.output()
