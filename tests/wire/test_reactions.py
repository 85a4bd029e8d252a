"""Rows of the reaction table with the real engine and the whole bot service: the wire's cause, the API's answer, the tries that the
server counts, and the time it took (`pytest -n 0 -s tests/wire/test_reactions.py` prints them as a table)."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fake_whatsapp.remote import Remote, ServerProcess
from tests.support.members import members
from tests.support.processes import Client, Program
from tests.wire import programs

pytestmark = [pytest.mark.wire, pytest.mark.system, pytest.mark.timeout(300), pytest.mark.deep]
STILL_S = 2.5
_numbers = itertools.count(15_556_000)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory, server_process: ServerProcess) -> Iterator[Program]:
    """One bot service for all rows."""
    running = programs.bot(tmp_path_factory.mktemp("bot"), Remote(server_process))
    running.start()
    yield running
    running.close()


@pytest.fixture
async def client(program: Program) -> AsyncIterator[Client]:
    await program.ready()
    async with Client(program.url) as running:
        yield running


@pytest.fixture
def number() -> str:
    """A telephone number that no test used before."""
    return str(next(_numbers))


async def tries(server: Remote, number: str) -> int:
    return len((await server("account", number=number))["attempts"])


class Table:
    """What was seen, one row a cause."""

    def __init__(self) -> None:
        self.rows: list[str] = []

    def row(self, cause: str, found: dict[str, Any], tries: int, within: str, begun: float, at: float) -> None:
        """`found` is the API's answer at `at`, `tries` what the server counted since the cause until `within` later."""
        answer = f"{found['state']}, {found['reason'] or '-'}, acts: {found['acts']}"
        following = "at " + found["nextTryAt"][11:19] if found["nextTryAt"] else "-"
        self.rows.append(f"| {cause} | {answer} | {tries} {within} | {following} | {at - begun:.2f} s |")


@pytest.fixture(scope="module")
def table() -> Iterator[Table]:
    made = Table()
    yield made
    print("\n| cause on the wire | API | logins tried | next try | seen after |\n|---|---|---|---|---|")
    print("\n".join(made.rows))


async def seen(client: Client, session: str, state: str) -> tuple[dict[str, Any], float]:
    """The API's answer once it shows this state, and when it did."""
    found: dict[str, Any] = await programs.until_state(client, session, state)
    return found, time.monotonic()


@pytest.mark.parametrize(
    ("failure", "state", "reason", "acts", "unpaired"),
    members(
        [
            ({"reason": "401"}, "LOGGED_OUT", "logged_out", "user", True),
            ({"reason": "406"}, "BANNED", "banned", "owner", True),
            ({"reason": "402", "code": "101", "expire": "3600"}, "TEMP_BANNED", "temp_banned", "nobody", False),
            ({"reason": "400"}, "RECONNECTING", "connect_refused", "nobody", False),
            ({"reason": "403"}, "LOGGED_OUT", "primary_gone", "user", True),
            ({"reason": "415"}, "RECONNECTING", "connect_refused", "nobody", False),
            ({"reason": "418"}, "RECONNECTING", "connect_refused", "nobody", False),
            ({"reason": "501"}, "RECONNECTING", "connect_refused", "nobody", False),
        ],
        first=4,
    ),
)
async def test_a_refused_login_ends_in_its_state_and_is_tried_once_only(
    client: Client,
    server: Remote,
    table: Table,
    number: str,
    failure: dict[str, str],
    state: str,
    reason: str,
    acts: str,
    unpaired: bool,
) -> None:
    session = f"row-{number}"
    await programs.pair(client, server, session, number)
    before = await tries(server, number)
    await server("faults", login_failures={number: [failure]}, forever=[number])
    begun = time.monotonic()
    await server("drop", number=number)

    async def settled() -> dict[str, Any] | None:
        found: dict[str, Any] = await client.get(f"/api/sessions/{session}")
        return found if (found["state"], found["reason"]) == (state, reason) else None

    found = await server.wait(settled)
    at = time.monotonic()
    assert (found["acts"], found["paired"]) == (acts, not unpaired)
    await asyncio.sleep(STILL_S)
    counted = await tries(server, number) - before
    table.row(f"login refused {failure['reason']}", found, counted, f"in {STILL_S:g} s", begun, at)
    assert counted == 1
    assert (await client.get(f"/api/sessions/{session}"))["state"] == state


async def test_an_outdated_client_is_one_fault_of_the_fleet_and_tried_once(
    tmp_path: Path, server: Remote, table: Table, number: str
) -> None:
    program = programs.bot(tmp_path, server)
    program.start()
    try:
        await program.ready()
        async with Client(program.url) as client:
            await programs.pair(client, server, "old", number)
            before = await tries(server, number)
            await server("faults", login_failures={number: [{"reason": "405"}]}, forever=[number])
            begun = time.monotonic()
            await server("drop", number=number)
            found, at = await seen(client, "old", "OUTDATED")
            assert (found["reason"], found["acts"], found["paired"]) == ("client_outdated", "operator", True)
            await asyncio.sleep(STILL_S)
            counted = await tries(server, number) - before
            table.row("login refused 405", found, counted, f"in {STILL_S:g} s", begun, at)
            assert counted == 1
    finally:
        program.close()


@pytest.mark.parametrize(
    ("attrs", "conflict", "state", "reason"),
    [
        ({"code": "401"}, "device_removed", "LOGGED_OUT", "logged_out"),
        ({}, "replaced", "RECONNECTING", "replaced"),
    ],
)
async def test_a_stream_that_ends_for_good_stays_down(
    client: Client,
    server: Remote,
    table: Table,
    number: str,
    attrs: dict[str, str],
    conflict: str,
    state: str,
    reason: str,
) -> None:
    session = f"row-{number}"
    await programs.pair(client, server, session, number)
    before = await tries(server, number)
    begun = time.monotonic()
    await server("stream_error", number=number, attrs=attrs, conflict=conflict)
    found, at = await seen(client, session, state)
    assert found["reason"] == reason
    await asyncio.sleep(STILL_S)
    counted = await tries(server, number) - before
    table.row(f"stream ended, {conflict}", found, counted, f"in {STILL_S:g} s", begun, at)
    assert counted == 0


@pytest.mark.parametrize("cause", members(["drop", "515", "503", "777"], first=2))
async def test_a_stream_that_ends_for_now_is_ready_again(
    client: Client, server: Remote, table: Table, number: str, cause: str
) -> None:
    session = f"row-{number}"
    await programs.pair(client, server, session, number)
    before = await tries(server, number)
    begun = time.monotonic()
    if cause == "drop":
        await server("drop", number=number)
    else:
        await server("stream_error", number=number, attrs={"code": cause})

    async def again() -> bool:
        return await tries(server, number) > before

    await server.wait(again)
    found, at = await seen(client, session, "READY")
    counted = await tries(server, number) - before
    table.row(
        "socket dropped" if cause == "drop" else f"stream ended, {cause}", found, counted, "until READY", begun, at
    )
    assert counted <= 2


async def test_a_server_in_trouble_is_tried_with_patience_until_it_works(
    client: Client, server: Remote, table: Table, number: str
) -> None:
    session = f"row-{number}"
    await programs.pair(client, server, session, number)
    before = await tries(server, number)
    await server("faults", login_failures={number: [{"reason": "503"}] * 2})
    begun = time.monotonic()
    await server("drop", number=number)

    async def again() -> bool:
        return await tries(server, number) >= before + 3

    await server.wait(again)
    found, at = await seen(client, session, "READY")
    assert found["state"] == "READY"
    table.row("login refused 503, twice", found, await tries(server, number) - before, "until READY", begun, at)


async def test_a_proxy_that_refuses_is_tried_with_backoff_until_it_works(
    client: Client, server: Remote, table: Table, number: str
) -> None:
    session = f"row-{number}"
    await programs.pair(client, server, session, number)
    await client.post(f"/api/sessions/{session}/stop")
    await programs.until_state(client, session, "STOPPED")
    await server("faults", refuse_proxy=True)
    connects = (await server("stats"))["proxy"]["connects"]
    begun = time.monotonic()
    await client.post(f"/api/sessions/{session}/start")
    found, at = await seen(client, session, "RECONNECTING")
    assert found["reason"] == "connect_error"
    await asyncio.sleep(STILL_S)
    counted = (await server("stats"))["proxy"]["connects"] - connects
    table.row("the proxy refuses", found, counted, f"in {STILL_S:g} s", begun, at)
    assert 1 <= counted <= 12
    await server("heal")
    await programs.until_state(client, session, "READY")


async def test_an_event_pump_that_dies_is_a_new_start_and_nothing_is_lost(
    client: Client, server: Remote, table: Table, number: str
) -> None:
    session = f"row-{number}"
    await programs.pair(client, server, session, number)
    before = await tries(server, number)
    begun = time.monotonic()
    await server("mark", number="15550002", chat="15550002", author=number, id="X", kind="server-error")

    async def again() -> bool:
        return await tries(server, number) > before

    await server.wait(again)
    found, at = await seen(client, session, "READY")
    assert found["state"] == "READY"
    table.row("a mark that kills the pump", found, await tries(server, number) - before, "until READY", begun, at)
    await server("send", sender="15550002", chat=number, body="still there?")

    async def marked() -> bool:
        return "delivered" in str((await server("phone", number="15550002"))["marks"])

    await server.wait(marked)
