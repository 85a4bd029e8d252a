"""The watchdog's notices about sessions that need a person: once, in groups, over restarts, and never beside the bot's."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from shared.contract.attention import Attention, NeedAdvice, NeedEntry
from tests.support.fake_clock import FakeClock
from tests.support.memory_ledger import open_in_memory
from watchdog.domain.facts import PersonNeeded
from watchdog.flow.attention import SessionAttention
from watchdog.ledger.outbox import Channels
from watchdog.ledger.sqlite import Ledger

ADVICE = {"banned": NeedAdvice("critical", "WhatsApp banned the account.", "Ask for a review.")}


@dataclass
class Scene:
    """A watchdog of a bot that says ``entries``; ``restart`` keeps the ledger."""

    channels: tuple[str, ...] = ("log", "hook")
    clock: FakeClock = field(default_factory=FakeClock)
    ledger: Ledger = field(default_factory=open_in_memory)
    entries: dict[str, NeedEntry] = field(default_factory=dict)
    confirmed: int = 0
    url: str = "http://bot:3000"
    page: str = "http://x/"
    several: bool = False
    needs_person: int = 0
    revision: int = 0

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        async def process(_target: str, fact: Any) -> None:
            assert isinstance(fact, PersonNeeded)
            self.needs_person = fact.sessions

        def confirm() -> None:
            self.confirmed += 1

        pipeline = SimpleNamespace(
            state=lambda _target: SimpleNamespace(needs_person=self.needs_person), process=process
        )
        self.attention = SessionAttention(
            "bot",
            ledger=self.ledger,
            pipeline=cast(Any, pipeline),
            clock=self.clock,
            channels=Channels(self.channels),
            log_channel="log",
            url=self.url,
            several=self.several,
            on_notice=lambda: None,
            confirm=confirm,
        )

    def ban(self, *sessions: str, voice: str = "") -> None:
        for session in sessions:
            self.entries[session] = NeedEntry(session, session, "banned", self.clock.now_ms, voice)

    def works(self, *sessions: str) -> None:
        for session in sessions:
            self.entries[session] = msgspec.structs.replace(self.entries[session], over=True)

    async def look(self, *, wait_s: float = 4.0) -> None:
        """The bot answers a report, and time passes."""
        self.revision += 1
        self.attention.answered(Attention(f"b-{self.revision}", self.page, ADVICE, list(self.entries.values())))
        await self.attention.once()
        await self.clock.advance(wait_s)
        await self.attention.once()

    async def notices(self) -> list[tuple[str, int]]:
        found = await self.ledger.read(
            lambda c: c.execute("SELECT kind, payload FROM notice ORDER BY rowid").fetchall()
        )
        return [(kind, msgspec.json.decode(payload)["fields"]["count"]) for kind, payload in found]


async def test_a_wave_is_one_notice_and_its_end_another() -> None:
    scene = Scene()
    scene.ban("a", "b", "c")
    await scene.look()
    assert await scene.notices() == [("attention", 3)]
    assert scene.needs_person == 3
    assert scene.attention.taken == "b-1"
    scene.works("a", "b")
    await scene.look()
    assert await scene.notices() == [("attention", 3), ("attention_over", 2)]
    assert scene.needs_person == 1
    await scene.look(wait_s=100)
    assert len(await scene.notices()) == 2


@pytest.mark.parametrize("count", [3, 500])
async def test_sessions_that_follow_each_other_join_the_notice(count: int) -> None:
    scene = Scene()
    for number in range(count):
        scene.ban(f"s{number}")
        await scene.look(wait_s=min(1.0, 10 / count))
    await scene.look()
    assert await scene.notices() == [("attention", count)]


async def test_a_restart_reports_nothing_again_and_reports_the_end() -> None:
    scene = Scene()
    scene.ban("a")
    await scene.look()
    scene.restart()
    await scene.look(wait_s=100)
    assert await scene.notices() == [("attention", 1)]
    scene.restart()
    scene.works("a")
    await scene.look()
    assert await scene.notices() == [("attention", 1), ("attention_over", 1)]


async def test_a_restart_before_the_notice_loses_nothing_and_confirms_nothing_before_it() -> None:
    scene = Scene()
    scene.ban("a")
    await scene.look(wait_s=1)
    assert (await scene.notices(), scene.attention.taken) == ([], "")
    scene.restart()
    await scene.look()
    assert (await scene.notices(), scene.attention.taken) == ([("attention", 1)], "b-2")


async def test_what_the_bot_reported_itself_is_not_reported_here_and_neither_is_its_end() -> None:
    scene = Scene()
    scene.ban("a", "b", voice="bot")
    await scene.look()
    scene.works("a")
    await scene.look(wait_s=100)
    assert await scene.notices() == []
    assert scene.needs_person == 1


async def test_a_session_that_was_stopped_or_deleted_is_forgotten_and_another_need_is_reported() -> None:
    scene = Scene()
    scene.ban("a")
    await scene.look()
    del scene.entries["a"]
    await scene.look(wait_s=60)
    scene.entries["a"] = NeedEntry("a", "a", "banned", 99)
    await scene.look(wait_s=60)
    assert await scene.notices() == [("attention", 1), ("attention", 1)]


async def test_a_lost_ledger_adopts_what_a_watchdog_reported() -> None:
    scene = Scene()
    scene.ban("a", voice="watchdog")
    await scene.look()
    assert await scene.notices() == []
    scene.works("a")
    await scene.look()
    assert await scene.notices() == [("attention_over", 1)]


async def test_one_that_works_again_before_its_notice_needs_none() -> None:
    scene = Scene()
    scene.ban("a")
    await scene.look(wait_s=1)
    scene.works("a")
    await scene.look(wait_s=100)
    assert (await scene.notices(), scene.attention.taken) == ([], "b-2")


async def test_without_a_channel_it_only_shows_the_state() -> None:
    scene = Scene(channels=("log",))
    scene.ban("a")
    await scene.look(wait_s=100)
    assert (await scene.notices(), scene.attention.taken, scene.attention.channels) == ([], "", 0)
    assert scene.needs_person == 1


async def test_a_bot_of_another_version_ends_the_state_and_a_beat_asks_once() -> None:
    scene = Scene()
    scene.ban("a")
    await scene.look()
    asked = scene.confirmed
    for _ in range(3):
        scene.attention.beat("b-7")
    assert scene.confirmed == asked + 1
    scene.attention.beat("")
    await scene.attention.once()
    assert scene.needs_person == 0


@pytest.mark.parametrize(
    ("page", "url", "shown"),
    [
        ("http://localhost:3000/", "https://bot.up.railway.app", "https://bot.up.railway.app/sessions/a"),
        ("http://localhost:3000/", "http://bot:3000", "http://localhost:3000/sessions/a"),
        ("https://bot.example.org/", "https://10.0.0.1", "https://bot.example.org/sessions/a"),
    ],
)
async def test_a_link_leads_where_people_reach_the_dashboard(page: str, url: str, shown: str) -> None:
    scene = Scene(page=page, url=url)
    scene.ban("a")
    await scene.look()
    (payload,) = await scene.ledger.read(lambda c: c.execute("SELECT payload FROM notice").fetchone())
    assert msgspec.json.decode(payload)["text"].endswith(shown)


@pytest.mark.parametrize(("several", "begins"), [(True, "bot: Session a needs"), (False, "Session a needs")])
async def test_one_of_several_bots_is_named(several: bool, begins: str) -> None:
    scene = Scene(several=several)
    scene.ban("a")
    await scene.look()
    (payload,) = await scene.ledger.read(lambda c: c.execute("SELECT payload FROM notice").fetchone())
    assert [msgspec.json.decode(payload)[part].startswith(begins) for part in ("title", "text")] == [True, True]
