"""Members with several devices: every message is readable once on each device.

The devices are sessions of the real engine, linked to the number of the bot or to that of its friend.
"""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import Iterable

import pytest

from bot_service.domain.message import OutgoingMessage
from tests.fake_whatsapp.remote import Remote
from tests.support.members import members
from tests.support.waiting import eventually
from tests.wire.conftest import StartWorker
from tests.wire.worker_driver import WorkerDriver

pytestmark = [pytest.mark.wire, pytest.mark.timeout(300)]
BOT, ANN = "15550001", "15550002"
GROUP = "120363"
COUNT = 12
CHATS = pytest.mark.parametrize("chat", members(["person", "group"]))


def texts(worker: WorkerDriver, session: str) -> Counter[str]:
    return Counter(message.text or message.type for message in worker.messages(session))


async def write(worker: WorkerDriver, session: str, to: str, names: Iterable[str]) -> None:
    for name in names:
        await worker.send(session, OutgoingMessage(id=f"m-{session}-{name}", to=to, type="text", text=name))


async def each_once(worker: WorkerDriver, session: str, names: Iterable[str]) -> None:
    wanted = set(names)
    try:
        await eventually(lambda: wanted <= texts(worker, session).keys(), within_s=30, what=f"all of {session}")
    except AssertionError as error:
        missing = sorted(wanted - texts(worker, session).keys())
        raise AssertionError(f"{session} misses {missing}; heard {worker.kinds(session)}") from error
    found = texts(worker, session)
    assert all(found[name] == 1 for name in wanted)
    assert "message_lost" not in worker.kinds(session)


async def phone_has_each_once(server: Remote, number: str, names: Iterable[str]) -> None:
    wanted = list(names)

    async def there() -> bool:
        return set(wanted) <= {entry.get("text") for entry in await server("inbox", number=number)}

    await eventually(there, what=f"all of the phone {number}")
    found = Counter(entry.get("text") for entry in await server("inbox", number=number))
    assert [found[name] for name in wanted] == [1] * len(wanted)


async def linked(server: Remote, worker: WorkerDriver) -> dict[str, str]:
    """Two devices of each number, beside the phones, and a group of both; their JIDs by session."""
    jids = {
        name: await worker.pair(name, BOT if name.startswith("bot") else ANN)
        for name in ("bot1", "bot2", "ann1", "ann2")
    }
    await server("group", id=GROUP, subject="Orders", members=[ANN, BOT])
    return jids


def place(chat: str, of: str = ANN) -> str:
    return f"{GROUP}@g.us" if chat == "group" else of


@CHATS
async def test_each_device_reads_what_each_other_device_writes(
    server: Remote, start_worker: StartWorker, chat: str
) -> None:
    worker = await start_worker()
    await linked(server, worker)
    by_bot, by_ann, by_phone = ([f"{who} {n}" for n in range(COUNT)] for who in ("bot1", "ann1", "phone"))

    async def phone() -> None:
        for name in by_phone:
            await server("send", sender=ANN, chat=place(chat, BOT), body=name)

    await asyncio.gather(
        write(worker, "bot1", place(chat), by_bot), write(worker, "ann1", place(chat, BOT), by_ann), phone()
    )
    await each_once(worker, "bot1", by_ann + by_phone)
    await each_once(worker, "bot2", by_bot + by_ann + by_phone)
    await each_once(worker, "ann1", by_bot + by_phone)
    await each_once(worker, "ann2", by_bot + by_ann + by_phone)
    await phone_has_each_once(server, ANN, by_bot + by_ann)
    await phone_has_each_once(server, BOT, by_bot + by_ann)
    own = {
        session: {each.from_me for each in worker.messages(session) if each.text in by_bot}
        for session in ("bot2", "ann1")
    }
    assert own == {"bot2": {True}, "ann1": {False}}


@CHATS
async def test_a_device_that_is_added_in_the_middle_reads_all_from_some_message_on(
    server: Remote, start_worker: StartWorker, chat: str
) -> None:
    worker = await start_worker()
    await linked(server, worker)
    names: list[str] = []
    incoming: list[str] = []
    after, linking = 10, True

    async def bot_writes() -> None:
        left = after
        while linking or (left := left - 1) >= 0:
            names.append(f"out {len(names)}")
            await write(worker, "bot1", place(chat), names[-1:])

    async def phone() -> None:
        left = after
        while linking or (left := left - 1) >= 0:
            incoming.append(f"in {len(incoming)}")
            await server("send", sender=ANN, chat=place(chat, BOT), body=incoming[-1])
            await asyncio.sleep(0.02)

    writing = asyncio.gather(bot_writes(), phone())
    for session, number in (("ann3", ANN), ("bot3", BOT)):
        await worker.pair(session, number)
    linking = False
    await writing
    for session in ("ann1", "ann2", "bot2"):
        await each_once(worker, session, names)
    await each_once(worker, "bot1", incoming)
    await phone_has_each_once(server, ANN, names)
    # The list of devices that a message is sealed for is that of its moment.
    for session, sent in (("ann3", names), ("bot3", names), ("bot3", incoming)):
        await each_once(worker, session, sent[-1:])
        first = next(n for n, name in enumerate(sent) if name in texts(worker, session))
        await each_once(worker, session, sent[first:])
        assert first < len(sent) - 1, session


@CHATS
async def test_a_device_that_is_removed_in_the_middle_costs_the_others_nothing(
    server: Remote, start_worker: StartWorker, chat: str
) -> None:
    worker = await start_worker()
    await linked(server, worker)
    names, incoming = [f"out {n}" for n in range(40)], [f"in {n}" for n in range(40)]

    async def phone() -> None:
        for name in incoming:
            await server("send", sender=ANN, chat=place(chat, BOT), body=name)

    async def leave(session: str) -> None:
        await eventually(lambda: len(texts(worker, session)) > 5, what="some messages")
        await worker.command("logout", session)

    await asyncio.gather(write(worker, "bot1", place(chat), names), phone(), leave("ann2"), leave("bot2"))
    await each_once(worker, "ann1", names)
    await each_once(worker, "bot1", incoming)
    await phone_has_each_once(server, ANN, names)
    for session in ("ann2", "bot2"):
        assert set(texts(worker, session).values()) == {1}, session


@CHATS
async def test_one_device_asks_again_and_only_that_one_is_answered(
    server: Remote, start_worker: StartWorker, chat: str
) -> None:
    worker = await start_worker()
    jids = await linked(server, worker)
    device = jids["ann2"].partition("@")[0]
    await server("faults", spoiled=[device])
    names = [f"out {n}" for n in range(COUNT)]
    await write(worker, "bot1", place(chat), names)
    for session in ("ann1", "ann2", "bot2"):
        await each_once(worker, session, names)
    await phone_has_each_once(server, ANN, names)
    stats = await server("stats")
    asked = {name: count for name, count in stats.items() if name.startswith("repeats asked by")}
    assert asked.keys() == {f"repeats asked by {device}"}
    assert asked[f"repeats asked by {device}"] >= COUNT
    assert "message_lost" not in worker.kinds("bot1")


async def test_what_is_asked_for_after_a_restart_is_named_as_lost(server: Remote, start_worker: StartWorker) -> None:
    worker, friends = await start_worker(), await start_worker()
    bot = await worker.pair("bot1", BOT)
    jid = await friends.pair("ann1", ANN)
    await write(worker, "bot1", ANN, ["first"])
    await each_once(friends, "ann1", ["first"])
    await friends.command("stop", "ann1")
    await server("faults", spoiled=[jid.partition("@")[0]])
    await write(worker, "bot1", ANN, ["second"])
    await worker.end(signal.SIGKILL)
    await friends.begin("ann1", jid)
    await eventually(lambda: "undecryptable" in friends.kinds("ann1"), what="the unreadable message")
    worker = await start_worker()
    await worker.begin("bot1", bot)
    lost = (await worker.heard("bot1", "message_lost")).data
    assert lost == {"messageId": "m-bot1-second", "reason": "not_repeated"}
    await write(worker, "bot1", ANN, ["third"])
    await eventually(lambda: "third" in texts(friends, "ann1"), what="the next message")
