"""What becomes of unusual messages on their way into the store: votes get names, and only people are answered."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bot_service.domain.message import InboundMessage, JournalRecord, Media, Poll, PollVote
from bot_service.domain.session_record import SessionRecord
from bot_service.messages.inbound import Batch, ingest
from bot_service.messages.outbox import LONGEST_TEXT
from bot_service.store.database import open_database
from shared.clock import SystemClock
from tests.bot_service.messages.post import post
from tests.support.template import store_url

ANN = "33612345678@s.whatsapp.net"


def message(message_id: str, chat: str = ANN, **parts: Any) -> InboundMessage:
    return InboundMessage("one", chat, message_id, ANN, 1_800_000_000_000, **{"type": "text", **parts})


def hashed(option: str) -> str:
    return hashlib.sha256(option.encode()).hexdigest()


async def stored(tmp_path: Path, *batches: list[InboundMessage]) -> list[Batch]:
    database = await open_database(store_url(tmp_path))
    done = []
    for batch in batches:
        async with database.write() as connection:
            records = [JournalRecord(message=one) for one in batch]
            done.append(
                await ingest(
                    connection,
                    records,
                    SystemClock().now(),
                    lambda name: SessionRecord(id=name, owner="ann", name=name, created_ms=0),
                )
            )
    await database.close()
    return done


@pytest.mark.parametrize("together", [True, False])
async def test_a_vote_is_told_with_the_texts_of_its_poll(tmp_path: Path, *, together: bool) -> None:
    poll = message("P1", type="poll", poll=Poll("When?", ("Monday", "Tuesday", "Émilie 🎉")))
    chosen = PollVote("P1", hashes=(hashed("Émilie 🎉"), hashed("Monday"), hashed("of an edited poll")))
    vote = message("V1", type="poll_vote", vote=chosen)
    done = await stored(tmp_path, *([[poll, vote]] if together else [[poll], [vote]]))
    reported = done[-1].messages[-1].vote
    assert reported == PollVote("P1", options=("Émilie 🎉", "Monday"), hashes=(hashed("of an edited poll"),))


async def test_a_vote_without_its_poll_or_without_options_stays_as_it_is(tmp_path: Path) -> None:
    unknown = PollVote("NONE", hashes=(hashed("Monday"),))
    taken_back = PollVote("P1")
    elsewhere = message("P1", "1203@g.us", type="poll", poll=Poll("When?", ("Monday",)))
    votes = [message("V1", type="poll_vote", vote=unknown), message("V2", type="poll_vote", vote=taken_back)]
    other_chat = message("V3", type="poll_vote", vote=PollVote("P1", hashes=(hashed("Monday"),)))
    (_, done) = await stored(tmp_path, [elsewhere], [*votes, other_chat])
    assert [one.vote for one in done.messages] == [unknown, taken_back, PollVote("P1", hashes=(hashed("Monday"),))]


@pytest.mark.parametrize(
    ("chat", "answered"),
    [
        (ANN, True),
        ("120363041234567890@g.us", True),
        ("123456789@lid", True),
        ("status@broadcast", False),
        ("120363041234567890@newsletter", False),
        ("1600000000@broadcast", False),
        ("0@s.whatsapp.net", False),
    ],
)
async def test_replies_go_only_where_a_person_can_be_answered(tmp_path: Path, chat: str, *, answered: bool) -> None:
    (done,) = await stored(tmp_path, [message("M1", chat)])
    assert [draft.reply_to is not None for draft in done.drafts] == [answered]


@pytest.mark.parametrize("media", [None, Media("image/png", path="/data/media/one/M1.png")])
async def test_events_give_times_in_iso_and_keep_the_old_field(tmp_path: Path, media: Media | None) -> None:
    (done,) = await stored(tmp_path, [message("M1", text="é", media=media)])
    data = msgspec.json.decode(msgspec.json.encode(done.drafts[0].data))
    assert (data["at"], data["atMs"]) == ("2027-01-15T08:00:00.000Z", 1_800_000_000_000)
    assert data["text"] == "é"


@pytest.mark.parametrize(
    ("length", "kept"), [(4_097, 4_097), (LONGEST_TEXT, LONGEST_TEXT), (LONGEST_TEXT + 1, LONGEST_TEXT)]
)
async def test_a_long_reply_is_sent_as_the_api_would_send_it(tmp_path: Path, length: int, kept: int) -> None:
    async with post(tmp_path, sending=False) as at:
        reply_to = msgspec.json.encode({"session": "one", "chat": ANN, "id": "M1", "sender": ANN, "owner": "ann"})
        async with at.database.write() as connection:
            await at.outbox.reply(connection, reply_to, "é" * length)
        (row,) = [await at.stored(message_id) for message_id in await at.waiting()]
        assert len(msgspec.json.decode(row.body)["text"]) == kept
