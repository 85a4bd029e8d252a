"""What the sender does with each answer of the engine, and in which order it sends."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest
from sqlalchemy import event

from bot_service.domain.message import OutgoingMessage, Sent
from bot_service.domain.states import State
from bot_service.engines.port import EngineError
from bot_service.messages.rate_limits import Rate
from bot_service.messages.sender import SenderPolicy
from tests.bot_service.messages.post import EXPIRE_MS, post, ready, text
from tests.support.fake_clock import settle
from tests.support.waiting import eventually


async def test_messages_go_out_in_order_and_leave_the_queue_when_the_server_has_them(tmp_path: Path) -> None:
    async with post(tmp_path) as at:
        await at.accept(*(text(f"m{number}", to=f"4915{number % 2}") for number in range(6)))
        await at.until_empty()
        assert at.sent() == [f"m{number}" for number in range(6)]
        assert await at.states(*at.sent()) == ["sent"] * 6
        assert at.ended == ["sent"] * 6


async def test_a_message_for_a_session_without_waiting_ones_is_sent_without_a_look_into_the_store(
    tmp_path: Path,
) -> None:
    async with post(tmp_path) as at:
        await at.accept(text("m1"))
        await at.until_empty()
        reads: list[str] = []

        def executed(_connection: object, _cursor: object, statement: str, *_: object) -> None:
            if statement.startswith("SELECT") and "JOIN messages" in statement:
                reads.append(statement)

        event.listen(at.database.engine.sync_engine, "before_cursor_execute", executed)
        for number in range(2, 12):
            await at.accept(text(f"m{number}"))
        await eventually(lambda: len(at.pool.sent) == 11, every_s=0.005, what="all being sent")
        assert reads == []
        # One that waits is read again, in its order.
        at.pool.fail["send"] = EngineError("not_connected", "not now")
        await at.accept(text("n1"), text("n2"))
        await at.until_tried("n1")
        del at.pool.fail["send"]
        await at.accept(text("n3"))
        await at.until_empty(pass_s=1.0)
        assert reads
        assert at.sent()[11:] == ["n1", "n2", "n3"]


@pytest.mark.parametrize("seed", range(4))
async def test_every_message_is_sent_once_and_in_the_order_of_its_chat_whatever_fails(
    tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    async with post(tmp_path, queue_limit=1000) as at:
        real = at.pool.send

        async def send(session: str, message: OutgoingMessage) -> Sent:
            await asyncio.sleep(chance.choice([0, 0, 0.001]))
            if chance.random() < 0.15:
                raise EngineError(chance.choice(["timeout", "not_connected", "timelocked"]), "", retryable=True)
            return await real(session, message)

        at.pool.send = send  # type: ignore[method-assign]
        wanted = [f"m{number}" for number in range(150)]

        async def caller(part: list[str]) -> None:
            for message_id in part:
                await at.accept(text(message_id, to=f"4915{int(message_id[1:]) % 4}"))
                if chance.random() < 0.3:
                    await asyncio.sleep(0.002)

        # One caller for each chat, because only their order is promised.
        await asyncio.gather(*(caller(wanted[chat::4]) for chat in range(4)))
        await at.until_empty(pass_s=5.0)
        sent = at.sent()
        assert sorted(sent) == sorted(wanted)
        for chat in range(4):
            assert [each for each in sent if int(each[1:]) % 4 == chat] == wanted[chat::4]


async def test_what_an_earlier_run_left_is_sent_first(tmp_path: Path) -> None:
    async with post(tmp_path, sending=False) as before:
        await before.accept(text("m1"), text("m2"))
    async with post(tmp_path) as at:
        await at.until_empty()
        assert at.sent() == ["m1", "m2"]


@pytest.mark.parametrize("code", ["not_started", "not_connected", "timeout"])
async def test_a_failure_that_may_pass_is_tried_again_later_under_the_same_id(tmp_path: Path, code: str) -> None:
    async with post(tmp_path) as at:
        at.pool.fail["send"] = EngineError(code, "not now")
        await at.accept(text("m1"), text("m2"))
        await at.until_tried("m1")
        assert at.sent() == []
        assert await at.states("m1", "m2") == ["queued", "queued"]
        del at.pool.fail["send"]
        await at.until_empty(pass_s=1.0)
        assert at.sent() == ["m1", "m2"]


async def test_waits_between_tries_grow_to_the_cap(tmp_path: Path) -> None:
    async with post(tmp_path) as at:
        at.pool.fail["send"] = EngineError("not_connected", "")
        await at.accept(text("m1"))
        # Half of 1, 2, 4 … and at most 60 seconds, as the fake chance decides, and a tenth.
        for number, wait_s in enumerate((0.6, 1.1, 2.1, 4.1, 8.1, 16.1, 30.1, 30.1), start=1):
            row = await at.until_tried("m1", number, pass_s=wait_s / 8)
            assert row.next_ms - at.tries_ms[-1] == pytest.approx(wait_s * 1000, abs=1)
            assert len(at.tries_ms) == number


async def test_one_more_message_does_not_end_the_wait_for_the_next_try(tmp_path: Path) -> None:
    async with post(tmp_path) as at:
        at.pool.fail["send"] = EngineError("not_connected", "")
        await at.accept(text("m1"))
        await at.until_tried("m1")
        await at.accept(text("m2"))
        await at.later(0)
        await settle()
        assert len(at.tries_ms) == 1
        await at.later(0.6)
        await at.until_tried("m1", 2)
        at.sender.session_changed("one")
        await at.until_tried("m1", 3)


async def test_a_refusal_fails_the_message_and_the_next_one_goes(tmp_path: Path) -> None:
    async with post(tmp_path) as at:
        at.pool.fail["send"] = EngineError("invalid", "no such number")
        await at.accept(text("m1"))
        await at.until_empty()
        stored = await at.stored("m1")
        assert (stored.state, stored.error) == ("failed", "invalid: no such number")
        del at.pool.fail["send"]
        await at.accept(text("m2"))
        await at.until_empty()
        assert at.sent() == ["m2"]
        assert at.ended == ["failed", "sent"]


async def test_a_lock_of_new_chats_holds_its_chat_and_no_other(tmp_path: Path) -> None:
    async with post(tmp_path) as at:
        at.pool.fail["send"] = EngineError("timelocked", "new chats are locked")
        await at.accept(text("m1", to="49151"))
        await at.until_tried("m1")
        del at.pool.fail["send"]
        await at.accept(text("m2", to="49152"))
        await eventually(lambda: "m2" in at.sent(), what="the other chat")
        await at.until_empty()
        assert sorted(at.sent()) == ["m1", "m2"]


@pytest.mark.parametrize("state", [State.CONNECTING, State.RECONNECTING])
async def test_a_session_that_is_not_connected_keeps_its_messages_until_it_is(tmp_path: Path, state: State) -> None:
    async with post(tmp_path) as at:
        at.records["one"] = ready(state=state)
        await at.accept(text("m1"))
        await settle()
        assert at.sent() == []
        at.records["one"] = ready()
        at.sender.session_changed("one")
        await at.until_empty()
        assert at.sent() == ["m1"]


async def test_a_return_that_nothing_announced_is_noticed_after_half_a_minute(tmp_path: Path) -> None:
    async with post(tmp_path) as at:
        at.records["one"] = ready(state=State.RECONNECTING)
        await at.accept(text("m1"))
        await at.later(0)
        at.records["one"] = ready()
        await at.until_empty(pass_s=30.0)
        assert at.sent() == ["m1"]


@pytest.mark.parametrize(("gone", "error"), [(True, "session_deleted"), (False, "expired")])
async def test_what_can_no_longer_be_sent_fails_with_its_reason(tmp_path: Path, gone: bool, error: str) -> None:
    async with post(tmp_path) as at:
        at.records["one"] = ready(state=State.RECONNECTING)
        await at.accept(text("m1"))
        await at.later(0)
        if gone:
            del at.records["one"]
        else:
            at.clock.stall(EXPIRE_MS / 1000)
        at.sender.session_changed("one")
        await at.until_empty()
        stored = await at.stored("m1")
        assert (stored.state, stored.error) == ("failed", error)
        assert at.sent() == []


async def test_a_session_sends_no_faster_than_its_rate(tmp_path: Path) -> None:
    policy = SenderPolicy(Rate(2 / 60, 2), Rate(0, 0), EXPIRE_MS)
    async with post(tmp_path, policy=policy) as at:
        await at.accept(*(text(f"m{number}") for number in range(4)))
        await eventually(lambda: len(at.sent()) == 2, what="the first two")
        await at.later(0)
        assert len(at.sent()) == 2
        await at.later(30.0)
        await eventually(lambda: len(at.sent()) == 3, what="one more")
        await at.later(0)
        await at.until_empty(pass_s=1.0)
        assert at.sent() == ["m0", "m1", "m2", "m3"]
