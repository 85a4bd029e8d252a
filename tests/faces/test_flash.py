"""What is said once: to one login, one time, and not for long."""

from __future__ import annotations

from bot_service.access.principals import ADMINISTRATOR
from bot_service.dashboard.flash import FlashMessages, Said
from bot_service.dashboard.login import Login
from tests.support.fake_clock import FakeClock

MINE, ANOTHER = Login(ADMINISTRATOR, "token-1"), Login(ADMINISTRATOR, "token-2")
SAID = Said("good", "Made.", "whsec_very-secret", "Secret")


def test_it_is_said_once_and_to_the_login_that_asked() -> None:
    once = FlashMessages(FakeClock())
    word = once.keep(MINE, SAID)
    assert once.take(ANOTHER, word) is None
    assert once.take(MINE, word) == SAID
    assert once.take(MINE, word) is None


async def test_what_nobody_looked_at_is_forgotten() -> None:
    clock = FakeClock()
    once = FlashMessages(clock)
    word = once.keep(MINE, SAID)
    await clock.advance(301)
    assert once.take(MINE, word) is None


def test_only_so_many_are_kept_and_none_shows_its_secret() -> None:
    once = FlashMessages(FakeClock())
    first, *others = [once.keep(MINE, SAID) for _ in range(51)]
    assert once.take(MINE, first) is None
    assert once.take(MINE, others[0]) == SAID
    assert "very-secret" not in repr(SAID)
