"""Name servers that do not answer delay their own names only, and hold no thread that others need."""

from __future__ import annotations

import asyncio
import socket
import threading
import time

import pytest

from shared import http_client
from shared.name_resolver import THREADS, AddressInfo, NameResolver, fresh_addresses

FOUND: list[AddressInfo] = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 0))]


class Names:
    """Names with ``hung`` in them get no answer until :meth:`let_go`; counts the look-ups."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._released = threading.Event()

    def look_up(self, host: str, family: socket.AddressFamily) -> list[AddressInfo]:
        self.asked.append(host)
        if "hung" in host:
            self._released.wait(60)
        if "none" in host:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return FOUND

    def let_go(self) -> None:
        self._released.set()


async def test_ten_names_without_an_answer_delay_no_other_and_no_thread_of_the_loop() -> None:
    names = Names()
    resolver = NameResolver(timeout_s=30.0, look_up=names.look_up)
    hung = [asyncio.create_task(resolver.addresses(f"hung-{number}.example")) for number in range(10)]
    try:
        await asyncio.sleep(0)
        begun = time.monotonic()
        assert await resolver.addresses("well.example") == FOUND
        assert await asyncio.to_thread(lambda: "read") == "read"
        assert await asyncio.gather(*(asyncio.to_thread(lambda: 1) for _ in range(20))) == [1] * 20
        assert time.monotonic() - begun < 10, "long before the first of them gives up"
        assert not any(task.done() for task in hung)
    finally:
        names.let_go()
        await asyncio.gather(*hung)


async def test_a_known_name_is_not_delayed_by_hundreds_that_never_resolved() -> None:
    names = Names()
    resolver = NameResolver(timeout_s=20.0, look_up=names.look_up)
    assert await resolver.addresses("well.example") == FOUND
    hung = [asyncio.create_task(resolver.addresses(f"hung-{number}.example")) for number in range(300)]
    try:
        await asyncio.sleep(0.1)
        begun = time.monotonic()
        assert await resolver.addresses("well.example") == FOUND
        assert time.monotonic() - begun < 10
        assert len([name for name in names.asked if "hung" in name]) <= THREADS
    finally:
        names.let_go()
        await asyncio.gather(*hung, return_exceptions=True)


async def test_a_name_without_an_answer_in_time_is_a_failure_of_the_resolver() -> None:
    names = Names()
    resolver = NameResolver(timeout_s=0.2, look_up=names.look_up)
    try:
        for _ in range(3):
            with pytest.raises(socket.gaierror) as failed:
                await resolver.addresses("hung.example")
            assert failed.value.errno == socket.EAI_AGAIN
    finally:
        names.let_go()


async def test_a_name_is_looked_up_once_at_a_time_and_kept_for_a_moment() -> None:
    names = Names()
    resolver = NameResolver(keep_s=60.0, look_up=names.look_up)
    assert await asyncio.gather(*(resolver.addresses("a.example") for _ in range(50))) == [FOUND] * 50
    assert await resolver.addresses("a.example") == FOUND
    assert names.asked == ["a.example"]
    with pytest.raises(socket.gaierror):
        await resolver.addresses("none.example")
    with pytest.raises(socket.gaierror):
        await resolver.addresses("none.example")
    assert names.asked.count("none.example") == 2, "a failure is not kept"


async def test_a_caller_that_leaves_takes_the_answer_from_no_other() -> None:
    names = Names()
    resolver = NameResolver(timeout_s=30.0, look_up=names.look_up)
    first = asyncio.create_task(resolver.addresses("hung.example"))
    second = asyncio.create_task(resolver.addresses("hung.example"))
    await asyncio.sleep(0.05)
    first.cancel()
    names.let_go()
    assert await second == FOUND
    assert names.asked == ["hung.example"]


@pytest.mark.parametrize("host", ["..", "a" * 300 + ".example", "\udcff", "a\x00b", "xn--", ""])
async def test_what_is_no_name_is_a_failure_and_no_crash(host: str) -> None:
    try:
        found = await NameResolver().addresses(host)
    except OSError:
        return
    assert found  # a resolver may answer the empty name with this machine


async def test_the_systems_resolver_is_asked() -> None:
    found = await fresh_addresses("localhost", 4711)
    assert {address[1] for *_, address in found} == {4711}
    resolved = await NameResolver().resolve("localhost", 80)
    assert {each["host"] for each in resolved} == {"127.0.0.1"}


@pytest.mark.parametrize("by", ["resolver", "connector"])
async def test_a_closed_resolver_leaves_no_wait_behind(by: str) -> None:
    names = Names()
    resolver = NameResolver(timeout_s=30.0, look_up=names.look_up)
    pool = http_client.Connector()
    pool._resolver = resolver
    hung = [asyncio.create_task(resolver.addresses(f"hung-{number}.example")) for number in range(3)]
    hung[0].cancel()  # its caller is gone, the look-up goes on
    try:
        await asyncio.sleep(0)
        await (resolver.close() if by == "resolver" else pool.close())
        assert all(
            isinstance(each, asyncio.CancelledError) for each in await asyncio.gather(*hung, return_exceptions=True)
        )
        assert asyncio.all_tasks() == {asyncio.current_task()}
    finally:
        names.let_go()
        await pool.close()
