"""One-time messages: shown to one login, once, and not for long."""

from __future__ import annotations

from bot_service.access.principals import ADMINISTRATOR
from bot_service.dashboard.flash import FlashMessage, FlashMessages
from bot_service.dashboard.login import Login
from tests.support.fake_clock import FakeClock

MINE, ANOTHER = Login("one", ADMINISTRATOR, "token-1"), Login("one", ADMINISTRATOR, "token-2")
MESSAGE = FlashMessage("good", "Made.", "whsec_very-secret", "Secret")


def _token(flash: FlashMessages) -> str:
    return flash.add(MINE, "/keys", MESSAGE).removeprefix("/keys?once=")


def test_a_message_is_shown_once_and_to_the_login_that_caused_it() -> None:
    flash = FlashMessages(FakeClock())
    token = _token(flash)
    assert flash.take(ANOTHER, token) is None
    assert flash.take(MINE, token) == MESSAGE
    assert flash.take(MINE, token) is None


async def test_a_message_that_is_not_shown_expires() -> None:
    clock = FakeClock()
    flash = FlashMessages(clock)
    token = _token(flash)
    await clock.advance(301)
    assert flash.take(MINE, token) is None


def test_only_so_many_are_kept_and_none_shows_its_secret() -> None:
    flash = FlashMessages(FakeClock())
    first, *others = [_token(flash) for _ in range(51)]
    assert flash.take(MINE, first) is None
    assert flash.take(MINE, others[0]) == MESSAGE
    assert "very-secret" not in repr(MESSAGE)
