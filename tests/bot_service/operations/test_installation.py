"""The bot service's own alerts say which installation they come from and where a person can look."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pytest

from bot_service.events.publisher import Draft
from bot_service.events.service_alerts import JOURNAL_DAMAGED, NOT_RECEIVING, ServiceAlerts
from bot_service.settings import BotSettings
from shared.contract.installation import UNNAMED, Installation
from shared.settings import SettingsError, load
from tests.support.fake_clock import FakeClock


class Kept:
    """A publisher that keeps what it was given."""

    def __init__(self) -> None:
        self.data: list[dict[str, Any]] = []

    async def publish(self, drafts: Sequence[Draft]) -> None:
        self.data += [cast(dict[str, Any], draft.data) for draft in drafts]


async def test_begin_and_end_of_an_alert_name_the_installation_and_link_to_the_dashboard() -> None:
    kept = Kept()
    alerts = ServiceAlerts(FakeClock(), cast(Any, kept), Installation("Shop Lyon", "https://bot.example"))
    await alerts.raise_(JOURNAL_DAMAGED, "A journal is damaged")
    await alerts.resolve(JOURNAL_DAMAGED, "All journals are read")
    await alerts.raise_(NOT_RECEIVING, "ann does not receive", about="ann")
    assert [data["text"] for data in kept.data] == [
        "Shop Lyon: A journal is damaged",
        "Shop Lyon: All journals are read",
        "Shop Lyon: ann does not receive",
    ]
    assert {data["installation"] for data in kept.data} == {"Shop Lyon"}
    assert [data["link"] for data in kept.data] == [
        "https://bot.example",
        "https://bot.example",
        "https://bot.example/sessions/ann",
    ]


async def test_without_a_name_and_an_address_an_alert_is_what_it_was() -> None:
    kept = Kept()
    await ServiceAlerts(FakeClock(), cast(Any, kept)).raise_(JOURNAL_DAMAGED, "A journal is damaged")
    assert set(kept.data[0]) == {"kind", "text", "since"}
    assert UNNAMED.signed({"kind": "x"}) == {"kind": "x"}


def test_the_setting_is_one_line_that_people_can_read() -> None:
    settings = load(BotSettings, {"INSTALLATION_NAME": " Büro – Lyon ", "PUBLIC_URL": "https://bot.example/"})
    assert settings.installed == Installation("Büro – Lyon", "https://bot.example")
    assert load(BotSettings, {}).installed == UNNAMED
    for wrong in ("a\nb", "a\u202eb", "x" * 61, "\u200b"):
        with pytest.raises(SettingsError, match="INSTALLATION_NAME"):
            load(BotSettings, {"INSTALLATION_NAME": wrong})
