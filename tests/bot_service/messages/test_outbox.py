"""What the outbox accepts, refuses and repeats, and that nothing is stored of what it refuses."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from sqlalchemy import event

from bot_service.domain.message import OutgoingMessage
from bot_service.domain.refused import Refused
from bot_service.domain.states import State, Wanted
from bot_service.messages.inbound import ReplyTo
from bot_service.messages.outbox import Accepted, fingerprint
from bot_service.messages.rate_limits import Freeze
from bot_service.store import send_queue
from tests.bot_service.messages.post import post, ready, text


async def test_an_accepted_message_is_stored_queued_and_announced_after_the_commit(tmp_path: Path) -> None:
    async with post(tmp_path, sending=False) as at:
        accepted = await at.outbox.accept("one", text("m1"), key="k", digest="p")
        assert (accepted.repeated, accepted.message.state, accepted.message.message_id) == (False, "queued", "m1")
        assert await at.waiting() == ["m1"]
        assert at.woken == ["one"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"state": State.BANNED}, Freeze.BANNED),
        ({"state": State.TEMP_BANNED}, Freeze.TEMP_BANNED),
        ({"state": State.LOGGED_OUT}, Freeze.LOGGED_OUT),
        ({"jid": None}, Freeze.NOT_PAIRED),
        ({"state": State.OUTDATED}, Freeze.OUTDATED),
        ({"state": State.FENCED}, Freeze.FENCED),
        ({"state": State.FAILED}, Freeze.FAILED),
        ({"state": State.CLOSED}, Freeze.CLOSED),
        ({"wanted": Wanted.STOP}, Freeze.NOT_RUNNING),
        ({"timelocked_until_ms": 2**42}, Freeze.TIMELOCKED),
        ({"timelocked_until_ms": 0}, None),
        ({"state": State.RECONNECTING}, None),
        ({"state": State.CONNECTING}, None),
    ],
)
async def test_a_session_that_may_not_send_is_refused_with_the_reason(
    tmp_path: Path, changes: dict[str, Any], reason: Freeze | None
) -> None:
    async with post(tmp_path, sending=False) as at:
        at.records["one"] = ready(**changes)
        if reason is None:
            await at.accept(text("m1"))
        else:
            with pytest.raises(Refused) as refused:
                await at.accept(text("m1"))
            assert (refused.value.code, refused.value.facts["reason"]) == ("sending_frozen", reason.value)
        assert await at.waiting() == ([] if reason else ["m1"])
        assert at.woken == ([] if reason else ["one"])


async def test_the_same_key_gives_the_same_message_and_another_message_is_refused(tmp_path: Path) -> None:
    async with post(tmp_path, sending=False) as at:
        await at.outbox.accept("one", text("m1"), key="k", digest="p")
        again = await at.outbox.accept("one", text("m2"), key="k", digest="p")
        assert (again.repeated, again.message.message_id) == (True, "m1")
        with pytest.raises(Refused) as reused:
            await at.outbox.accept("one", text("m3"), key="k", digest="other")
        assert reused.value.code == "idempotency_key_reused"
        with pytest.raises(Refused, match="another message"):
            await at.outbox.earlier("one", "k", "other")
        found = await at.outbox.earlier("one", "k", "p")
        assert found is not None
        assert found.message_id == "m1"
        assert await at.outbox.earlier("one", "unused", "p") is None
        assert await at.waiting() == ["m1"]
        # A key belongs to one session.
        at.records["two"] = ready("two")
        assert not (await at.outbox.accept("two", text("m4"), key="k", digest="p")).repeated


async def test_a_full_queue_refuses_new_messages_and_repeats_old_ones(tmp_path: Path) -> None:
    async with post(tmp_path, sending=False, queue_limit=2) as at:
        await at.outbox.accept("one", text("m1"), key="k", digest="p")
        await at.accept(text("m2"))
        with pytest.raises(Refused, match="2 messages wait already"):
            await at.accept(text("m3"))
        assert (await at.outbox.accept("one", text("m4"), key="k", digest="p")).repeated
        assert await at.waiting() == ["m1", "m2"]


async def test_messages_that_arrive_together_share_transactions_and_nothing_else(tmp_path: Path) -> None:
    async with post(tmp_path, sending=False, queue_limit=30) as at:
        at.records["two"] = ready("two")
        at.records["away"] = ready("away", state=State.BANNED)
        commits = 0

        def committed(_connection: object) -> None:
            nonlocal commits
            commits += 1

        event.listen(at.database.engine.sync_engine, "commit", committed)
        calls: list[tuple[str, OutgoingMessage, str | None]] = []
        for number in range(25):
            calls.append(("one", text(f"one-{number}", to=f"4915{number % 3}"), None))
            calls.append(("two", text(f"two-{number}"), f"k{number % 5}"))
            calls.append(("away", text(f"away-{number}"), None))
        answers = await asyncio.gather(
            *(at.outbox.accept(session, message, key=key, digest="p") for session, message, key in calls),
            return_exceptions=True,
        )
        by_call = list(zip(calls, answers, strict=True))
        assert commits <= 4  # the first alone, then all that had come
        # Each stored in the order of the calls before it was answered.
        assert await at.waiting("one") == [f"one-{number}" for number in range(25)]
        # One message for each key, also when both calls are in one transaction.
        assert await at.waiting("two") == [f"two-{number}" for number in range(5)]
        for (session, message, key), answer in by_call:
            if session == "away":
                assert isinstance(answer, Refused)
                assert answer.code == "sending_frozen"
                continue
            assert isinstance(answer, Accepted)
            number = int(message.id.partition("-")[2])
            first = f"two-{number % 5}" if key is not None else message.id
            assert (answer.message.message_id, answer.repeated) == (first, first != message.id)
        # A limit counts what the same transaction queues.
        more = await asyncio.gather(
            *(at.outbox.accept("one", text(f"more-{number}"), key=None, digest=None) for number in range(10)),
            return_exceptions=True,
        )
        assert [getattr(answer, "code", "accepted") for answer in more] == ["accepted"] * 5 + ["queue_full"] * 5
        # Only the first message to a chat is one to a new chat.
        async with at.database.read() as connection:
            rows = await send_queue.waiting(connection, "one", limit=100)
        assert [row.message_id for row in rows if row.new_chat] == ["one-0", "one-1", "one-2"]


async def test_a_caller_that_goes_away_ends_nobody_elses_transaction(tmp_path: Path) -> None:
    async with post(tmp_path, sending=False) as at:
        first = asyncio.create_task(at.outbox.accept("one", text("m1"), key=None, digest=None))
        others = [
            asyncio.create_task(at.outbox.accept("one", text(f"m{number}"), key=None, digest=None)) for number in (2, 3)
        ]
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.gather(*others)
        assert {"m2", "m3"} <= set(await at.waiting())


async def test_a_store_that_fails_is_the_answer_to_every_call_and_the_next_one_works(tmp_path: Path) -> None:
    async with post(tmp_path, sending=False) as at:
        async with at.database.write() as connection:
            await connection.execute(sa.text("ALTER TABLE send_outbox RENAME TO elsewhere"))
        answers = await asyncio.gather(
            *(at.outbox.accept("one", text(f"m{number}"), key=None, digest=None) for number in range(3)),
            return_exceptions=True,
        )
        # A table that is missing is another class of error in each database.
        assert [isinstance(answer, sa.exc.DatabaseError) for answer in answers] == [True] * 3
        async with at.database.write() as connection:
            await connection.execute(sa.text("ALTER TABLE elsewhere RENAME TO send_outbox"))
        await at.accept(text("m9"))
        assert await at.waiting() == ["m9"]


@pytest.mark.parametrize(
    ("changes", "queued"),
    [
        ({}, True),
        ({"owner": "bob"}, False),
        ({"wanted": Wanted.STOP}, False),
        # A chat that wrote to us is not concerned by a lock of new chats.
        ({"timelocked_until_ms": 2**42}, True),
        (None, False),
    ],
    ids=["ready", "another owner", "stopped", "timelocked", "deleted"],
)
async def test_a_reply_is_queued_once_for_a_session_that_may_send(
    tmp_path: Path, changes: dict[str, Any] | None, queued: bool
) -> None:
    reply_to = msgspec.json.encode(ReplyTo(session="one", chat="49151", id="in-1", sender="49151", owner="ann"))
    async with post(tmp_path, sending=False) as at:
        if changes is None:
            del at.records["one"]
        else:
            at.records["one"] = ready(**changes)
        for _ in range(2):
            async with at.database.write() as connection:
                await at.outbox.reply(connection, reply_to, "yes")
        waiting = await at.waiting()
        assert len(waiting) == queued
        assert at.woken == ["one"] * queued
        if queued:
            assert b'"text":"yes"' in (await at.stored(waiting[0])).body


def test_a_fingerprint_ignores_the_id_and_sees_everything_else() -> None:
    first = fingerprint(text("m1"))
    assert fingerprint(text("m2")) == first
    assert fingerprint(text("m1", body="other")) != first
    assert fingerprint(text("m1", to="49152")) != first
    assert fingerprint(text("m1"), b"file") != first
