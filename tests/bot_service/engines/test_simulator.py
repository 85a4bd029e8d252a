"""The simulated world: every fault by command gives its signal, lasting ones outlast a restart, nothing held is lost."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from bot_service.domain.calls import Call
from bot_service.domain.group_changes import GroupChange
from bot_service.domain.message import InboundMessage, OutgoingMessage, Receipt
from bot_service.domain.signals import SignalKind
from bot_service.engines.port import EngineError, Journal
from bot_service.engines.simulator.actions import SESSION_ACTIONS, WORKER_ACTIONS
from bot_service.engines.simulator.engine import SimulatorEngine
from bot_service.engines.simulator.options import SimulatorOptions
from bot_service.engines.simulator.store import Files, Held, ServerQueue
from tests.support.waiting import eventually

ROOT = Path(__file__).resolve().parents[3]
FAST = {
    "connect_ms": "5",
    "reconnect_ms": "10",
    "delivered_ms": "2",
    "read_ms": "4",
    "frame_ms": "200",
    "keepalive_ms": "20",
    "keepalive_give_up_ms": "60",
    "retry_ms": "20",
    "post_ms": "20",
}
PERSON = "491700000000"


class Sink:
    """Remembers everything; refuses messages while ``full``."""

    def __init__(self) -> None:
        self.signals: list[tuple[str, str, dict[str, Any]]] = []
        self.messages: list[InboundMessage] = []
        self.receipts: list[Receipt] = []
        self.calls: list[Call] = []
        self.group_changes: list[GroupChange] = []
        self.frames: list[str] = []
        self.full = False

    def signal(self, session: str, kind: SignalKind, data: dict[str, Any] | None = None) -> None:
        self.signals.append((session, kind.value, data or {}))

    def inbound(self, message: InboundMessage, into: Journal | None = None) -> None:
        if self.full:
            raise EngineError("journal", "no space")
        self.messages.append(message)

    def call(self, call: Call, into: Journal | None = None) -> None:
        self.calls.append(call)

    def group_change(self, change: GroupChange, into: Journal | None = None) -> None:
        self.group_changes.append(change)

    def receipt(self, receipt: Receipt, into: Journal | None = None) -> None:
        self.receipts.append(receipt)

    def wrote_rows(self) -> None: ...

    def frame_seen(self, session: str) -> None:
        self.frames.append(session)


class World:
    """One engine over a folder; :meth:`restart` is the next process over the same folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sink = Sink()
        self.engine = SimulatorEngine(self.sink, data_dir=folder, options=FAST)
        self.jid: str | None = None

    async def pair(self, session: str = "s1", phone: str | None = None) -> str:
        await self.engine.start(session, jid=None, proxy=None, pairing=True)
        await self.told("qr", session)
        self.jid = (await self.do("scan", session, **({"phone": phone} if phone else {})))["jid"]
        await self.told("offline_sync_completed", session)
        return str(self.jid)

    async def do(self, action: str, session: str = "s1", **args: Any) -> Any:
        return await self.engine.simulate(session, action, args)

    async def told(self, kind: str, session: str = "s1", times: int = 1) -> dict[str, Any]:
        def found() -> list[dict[str, Any]]:
            return [data for name, told, data in self.sink.signals if (name, told) == (session, kind)]

        await eventually(lambda: len(found()) >= times, every_s=0.005, what=f"{kind} x{times}")
        return found()[-1]

    async def until(self, condition: Any, what: str) -> None:
        await eventually(condition, every_s=0.005, what=what)

    async def restart(self) -> None:
        await self.engine.close()
        self.sink = Sink()
        self.engine = SimulatorEngine(self.sink, data_dir=self.folder, options=FAST)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path)
    yield made
    await made.engine.close()


@pytest.mark.parametrize(
    ("action", "args", "kind", "data"),
    [
        ("drop", {}, "disconnected", {"reason": "websocket closed"}),
        ("streamError", {"signature": "ping"}, "stream_error", {"signature": "ping"}),
        ("poison", {"everySeconds": 0.05, "signature": "status"}, "stream_error", {"signature": "status"}),
        ("pumpDied", {}, "pump_died", {"reason": "unmapped enum"}),
        ("serverUnavailable", {"code": 500}, "server_unavailable", {"code": 500}),
        ("undecryptable", {"id": "m9"}, "undecryptable", {"messageId": "m9", "chat": "4915100000001@s.whatsapp.net"}),
        ("presence", {"state": "composing"}, "presence", {"state": "composing"}),
        ("keepaliveTimeout", {}, "keepalive_timeout", {}),
        ("logout", {}, "logged_out", {"code": 401, "onConnect": False}),
        ("replaced", {}, "replaced", {}),
        ("ban", {}, "banned", {"code": 406}),
        ("tempBan", {"seconds": 60, "code": 102}, "temp_banned", {"code": 102, "expiresInMs": 60_000}),
        ("outdated", {}, "outdated", {"code": 405}),
        ("primaryGone", {}, "primary_gone", {"code": 403}),
        ("connectRefused", {"code": 418}, "connect_refused", {"code": 418}),
        ("timelock", {}, "timelock", {}),
    ],
)
async def test_each_fault_gives_its_signal(
    world: World, action: str, args: dict[str, Any], kind: str, data: dict[str, Any]
) -> None:
    await world.pair()
    await world.do(action, **args)
    assert data.items() <= (await world.told(kind)).items()


@pytest.mark.parametrize(
    ("action", "kind"),
    [
        ("logout", "logged_out"),
        ("ban", "banned"),
        ("tempBan", "temp_banned"),
        ("outdated", "outdated"),
        ("primaryGone", "primary_gone"),
        ("connectRefused", "connect_refused"),
        ("offline", "connect_error"),
    ],
)
async def test_what_lasts_refuses_the_next_start_in_another_process_too(world: World, action: str, kind: str) -> None:
    jid = await world.pair()
    await world.do(action)
    await world.restart()
    await world.engine.start("s1", jid=jid, proxy=None, pairing=False)
    await world.told(kind)
    assert "connected" not in [told for _, told, _ in world.sink.signals]


async def test_an_end_is_final_until_the_next_start(world: World) -> None:
    jid = await world.pair()
    await world.do("replaced")
    with pytest.raises(EngineError) as refused:
        await world.engine.send("s1", OutgoingMessage("m1", PERSON, "text", text="hi"))
    assert refused.value.code == "not_connected"
    await world.engine.stop("s1")
    await world.engine.start("s1", jid=jid, proxy=None, pairing=False)
    await world.told("connected", times=2)


async def test_silence_hands_nothing_over_tells_no_receipts_and_keeps_the_link(world: World) -> None:
    await world.pair()
    await world.do("silence")
    await world.do("message", count=3)
    await world.engine.send("s1", OutgoingMessage("m1", PERSON, "text", text="hi"))
    frames = len(world.sink.frames)
    await world.until(lambda: len(world.sink.frames) > frames + 2, "signs of life")
    assert world.sink.messages == []
    assert world.sink.receipts == []
    await world.do("drop")
    await world.until(lambda: len(world.sink.messages) == 3, "what the server held")


async def test_a_silence_that_only_a_new_worker_heals_outlasts_a_reconnect(world: World) -> None:
    await world.pair()
    await world.do("silence", heals="worker")
    await world.do("message")
    await world.do("drop")
    await world.told("offline_sync_completed", times=2)
    assert world.sink.messages == []
    await world.do("heal")
    await world.until(lambda: len(world.sink.messages) == 1, "the message after heal")


async def test_missed_pings_end_in_a_reconnect_without_a_word(world: World) -> None:
    await world.pair()
    await world.do("keepaliveTimeout")
    await world.told("connected", times=2)
    kinds = [told for _, told, _ in world.sink.signals]
    assert kinds.count("keepalive_timeout") == 3
    assert "disconnected" not in kinds


async def test_pings_may_come_back_in_time(world: World) -> None:
    await world.pair()
    await world.do("keepaliveTimeout", seconds=0.03)
    await world.told("keepalive_restored")


async def test_a_message_that_cannot_be_journalled_is_offered_again(world: World) -> None:
    await world.pair()
    world.sink.full = True
    accepted = await world.do("message", count=20)
    await world.restart()
    await world.engine.start("s1", jid=world.jid, proxy=None, pairing=False)
    await world.told("offline_sync_completed")
    assert [message.id for message in world.sink.messages] == accepted["messageIds"]
    assert (await world.told("offline_sync_preview"))["messages"] == 20


async def test_codes_rotate_and_run_out(world: World, tmp_path: Path) -> None:
    options = {**FAST, "qr_first_ms": "30", "qr_next_ms": "10", "qr_codes": "3"}
    await world.engine.close()
    world.engine = SimulatorEngine(world.sink, data_dir=tmp_path, options=options)
    await world.engine.start("s1", jid=None, proxy=None, pairing=True)
    await world.told("qr_exhausted")
    shown = [data for _, told, data in world.sink.signals if told == "qr"]
    assert [data["expiresInMs"] for data in shown] == [30, 10, 10]
    assert len({data["code"] for data in shown}) == 3
    with pytest.raises(EngineError, match="no code is shown"):
        await world.do("scan")


async def test_a_pairing_code_pairs_and_a_wrong_one_does_not(world: World) -> None:
    await world.engine.start("s1", jid=None, proxy=None, pairing=True)
    await world.told("qr")
    code = await world.engine.pairing_code("s1", PERSON)
    assert re.fullmatch(r"[1-9A-Z]{4}-[1-9A-Z]{4}", code)
    with pytest.raises(EngineError, match="wrong"):
        await world.do("enterCode", code="AAAA-AAAA")
    await world.told("pair_error")
    await world.do("enterCode", code=code.lower(), phone=PERSON)
    assert (await world.told("paired"))["jid"].startswith(PERSON)


async def test_every_kind_of_message_arrives_with_what_belongs_to_it(world: World) -> None:
    await world.pair()
    for kind in ("text", "image", "document", "audio", "video", "location", "contact", "sticker", "other"):
        await world.do("message", type=kind)
    await world.do("message", type="reaction", reactionTo="m1")
    await world.do("message", group="123456", text="to all")
    await world.until(lambda: len(world.sink.messages) == 11, "all kinds")
    by_kind = {message.type: message for message in world.sink.messages[:-1]}
    for kind in ("image", "document", "audio", "video", "sticker"):
        media = by_kind[kind].media  # type: ignore[index]
        assert media is not None
        assert media.path is not None
        assert Path(media.path).stat().st_size == media.size
    assert by_kind["location"].latitude == 52.52
    assert by_kind["reaction"].reaction_to == "m1"
    assert (world.sink.messages[-1].chat, world.sink.messages[-1].is_group) == ("123456@g.us", True)


async def test_a_message_to_another_simulated_phone_arrives_there(world: World) -> None:
    await world.pair("s1", "491511111111")
    await world.pair("s2", "491522222222")
    await world.engine.send("s1", OutgoingMessage("m1", "491522222222", "text", text="hi"))
    await world.until(lambda: len(world.sink.messages) == 1, "the message")
    (arrived,) = world.sink.messages
    assert (arrived.session, arrived.sender, arrived.text) == ("s2", "491511111111@s.whatsapp.net", "hi")


async def test_a_message_to_a_phone_in_another_worker_waits_for_it(world: World) -> None:
    await world.pair("s1", "491511111111")
    second = await world.pair("s2", "491522222222")
    await world.engine.stop("s2")
    await world.engine.send("s1", OutgoingMessage("m1", "491522222222", "text", text="hi"))
    await world.restart()
    await world.engine.start("s2", jid=second, proxy=None, pairing=False)
    await world.until(lambda: [m.text for m in world.sink.messages] == ["hi"], "the letter")
    assert [message.session for message in world.sink.messages] == ["s2"]


async def test_a_time_lock_stops_new_chats_and_lets_known_ones_go_on(world: World) -> None:
    await world.pair()
    await world.engine.send("s1", OutgoingMessage("m1", PERSON, "text", text="before"))
    await world.do("timelock", seconds=60)
    with pytest.raises(EngineError) as locked:
        await world.engine.send("s1", OutgoingMessage("m2", "491799999999", "text", text="new"))
    assert locked.value.code == "timelocked"
    assert (await world.engine.send("s1", OutgoingMessage("m3", PERSON, "text", text="known"))).id == "m3"


async def test_what_was_sent_is_known_after_a_restart_and_a_repeated_send_is_one_message(world: World) -> None:
    jid = await world.pair()
    for number in range(3):
        await world.engine.send("s1", OutgoingMessage(f"m{number}", PERSON, "text", text=f"hi {number}"))
    with (world.folder / "simulator" / "s1.sent").open("ab") as file:
        file.write(b"\x00\x00\x01\x00torn")
    await world.restart()
    await world.engine.start("s1", jid=jid, proxy=None, pairing=False)
    await world.told("connected")
    for number in (2, 3):
        await world.engine.send("s1", OutgoingMessage(f"m{number}", PERSON, "text", text=f"hi {number}"))
    await world.restart()
    await world.engine.start("s1", jid=jid, proxy=None, pairing=False)
    got = await world.do("inbox")
    assert [message["id"] for message in got["messages"]] == ["m0", "m1", "m2", "m3"]


async def test_the_same_seed_makes_the_same_world(tmp_path: Path) -> None:
    numbers = []
    for folder in ("one", "two"):
        made = World(tmp_path / folder)
        numbers.append(await made.pair())
        await made.engine.close()
    assert numbers[0] == numbers[1]


def test_the_queue_on_disk_is_whole_after_every_acknowledgement(tmp_path: Path) -> None:
    held = [Held(0, InboundMessage("s", "c", f"m{number}", "x", at_ms=0, type="text")) for number in range(50)]
    files = Files(tmp_path)
    queue = ServerQueue(files, "s")
    queue.hold(held[:30])
    for taken in range(1, 31):
        queue.acknowledge()
        if taken == 10:
            queue.hold(held[30:])
        again = ServerQueue(Files(tmp_path), "s")
        assert len(again) == len(queue)
        assert again.first == queue.first == (held[taken] if taken < 50 else None)
    files.close()


def test_unknown_options_and_values_are_refused_by_name() -> None:
    with pytest.raises(EngineError, match="no option colour"):
        SimulatorOptions.read({"colour": "1"})
    with pytest.raises(EngineError, match="seed is a whole number"):
        SimulatorOptions.read({"seed": "red"})


def test_every_action_and_option_is_in_the_manual_and_nothing_else() -> None:
    text = (ROOT / "docs" / "simulator.md").read_text(encoding="utf-8")
    actions, options = text.split("## Options")
    named = {
        name for line in actions.splitlines() if line.startswith("| `") for name in re.findall(r"^\| `(\w+)`", line)
    }
    assert named == SESSION_ACTIONS.keys() | WORKER_ACTIONS.keys()
    first_cells = [line.split("|")[1] for line in options.splitlines() if line.startswith("| `")]
    assert {name for cell in first_cells for name in re.findall(r"`(\w+)`", cell)} == {
        field.name for field in fields(SimulatorOptions)
    }
